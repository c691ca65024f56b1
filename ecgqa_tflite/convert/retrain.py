# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Quantising a trained model by training it on: which segments, and what it costs on validation."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.convert.qat import ending_in_logits, qat_recipe, quantise_qat
from ecgqa_tflite.convert.quantisation import Made
from ecgqa_tflite.datasets import challenge2011, challenge2017
from ecgqa_tflite.datasets.balanced import build
from ecgqa_tflite.datasets.drawn import MADE
from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.datasets.splits import held_out_groups
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training.fit import work_folder
from ecgqa_tflite.training.images import index_maps
from ecgqa_tflite.training.recipe import Recipe, digest_of
from ecgqa_tflite.training.run import calibration, judged


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a network is trained on with quantisation, and judged by.

    Attributes
    ----------
    name
        Of the folder that it comes from.
    train, maps
        Training segments, and their index maps, uint8 (n, rows, cols).
    calibration
        Training segments (indices) that ranges are measured on.
    validation, validation_maps
        Segments of other patients, and their index maps.
    """

    name: str
    spec: FrontEnd
    train: LabelledSet
    maps: NDArray[np.uint8]
    calibration: NDArray[np.intp]
    validation: LabelledSet
    validation_maps: NDArray[np.uint8]

    @property
    def calibration_images(self) -> NDArray[np.uint8]:
        """uint8, (m, rows, cols, channels)."""
        return image(np.asarray(self.maps[self.calibration]), self.spec.colormap)

    @property
    def calibration_ids(self) -> list[str]:
        """Ids of the calibration segments."""
        ids: list[str] = self.train.ids[self.calibration].tolist()
        return ids

    def digest(self) -> str:
        """What a training depends on, beside its recipe and the network."""
        return digest_of(self.spec.hash, self.train.digest)


def training_data(
    data: Path,
    spec: FrontEnd,
    recipe: Recipe,
    cache: Path,
    workers: int = 1,
    progress: Progress | None = None,
    *,
    seen: Sequence[str] = (),
) -> TrainingData:
    """Read the sets of ``ecgqa train``, or a labelled folder of the user's.

    Of challenge-2011 the records are held out that ``ecgqa train`` with the same recipe holds out.

    Parameters
    ----------
    data
        Folder that holds ``challenge-2011``, ``mitdb`` and ``nstdb``, of which the recipe's sets
        are made; or a folder of labelled recordings, a share of whose records is held out for
        validation.
    recipe
        Its composition, number of calibration segments and seed are used.
    cache
        Folder for the sets and index maps.
    seen
        Ids of segments that the float network was trained on, as many as are known.

    Raises
    ------
    DatasetError
        No labels that are understood, too few segments, a record to validate with that the float
        network was trained on, or challenge-2017's layout: that set is the external test, on which
        nothing trains.
    """
    if (data / "nstdb").is_dir():
        sets = build(data, spec, recipe.composition, cache, progress)
        train, validation = sets.train, sets.validation
    else:
        train, validation = _split(load_folder(data, spec), data, recipe, seen)
    _refuse_seen(validation, seen, data)
    return TrainingData(
        data.resolve().name,
        spec,
        train,
        index_maps(train, spec, cache, workers, progress),
        calibration(train, recipe.n_calibration, recipe.seed),
        validation,
        index_maps(validation, spec, cache, workers, progress),
    )


def _split(
    segments: LabelledSet, folder: Path, recipe: Recipe, seen: Sequence[str]
) -> tuple[LabelledSet, LabelledSet]:
    """Training and validation by record; segments without a signal are left out."""
    if challenge2017.NAME in segments.by_source:
        raise DatasetError(
            f"{folder}: is laid out as {challenge2017.NAME}, the external test, on which nothing "
            f"trains; label your recordings' leads in a LEADS.csv (record,lead,quality)"
        )
    segments = segments.take(segments.usable)
    composition = recipe.composition
    held_out = held_out_groups(
        _groups(segments, folder, seen), composition.validation_share, composition.seed
    )
    inside = np.isin(segments.group, sorted(held_out))
    train, validation = segments.take(~inside), segments.take(inside)
    for found in (train, validation):
        if len(np.unique(found.quality)) < 2:
            raise DatasetError(
                f"{folder}: too few recordings: both qualities are needed to train on and, from "
                f"other recordings, to validate with"
            )
    return train, validation


def _groups(segments: LabelledSet, folder: Path, seen: Sequence[str]) -> set[str]:
    """Records to draw from, as balanced.build draws: names of copies too, which are read once."""
    groups = set(segments.group.tolist())
    groups |= {f"{challenge2011.NAME}/{name}" for name in challenge2011.labelled_names(folder)}
    known = {name for name in _records(seen) if name.startswith(f"{challenge2011.NAME}/")}
    if known & groups and not known <= groups:  # a part's draw is another than the whole set's
        raise DatasetError(
            f"{folder}: is a part of what the float network was trained on, which can't be told "
            f"from what it was not: give the whole set, or recordings that it has not seen"
        )
    return groups


def _refuse_seen(validation: LabelledSet, seen: Sequence[str], folder: Path) -> None:
    """Refuse to validate on a record of which the float network is known to have seen a segment.

    Noise alone and what is made by rule are no records: their names are in both sets.
    """
    both = _records(seen) & _records(
        str(name) for part in validation.parts if part.source not in MADE for name in part.ids
    )
    if both:
        raise DatasetError(
            f"{folder}: {min(both)} would validate, but the float network was trained on it: give "
            f"the sets as it had them, or recordings that it has not seen"
        )


def _records(ids: Iterable[str]) -> set[str]:
    """``set/record`` of segments' ids, ``set/record/lead@start``."""
    return {name.partition("@")[0].rpartition("/")[0] for name in ids}


def train_int8(
    network: Any, data: TrainingData, recipe: Recipe, cache: Path, progress: Progress | None = None
) -> bytes:
    """:func:`~ecgqa_tflite.convert.qat.quantise_qat` on ``data``, as a network of ``recipe``.

    The checkpoint lies in ``cache``: the same call goes on where it was killed.
    """
    recipe = qat_recipe(recipe)
    work = work_folder(cache, network, "qat", recipe.to_dict(), data.digest())
    images = data.calibration_images
    tflite = quantise_qat(
        network, data.maps, data.train.quality, images, data.spec, recipe, work, progress
    )
    shutil.rmtree(work, ignore_errors=True)
    return tflite


def recipe_of(model: ModelFolder) -> Recipe:
    """The recipe that a model was trained by; the default one where its folder has none."""
    return Recipe.from_dict(model.recipe) if model.recipe else Recipe()


def retrained(
    network: Any,
    sets: TrainingData,
    recipe: Recipe,
    threshold: float,
    cache: Path,
    progress: Progress | None = None,
) -> Made:
    """Train a float network on with quantisation and judge it; see :func:`requantise_qat`.

    Parameters
    ----------
    recipe
        What it was trained by, as far as is known.
    threshold
        P(high) from which the float network calls a segment high.
    """
    from ecgqa_tflite.networks.logits import logit_function

    tflite = train_int8(network, sets, recipe, cache, progress)
    logits = logit_function(ending_in_logits(network), sets.spec)(sets.validation_maps)
    threshold_int8, validation = judged(
        tflite, logits, threshold, sets.validation, sets.validation_maps, sets.spec, progress
    )
    metrics = {
        "validation": validation,
        "quantisation": {
            "method": "qat",
            "recipe": qat_recipe(recipe).to_dict(),
            "data": {"set": sets.name, "segments": sets.train.census()},
        },
    }
    return Made(tflite, threshold_int8, metrics, tuple(sets.calibration_ids))


def requantise_qat(
    model: ModelFolder,
    data: Path,
    out: str | Path,
    cache: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> ModelFolder:
    """Train a model's float weights on with quantisation; write a model folder.

    The float weights stay what they were. What had been measured with the old int8 network is left
    out of ``metrics``; float and int8 are measured on the validation segments of ``data``.

    Parameters
    ----------
    data
        See :func:`training_data`.
    out
        Model folder to write.
    cache
        Folder for mixtures, index maps and the checkpoint of an unfinished run.

    Raises
    ------
    ModelError
        The model has no float weights.
    ConversionError
        See :func:`~ecgqa_tflite.convert.qat.quantise_qat`.
    DatasetError
        See :func:`training_data`.
    """
    _ = model.weights_path  # said before any work
    from ecgqa_tflite.evaluation.card import write_card  # which imports this package
    from ecgqa_tflite.networks import load_model

    network, recipe = load_model(model.path), recipe_of(model)
    ending_in_logits(network)  # said before any work
    seen = model.calibration_ids
    sets = training_data(data, model.spec, recipe, cache, workers, progress, seen=seen)
    made = retrained(network, sets, recipe, model.threshold, cache, progress)
    written = model.with_network(
        out, made.tflite, made.threshold_int8, made.metrics, made.calibration_ids
    )
    return write_card(written)
