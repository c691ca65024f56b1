# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Colour maps: from the uint8 ``index_map`` to the uint8 ``image`` a network sees."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.spec import COLORMAPS


def lut(colormap: str) -> NDArray[np.uint8]:
    """Colour of each index, uint8, shape (256, channels); read-only."""
    return COLORMAPS[colormap]


def image(index_map: NDArray[np.uint8], colormap: str) -> NDArray[np.uint8]:
    """Colour an ``index_map``: uint8 (..., rows, cols) to uint8 (..., rows, cols, channels)."""
    return np.take(lut(colormap), index_map, axis=0)


def to_int8(image: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The network's int8 input of a uint8 image: ``image - 128``; any shape."""
    return (np.asarray(image, np.uint8) ^ np.uint8(0x80)).view(np.int8)


@cache
def _pair_colours(colormap: str) -> NDArray[np.void]:
    """int8 colours of each pair of indices, shape (65536,), an item 2 * channels bytes.

    Two pixels per lookup, each a whole item: four times as fast as rows of the (256, 3) table.
    """
    pairs = np.arange(65536, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    table = to_int8(lut(colormap))[pairs].reshape(len(pairs), -1)
    return table.view(f"V{table.shape[1]}")[:, 0]


@cache
def _is_grey(colormap: str) -> bool:
    """Each index is its own colour."""
    return np.array_equal(lut(colormap), np.arange(256)[:, None])


def image_s8(index_maps: NDArray[np.uint8], colormap: str) -> NDArray[np.int8]:
    """What the network takes: uint8 (n, rows, cols) to int8 (n, rows, cols, channels)."""
    if _is_grey(colormap):
        return to_int8(index_maps)[..., None]
    indices = index_maps.reshape(-1)
    if indices.size % 2:
        indices = np.append(indices, np.uint8(0))
    pixels = np.take(_pair_colours(colormap), indices.view(np.uint16)).view(np.int8)
    channels = lut(colormap).shape[1]
    return pixels[: index_maps.size * channels].reshape(*index_maps.shape, channels)
