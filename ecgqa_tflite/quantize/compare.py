"""Ways to quantise the same weights, side by side on validation.

Pruning and clustering (tensorflow-model-optimization) are not among them: the engine computes as
much and flash holds as much, only a deflated update gets smaller. Measured on Light-CNN of alpha
0.25, 187 steps of each and then PTQ, deflated bytes and balanced accuracy on 2,000 validation
segments: plain 45,609, .940; half of the weights zero 32,988, .934; three quarters 21,053, .916; 16
values a layer 29,366, .940; 32 values 39,302, .942. QAT's .942 came from going on alone: the same
steps without quantisation, then PTQ, gave .942 too.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecgqa_tflite.evaluation import PLATEAU
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.quantize.retrain import recipe_of, train_int8, training_data
from ecgqa_tflite.training.fit import Progress, logit_function
from ecgqa_tflite.training.run import judged

METHODS = ("ptq", "qat")
"""In the order of preference: the later ones cost a training more."""
WORTH = PLATEAU
"""Balanced accuracy by which a costlier method must beat PTQ to be chosen."""


def compare_quantisation(
    model: ModelFolder | str | Path,
    data: Path,
    cache: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Quantise a trained model's float weights in each way and judge what comes out.

    Validation segments of ``data`` alone judge; they neither calibrate nor train.

    Parameters
    ----------
    model
        A trained model with float weights: a folder, or a shipped one's name.
    data
        See :func:`~ecgqa_tflite.quantize.retrain.training_data`.
    cache
        Folder for mixtures, index maps and checkpoints.

    Returns
    -------
    dict
        Plain types: ``model``, ``spec_hash``, ``segments`` (of validation, by source), ``float``
        (figures of the float network), ``methods``: by name, ``bacc``, ``auc``, ``se``, ``sp``
        (each with its 95 % interval), ``tie_share``, ``flips`` (from float), ``threshold_int8``,
        ``bytes``, ``zlib_bytes`` (deflate, level 9: what an update sends), ``seconds`` (to make
        it) - and ``chosen``: PTQ, unless another is better by :data:`WORTH`.

    Raises
    ------
    ModelError, ConversionError, DatasetError
        As :func:`~ecgqa_tflite.quantize.retrain.requantise_qat`.
    """
    folder = model if isinstance(model, ModelFolder) else open_model(model)
    _ = folder.weights_path  # said before any work
    from ecgqa_tflite.networks import load_model

    network = load_model(folder.path)
    recipe = recipe_of(folder)
    sets = training_data(
        data, folder.spec, recipe, cache, workers, progress, seen=folder.calibration_ids
    )
    logits = logit_function(network, folder.spec)(sets.validation_maps)
    makers: dict[str, Callable[[], bytes]] = {
        "ptq": lambda: quantise_ptq(network, sets.calibration_images),
        "qat": lambda: train_int8(network, sets, recipe, cache, progress),
    }
    result: dict[str, Any] = {"model": folder.name, "spec_hash": folder.spec.hash}
    methods: dict[str, Any] = {}
    for name in METHODS:
        started = time.monotonic()
        tflite = makers[name]()
        seconds = time.monotonic() - started
        threshold_int8, validation = judged(
            tflite,
            logits,
            folder.threshold,
            sets.validation,
            sets.validation_maps,
            folder.spec,
            progress,
        )
        result |= {"segments": validation["segments"], "float": _figures(validation["float"])}
        methods[name] = {
            **_figures(validation["int8"]),
            "flips": validation["flips"],
            "threshold_int8": threshold_int8,
            "bytes": len(tflite),
            "zlib_bytes": len(zlib.compress(tflite, 9)),
            "seconds": round(seconds, 1),
        }
    return {**result, "methods": methods, "chosen": choose(methods)}


def choose(methods: dict[str, Any]) -> str:
    """The first method, unless a later one's balanced accuracy is better by :data:`WORTH`."""
    names = list(methods)
    best = max(names, key=lambda name: float(methods[name]["bacc"]["value"]))
    first = names[0]
    gain = methods[best]["bacc"]["value"] - methods[first]["bacc"]["value"]
    return best if gain >= WORTH else first


def _figures(table: dict[str, Any]) -> dict[str, Any]:
    return {key: table[key] for key in ("bacc", "auc", "se", "sp", "tie_share")}
