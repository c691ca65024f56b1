# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A model without the channels that no segment wakes: on these, every score stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.convert.requantise import calibration_from_folder
from ecgqa_tflite.convert.retrain import TrainingData, recipe_of, training_data
from ecgqa_tflite.datasets import challenge2017
from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.errors import DatasetError, SelfTestError
from ecgqa_tflite.evaluation.card import write_card
from ecgqa_tflite.frontend.colormap import image_s8, to_int8
from ecgqa_tflite.model_folder import ModelFolder, Trained, write_model
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.prune import Pruned, prune
from ecgqa_tflite.tflite.ranges import Range, channel_ranges
from ecgqa_tflite.tflite.run import Int8Network, Scorer
from ecgqa_tflite.training.images import index_maps
from ecgqa_tflite.training.run import judged

_Images = Callable[[NDArray[np.intp]], NDArray[np.int8]]


@dataclass(frozen=True)
class Evidence:
    """Recordings whose segments say which channels are in use; at least one.

    Attributes
    ----------
    calibrate
        WFDB recordings, drawn from as for calibration.
    data
        What the model was, or is to be, trained on: its calibration and validation segments.
    validate
        Labelled recordings, all segments that hold a signal.
    cache
        Folder for sets and index maps.
    """

    cache: Path
    calibrate: Path | None = None
    data: Path | None = None
    validate: Path | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the segments: what they are, how many, and their int8 images by index."""

    what: str
    n: int
    images: _Images


def pruned(
    model: ModelFolder, out: str | Path, evidence: Evidence, progress: Progress | None = None
) -> ModelFolder:
    """Leave out the channels that no segment of ``evidence`` wakes; write a model folder.

    On these segments every score is what it was, by LiteRT's reference kernels, or nothing is
    written. Figures that were measured with the whole network are left out of ``metrics``, which
    gain ``pruning``; with ``evidence.data`` and float weights, validation is measured anew.

    Raises
    ------
    DatasetError
        No segments, or recordings of challenge-2017's layout: that set is the external test, on
        which nothing is chosen.
    ModelError
        The model has no ``.tflite``, or one that LiteRT can't run.
    ConversionError
        See :func:`~ecgqa_tflite.tflite.prune.prune`.
    """
    tflite = model.tflite_path.read_bytes()
    sets = None
    if evidence.data is not None:
        seen = model.calibration_ids
        sets = training_data(
            evidence.data, model.spec, recipe_of(model), evidence.cache, 1, progress, seen=seen
        )
    parts = list(parts_of(model.spec, evidence, sets))
    result = taken_out(tflite, parts, model.name, progress)
    training = model.metrics.get("training", {}) | {"tflite_bytes": len(result.tflite)}
    training.pop("parameters", None)  # the whole network's
    metrics = {
        "training": training,
        "validation": _float_alone(model.metrics.get("validation", {})),
        "external": {},
        **{key: model.metrics[key] for key in _kept(evidence) if key in model.metrics},
        "pruning": {
            "method": "dead",
            "of": model.name,
            "segments": {part.what: part.n for part in parts},
            "layers": [change.to_dict() for change in result.changes],
        },
    }
    if sets is not None and model.weights_name is not None:
        metrics["validation"] = _validation(model, result.tflite, sets, progress)
    return _written(model, out, result.tflite, metrics)


def _kept(evidence: Evidence) -> tuple[str, ...]:
    """Metrics that hold for the smaller network too: of segments on which both score alike."""
    always = ("threshold", "quantisation")
    return always if evidence.calibrate is None else (*always, "calibration")


def _float_alone(validation: dict[str, Any]) -> dict[str, Any]:
    return {key: validation[key] for key in ("segments", "float") if key in validation}


def parts_of(spec: FrontEnd, evidence: Evidence, sets: TrainingData | None) -> Iterator[Part]:
    """The segments of ``evidence``, ``sets`` being what its ``data`` holds."""
    if evidence.calibrate is not None:
        images = calibration_from_folder(evidence.calibrate, spec).images
        what = f"drawn from {evidence.calibrate.resolve().name}"
        yield Part(what, len(images), lambda at: to_int8(images[at]))
    if sets is not None:
        yield _of_maps(f"calibration of {sets.name}", sets.maps, spec, sets.calibration)
        yield _of_maps(f"validation of {sets.name}", sets.validation_maps, spec)
    if evidence.validate is not None:
        segments = load_folder(evidence.validate, spec)
        if challenge2017.NAME in segments.by_source:
            raise DatasetError(
                f"{evidence.validate}: is laid out as {challenge2017.NAME}, the external test, on "
                f"which nothing is chosen; label your recordings' leads in a LEADS.csv "
                f"(record,lead,quality)"
            )
        segments = segments.take(segments.usable)
        if len(segments) == 0:
            raise DatasetError(f"{evidence.validate}: no segment holds a signal")
        maps = index_maps(segments, spec, evidence.cache)
        yield _of_maps(evidence.validate.resolve().name, maps, spec)


def _of_maps(
    what: str, maps: NDArray[np.uint8], spec: FrontEnd, chosen: NDArray[np.intp] | None = None
) -> Part:
    rows = np.arange(len(maps)) if chosen is None else chosen
    return Part(what, len(rows), lambda at: image_s8(np.asarray(maps[rows[at]]), spec.colormap))


def taken_out(tflite: bytes, parts: list[Part], source: str, progress: Progress | None) -> Pruned:
    """The network without channels that no segment wakes, held against it on every segment.

    Raises
    ------
    SelfTestError
        A score differs.
    """
    ranges: dict[int, Range] = {}
    scores, threads = [], os.cpu_count() or 1
    for part in parts:
        tell = partial(progress, f"looking at channels, {part.what}") if progress else None
        seen = channel_ranges(tflite, part.images, part.n, threads=threads, progress=tell)
        ranges = {i: r.joined(ranges.get(i, r)) for i, r in seen.of.items()}
        scores.append(seen.scores)
    result = prune(tflite, ranges, source)
    network = partial(Int8Network, result.tflite, reference_kernels=True)
    scorer = Scorer(network, threads=threads)
    for part, before in zip(parts, scores, strict=True):
        tell = partial(progress, f"holding scores together, {part.what}") if progress else None
        after = scorer.scores(part.images, part.n, progress=tell)
        if differ := int(np.count_nonzero(before != after)):
            raise SelfTestError(
                f"{source}: {differ} of {part.n} segments ({part.what}) score differently without "
                f"the channels that they do not wake; report it"
            )
    return result


def _validation(
    model: ModelFolder, tflite: bytes, sets: TrainingData, progress: Progress | None
) -> dict[str, Any]:
    """Figures of float and the smaller int8 network, at the threshold that the model has."""
    from ecgqa_tflite.networks import load_model
    from ecgqa_tflite.networks.logits import logit_function

    logits = logit_function(load_model(model.path), sets.spec)(sets.validation_maps)
    _, validation = judged(
        tflite,
        logits,
        model.threshold,
        sets.validation,
        sets.validation_maps,
        sets.spec,
        progress,
        model.threshold_int8,
    )
    return validation


def _written(
    model: ModelFolder, out: str | Path, tflite: bytes, metrics: dict[str, Any]
) -> ModelFolder:
    described = Trained(**{f.name: getattr(model, f.name) for f in fields(Trained)})
    save = None
    if model.weights_name is not None:
        save = partial(shutil.copyfile, model.weights_path)
    written = write_model(
        out, replace(described, metrics=metrics), tflite, save_weights=save, model_card=None
    )
    return write_card(written)
