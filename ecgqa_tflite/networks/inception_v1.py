# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""InceptionV1 (GoogLeNet; Szegedy et al., CVPR 2015), in the form that becomes all int8.

The seed paper compares Light-CNN with MATLAB's ``googlenet``. What differs here:

- Local response normalisation has no int8 kernel in TensorFlow Lite, so each convolution has
  batch normalisation instead (as Ioffe and Szegedy did in 2015); it folds into the convolution
  when converted and costs nothing on a device.
- No auxiliary classifiers; neither does MATLAB's network have them.

Parameters. Nine inception modules and three convolutions, with biases and without normalisation,
have 5,973,552; a fully connected layer adds 1,025,000 with 1,000 classes (6,998,552 in all: the
7.0 million that MATLAB states) and 2,050 with two (5,975,602). Batch normalisation takes each of
the 7,280 channels' bias away and gives it four numbers, two of them trained: 5,997,442 with two
classes. The paper states 6.7 million for the network of 1,000 classes, before its last layer was
cut down to two. That is 6,998,552 here: 6.67 times 2**20, and Szegedy's own table counts in 2**10
(159K for the 163,328 weights of module 3a), which may be where 6.7 comes from; the paper doesn't
say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.networks._keras import keras
from ecgqa_tflite.networks.preprocess import preprocess
from ecgqa_tflite.networks.weights import load_weights

__all__ = ["InceptionV1", "preprocess"]

MODULES: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Kernels of each module: 1x1; 3x3's reduction, 3x3; 5x5's reduction, 5x5; pool's projection."""

LEAST_PIXELS = 32
"""The network halves the image five times."""


def convolution(x: Any, kernels: int, size: int, name: str, stride: int = 1) -> Any:
    """Convolution, batch normalisation, ReLU; ``same`` padding."""
    layers = keras.layers
    x = layers.Conv2D(
        kernels,
        size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def inception_module(x: Any, name: str) -> Any:
    """Four branches side by side: 1x1, 3x3, 5x5 and a pooled one, concatenated by channel."""
    n1, n3_reduce, n3, n5_reduce, n5, n_pool = MODULES[name]
    layers = keras.layers
    stem = f"inception_{name}"
    pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{stem}_pool")(x)
    branches = [
        convolution(x, n1, 1, f"{stem}_1x1"),
        convolution(convolution(x, n3_reduce, 1, f"{stem}_3x3_reduce"), n3, 3, f"{stem}_3x3"),
        convolution(convolution(x, n5_reduce, 1, f"{stem}_5x5_reduce"), n5, 5, f"{stem}_5x5"),
        convolution(pooled, n_pool, 1, f"{stem}_pool_proj"),
    ]
    return layers.Concatenate(name=f"{stem}_output")(branches)


def InceptionV1(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 2,
    weights: str | Path | None = None,
    name: str = "inception_v1",
) -> Any:
    """InceptionV1 with batch normalisation as a tf_keras model; see the module's docstring.

    Parameters
    ----------
    input_shape
        (rows, cols, channels) of the image; any size from 32 x 32 up.
    classes
        Outputs of the softmax.
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
        An image too small or ``classes`` below 2.
    ModelError
        ``weights`` are missing, corrupt or of another network.
    """
    rows, cols, channels = input_shape
    if min(rows, cols) < LEAST_PIXELS or channels < 1 or classes < 2:
        raise ArgumentError(
            f"InceptionV1 for {rows} x {cols} x {channels} and {classes} classes: needs at least "
            f"{LEAST_PIXELS} x {LEAST_PIXELS} pixels, 1 channel and 2 classes"
        )
    layers = keras.layers

    def halve(x: Any, name: str) -> Any:
        return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)

    image = layers.Input(shape=(rows, cols, channels), name="image")
    x = convolution(image, 64, 7, "conv_1", stride=2)
    x = halve(x, "pool_1")
    x = convolution(x, 64, 1, "conv_2_reduce")
    x = convolution(x, 192, 3, "conv_2")
    x = halve(x, "pool_2")
    for module in MODULES:
        if module in ("4a", "5a"):
            x = halve(x, f"pool_{int(module[0]) - 1}")
        x = inception_module(x, module)
    x = layers.GlobalAveragePooling2D(name="global_pool")(x)
    x = layers.Dropout(0.4, name="dropout")(x)
    x = layers.Dense(classes, name="fc")(x)
    x = layers.Softmax(name="softmax")(x)
    return load_weights(keras.Model(image, x, name=name), weights)
