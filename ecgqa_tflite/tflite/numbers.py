# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Numbers of a quantised network that LiteRT's fixed-point arithmetic can't hold.

LiteRT believes the file: its reference kernels end the process over some of these.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.tflite.read import Graph, Operator

SOFTMAX_UNIT = 1 << 26
"""Steps of a softmax's fixed-point input: 31 - 5 fractional bits (``PreprocessSoftmaxScaling``)."""
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
RESCALED = ("MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "QUANTIZE", "RELU", "RELU6", "LOGISTIC")
EXPONENTS = (-31, 30)
"""Shifts that LiteRT's ``QuantizeMultiplier`` keeps: below, all becomes 0; above, the most."""


def check_numbers(graph: Graph, source: str = "model") -> None:
    """Refuse a network whose numbers make no sense, before an interpreter sees it.

    Raises
    ------
    ModelError
        The beta of a softmax, or a requantisation, beyond what fixed-point arithmetic holds.
    """
    for op in graph.operators:
        problem = _without_scale(graph, op)
        if problem is not None:
            pass
        elif op.name == "SOFTMAX" and op.inputs:
            _refuse_dead(graph, op, source)
            problem = _softmax(graph, op)
        elif op.name in RESCALED and op.inputs:
            problem = _rescaling(graph, op)
        elif op.name in WEIGHTED and len(op.inputs) > 1:
            problem = _requantisation(graph, op)
        if problem:
            raise ModelError(
                f"{source}: a dead network or a damaged .tflite (operator {op.index}, {op.name}: "
                f"{problem}): its scores would all be the same; train it further, or get the file "
                f"again"
            )


def softmax_real(beta: float, quant_scale: float) -> float | None:
    """The multiplier of a softmax's input, at most 2^31 - 1; None where there can be none."""
    real = beta * quant_scale * SOFTMAX_UNIT
    return min(real, 2**31 - 1.0) if 1 < real < math.inf else None


def _without_scale(graph: Graph, op: Operator) -> str | None:
    """Of an operator on an activation whose integers stand for nothing."""
    for i in (*op.inputs, *op.outputs):
        t = graph.tensors[i] if i >= 0 else None
        if t is not None and t.data is None and t.dtype == "int8" and t.quant_scale.size == 0:
            return f"int8 tensor {i} has no scale"
    return None


def _refuse_dead(graph: Graph, op: Operator, source: str) -> None:
    """Raise where a softmax of sound beta has logits that all but never differ."""
    x = graph.tensors[op.inputs[0]]
    beta = float(op.options.get("beta", 1.0))
    if x.quant_scale.size == 1 and 0.01 < beta < 100:
        scale = float(x.quant_scale[0])
        if beta * scale * SOFTMAX_UNIT <= 1:
            raise ModelError(
                f"{source}: gives every segment the same scores (operator {op.index}, {op.name}: "
                f"its logits span {255 * scale:.2g}): the network is dead or was never trained"
            )


def _softmax(graph: Graph, op: Operator) -> str | None:
    x = graph.tensors[op.inputs[0]]
    beta = float(op.options.get("beta", 1.0))
    if x.quant_scale.size == 1 and softmax_real(beta, float(x.quant_scale[0])) is None:
        return f"beta {beta:g} with logits of scale {x.quant_scale[0]:g}"
    return None


def _rescaling(graph: Graph, op: Operator) -> str | None:
    """Of an operator whose output has another scale than its input."""
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if x.quant_scale.size != 1 or y.quant_scale.size != 1:
        return None
    return _out_of_range(x.quant_scale.astype(np.float64) / y.quant_scale.astype(np.float64))


def _out_of_range(real: NDArray[np.float64]) -> str | None:
    exponents = np.frexp(real)[1]
    low, high = EXPONENTS
    wrong = (exponents < low) | (exponents > high)
    return f"requantisation by {real[wrong][0]:g}" if wrong.any() else None


def _requantisation(graph: Graph, op: Operator) -> str | None:
    x, weights = (graph.tensors[i] for i in op.inputs[:2])
    y = graph.tensors[op.outputs[0]]
    if x.quant_scale.size != 1 or y.quant_scale.size != 1 or weights.quant_scale.size == 0:
        return None  # in float, or another's to refuse
    scales = weights.quant_scale.astype(np.float64)
    if weights.data is not None and scales.size > 1:  # of a channel without weights none is needed
        others = tuple(i for i in range(weights.data.ndim) if i != weights.axis)
        scales = scales[np.any(weights.data != 0, axis=others)]
    real = float(x.quant_scale[0]) * scales / float(y.quant_scale[0])
    return _out_of_range(real)
