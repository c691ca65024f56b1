# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Multipliers, shifts and biases as the C takes them, with TensorFlow Lite's rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine.layers import Layer
from ecgqa_tflite.engine.legality import OTHERWISE, refusal, scale
from ecgqa_tflite.tflite import census
from ecgqa_tflite.tflite.read import Graph, Operator


def quantise_multiplier(real: float) -> tuple[int, int]:
    """(multiplier_q31, shift) of a positive real: multiplier_q31 * 2^(shift - 31), in [2^30, 2^31).

    TensorFlow Lite's QuantizeMultiplier.
    """
    mantissa, exponent = math.frexp(real)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier //= 2
        exponent += 1
    return multiplier, exponent


def check_requantisation(
    op: Operator, multiplier: NDArray[np.int64], shift: NDArray[np.int64], least: int = 1 << 30
) -> None:
    """Refuse what the engine's fixed-point multiplication does not take."""
    if np.any(multiplier < least) or np.any(multiplier >= 1 << 31):
        raise refusal(op, "has a multiplier outside [2^30, 2^31)")
    if np.any(shift > 0) or np.any(shift < -30):
        raise refusal(
            op,
            f"has requantisation shifts of {int(shift.min())} to {int(shift.max())}; the engine "
            f"takes -30 to 0",
        )


def require_sums(op: Operator, fit: bool) -> None:
    """Refuse sums that could reach 2^30, as the C does (``sum_is_valid`` in ``nn_check.c``)."""
    if not fit:
        raise refusal(
            op,
            "can reach accumulators of 2^30",
            "retrain it with smaller weights, or " + OTHERWISE,
        )


def with_constants(
    layer: Layer,
    op: Operator,
    graph: Graph,
    weights: NDArray[np.int8],
    quantise: Callable[[float], tuple[int, int]] = quantise_multiplier,
) -> Layer:
    """The layer with bias, multipliers and checked accumulators.

    Parameters
    ----------
    weights
        (channels, K); they are packed later.
    quantise
        What finds the multiplier of a real, where it is not the nearest.
    """
    x, filter_ = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    y = graph.tensors[op.outputs[0]]
    channels = layer.out.channels
    wide = weights.astype(np.int64)
    bias = np.zeros(channels, np.int64)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        tensor = graph.tensors[op.inputs[2]]
        if tensor.dtype != "int32" or tensor.data is None or tensor.data.size != channels:
            raise refusal(op, "has a bias that is not one int32 per channel")
        bias = tensor.data.reshape(-1).astype(np.int64)
    if filter_.quant_scale.size not in (1, channels):
        raise refusal(op, f"has {filter_.quant_scale.size} scales for {channels} channels")

    zero_point = layer.in_zero_point
    # Packed weights meet inputs with 128 added, so that the zero point after a ReLU is 0.
    added = 128 if layer.kind.packed else 0
    positive, negative = wide.clip(min=0).sum(1), wide.clip(max=0).sum(1)
    low, high = -128 - zero_point, 127 - zero_point
    largest = bias + positive * high + negative * low
    smallest = bias + positive * low + negative * high
    folded = bias - (zero_point + added) * wide.sum(1)
    # While a sum is under way the zero point's part is ahead of its products.
    reach = np.abs(folded) + 256 * np.abs(wide).sum(1)
    if layer.kind.packed:
        fit = max(largest.max(), -smallest.min()) < 1 << 30 and reach.max() < 1 << 31
    else:  # by the number of taps: the largest product is 2^14
        fit = np.abs(folded).max() + (weights.shape[1] << 14) < 1 << 30
    require_sums(op, fit)

    real = scale(x) * filter_.quant_scale.astype(np.float64) / scale(y)
    real = np.broadcast_to(real, channels)
    multiplier, shift = np.array([quantise_multiplier(float(r)) for r in real], np.int64).T
    check_requantisation(op, multiplier, shift)
    multiplier = np.array([quantise(float(r))[0] for r in real], np.int64)
    odd = channels % 2
    return replace(
        layer,
        taps=census.taps(op, filter_),
        weights=np.ascontiguousarray(weights).view(np.uint8),
        bias=np.pad(folded, (0, odd)).astype(np.int32),
        multiplier_q31=np.pad(multiplier, (0, odd), constant_values=1 << 30).astype(np.int32),
        shift=np.pad(shift, (0, odd)).astype(np.int8),
    )
