# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""DEPTHWISE_CONV_2D: weights as they are, tap by tap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ecgqa_tflite.engine.layers import Chain, Layer, LayerOperator
from ecgqa_tflite.engine.legality import convolution, int8_weights
from ecgqa_tflite.engine.requantisation import with_constants
from ecgqa_tflite.tflite.read import Operator


class DepthwiseConv2D(LayerOperator):
    """A convolution of each input channel by itself."""

    name = "DEPTHWISE_CONV_2D"
    number = 1
    convolves = True

    def layer(self, op: Operator, chain: Chain) -> Layer:
        """Not dilated; any depth multiplier."""
        layer = convolution(self, op, chain)
        _, weights = int8_weights(op, chain.graph)
        by_channel = weights.reshape(-1, layer.out.channels).T
        return with_constants(layer, op, chain.graph, by_channel)

    def packing(self, layer: Layer) -> Layer:
        """[kernel row][kernel col][channel]; gathered where a tap is not one channel of a row."""
        weights = layer.weights.reshape(layer.out.channels, -1).T
        gather = layer.padded or layer.out.channels != layer.in_.channels
        return replace(layer, weights=np.ascontiguousarray(weights), gather=gather)


OPERATOR = DepthwiseConv2D()
