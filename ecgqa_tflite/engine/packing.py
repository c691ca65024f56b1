# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Packed weights: what :class:`LayerOperator` calls ``packed``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine.layers import Layer
from ecgqa_tflite.errors import ConversionError

MAX_CHUNK = 512
"""``ECGQA_NN_MAX_CHUNK``."""
MIN_PATCH = 64
"""``ECGQA_NN_MIN_PATCH``."""
WEIGHTS_TAIL = 32
"""``ECGQA_NN_WEIGHTS_TAIL``."""
EVEN_BIAS = 128
"""Added to the even channel of a pair of packed weights."""


def in_runs(layer: Layer, runs: int, run_len: int, *, gather: bool = False) -> Layer:
    """The layer with its K inputs cut into runs, and its weights packed."""
    if run_len > 0xFFFF:
        raise ConversionError(f"layer of operator {layer.operators[0]}: {run_len} inputs per row")
    weights = pack(layer.weights.reshape(layer.out.channels, runs, run_len).view(np.int8))
    return replace(layer, runs=runs, run_len=run_len, gather=gather, weights=weights)


def by_colour(layer: Layer) -> Layer:
    """The layer's weights with the image's channels outermost.

    A colour that is dark is so over many pixels: its zeros lie together and are skipped.
    """
    taps = layer.weights.reshape(layer.out.channels, -1, layer.in_.channels)
    return replace(layer, weights=np.ascontiguousarray(taps.transpose(0, 2, 1)))


def pack(weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights (channels, runs, run_len) to pairs: uint8 (pairs, runs, run_len to even, 2).

    The even channel plus 128, then the odd one; the DSP kernel takes each pair of bytes as one
    int16, 256 * odd + even, and so does two channels with one multiplication.
    """
    channels, runs, run_len = weights.shape
    padded = np.zeros((channels + channels % 2, runs, run_len + run_len % 2), np.int16)
    padded[:channels, :, :run_len] = weights
    padded[0::2] += EVEN_BIAS
    pairs = padded.reshape(-1, 2, *padded.shape[1:]).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pairs.astype(np.uint8))
