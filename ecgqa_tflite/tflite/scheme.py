# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How a ``.tflite`` is quantised, by the name that TensorFlow's guide gives the scheme."""

from __future__ import annotations

from collections import Counter

from ecgqa_tflite.tflite.census import OUTPUT_AXIS
from ecgqa_tflite.tflite.read import Graph, Operator

FULL_INT8 = "full int8"
FLOAT32 = "float32"
DYNAMIC_RANGE = "dynamic range"
FLOAT16 = "float16"
INT16X8 = "int16x8"
UINT8 = "uint8"
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")

MEANS = {
    FULL_INT8: "int8 weights and activations",
    FLOAT32: "nothing is quantised",
    DYNAMIC_RANGE: "int8 weights, float32 activations",
    FLOAT16: "float16 weights, float32 arithmetic",
    INT16X8: "int8 weights, int16 activations",
    UINT8: "TensorFlow 1's, weights with a zero point",
}
"""What each scheme is, in words."""


def scheme(graph: Graph) -> str:
    """One of :data:`MEANS`, or several joined by `` and `` where operators differ.

    Told by the operators that have weights; of a graph without any by what its operators give.
    """
    halves = {
        op.outputs[0]
        for op in graph.operators
        if op.name == "DEQUANTIZE" and op.inputs and graph.tensors[op.inputs[0]].dtype == "float16"
    }
    weighted = [op for op in graph.operators if op.name in OUTPUT_AXIS and len(op.inputs) > 1]
    kinds = Counter(_of(graph, op, halves) for op in weighted or graph.operators)
    return " and ".join(kind for kind, _ in kinds.most_common())


def _of(graph: Graph, op: Operator, halves: set[int]) -> str:
    y = graph.tensors[op.outputs[0]].dtype
    weights = op.inputs[1] if len(op.inputs) > 1 and op.name in OUTPUT_AXIS else -1
    if y.startswith("float"):
        if weights in halves or (weights >= 0 and graph.tensors[weights].dtype == "float16"):
            return FLOAT16
        if weights >= 0 and graph.tensors[weights].dtype in ("int8", "uint8"):
            return DYNAMIC_RANGE
        return FLOAT32
    return {"int16": INT16X8, "uint8": UINT8}.get(y, FULL_INT8)


def per_tensor(graph: Graph) -> list[int]:
    """Indices of convolutions that have several output channels and one scale for all of them."""
    found = []
    for op in graph.operators:
        if op.name in CONVOLUTIONS and len(op.inputs) > 1:
            w = graph.tensors[op.inputs[1]]
            if w.quant_scale.size == 1 and w.shape[OUTPUT_AXIS[op.name]] > 1:
                found.append(op.index)
    return found


def described(graph: Graph) -> str:
    """The scheme, what it is, and what its ends and weights have beside the common."""
    name = scheme(graph)
    text = f"{name} ({MEANS[name]})" if name in MEANS else f"mixed: {name}"
    if name == FULL_INT8:
        n = len(per_tensor(graph))
        text += f"; weights of {n} convolutions per tensor" if n else ""
    ends = {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)}
    odd = sorted(ends - {"int8"}) if name == FULL_INT8 else []
    return f"{text}; ends are {' and '.join(odd)}" if odd else text
