"""Float against int8 on a labelled folder, for the gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.evaluation import evaluate, int8_scores
from ecgqa_tflite.model_folder import ModelFolder

RESAMPLES = 500
"""Of the bootstrap: the gate reads values, the intervals are for people."""


def measured(model: ModelFolder, folder: str | Path, key: str) -> ModelFolder:
    """The model with figures on a labelled folder, float and int8, in its metrics under ``key``.

    Raises
    ------
    DatasetError
        The folder has no labels that are understood.
    ModelError
        The model has no float weights or no ``.tflite``.
    """
    _ = model.weights_path, model.tflite_path  # said before any work
    parts = load_folder(Path(folder), model.spec)
    scores = int8_scores(model, parts)
    from ecgqa_tflite.training.score import float_probabilities

    floats = float_probabilities(model, parts)
    found: dict[str, Any] = evaluate(model, parts, scores, floats, n_boot=RESAMPLES)
    return replace(model, metrics={**model.metrics, key: found | {"set": parts[0].source}})
