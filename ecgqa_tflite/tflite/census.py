# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Census of a ``.tflite``'s operators: proof that nothing in it is float."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.tflite.read import Graph, Operator, Tensor, read_tflite

OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
"""Operators that multiply by weights, and the weights' dimension of output channels."""


UNCOUNTED = {
    *("BATCH_MATMUL", "TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE", "SVDF", "RNN", "LSTM"),
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"),
    *("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN"),
    *("CUSTOM", "DELEGATE", "CALL", "CALL_ONCE", "IF", "WHILE", "STABLEHLO_COMPOSITE"),
}
"""Operators that multiply and accumulate, or may, in ways that are not counted here."""


@dataclass(frozen=True)
class Layer:
    """One operator: its output's name and shape, multiply-accumulates, bytes of its constants."""

    operator: str
    output: str
    shape: tuple[int, ...]
    macs: int
    constant_bytes: int


@dataclass(frozen=True)
class OperatorCensus:
    """What a full-int8 ``.tflite`` is made of.

    Attributes
    ----------
    layers
        Every operator in order of execution.
    file_bytes
        Size of the file.
    """

    layers: tuple[Layer, ...]
    file_bytes: int

    @property
    def operators(self) -> dict[str, int]:
        """How often each operator occurs, in order of first use."""
        return dict(Counter(layer.operator for layer in self.layers))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights, biases and other constants."""
        return sum(layer.constant_bytes for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "operators": self.operators,
            "macs": self.macs,
            "constant_bytes": self.constant_bytes,
            "file_bytes": self.file_bytes,
            "layers": [{**asdict(layer), "shape": list(layer.shape)} for layer in self.layers],
        }


def census(tflite: bytes, source: str = "model", *, may_be_float: bool = False) -> OperatorCensus:
    """Count a ``.tflite``'s operators and refuse what isn't full-int8 with a fixed batch of 1.

    Parameters
    ----------
    tflite
        The file's bytes.
    source
        What to call it in messages.
    may_be_float
        Let a network through that computes in float32 between int8 ends.

    Raises
    ------
    ModelError
        A damaged file.
    ConversionError
        A float tensor, a custom operator, a dynamic shape, another batch than 1, or weights of a
        convolution that are quantised neither per channel nor per tensor. The message names the
        operator.
    """
    graph = read_tflite(tflite, source)
    if not (may_be_float and computes_in_float(graph)):
        _refuse_float(graph, source)
        _refuse_other_scales(graph, source)
    for op in graph.operators:
        if op.name == "CUSTOM":
            raise ConversionError(
                f"{source}: operator {op.index} is a custom one; replace it with built-in layers"
            )
    for i in (*graph.inputs, *(i for op in graph.operators for i in op.outputs)):
        t = graph.tensors[i]
        if t.dynamic:
            raise ConversionError(
                f"{source}: tensor {t.name!r} has a dynamic shape; needs a fixed batch of 1"
            )
    for i in graph.inputs:
        t = graph.tensors[i]
        if t.shape[:1] != (1,):
            raise ConversionError(f"{source}: input is {t.shape}; needs a batch of 1")
        if t.dtype not in ("int8", "uint8", "int16"):
            raise ConversionError(f"{source}: input is {t.dtype}; needs int8")
    return OperatorCensus(
        layers=tuple(layer_of(graph, op) for op in graph.operators), file_bytes=len(tflite)
    )


def computes_in_float(graph: Graph) -> bool:
    """Whether everything between the graph's ends is float32."""
    return len(graph.operators) > 2 and all(
        graph.tensors[i].dtype == "float32" for op in graph.operators[:-1] for i in op.outputs
    )


def _refuse_float(graph: Graph, source: str) -> None:
    """Name the first operator on float tensors, one that caused it rather than a conversion."""
    found = [
        (op, graph.tensors[i])
        for op in graph.operators
        for i in (*op.inputs, *op.outputs)
        if i >= 0 and graph.tensors[i].dtype.startswith("float")
    ]
    if not found:
        return
    causes = [pair for pair in found if pair[0].name not in ("QUANTIZE", "DEQUANTIZE")]
    op, t = (causes or found)[0]
    raise ConversionError(
        f"{source}: not full int8: operator {op.index} ({op.name}) works on {t.dtype} tensor "
        f"{t.name!r}; replace the layer that has no int8 kernel, or quantise it"
    )


def _refuse_other_scales(graph: Graph, source: str) -> None:
    for op in graph.operators:
        if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            w = graph.tensors[op.inputs[1]]
            if w.quant_scale.size not in (1, w.shape[OUTPUT_AXIS[op.name]]):
                raise ConversionError(
                    f"{source}: operator {op.index} ({op.name}): weights are quantised neither per "
                    f"channel nor per tensor"
                )


def taps(op: Operator, w: Tensor) -> int:
    """Multiply-accumulates of one output of an operator with weights ``w``."""
    return w.elements // max(1, w.shape[OUTPUT_AXIS[op.name]])


def layer_of(graph: Graph, op: Operator) -> Layer:
    """One operator's figures, whatever its types."""
    y = graph.tensors[op.outputs[0]]
    constants = [graph.tensors[i] for i in op.inputs if i >= 0]
    weights = [graph.tensors[i] for i in op.inputs[1:2] if i >= 0 and graph.tensors[i].shape]
    macs = y.elements * taps(op, weights[0]) if weights and op.name in OUTPUT_AXIS else 0
    return Layer(
        operator=op.name,
        output=y.name,
        shape=y.shape,
        macs=macs,
        constant_bytes=sum(t.data.nbytes for t in constants if t.data is not None),
    )
