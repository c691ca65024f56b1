# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED: a run of packed weights per input row, rounded once."""

from __future__ import annotations

import numpy as np

from ecgqa_tflite.engine.layers import Chain, Layer, LayerOperator, Shape, Window
from ecgqa_tflite.engine.legality import MAX_SIDE, int8_weights, new_layer, refusal
from ecgqa_tflite.engine.packing import in_runs
from ecgqa_tflite.engine.requantisation import quantise_multiplier, with_constants
from ecgqa_tflite.tflite.read import Operator


class FullyConnected(LayerOperator):
    """Every input to every output."""

    name = "FULLY_CONNECTED"
    number = 5
    accumulates = True
    packed = True

    def layer(self, op: Operator, chain: Chain) -> Layer:
        """Of all that the layer before gives, in its order."""
        filter_, weights = int8_weights(op, chain.graph)
        before = chain.end
        if before is None:
            raise refusal(op, "is the first layer")
        if op.options.get("weights_format", 0) != 0:
            raise refusal(op, "has shuffled weights")
        if len(filter_.shape) != 2:
            raise refusal(op, f"has weights of shape {filter_.shape}")
        classes, inputs = filter_.shape
        if not 0 < classes <= MAX_SIDE:
            raise refusal(op, f"has {classes} outputs")
        if inputs != before.rows * before.row_bytes:
            raise refusal(op, f"takes {inputs} values where {before} come")
        out = Shape(1, 1, classes)
        layer = new_layer(self, op, chain.graph, Window(1, 1, 1, 1), out, before)
        return with_constants(layer, op, chain.graph, weights, quantise_multiplier_once)

    def packing(self, layer: Layer) -> Layer:
        """A run per input row."""
        return in_runs(layer, layer.in_.rows, layer.in_.row_bytes)


def quantise_multiplier_once(real: float) -> tuple[int, int]:
    """(multiplier_q31, shift) for FULLY_CONNECTED, which LiteRT's reference kernel rounds once.

    That kernel multiplies by ``real`` in double precision, halves away from zero. Both functions
    are steps, the same ones where they step at the same accumulators. The nearest multiplier may
    miss a step by one accumulator; of those beside it the one that misses fewest is taken: none
    where ``real`` is above 1e-4 (tests/firmware/test_fully_connected.py).
    """
    nearest, shift = quantise_multiplier(real)
    step = np.floor((np.arange(-256, 256) + 0.5) / real)
    acc = (step[:, None] + np.arange(-1, 3)).astype(np.int64)
    acc = acc[np.abs(acc) < 1 << 30]
    wanted = np.copysign(np.floor(np.abs(acc * real) + 0.5), acc)

    def missed(multiplier: int) -> int:
        product = acc * multiplier
        rounded = (product + (1 << (30 - shift)) + (product >> 63)) >> (31 - shift)
        return int(np.count_nonzero(rounded != wanted))

    near = (m for by in (0, 1, -1, 2, -2) if 1 << 30 <= (m := nearest + by) < 1 << 31)
    return min(near, key=missed), shift


OPERATOR = FullyConnected()
