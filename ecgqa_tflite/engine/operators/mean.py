# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""MEAN over rows and columns: global average pooling, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ecgqa_tflite.engine.layers import Chain, Layer, LayerOperator, Shape, Window
from ecgqa_tflite.engine.legality import (
    new_layer,
    operand,
    refusal,
    require_shape,
    scale,
    shape4,
    zero_point,
)
from ecgqa_tflite.engine.requantisation import (
    check_requantisation,
    quantise_multiplier,
    require_sums,
)
from ecgqa_tflite.tflite.read import Operator


class Mean(LayerOperator):
    """The mean of each channel, requantised."""

    name = "MEAN"
    number = 4
    accumulates = True

    def layer(self, op: Operator, chain: Chain) -> Layer:
        """Over both axes; the count goes into the multiplier, its zero points into the bias."""
        x, y = chain.graph.tensors[op.inputs[0]], chain.graph.tensors[op.outputs[0]]
        axes = operand(op, chain.graph).data
        require_shape(op, x, chain.end)
        in_ = shape4(op, x)
        if axes is None or sorted(int(a) % 4 for a in np.asarray(axes).reshape(-1)) != [1, 2]:
            raise refusal(op, "is not over rows and columns")
        count = in_.rows * in_.cols
        require_sums(op, count * (abs(zero_point(x)) + 128) < 1 << 30)
        multiplier, shift = quantise_multiplier(scale(x) / scale(y))
        if not -31 < shift < 31:
            raise refusal(op, "has scales that are too far apart")
        # The division by count goes into the multiplier, as QuantizedMeanOrSum does it.
        by = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier = (multiplier << by) // count
        shift -= by
        check_requantisation(op, np.array([multiplier]), np.array([shift]), 1 << 29)
        out = Shape(1, 1, in_.channels)
        layer = new_layer(self, op, chain.graph, Window(1, 1, 1, 1), out, in_)
        even = in_.channels + in_.channels % 2
        return replace(
            layer,
            bias=np.full(even, -count * layer.in_zero_point, np.int32),
            multiplier_q31=np.full(even, multiplier, np.int32),
            shift=np.full(even, shift, np.int8),
        )


OPERATOR = Mean()
