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
from ecgqa_tflite.tflite.numbers import EXPONENTS
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
    bias = np.zeros(channels, np.int64)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        tensor = graph.tensors[op.inputs[2]]
        if tensor.dtype != "int32" or tensor.data is None or tensor.data.size != channels:
            raise refusal(op, "has a bias that is not one int32 per channel")
        bias = tensor.data.reshape(-1).astype(np.int64)
    if filter_.quant_scale.size not in (1, channels):
        raise refusal(op, f"has {filter_.quant_scale.size} scales for {channels} channels")

    real = scale(x) * filter_.quant_scale.astype(np.float64) / scale(y)
    real = np.array(np.broadcast_to(real, channels))
    weights = _without_constant_channels(layer, weights, bias, real)
    wide = weights.astype(np.int64)
    zero_point = layer.in_zero_point
    # Packed weights meet inputs with 128 added, so that the zero point after a ReLU is 0.
    added = 128 if layer.kind.packed else 0
    smallest, largest = _extremes(bias, wide, zero_point)
    folded = bias - (zero_point + added) * wide.sum(1)
    # While a sum is under way the zero point's part is ahead of its products.
    reach = np.abs(folded) + 256 * np.abs(wide).sum(1)
    if layer.kind.packed:
        fit = max(largest.max(), -smallest.min()) < 1 << 30 and reach.max() < 1 << 31
    else:  # by the number of taps: the largest product is 2^14
        fit = np.abs(folded).max() + (weights.shape[1] << 14) < 1 << 30
    require_sums(op, fit)

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


def _extremes(
    bias: NDArray[np.int64], weights: NDArray[np.int64], zero_point: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least and largest accumulator of each channel, whatever comes in."""
    positive, negative = weights.clip(min=0).sum(1), weights.clip(max=0).sum(1)
    low, high = -128 - zero_point, 127 - zero_point
    return bias + positive * low + negative * high, bias + positive * high + negative * low


def _without_constant_channels(
    layer: Layer, weights: NDArray[np.int8], bias: NDArray[np.int64], real: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Weights without those of channels that give one value and are beyond the engine's range.

    Of a channel that training has left without weights TensorFlow's converter makes a scale of next
    to nothing and caps the bias at 2^30. What comes out is the bias, requantised: it is said by a
    bias of that value and a half for ``real``; both are changed in place.
    """
    smallest, largest = _extremes(bias, weights.astype(np.int64), layer.in_zero_point)
    exponents = np.frexp(real)[1]
    beyond = (np.maximum(largest, -smallest) >= 1 << 30) | (exponents > 0) | (exponents < -30)
    beyond &= (exponents >= EXPONENTS[0]) | ~weights.any(axis=1)  # others are no network's
    weights = weights.copy()
    for c in np.flatnonzero(beyond):
        given = {
            value
            for acc in (int(smallest[c]), int(largest[c]))
            for value in _outputs(layer, acc, float(real[c]))
        }
        value = given.pop()
        if not given and value is not None:
            weights[c], real[c] = 0, 0.5
            bias[c] = 2 * (value - layer.out_zero_point)
    return weights


def _outputs(layer: Layer, acc: int, real: float) -> tuple[int | None, int | None]:
    """What LiteRT's kernels make of an accumulator, rounding twice and once; None: not known."""
    multiplier, shift = quantise_multiplier(real)
    if abs(acc) >= 1 << 31 or shift > 30 or abs(acc) << max(shift, 0) >= 1 << 31:
        return None, None
    high = ((acc << max(shift, 0)) * multiplier + (1 << 30)) >> 31 if shift >= -31 else 0
    twice = math.copysign(math.floor(abs(high) / 2.0 ** max(-shift, 0) + 0.5), high)
    once = math.copysign(math.floor(abs(acc * real) + 0.5), acc)
    low, most = layer.act_min, layer.act_max
    clamped = [min(max(int(x) + layer.out_zero_point, low), most) for x in (twice, once)]
    return clamped[0], clamped[1]
