# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""int8 networks of many shapes: those the planner was written for, and others.

Random weights, the last layer scaled so that scores spread and no softmax saturates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from conftest import require_module
from numpy.typing import NDArray

from ecgqa_tflite.frontend import colormap

CALIBRATION = 24


@dataclass(frozen=True)
class Kind:
    """A network to build and what it looks at."""

    rows: int
    cols: int
    colormap: str
    build: Callable[[tuple[int, int, int]], Any]


def index_maps(n: int, rows: int, cols: int, seed: int = 0) -> NDArray[np.uint8]:
    """(n, rows, cols): oscillations in a band, as a scalogram has them, on some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : cols * 1j]
    maps = np.zeros((n, rows, cols))
    for m in maps:
        for _ in range(4):
            f, phase, a, tilt = rng.uniform((2, 0, 0.2, 0), (30, 6.28, 1, 3))
            m += a * np.sin(6.28 * (f * x + tilt * y) + phase)
        m *= np.exp(-((y - rng.uniform(0.1, 0.9)) ** 2) / rng.uniform(0.02, 0.5))
        m += rng.normal(0, 0.15, m.shape)
        m -= m.min()
        m *= 255 / m.max()
    return maps.round().astype(np.uint8)


def _light(alpha: float) -> Callable[[tuple[int, int, int]], Any]:
    def build(shape: tuple[int, int, int]) -> Any:
        from ecgqa_tflite.networks import LightCNN

        return LightCNN(shape, alpha=alpha)

    return build


def _small(shape: tuple[int, int, int]) -> Any:
    """10,770 weights: 5 x 5 stride 3, 4 x 4 stride 2, 3 x 3; 16, 16, 32 channels."""
    from ecgqa_tflite.networks._keras import keras

    layers = keras.layers
    image = x = layers.Input(shape)
    x = layers.Conv2D(16, 5, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3, 2)(x)
    x = layers.Conv2D(16, 4, 2, activation="relu")(x)
    x = layers.MaxPooling2D(2, 1)(x)
    x = layers.Conv2D(32, 3, 1, activation="relu")(x)
    x = layers.Dense(2)(layers.Flatten()(x))
    return keras.Model(image, layers.Softmax()(x), name="small")


def _ds_cnn(shape: tuple[int, int, int]) -> Any:
    """Depthwise separable blocks, same padding, ReLU6, average and global pooling."""
    from ecgqa_tflite.networks._keras import keras

    layers = keras.layers
    image = x = layers.Input(shape)
    x = layers.Conv2D(16, 5, 3, padding="same", activation="relu")(x)
    for channels, stride in ((24, 2), (32, 1), (33, 2)):
        x = layers.DepthwiseConv2D(3, stride, padding="same", activation="relu6")(x)
        x = layers.Conv2D(channels, 1, activation="relu")(x)
    x = layers.AveragePooling2D(2, 2)(x)
    x = layers.DepthwiseConv2D(3, 1, depth_multiplier=2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Softmax()(layers.Dense(2)(x)), name="ds_cnn")


def _odd(shape: tuple[int, int, int]) -> Any:
    """What a planner trips over: odd sizes, strides above the kernel, pools that overlap twice."""
    from ecgqa_tflite.networks._keras import keras

    layers = keras.layers
    image = x = layers.Input(shape)
    x = layers.MaxPooling2D(2, 2, padding="same")(x)
    x = layers.Conv2D(7, 3, 2, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, 1, padding="same")(x)
    x = layers.Conv2D(9, (3, 5), (4, 1), activation="relu6")(x)
    x = layers.AveragePooling2D(3, 2, padding="same")(x)
    x = layers.Conv2D(130, 1)(x)
    x = layers.MaxPooling2D(2, 2)(x)
    x = layers.Conv2D(6, 3, padding="same")(x)
    x = layers.Dense(11, activation="relu")(layers.Flatten()(x))
    return keras.Model(image, layers.Softmax()(layers.Dense(5)(x)), name="odd")


def _stem(shape: tuple[int, int, int]) -> Any:
    """Rows of the image that nothing uses: 48 rows, of which pooling leaves the last two out."""
    from ecgqa_tflite.networks._keras import keras

    layers = keras.layers
    image = x = layers.Input(shape)
    x = layers.Conv2D(8, 3, 2, activation="relu")(x)
    x = layers.MaxPooling2D(2, 2)(x)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.Dense(2)(layers.Flatten()(x))
    return keras.Model(image, layers.Softmax()(x), name="stem")


KINDS = {
    "alpha_50": Kind(227, 227, "jet", _light(0.5)),
    "alpha_25": Kind(227, 227, "jet", _light(0.25)),
    "small": Kind(113, 113, "grey", _small),
    "ds_cnn": Kind(113, 113, "grey", _ds_cnn),
    "stem": Kind(48, 48, "grey", _stem),
    "odd": Kind(113, 97, "jet", _odd),
}


@functools.cache
def network(kind: str) -> bytes:
    """The ``.tflite`` of one of :data:`KINDS`."""
    require_module("tensorflow")
    from ecgqa_tflite.networks._keras import keras
    from ecgqa_tflite.quantize.ptq import quantise_ptq

    given = KINDS[kind]
    maps = index_maps(CALIBRATION, given.rows, given.cols, seed=1)
    images = colormap.image(maps, given.colormap)
    keras.utils.set_random_seed(5)
    model = given.build(images.shape[1:])
    rng = np.random.default_rng(6)
    for layer in model.layers:
        weights = layer.get_weights()
        if hasattr(layer, "depthwise_kernel"):
            weights[0] = rng.normal(0.1, 0.45, weights[0].shape)
        # Biases that are zero would hide a kernel that drops them.
        layer.set_weights([w if w.ndim > 1 else rng.normal(0, 0.1, w.shape) for w in weights])
    _spread(model, images / np.float32(255))
    return quantise_ptq(model, images)


def _spread(model: Any, images: NDArray[np.float32]) -> None:
    """Centre the logits and bring them to one size, so that no score saturates."""
    from ecgqa_tflite.networks._keras import keras

    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][-1]
    logits = keras.Model(model.input, dense.output)(images).numpy()
    kernel, bias = dense.get_weights()
    scale = 1 / np.maximum(logits.std(axis=0), 1e-6)
    dense.set_weights([kernel * scale, (bias - logits.mean(axis=0)) * scale])
