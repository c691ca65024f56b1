# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A front end and networks so small that a fuzzer runs the whole path thousands of times a second.

The ``.tflite`` files lie in ``firmware_bridge/tests/tiny``; running this file makes them anew (that
needs TensorFlow), and nothing but that does.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.engine import device_source
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.spec import FrontEnd

FS_HZ = 125.0
SPEC = FrontEnd(
    segment_s=2.4,
    f_max_hz=40.0,
    f_min_hz=6.0,
    rows=18,
    cols=17,
    scaling="qrs",
    conditioning="baseline",
    colormap="grey",
)
SPEC_JET = FrontEnd(segment_s=0.96, f_max_hz=40.0, f_min_hz=6.0, rows=18, cols=17, scaling="minmax")
SPEC_ODD = FrontEnd(
    segment_s=0.6, f_max_hz=40.0, f_min_hz=6.0, rows=18, cols=17, scaling="minmax", colormap="grey"
)
NETWORKS = {"chain": SPEC, "jet": SPEC_JET, "odd": SPEC_ODD}
"""``chain`` has every kind of layer, both paddings, conditioning and a segment long enough to be
held; ``jet`` wide layers and colours; ``odd`` has
a segment of 75 samples and rows that its network has no use for."""

THRESHOLD = 3


def tflite(name: str) -> bytes:
    """One of :data:`NETWORKS`."""
    return (firmware_bridge_dir() / "tests" / "tiny" / f"{name}.tflite").read_bytes()


def device(name: str, *, collect: bool = False, hop_s: float | None = None) -> device_source.Device:
    """One of :data:`NETWORKS`, planned."""
    spec = NETWORKS[name]
    return device_source.plan_device(
        spec, tables.build(spec, FS_HZ), tflite(name), THRESHOLD, collect=collect, hop_s=hop_s
    )


def samples(spec: FrontEnd, seed: int = 0) -> np.ndarray:
    """A golden segment: an impulse on noise, int16 (segment_len,)."""
    rng = np.random.default_rng(seed)
    out = rng.integers(-300, 300, spec.segment_len(FS_HZ))
    out[40:44] += np.array([2000, 9000, -4000, 700])
    return out.astype(np.int16)


def write(made: device_source.Device, folder: Path, *, golden_bytes: bool = True) -> list[Path]:
    """The generated C files of a device."""
    vectors = device_source.golden(made, samples(made.spec))
    sources = device_source.device_sources(made, vectors, golden_bytes=golden_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sources.items():
        (folder / name).write_text(text)
    return sorted(folder.glob("*.c"))


def _build(name: str) -> Any:
    from ecgqa_tflite.networks._keras import keras

    layers = keras.layers
    image = x = layers.Input(NETWORKS[name].image_shape)
    if name == "chain":
        x = layers.MaxPooling2D(2, 1, padding="same")(x)
        x = layers.Conv2D(5, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2, 2)(x)
        x = layers.DepthwiseConv2D(3, 1, padding="same", activation="relu6")(x)
        x = layers.DepthwiseConv2D(3, 1, depth_multiplier=2)(x)
        x = layers.AveragePooling2D(2, 1, padding="same")(x)
        x = layers.Conv2D(6, 1)(x)
        x = layers.GlobalAveragePooling2D()(x)
    elif name == "odd":
        x = layers.Conv2D(4, 3, 4, activation="relu")(x)
        x = layers.Flatten()(x)
    else:
        x = layers.Conv2D(4, 5, 2, activation="relu")(x)
        x = layers.MaxPooling2D(3, 2)(x)
        x = layers.Conv2D(70, 2, padding="same", activation="relu")(x)
        x = layers.Conv2D(130, 2, activation="relu6")(x)
        x = layers.Flatten()(x)
        x = layers.Dense(3)(x)
    scores = layers.Softmax()(layers.Dense(2)(x))
    return keras.Model(image, scores, name=name)


def _make(name: str) -> bytes:
    from ecgqa_tflite.frontend import colormap
    from ecgqa_tflite.frontend.native import NativeFrontEnd
    from ecgqa_tflite.networks._keras import keras
    from ecgqa_tflite.quantize.ptq import quantise_ptq

    keras.utils.set_random_seed(3)
    spec = NETWORKS[name]
    segments = np.stack([samples(spec, seed) for seed in range(16)])
    maps = NativeFrontEnd(spec, FS_HZ).index_maps(segments)
    model = _build(name)
    model.set_weights(
        [w if w.ndim > 1 else np.linspace(-0.3, 0.3, w.size) for w in model.get_weights()]
    )
    return bytes(quantise_ptq(model, colormap.image(maps, spec.colormap)))


if __name__ == "__main__":
    for network in sys.argv[1:] or NETWORKS:
        path = firmware_bridge_dir() / "tests" / "tiny" / f"{network}.tflite"
        path.write_bytes(_make(network))
        print(path.name, path.stat().st_size)
