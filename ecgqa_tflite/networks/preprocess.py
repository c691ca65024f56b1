# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""From the uint8 image to what the networks take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def preprocess(
    image: NDArray[np.uint8], input_range: tuple[float, float] = (0.0, 1.0)
) -> NDArray[np.float32]:
    """Scale an image to [0, 1], the input of every network here, or to another range.

    Division by 255 is what makes the int8 input's quantisation exact: scale 1/255 and zero point
    -128 turn it into ``image - 128``, so that a device needs no arithmetic.

    Parameters
    ----------
    image
        uint8, any shape; (n, rows, cols, channels) for a network.
    input_range
        What 0 and 255 become, for a network that was trained elsewhere.

    Returns
    -------
    float32 of the same shape, 0 to 1 or as ``input_range`` says.
    """
    black, white = input_range
    scaled = np.asarray(image, dtype=np.float32) / np.float32(255.0)
    return scaled if input_range == (0.0, 1.0) else scaled * np.float32(white - black) + black
