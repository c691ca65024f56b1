# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A ``.tflite`` file as plain Python objects, with every check that keeps a bad one harmless.

This is the one place that trusts nothing: a file is read here before an interpreter, a census or
a planner sees it. Truncated or altered files raise :class:`ModelError`; the interpreter, which is
C++ and believes the file, is only given what passed.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.tflite.schema import schema

IDENTIFIER = b"TFL3"
MAX_ITEMS = 10_000
"""Most tensors or operators that are read; InceptionV1 has some 200."""
MAX_ELEMENTS = 1 << 26
"""Most elements of a tensor: 64 Mi, far above any network here, far below exhausting a host."""

DTYPES: dict[int, str] = {
    schema.TensorType.FLOAT32: "float32",
    schema.TensorType.FLOAT16: "float16",
    schema.TensorType.FLOAT64: "float64",
    schema.TensorType.INT8: "int8",
    schema.TensorType.UINT8: "uint8",
    schema.TensorType.INT16: "int16",
    schema.TensorType.INT32: "int32",
    schema.TensorType.INT64: "int64",
    schema.TensorType.BOOL: "bool",
}
"""Tensor types that are read, by the schema's number; numpy's names."""
DAMAGE = (
    struct.error,
    IndexError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)
"""What flatbuffers and numpy raise where a file's structure can't be followed."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph.

    Attributes
    ----------
    shape
        As stored; ``dynamic`` says whether a dimension is left open in the signature.
    dtype
        numpy's name of the element type.
    quant_scale, zero_point
        real = quant_scale * (q - zero_point), one or one for each index of ``axis``; empty where
        the tensor isn't quantised. float32 and int64.
    axis
        The dimension that per-channel scales run along.
    data
        The constant's elements (a view of the file), or None for an activation.
    variable
        Whether it keeps its value from one inference to the next.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    dynamic: bool
    quant_scale: NDArray[np.float32] = field(repr=False)
    zero_point: NDArray[np.int64] = field(repr=False)
    axis: int
    data: NDArray[Any] | None = field(repr=False)
    variable: bool = False

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Operator:
    """One operator: ``name`` as in the schema's BuiltinOperator, options by snake-case name.

    ``inputs`` are tensor indices, -1 where an optional one is absent. In ``options``, ``padding``
    is ``"SAME"`` or ``"VALID"`` and ``fused_activation_function`` ``"NONE"``, ``"RELU"``, ...
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """The one subgraph of a ``.tflite``."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signature: tuple[tuple[str, ...], tuple[str, ...]] | None
    """Names of inputs and outputs in the file's signature, if it has one."""


def read_tflite(data: bytes, source: str = "model") -> Graph:
    """Read a ``.tflite`` and check its structure.

    Parameters
    ----------
    data
        The file's bytes.
    source
        What to call it in messages.

    Raises
    ------
    ModelError
        Not a ``.tflite``, truncated, altered, or outside what this toolkit handles (one subgraph,
        plain tensors).
    """
    if len(data) < 16 or data[4:8] != IDENTIFIER:
        raise ModelError(f"{source}: is not a .tflite file (or only a part of one)")
    try:
        graph = _read(data)
        _check_order(graph)
        for operator in graph.operators:
            _check_operator(operator, graph.tensors)
        return graph
    except _NotRead as feature:
        raise ModelError(f"{source}: has {feature}, which this tool does not read") from None
    except _Damaged as damage:
        raise ModelError(f"{source}: damaged .tflite ({damage}); get it again") from None
    except DAMAGE as error:
        kind = type(error).__name__
        raise ModelError(
            f"{source}: damaged .tflite (its structure can't be followed: {kind}); get it again"
        ) from error


class _Damaged(Exception):
    """What is wrong with the file."""


class _NotRead(Exception):
    """What a sound file may have and is not read here."""


def _expect(condition: object, problem: str) -> None:
    if not condition:
        raise _Damaged(problem)


def _read_only_if(condition: object, feature: str) -> None:
    if not condition:
        raise _NotRead(feature)


def _names_of(enum: type) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


_OPERATOR_NAMES = _names_of(schema.BuiltinOperator)
_OPTION_NAMES = _names_of(schema.BuiltinOptions)
_TYPE_NAMES = _names_of(schema.TensorType)
_PADDING_NAMES = _names_of(schema.Padding)
_ACTIVATION_NAMES = _names_of(schema.ActivationFunctionType)


def _count(n: int) -> int:
    _expect(0 <= n <= MAX_ITEMS, f"{n} items where at most {MAX_ITEMS} make sense")
    return n


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode()


def _indices(vector: Any, n_tensors: int, optional: bool = False) -> tuple[int, ...]:
    """Tensor indices, in range; flatbuffers gives 0 for an absent vector."""
    values = () if isinstance(vector, int) else tuple(int(i) for i in vector[: MAX_ITEMS + 1])
    _count(len(values))
    for i in values:
        _expect((-1 if optional else 0) <= i < n_tensors, f"tensor {i} of {n_tensors}")
    return values


def _read(data: bytes) -> Graph:
    model = schema.Model.GetRootAs(data, 0)
    _expect(model.Version() == 3, f"schema version {model.Version()}")
    n_subgraphs = _count(model.SubgraphsLength())
    _expect(n_subgraphs > 0, "no subgraph")
    for i in range(n_subgraphs):
        _expect(model.Subgraphs(i) is not None, f"subgraph {i}")
    _read_only_if(n_subgraphs == 1, f"{n_subgraphs} subgraphs (signatures, or control flow)")
    subgraph = model.Subgraphs(0)
    codes = [
        _operator_code(model.OperatorCodes(i)) for i in range(_count(model.OperatorCodesLength()))
    ]
    n_tensors = _count(subgraph.TensorsLength())
    tensors = tuple(_tensor(i, subgraph.Tensors(i), model) for i in range(n_tensors))
    operators = tuple(
        _operator(i, subgraph.Operators(i), codes, n_tensors)
        for i in range(_count(subgraph.OperatorsLength()))
    )
    _expect(operators, "no operators")
    return Graph(
        tensors=tensors,
        operators=operators,
        inputs=_indices(subgraph.InputsAsNumpy(), n_tensors),
        outputs=_indices(subgraph.OutputsAsNumpy(), n_tensors),
        signature=_signature(model),
    )


def _signature(model: Any) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    if _count(model.SignatureDefsLength()) == 0:
        return None
    first = model.SignatureDefs(0)
    return (
        tuple(_text(first.Inputs(i).Name()) for i in range(_count(first.InputsLength()))),
        tuple(_text(first.Outputs(i).Name()) for i in range(_count(first.OutputsLength()))),
    )


def _operator_code(code: Any) -> tuple[str, int]:
    # Codes above 126 live in the newer, wider field; the reader takes the larger of the two.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    _expect(number in _OPERATOR_NAMES, f"operator code {number}")
    return _OPERATOR_NAMES[number], code.Version()


def _tensor(index: int, t: Any, model: Any) -> Tensor:
    where = f"tensor {index}"
    shape = () if t.ShapeIsNone() else tuple(int(d) for d in t.ShapeAsNumpy()[:9])
    _expect(len(shape) <= 8 and all(d >= 0 for d in shape), f"{where}: shape {shape}")
    elements = math.prod(shape)
    _expect(elements <= MAX_ELEMENTS, f"{where}: {elements} elements")
    signature = () if t.ShapeSignatureIsNone() else tuple(t.ShapeSignatureAsNumpy()[:9])
    _expect(t.Type() in _TYPE_NAMES, f"{where}: type {t.Type()}")
    _read_only_if(t.Type() in DTYPES, f"tensors of type {_TYPE_NAMES[t.Type()]}")
    _read_only_if(t.Sparsity() is None, "sparse weights")
    dtype = DTYPES[t.Type()]
    scale, zero_point, axis = _quantisation(where, t.Quantization(), shape, dtype)
    return Tensor(
        index=index,
        name=_text(t.Name()),
        shape=shape,
        dtype=dtype,
        dynamic=any(int(d) < 0 for d in signature),
        variable=bool(t.IsVariable()),
        quant_scale=scale,
        zero_point=zero_point,
        axis=axis,
        data=_constant(where, t, model, shape, dtype),
    )


def _constant(
    where: str, t: Any, model: Any, shape: tuple[int, ...], dtype: str
) -> NDArray[Any] | None:
    """The elements of a tensor that is a constant."""
    _expect(0 <= t.Buffer() < model.BuffersLength(), f"{where}: buffer {t.Buffer()}")
    buffer = model.Buffers(t.Buffer())
    _read_only_if(buffer.Offset() == 0, "weights outside the flatbuffer")
    if buffer.DataIsNone() or buffer.DataLength() == 0:
        return None
    raw = buffer.DataAsNumpy()
    kind = np.dtype(dtype)
    _expect(
        len(raw) == math.prod(shape) * kind.itemsize,
        f"{where}: {len(raw)} bytes for shape {shape} of {dtype}",
    )
    return np.frombuffer(raw, dtype=kind.newbyteorder("<")).reshape(shape)


def _quantisation(
    where: str, q: Any, shape: tuple[int, ...], dtype: str
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """(quant_scale, zero_point, axis) of a tensor; empty where it isn't quantised."""
    if q is None or q.ScaleIsNone() or not q.ScaleLength():
        return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    _read_only_if(q.DetailsType() == 0, "custom or blockwise quantisation")
    scale = np.asarray(q.ScaleAsNumpy(), np.float32)
    zero_point = np.asarray(q.ZeroPointAsNumpy(), np.int64).reshape(-1)
    axis = int(q.QuantizedDimension())
    _expect(len(zero_point) == len(scale), f"{where}: as many zero points as scales")
    _expect(bool(np.all(np.isfinite(scale) & (scale > 0))), f"{where}: scales must be > 0")
    if dtype in ("int8", "uint8", "int16", "int32"):
        limits = np.iinfo(dtype)
        _expect(
            bool(np.all((zero_point >= limits.min) & (zero_point <= limits.max))),
            f"{where}: zero point out of {dtype}'s range",
        )
    if len(scale) > 1:
        _expect(
            0 <= axis < len(shape) and shape[axis] == len(scale),
            f"{where}: {len(scale)} scales along axis {axis} of {shape}",
        )
    return scale, zero_point, axis


def _operator(index: int, op: Any, codes: Sequence[tuple[str, int]], n_tensors: int) -> Operator:
    _expect(0 <= op.OpcodeIndex() < len(codes), f"operator {index}: code {op.OpcodeIndex()}")
    name, version = codes[op.OpcodeIndex()]
    kind = op.BuiltinOptionsType()
    options: dict[str, Any] = {}
    if kind:
        _expect(kind in _OPTION_NAMES, f"operator {index} ({name}): options of kind {kind}")
        class_name = _OPTION_NAMES[kind]
        table = op.BuiltinOptions()
        _expect(table is not None, f"operator {index} ({name}): options missing")
        view = getattr(schema, class_name)()
        view.Init(table.Bytes, table.Pos)
        options |= _options(view)
        if "padding" in options:
            _expect(options["padding"] in _PADDING_NAMES, f"operator {index} ({name}): padding")
            options["padding"] = _PADDING_NAMES[options["padding"]]
        if "fused_activation_function" in options:
            activation = options["fused_activation_function"]
            _expect(activation in _ACTIVATION_NAMES, f"operator {index} ({name}): activation")
            options["fused_activation_function"] = _ACTIVATION_NAMES[activation]
        options["kind"] = class_name
    return Operator(
        index=index,
        name=name,
        version=version,
        inputs=_indices(op.InputsAsNumpy(), n_tensors, optional=True),
        outputs=_indices(op.OutputsAsNumpy(), n_tensors),
        options=options,
    )


def _options(view: Any) -> dict[str, Any]:
    """Fields of a table of options by snake-case name, in the schema's order.

    The generated class has a method a field, and for a vector three more.
    """
    accessors = vars(type(view))
    options: dict[str, Any] = {}
    for name in accessors:
        base = re.sub(r"(AsNumpy|Length|IsNone)$", "", name)
        if name[0] == "_" or name == "Init" or (base != name and base in accessors):
            continue
        if isinstance(accessors[name], classmethod):
            continue
        key = re.sub(r"([A-Z])", r"_\1", name).lower().lstrip("_")
        if f"{name}IsNone" in accessors:
            absent = getattr(view, f"{name}IsNone")()
            options[key] = None if absent else getattr(view, f"{name}AsNumpy")()
        else:
            options[key] = getattr(view, name)()
    return options


def _check_order(graph: Graph) -> None:
    """Every tensor has one origin (constant, input or one operator), before it is used."""
    ready = {t.index for t in graph.tensors if t.data is not None or t.variable}
    _expect(graph.inputs and graph.outputs, "no input or no output")
    for i in graph.inputs:
        _expect(i not in ready, f"input tensor {i} is a constant or named twice")
        ready.add(i)
    for op in graph.operators:
        for i in op.inputs if op.name != "CUSTOM" else ():  # an NPU's has scratch of its own
            _expect(i == -1 or i in ready, f"operator {op.index} uses tensor {i} too early")
        _expect(op.outputs, f"operator {op.index} has no output")
        for i in op.outputs:
            _expect(i not in ready, f"tensor {i} has two origins")
            ready.add(i)
    for i in graph.outputs:
        _expect(i in ready, f"output tensor {i} is never computed")


# ---- shapes of the operators that a network here may have ------------------------------------

_WINDOW_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
}


def _check_operator(op: Operator, tensors: Sequence[Tensor]) -> None:
    """Operators that slide a window: options and shapes that fit each other.

    The interpreter checks most of this itself, with some divisions before the checks.
    """
    if op.name not in _WINDOW_OPTIONS:
        return
    where = f"operator {op.index} ({op.name})"
    _expect(op.options.get("kind") == _WINDOW_OPTIONS[op.name], f"{where}: wrong options")
    has_filter = op.name.endswith("CONV_2D")
    _expect(len(op.inputs) in ((2, 3) if has_filter else (1,)), f"{where}: number of inputs")
    _expect(len(op.outputs) == 1 and op.inputs[0] >= 0, f"{where}: number of outputs")
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    _expect(len(x.shape) == 4 and len(y.shape) == 4, f"{where}: needs four dimensions")
    if has_filter:
        _expect(op.inputs[1] >= 0, f"{where}: no filter")
        w = tensors[op.inputs[1]].shape
        _expect(len(w) == 4, f"{where}: filter of shape {w}")
        kernel = (w[1], w[2])
        if op.name == "CONV_2D":
            _expect(w[3] > 0 and x.shape[3] % w[3] == 0, f"{where}: channels")
            _expect(y.shape[3] == w[0], f"{where}: output channels")
        else:
            multiplier = op.options["depth_multiplier"]
            _expect(w[0] == 1 and w[3] == y.shape[3], f"{where}: channels")
            _expect(
                multiplier >= 1 and y.shape[3] == multiplier * x.shape[3], f"{where}: multiplier"
            )
        dilation = (op.options["dilation_h_factor"], op.options["dilation_w_factor"])
    else:
        kernel = (op.options["filter_height"], op.options["filter_width"])
        _expect(y.shape[3] == x.shape[3], f"{where}: channels")
        dilation = (1, 1)
    _expect(x.shape[0] == y.shape[0], f"{where}: batch")
    stride = (op.options["stride_h"], op.options["stride_w"])
    for axis in (0, 1):
        _expect(
            1 <= kernel[axis] <= 4096 and 1 <= stride[axis] <= 4096 and 1 <= dilation[axis] <= 4096,
            f"{where}: window, stride or dilation out of range",
        )
        n = x.shape[1 + axis]
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        if op.options["padding"] == "SAME":
            out = -(-n // stride[axis])
        else:
            out = (n - extent) // stride[axis] + 1 if n >= extent else 0
        _expect(y.shape[1 + axis] == out > 0, f"{where}: output of {y.shape}, should be {out}")


# ---- which network is this --------------------------------------------------------------------


def network_digest(graph: Graph) -> str:
    """SHA-256 of what the network computes, 64 hex digits.

    Operators, options, shapes, types, quantisation and constants, in order: metadata, names and the
    layout of the file do not count, so a file keeps its digest when it is labelled.
    """
    digest = hashlib.sha256()

    def add(*values: object) -> None:
        digest.update(repr(values).encode() + b"\n")

    for t in graph.tensors:
        add(t.index, t.shape, t.dtype, t.axis, t.zero_point.tolist())
        digest.update(t.quant_scale.astype("<f4").tobytes())
        if t.data is not None:
            digest.update(t.data.tobytes())
    for op in graph.operators:
        options = sorted((key, _plain(value)) for key, value in op.options.items())
        add(op.name, op.inputs, op.outputs, options)
    add(graph.inputs, graph.outputs)
    return digest.hexdigest()


def _plain(value: Any) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def read_metadata(data: bytes, source: str = "model") -> dict[str, bytes]:
    """The metadata entries of a ``.tflite`` that :func:`read_tflite` has passed, by name."""
    try:
        model = schema.Model.GetRootAs(data, 0)
        found = {}
        for i in range(_count(model.MetadataLength())):
            entry = model.Metadata(i)
            _expect(0 <= entry.Buffer() < model.BuffersLength(), f"metadata {i}: buffer")
            buffer = model.Buffers(entry.Buffer())
            raw = b"" if buffer.DataIsNone() else buffer.DataAsNumpy().tobytes()
            found[_text(entry.Name())] = raw
        return found
    except _Damaged as damage:
        raise ModelError(f"{source}: damaged .tflite ({damage}); get it again") from None
    except DAMAGE as error:
        kind = type(error).__name__
        raise ModelError(
            f"{source}: damaged .tflite (its metadata: {kind}); get it again"
        ) from error
