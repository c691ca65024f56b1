# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Light-CNN of Huerta, Martinez-Rodrigo, Rieta and Alcaraz (Computing in Cardiology 2023).

Table 1 of the paper at 227 x 227 x 3 and 70 classes, 1,221,574 parameters:

=========  ================  ===============  ==========
layer      kernel, stride    activations      learnables
=========  ================  ===============  ==========
image                        227 x 227 x 3
conv_1     7 x 7, 5          45 x 45 x 128        18,944
mp_1       3 x 3, 2          22 x 22 x 128
conv_2     4 x 4, 2          10 x 10 x 128       262,272
mp_2       2 x 2, 1          9 x 9 x 128
conv_3     3 x 3, 1          7 x 7 x 256         295,168
mp_3       2 x 2, 1          6 x 6 x 256
fc                           70                  645,190
softmax                      70
=========  ================  ===============  ==========

The table gives shapes and counts; the kernels and strides above, all without padding, are the ones
that reproduce every line of it. (The paper's text speaks of 384 kernels in conv. 3; its table, and
the count of parameters that it states, have 256.) With two classes there are 594,818 parameters
and 78.8 million multiply-accumulates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.networks._keras import keras
from ecgqa_tflite.networks.preprocess import preprocess
from ecgqa_tflite.networks.weights import load_weights

__all__ = ["LightCNN", "preprocess"]

KERNELS = (128, 128, 256)
"""Kernels of the three convolutions at ``alpha = 1``."""


def scaled(kernels: int, alpha: float) -> int:
    """``alpha * kernels`` rounded to a multiple of 8, at least 8, as MobileNet does it."""
    return max(8, int(alpha * kernels + 4) // 8 * 8)


def first_convolution(rows: int, cols: int) -> tuple[int, int]:
    """(kernel, stride) of conv. 1: 7 and 5; 5 and 3 where 7 and 5 would leave nothing.

    127 pixels is the least that 7 x 7 with stride 5 carries through to mp_3; 77 is the least that
    5 x 5 with stride 3 does.

    Raises
    ------
    ArgumentError
        The image is smaller than that.
    """
    for kernel, stride, least in ((7, 5, 127), (5, 3, 77)):
        if min(rows, cols) >= least:
            return kernel, stride
    raise ArgumentError(
        f"image of {rows} x {cols}: Light-CNN needs at least 77 x 77 pixels; use a spec with more"
    )


def LightCNN(
    input_shape: tuple[int, int, int] = (227, 227, 3),
    classes: int = 2,
    alpha: float = 1.0,
    weights: str | Path | None = None,
    name: str = "light_cnn",
) -> Any:
    """Light-CNN as a tf_keras model.

    Parameters
    ----------
    input_shape
        (rows, cols, channels) of the image. Below 127 pixels conv. 1 is 5 x 5 with stride 3
        instead of 7 x 7 with stride 5; the least is 77.
    classes
        Outputs of the softmax: 2 (low, high quality), or 70 for pre-training.
    alpha
        Width multiplier: kernels of each convolution times ``alpha``, rounded to a multiple of 8.
    weights
        None (random), a ``.weights.h5`` file, or the name or folder of a trained model.
    name
        Name of the Keras model.

    Returns
    -------
    tf_keras.Model
        From float32 images in [0, 1] (see :func:`preprocess`), (n, rows, cols, channels), to
        class probabilities, (n, classes).

    Raises
    ------
    ArgumentError
        An image too small, ``classes`` below 2 or ``alpha`` not positive.
    ModelError
        ``weights`` are missing, corrupt or of another network.
    """
    rows, cols, channels = input_shape
    if channels < 1 or classes < 2 or not 0 < alpha <= 4:
        raise ArgumentError(
            f"Light-CNN with {channels} channels, {classes} classes, alpha {alpha:g}: needs at "
            f"least 1 channel, 2 classes, and alpha above 0 and up to 4"
        )
    kernel, stride = first_convolution(rows, cols)
    layers = keras.layers
    image = x = layers.Input(shape=(rows, cols, channels), name="image")
    for i, (k, s, pool, pool_stride) in enumerate(
        ((kernel, stride, 3, 2), (4, 2, 2, 1), (3, 1, 2, 1)), start=1
    ):
        width = scaled(KERNELS[i - 1], alpha)
        x = layers.Conv2D(width, k, s, kernel_initializer="he_normal", name=f"conv_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
        x = layers.MaxPooling2D(pool, pool_stride, name=f"mp_{i}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(classes, name="fc")(x)
    x = layers.Softmax(name="softmax")(x)
    return load_weights(keras.Model(image, x, name=name), weights)
