# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""SOFTMAX over the last layer's channels: ``ecgqa_nn_softmax_t``."""

from __future__ import annotations

import math

from ecgqa_tflite.engine.layers import Chain, EngineOperator, Softmax
from ecgqa_tflite.engine.legality import refusal, scale, zero_point
from ecgqa_tflite.engine.requantisation import quantise_multiplier
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT
from ecgqa_tflite.tflite.numbers import SOFTMAX_UNIT, softmax_real
from ecgqa_tflite.tflite.read import Operator


class SoftmaxOperator(EngineOperator):
    """Logits to scores, after all layers."""

    name = "SOFTMAX"

    def add(self, op: Operator, chain: Chain) -> None:
        """Set the chain's softmax."""
        x, y = chain.graph.tensors[op.inputs[0]], chain.graph.tensors[op.outputs[0]]
        if chain.end is None or chain.end.rows * chain.end.cols != 1:
            raise refusal(op, "must follow a layer with one value per class")
        if (scale(y), zero_point(y)) != (SCORE_SCALE, SCORE_ZERO_POINT):
            raise refusal(
                op,
                f"has an output that is not scale 1/{1 / SCORE_SCALE:g}, zero point "
                f"{SCORE_ZERO_POINT}",
            )
        real = softmax_real(float(op.options.get("beta", 1.0)), scale(x))
        multiplier, shift = (0, -1) if real is None else quantise_multiplier(real)
        if not 0 <= shift <= 30:
            raise refusal(op, f"has logits of scale {scale(x):g}, outside the fixed-point range")
        radius = math.floor(31 * SOFTMAX_UNIT / (1 << shift))
        chain.softmax = Softmax(multiplier, shift, -radius)


OPERATOR = SoftmaxOperator()
