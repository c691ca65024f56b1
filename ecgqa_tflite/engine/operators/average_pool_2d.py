# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""AVERAGE_POOL_2D: the mean of the pixels of a window that lie in the map."""

from __future__ import annotations

from ecgqa_tflite.engine.layers import Chain, Layer, LayerOperator
from ecgqa_tflite.engine.legality import pooling
from ecgqa_tflite.tflite.read import Operator


class AveragePool2D(LayerOperator):
    """The mean of each window."""

    name = "AVERAGE_POOL_2D"
    number = 3

    def layer(self, op: Operator, chain: Chain) -> Layer:
        """Of the same quantisation on both sides."""
        return pooling(self, op, chain)


OPERATOR = AveragePool2D()
