# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A ``.tflite`` as people have it, made to hold to the contract of the networks here.

What is computed stays: an open batch becomes 1, float or uint8 ends come off, and what gives
logits or one sigmoid gets the softmax that stands for it. What can't be kept is refused with what
it is. See :func:`~ecgqa_tflite.tflite.run.check_int8_contract`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT, Quality
from ecgqa_tflite.tflite.flatbuffer import add_buffer, pack, unpack
from ecgqa_tflite.tflite.image_codes import INPUT_SCALE, INPUT_ZERO_POINT, stands_for
from ecgqa_tflite.tflite.read import Graph, Operator, read_tflite
from ecgqa_tflite.tflite.scheme import FULL_INT8, described, scheme

PROBABILITIES = ("SOFTMAX", "LOGISTIC")
"""Operators whose output the scale of a score holds."""
LINEAR = ("FULLY_CONNECTED", "CONV_2D", "ADD", "MEAN", "AVERAGE_POOL_2D", "RESHAPE", "SQUEEZE")
"""Operators that, last and without an activation, give logits."""
CHANNELWISE = (
    *PROBABILITIES,
    *("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
)
"""Operators that may lie between the layer that makes the scores and them, class by class."""
UNORDERED = (
    "its class of high quality is not its second score, and its scores are not made by a dense "
    "layer or a convolution, whose outputs could change places: let it be the second"
)
FULL_INT8_REMEDY = (
    "give its Keras model with --calibrate FOLDER, or TensorFlow's converter a "
    "representative_dataset and supported_ops = [TFLITE_BUILTINS_INT8]"
)


@dataclass(frozen=True)
class Adapted:
    """A ``.tflite`` that was adapted, and what was done, a line each."""

    tflite: bytes
    changes: tuple[str, ...] = ()


def adapt(tflite: bytes, source: str = "model") -> Adapted:
    """Adapt a full-int8 ``.tflite``; one that needs nothing keeps its bytes.

    Raises
    ------
    ModelError
        A damaged file, or one that is not read.
    ConversionError
        Another scheme than full int8, an image whose size is left open, or scores that are
        neither probabilities nor logits.
    """
    graph = read_tflite(tflite, source)
    if scheme(graph) != FULL_INT8:
        raise ConversionError(
            f"{source}: is {described(graph)}, and a bundle's network is full int8: "
            f"{FULL_INT8_REMEDY}"
        )
    return _changed(tflite, source, (_close_batch, _bare_input, _bare_output, _image_scale, _head))


def ending_in_probabilities(tflite: bytes, source: str = "model") -> Adapted:
    """As :func:`adapt`, batch and scores alone: of a float network too.

    Raises
    ------
    ModelError, ConversionError
        See :func:`adapt`.
    """
    return _changed(tflite, source, (_close_batch, _head))


def with_class_1(tflite: bytes, high: int, source: str = "model") -> Adapted:
    """Let score ``high`` and score 1 change places: class 1 is high quality, wherever one looks.

    The layer that makes the scores computes the same values in another order.

    Raises
    ------
    ConversionError
        What makes the scores is neither a fully connected layer nor a convolution with constants.
    """
    if high == Quality.HIGH:
        return Adapted(tflite)
    return _changed(tflite, source, (partial(_exchange, high=high),))


def gives(graph: Graph) -> str:
    """What the scores are: ``probabilities``, or ``logits``, as far as the last operator says."""
    ends = ("QUANTIZE", "DEQUANTIZE")
    last = next((op.name for op in reversed(graph.operators) if op.name not in ends), "")
    return "probabilities" if last in PROBABILITIES else "logits"


@dataclass
class _Edit:
    """A file under change."""

    source: str
    graph: Graph
    model: Any = field(repr=False)

    @property
    def subgraph(self) -> Any:
        return self.model.subgraphs[0]

    def refusal(self, why: str) -> ConversionError:
        return ConversionError(f"{self.source}: {why}")

    def users(self, tensor: int) -> list[int]:
        """Places of the operators that take a tensor."""
        return [i for i, op in enumerate(self.subgraph.operators) if tensor in list(op.inputs)]

    def tensor(self, like: int, shape: list[int], data: bytes | None = None) -> int:
        """Append a tensor of another's type and quantisation; its number."""
        t = copy.deepcopy(self.subgraph.tensors[like])
        t.shape, t.shapeSignature = shape, None
        t.buffer = 0 if data is None else add_buffer(self.model, data)
        self.subgraph.tensors.append(t)
        return len(self.subgraph.tensors) - 1

    def move_end(self, before: int, now: int) -> None:
        """Let another tensor be an end, in signatures too."""
        graph = self.subgraph
        graph.inputs = [now if i == before else i for i in graph.inputs]
        graph.outputs = [now if i == before else i for i in graph.outputs]
        for signature in self.model.signatureDefs or []:
            for end in (*(signature.inputs or []), *(signature.outputs or [])):
                if end.tensorIndex == before:
                    end.tensorIndex = now


Step = Callable[[_Edit], str | None]


def _changed(tflite: bytes, source: str, steps: tuple[Step, ...]) -> Adapted:
    """The file after each step that had something to do."""
    changes: list[str] = []
    for step in steps:
        edit = _Edit(source, read_tflite(tflite, source), unpack(tflite))
        if done := step(edit):
            changes.append(done)
            tflite = pack(edit.model)
    return Adapted(tflite, tuple(changes))


# ---- a batch of 1 ----------------------------------------------------------------------------


def _close_batch(edit: _Edit) -> str | None:
    """Take an open batch, which is stored as 1, for 1."""
    graph = edit.graph
    if not any(t.dynamic for t in graph.tensors):
        return None
    for i in graph.inputs:
        signature = edit.subgraph.tensors[i].shapeSignature
        if signature is not None and any(int(n) < 0 for n in signature[1:]):
            raise edit.refusal(
                f"its image's size is left open ({[int(n) for n in signature]}): convert it with "
                f"the size that its spec says"
            )
        if graph.tensors[i].shape[:1] != (1,):
            raise edit.refusal(f"its input is {graph.tensors[i].shape}: convert it for batch 1")
    for t in edit.subgraph.tensors:
        t.shapeSignature = None
    _fix_shapes(edit)
    return "its batch was left open; it is 1 now"


def _fix_shapes(edit: _Edit) -> None:
    """Constants for the shapes that were computed of the batch, and without what computed them."""
    subgraph = edit.subgraph
    for op in edit.graph.operators:
        if op.name != "RESHAPE" or len(op.inputs) < 2 or op.inputs[1] < 0:
            continue
        if edit.graph.tensors[op.inputs[1]].data is None:
            shape = np.asarray(edit.graph.tensors[op.outputs[0]].shape, "<i4")
            made = edit.tensor(op.inputs[1], [len(shape)], shape.tobytes())
            subgraph.operators[op.index].inputs = [op.inputs[0], made]
    while True:
        used = {int(i) for op in subgraph.operators for i in op.inputs} | set(subgraph.outputs)
        kept = [op for op in subgraph.operators if used & {int(i) for i in op.outputs}]
        if len(kept) == len(subgraph.operators):
            return
        subgraph.operators = kept


# ---- int8 ends -------------------------------------------------------------------------------


def _bare_input(edit: _Edit) -> str | None:
    """Take QUANTIZE off a float32 or uint8 input."""
    graph = edit.graph
    if len(graph.inputs) != 1:
        return None
    start = graph.inputs[0]
    dtype, users = graph.tensors[start].dtype, edit.users(start)
    if dtype not in ("float32", "uint8") or len(users) != 1:
        return None
    first = graph.operators[users[0]]
    if first.name != "QUANTIZE" or graph.tensors[first.outputs[0]].dtype != "int8":
        return None
    return _without(edit, first, start, first.outputs[0], f"its {dtype} input")


def _bare_output(edit: _Edit) -> str | None:
    """Take DEQUANTIZE, or QUANTIZE to uint8, off the output."""
    graph = edit.graph
    if len(graph.outputs) != 1:
        return None
    end, last = graph.outputs[0], graph.operators[-1]
    dtype = graph.tensors[end].dtype
    if last.name not in ("QUANTIZE", "DEQUANTIZE") or last.outputs != (end,):
        return None
    if dtype not in ("float32", "uint8") or graph.tensors[last.inputs[0]].dtype != "int8":
        return None
    return _without(edit, last, end, last.inputs[0], f"its {dtype} output")


def _without(edit: _Edit, op: Operator, before: int, now: int, what: str) -> str:
    tensors = edit.subgraph.tensors
    tensors[now].name = tensors[before].name
    edit.move_end(before, now)
    del edit.subgraph.operators[op.index]
    return f"{what} is int8 now, {op.name} taken off"


def _image_scale(edit: _Edit) -> str | None:
    """Make a scale that is 1/255 but for rounding exactly that."""
    if len(edit.graph.inputs) != 1:
        return None
    x = edit.graph.tensors[edit.graph.inputs[0]]
    if stands_for(x) != "[0, 1]" or x.quant_scale[0] == INPUT_SCALE:
        return None
    q = edit.subgraph.tensors[x.index].quantization
    q.scale, q.zeroPoint = [float(INPUT_SCALE)], [INPUT_ZERO_POINT]
    return f"its input's scale {x.quant_scale[0]:.9g} is 1/255 now"


# ---- probabilities ---------------------------------------------------------------------------


def _head(edit: _Edit) -> str | None:
    """Let the scores be a softmax over classes."""
    graph = edit.graph
    if len(graph.outputs) != 1:
        return None
    last, y = graph.operators[-1], graph.tensors[graph.outputs[0]]
    if len(y.shape) != 2 or y.shape[0] != 1 or last.outputs != (y.index,):
        return None  # another's to refuse
    probabilities, one = last.name in PROBABILITIES, y.shape[1] == 1
    if probabilities and not one:
        return None
    activation = last.options.get("fused_activation_function", "NONE")
    if last.name not in (*LINEAR, *PROBABILITIES) or activation != "NONE":
        after = last.name if activation == "NONE" else f"{last.name} with {activation}"
        raise edit.refusal(
            f"ends in {after}: its scores are neither probabilities nor logits; end it in a softmax"
        )
    logits = y.index
    if one:
        logits = _two_logits(edit, last)
    _add_softmax(edit, logits, y.index)
    if one:
        what = "one sigmoid score" if probabilities else "one score without a sigmoid, a logit"
        return f"{what}: a softmax over low and high now, the same probability"
    return "scores without a softmax, logits: one was added"


def _two_logits(edit: _Edit, last: Operator) -> int:
    """Of one logit a pair, 0 and it: the softmax's second is its sigmoid. The pair's tensor."""
    graph, subgraph = edit.graph, edit.subgraph
    dense = last
    if last.name == "LOGISTIC":
        makers = [op for op in graph.operators if last.inputs[0] in op.outputs]
        dense = makers[0] if makers else last
    weights = graph.tensors[dense.inputs[1]] if len(dense.inputs) > 1 else None
    plain = dense.options.get("fused_activation_function", "NONE") == "NONE"
    if dense.name != "FULLY_CONNECTED" or weights is None or weights.data is None or not plain:
        raise edit.refusal(
            "gives one score that no fully connected layer makes: end it in a dense layer of two "
            "with a softmax"
        )
    if dense is not last:
        del subgraph.operators[last.index]
    op = subgraph.operators[dense.index]
    inputs = [int(i) for i in op.inputs]
    for place in (1, 2):
        if place < len(inputs) and inputs[place] >= 0:
            t = graph.tensors[inputs[place]]
            if t.data is None:
                raise edit.refusal("its last layer's weights are not constant")
            pair = np.concatenate([np.zeros_like(t.data), t.data])
            inputs[place] = edit.tensor(t.index, list(pair.shape), pair.tobytes())
    made = edit.tensor(dense.outputs[0], [1, 2])
    op.inputs, op.outputs = inputs, [made]
    return made


def _add_softmax(edit: _Edit, logits: int, end: int) -> None:
    """Put SOFTMAX after the logits; its output, which takes the name, is the graph's."""
    subgraph = edit.subgraph
    scores = edit.tensor(logits, list(subgraph.tensors[logits].shape))
    t = subgraph.tensors[scores]
    if edit.graph.tensors[end].dtype == "int8":
        t.quantization = schema.QuantizationParametersT()
        t.quantization.scale, t.quantization.zeroPoint = [SCORE_SCALE], [SCORE_ZERO_POINT]
    t.name, subgraph.tensors[logits].name = subgraph.tensors[end].name, "logits"
    code, op, options = schema.OperatorCodeT(), schema.OperatorT(), schema.SoftmaxOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SOFTMAX
    code.version = 2 if edit.graph.tensors[end].dtype == "int8" else 1
    edit.model.operatorCodes.append(code)
    options.beta = 1.0
    op.opcodeIndex = len(edit.model.operatorCodes) - 1
    op.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    op.builtinOptions, op.inputs, op.outputs = options, [logits], [scores]
    subgraph.operators.append(op)
    edit.move_end(end, scores)


# ---- the order of the classes ----------------------------------------------------------------


def _exchange(edit: _Edit, high: int) -> str:
    """Let two outputs of the layer that makes the scores change places."""
    graph, n = edit.graph, edit.graph.tensors[edit.graph.outputs[0]].shape[-1]
    dense = _maker(edit, graph.outputs[0], n)
    inputs = list(dense.inputs)
    for place in (1, 2):
        if place < len(inputs) and inputs[place] >= 0:
            t = graph.tensors[inputs[place]]
            if t.data is None or t.shape[0] != n:
                raise edit.refusal(UNORDERED)
            order = np.arange(n)
            order[[high, Quality.HIGH]] = Quality.HIGH, high
            inputs[place] = edit.tensor(t.index, list(t.shape), t.data[order].tobytes())
            _reorder(edit.subgraph.tensors[inputs[place]].quantization, order)
    edit.subgraph.operators[dense.index].inputs = inputs
    return f"scores {high} and 1 changed places: high quality is class 1"


def _maker(edit: _Edit, tensor: int, n: int) -> Operator:
    """The layer whose outputs, one a class, the scores are made of."""
    graph = edit.graph
    while True:
        makers = [op for op in graph.operators if tensor in op.outputs]
        alone = len(edit.users(tensor)) + (tensor in graph.outputs) == 1
        if not makers or not alone or graph.tensors[tensor].shape[-1] != n:
            raise edit.refusal(UNORDERED)
        (op,) = makers
        if op.name in ("FULLY_CONNECTED", "CONV_2D") and len(op.inputs) > 1:
            return op
        if op.name not in CHANNELWISE:
            raise edit.refusal(UNORDERED)
        tensor = op.inputs[0]


def _reorder(quantisation: Any, order: NDArray[np.intp]) -> None:
    """Of a constant's first dimension, where it is quantised along it."""
    for name in ("scale", "zeroPoint", "min", "max"):
        values = getattr(quantisation, name, None)
        if values is not None and len(values) == len(order) > 1:
            setattr(quantisation, name, np.asarray(values)[order])
