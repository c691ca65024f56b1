# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A small trained-looking model for tests: alpha 0.125 on a 113 x 113 grey image, 10,194 weights.

Random weights from a seed, quantised on images that look like scalograms' index maps.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from conftest import require_module
from numpy.typing import NDArray

from ecgqa_tflite.model_folder import ModelFolder, Trained, write_model
from ecgqa_tflite.spec import FrontEnd

SPEC = FrontEnd.preset("wearable", rows=113, cols=113, colormap="grey")
ARGUMENTS = {"classes": 2, "alpha": 0.125, "input_shape": list(SPEC.image_shape)}


_FIGURES: dict[str, Any] = {
    name: {"value": value, "low": None, "high": None}
    for name, value in {"se": 0.7, "sp": 0.8, "acc": 0.75, "bacc": 0.75, "auc": 0.8}.items()
} | {"n": {"high": 10, "low": 10}, "groups": 5, "tie_share": 0.0}
METRICS = {
    "training": {},
    "validation": {"segments": {}, "float": _FIGURES, "int8": _FIGURES},
    "external": {"elsewhere": {**_FIGURES, "float": _FIGURES}},
}
"""As the training writes them, as far as a bundle reads them."""


def images(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """(n, 113, 113, 1): blobs on a dark ground, from 0 to 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:113j, 0:1:113j]
    out = np.zeros((n, 113, 113, 1))
    for i in range(n):
        for _ in range(6):
            cy, cx, s = [*rng.uniform(0, 1, 2), rng.uniform(0.02, 0.2)]
            out[i, ..., 0] += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s * s))
        out[i] *= 255 / out[i].max()
    return out.round().astype(np.uint8)


@functools.cache
def network() -> Any:
    """The float network."""
    require_module("tensorflow")
    from ecgqa_tflite.networks import LightCNN
    from ecgqa_tflite.networks._keras import keras

    keras.utils.set_random_seed(11)
    model = LightCNN(SPEC.image_shape, alpha=0.125, name="tiny")
    # Biases that are zero would hide a kernel that drops them.
    model.set_weights(
        [w if w.ndim > 1 else np.linspace(-0.2, 0.2, w.size) for w in model.get_weights()]
    )
    return model


@functools.cache
def tflite() -> bytes:
    """Its int8 form."""
    model = network()
    from ecgqa_tflite.quantize.ptq import quantise_ptq

    return quantise_ptq(model, images(16))


def folder(parent: Path, **changes: Any) -> ModelFolder:
    """A model folder ``parent/tiny``; ``changes`` are to its record, or the ``tflite``."""
    content = changes.pop("tflite", tflite())
    given: dict[str, Any] = {
        "name": "tiny",
        "architecture": "light_cnn",
        "arguments": ARGUMENTS,
        "spec": SPEC,
        "threshold": 0.5,
        "threshold_int8": 0,
        "recipe": {"seed": 11},
        "metrics": METRICS,
        "calibration_ids": ("synthetic/0", "synthetic/1"),
    }
    return write_model(
        parent / "tiny",
        Trained(**(given | changes)),
        content,
        save_weights=network().save_weights,
        model_card="# A tiny model\n",
    )
