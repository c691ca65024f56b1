# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Float against int8 on a labelled folder, for the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.convert.ends import PLAIN, Ends
from ecgqa_tflite.convert.keras_file import load_keras
from ecgqa_tflite.convert.own_model import probabilities_of
from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.evaluation.models import evaluate, float_scores, int8_scores
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.quantize.converter import float_tflite
from ecgqa_tflite.quantize.flips import flipped_segments
from ecgqa_tflite.spec import FrontEnd

BATCH = 64
RESAMPLES = 500
"""Of the bootstrap: the gate reads values, the intervals are for people."""


def measured(
    model: ModelFolder,
    folder: str | Path,
    key: str,
    own: str | Path | None = None,
    *,
    trust: bool = False,
    ends: Ends = PLAIN,
) -> ModelFolder:
    """The model with figures on a labelled folder, float and int8, in its metrics under ``key``.

    Segments that the two decide differently are kept among them, in ``flips``.

    Parameters
    ----------
    own
        The user's network that ``model`` was made of (:func:`~ecgqa_tflite.convert.own_model.
        own_model`). A ``.tflite`` has no float form: figures are of int8 alone.
    trust
        Let its own code run: :func:`~ecgqa_tflite.convert.keras_file.load_keras`.
    ends
        What ``own`` takes and gives.

    Raises
    ------
    DatasetError
        The folder has no labels that are understood.
    ModelError
        The model has no float weights or no ``.tflite``.
    ConversionError
        ``own`` is not a network that Keras loads.
    """
    if own is None:
        _ = model.weights_path, model.tflite_path  # said before any work
    segments = load_folder(Path(folder), model.spec)
    scores = int8_scores(model, segments)
    floats: NDArray[np.float64] | None = None
    if own is None:
        floats = float_scores(model, segments)
    elif Path(own).suffix.lower() != ".tflite":
        network = load_keras(Path(own), trust)
        probabilities = probabilities_of(network, float_tflite(network))
        floats = _p_high(probabilities, model.spec, segments, ends)
    found: dict[str, Any] = evaluate(model, segments, scores, floats, n_boot=RESAMPLES)
    if floats is not None:
        found["flips"]["segments"] = flipped_segments(
            [str(name).partition("/")[2] for name in segments.ids],
            [samples for part in segments.parts for samples in part.samples],
            [part.fs_hz for part in segments.parts for _ in range(len(part))],
            floats,
            scores,
            (model.threshold, model.threshold_int8),
            segments.quality,
        )
    # A folder of the user's is laid out as a public set, and is none.
    name = Path(folder).resolve().name
    return replace(model, metrics={**model.metrics, key: found | {"set": name}})


def _p_high(
    probabilities: Callable[..., NDArray[np.float64]],
    spec: FrontEnd,
    segments: LabelledSet,
    ends: Ends,
) -> NDArray[np.float64]:
    """P(high) by a Keras network, (n,); 0 for segments that hold no signal, as on the device."""
    from ecgqa_tflite.networks import preprocess

    found = []
    for part in segments.parts:
        native = NativeFrontEnd(spec, part.fs_hz)
        for start in range(0, len(part), BATCH):
            maps = native.index_maps(part.samples[start : start + BATCH])
            images = preprocess(image(maps, spec.colormap), ends.scaled_to)
            found.append(probabilities(images)[:, ends.high])
    return np.where(segments.usable, np.concatenate(found), 0.0)
