# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""MAX_POOL_2D: in the rows of the convolution before it, else a layer of its own."""

from __future__ import annotations

from dataclasses import replace

from ecgqa_tflite.engine.layers import Chain, Layer, LayerOperator
from ecgqa_tflite.engine.legality import (
    activation,
    pooling,
    pooling_window,
    require_same_quantisation,
    require_shape,
    shape4,
)
from ecgqa_tflite.tflite.read import Operator


class MaxPool2D(LayerOperator):
    """The largest of each window."""

    name = "MAX_POOL_2D"
    number = 2

    def add(self, op: Operator, chain: Chain) -> None:
        """Merge it into a convolution that has none, or add a layer."""
        if chain.layers and chain.layers[-1].kind.convolves and not chain.layers[-1].pool.rows:
            chain.layers[-1] = _merged(chain.layers[-1], op, chain)
        else:
            super().add(op, chain)

    def layer(self, op: Operator, chain: Chain) -> Layer:
        """Of the same quantisation on both sides."""
        return pooling(self, op, chain)


def _merged(layer: Layer, op: Operator, chain: Chain) -> Layer:
    """With the pooling: the clamp of a maximum is the maximum of clamps."""
    x, y = chain.graph.tensors[op.inputs[0]], chain.graph.tensors[op.outputs[0]]
    require_shape(op, x, layer.out)
    require_same_quantisation(op, x, y)
    pooled = shape4(op, y)
    act_min, act_max = activation(op, y)
    return replace(
        layer,
        operators=(*layer.operators, op.index),
        output=y.index,
        pool=pooling_window(op, layer.out, pooled),
        pooled=pooled,
        act_min=max(layer.act_min, act_min),
        act_max=min(layer.act_max, act_max),
    )


OPERATOR = MaxPool2D()
