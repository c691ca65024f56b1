# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""CONV_2D: weights in packed pairs, two output pixels at once."""

from __future__ import annotations

from ecgqa_tflite.engine.layers import Chain, Layer, LayerOperator
from ecgqa_tflite.engine.legality import convolution, int8_weights, refusal
from ecgqa_tflite.engine.packing import MAX_CHUNK, by_colour, in_runs
from ecgqa_tflite.engine.requantisation import with_constants
from ecgqa_tflite.tflite.read import Operator

SHORT_RUN = 128
"""Kernel rows shorter than this are gathered into one run, where one chunk holds all of them."""


class Conv2D(LayerOperator):
    """A convolution over all input channels."""

    name = "CONV_2D"
    number = 0
    packed = True
    convolves = True
    colours = True
    pixels = 2

    def layer(self, op: Operator, chain: Chain) -> Layer:
        """Not grouped, not dilated."""
        layer = convolution(self, op, chain)
        filter_, weights = int8_weights(op, chain.graph)
        if filter_.shape[3] != layer.in_.channels:
            raise refusal(op, "is a grouped convolution")
        return with_constants(layer, op, chain.graph, weights.reshape(layer.out.channels, -1))

    def packing(self, layer: Layer) -> Layer:
        """A run of all taps where they are gathered, else a run per kernel row."""
        runs, run_len = layer.kernel.rows, layer.kernel.cols * layer.in_.channels
        if layer.from_index and runs * run_len <= MAX_CHUNK:
            layer = by_colour(layer)
        short = runs > 1 and run_len < SHORT_RUN and runs * run_len <= MAX_CHUNK
        if layer.from_index or layer.padded or run_len % 2 == 1 or short:
            return in_runs(layer, 1, runs * run_len, gather=True)
        return in_runs(layer, runs, run_len)


OPERATOR = Conv2D()
