# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What the int8 codes of a network's input stand for.

Every network here is given the image less 128. That is right wherever the network's own
quantisation gives an image these codes: whatever range its training scaled images to, as long as
the codes span that range.
"""

from __future__ import annotations

import math

import numpy as np

from ecgqa_tflite.tflite.read import Tensor

INPUT_SCALE = np.float32(1.0 / 255.0)
"""quant_scale of the image: float input = image / 255 ..."""
INPUT_ZERO_POINT = -128
"""... and so the int8 input is image - 128, with no arithmetic on a device."""

RANGES = {"[0, 1]": (0.0, 1.0), "[-1, 1]": (-1.0, 1.0), "[0, 255]": (0.0, 255.0)}
"""What networks are trained on, by name: black and white of the image."""
SLACK = 0.51
"""Most that a code may be off, in codes: half, and what float32 adds. [-1, 1] has no code for 0
half way up, so there all are half a code off."""


def codes_of(input_range: tuple[float, float]) -> tuple[float, int]:
    """quant_scale and zero point by which ``image - 128`` stands for black to white."""
    black, white = input_range
    scale = (white - black) / 255.0
    return scale, math.floor(INPUT_ZERO_POINT - black / scale)


def stands_for(x: Tensor) -> str | None:
    """The range of :data:`RANGES` in which ``image - 128`` are the codes; None: in none."""
    if x.quant_scale.size != 1:
        return None
    image = np.arange(256) / 255.0
    for name, (black, white) in RANGES.items():
        real = black + image * (white - black)
        codes = real / float(x.quant_scale[0]) + int(x.zero_point[0])
        if float(np.abs(codes - (np.arange(256) - 128)).max()) <= SLACK:
            return name
    return None


def span(x: Tensor) -> tuple[float, float]:
    """Real values of the first and last code."""
    scale, zero_point = float(x.quant_scale[0]), int(x.zero_point[0])
    return scale * (-128 - zero_point), scale * (127 - zero_point)
