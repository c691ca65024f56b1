# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""From folders of recordings to a model folder: the whole of ``ecgqa train``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets import challenge2011
from ecgqa_tflite.datasets.arrhythmia import missing
from ecgqa_tflite.datasets.balanced import build, find_sets
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.evaluation.card import write_card
from ecgqa_tflite.evaluation.figures import compare_decisions, reliability
from ecgqa_tflite.evaluation.models import probabilities, table_of
from ecgqa_tflite.frontend.colormap import image, image_s8
from ecgqa_tflite.model_folder import MODEL_NAME, ModelFolder, Trained, open_model, write_model
from ecgqa_tflite.output import refuse_existing, refuse_swallowing, refuse_unwritable
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.run import high_scores
from ecgqa_tflite.training.fit import fit, new_network, validator, work_folder
from ecgqa_tflite.training.images import index_maps
from ecgqa_tflite.training.recipe import Recipe
from ecgqa_tflite.training.teach import taught, teachers_of

THRESHOLD = 0.6
"""High from this P(high) on: where light_cnn and light_cnn_small err alike on both classes of
validation (7-8 %). At 0.5 both call half of challenge-2011's bad leads high."""

TrainOne = Callable[[Recipe, Progress | None], tuple[list[dict[str, Any]], Path]]
"""Trains by a recipe: the course, and the folder of its checkpoint."""

LEAST = 2
"""Segments of a set: one of each quality."""


def train(
    data: Path,
    out: Path,
    spec: FrontEnd,
    recipe: Recipe,
    cache: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ModelFolder:
    """Train, quantise, find the int8 threshold on validation, and write the model folder.

    Parameters
    ----------
    data
        Folder that holds ``challenge-2011``, ``mitdb`` and ``nstdb``, and may hold ``arrhythmia``
        (:mod:`~ecgqa_tflite.datasets.arrhythmia`). Nothing else is read.
    out
        Model folder to write; its last part is the model's name.
    cache
        Folder for the sets, index maps and the checkpoint of an unfinished run: the same call goes
        on where it was killed.
    workers
        Processes and threads for making segments and index maps.

    Raises
    ------
    OutputExistsError
        ``out`` exists and ``overwrite`` is false; nothing has been done.
    ArgumentError, ModelError
        ``out`` can't be written or gives no name, the network can't be built for such an image, or
        its initial weights don't fit it, or a teacher is missing; nothing has been done.
    DatasetError
        A set is missing or too small.
    """
    _refuse(out, overwrite, data, cache)
    _refuse_few(recipe)
    find_sets(data)  # before TensorFlow's seconds
    network, pretraining = new_network(recipe, spec, out.name), _pretraining(recipe)
    teachers = teachers_of(recipe.teachers)
    leads, lead_labels = _told(data, progress)
    sets = build(data, spec, recipe.composition, cache, progress)
    target = taught(sets.train, teachers, cache, workers, progress)
    maps = index_maps(sets.train, spec, cache, workers, progress)
    validation_maps = index_maps(sets.validation, spec, cache, workers, progress)

    def trained(member: Recipe, tell: Progress | None) -> tuple[list[dict[str, Any]], Path]:
        """The course of one training, its weights in ``network``, and its checkpoint's folder."""
        network.set_weights(new_network(member, spec, out.name).get_weights())
        parts = member.to_dict(), spec.hash, sets.train.digest, target.tolist()
        work = work_folder(cache, network, *parts)
        judge = validator(network, validation_maps, sets.validation.quality, spec)
        return fit(network, maps, target, spec, member, work, tell, judge), work

    history, works = averaged(network, recipe, trained, progress)

    chosen = calibration(sets.train, recipe.n_calibration, recipe.seed)
    from ecgqa_tflite.networks.logits import logit_function
    from ecgqa_tflite.quantize.ptq import quantise_ptq

    tflite = quantise_ptq(network, image(np.asarray(maps[chosen]), spec.colormap))
    float_logits = logit_function(network, spec)(validation_maps)
    threshold_int8, validation = judged(
        tflite, float_logits, THRESHOLD, sets.validation, validation_maps, spec, progress
    )
    training = {
        "epochs": history,
        "leads": leads,
        "lead_labels": lead_labels,
        "segments": sets.train.census(),
        "parameters": int(network.count_params()),
        "tflite_bytes": len(tflite),
    }
    made = Trained(
        name=out.name,
        architecture=recipe.architecture,
        arguments=recipe.network_arguments(spec),
        spec=spec,
        threshold=THRESHOLD,
        threshold_int8=threshold_int8,
        recipe=recipe.to_dict(),
        metrics={"training": training | pretraining, "validation": validation, "external": {}},
        calibration_ids=tuple(sets.train.ids[chosen].tolist()),
    )
    model = write_model(out, made, tflite, save_weights=network.save_weights, overwrite=overwrite)
    for work in works:
        shutil.rmtree(work, ignore_errors=True)
    return write_card(model)


def averaged(
    network: Any, recipe: Recipe, train_one: TrainOne, progress: Progress | None
) -> tuple[list[dict[str, Any]], list[Path]]:
    """Train once or, where the recipe says so, several times, and leave the weights' mean.

    Parameters
    ----------
    network
        What ``train_one`` trains in place, from the initial weights each time.

    Returns
    -------
    history, works
        Per epoch what was noted, with its ``seed`` where trainings are averaged; the folders of
        the checkpoints, which are kept until the model is written.
    """
    members = recipe.members()
    history, works, total = [], [], [np.zeros(w.shape) for w in network.get_weights()]
    for i, member in enumerate(members):
        tell = progress
        if progress is not None and len(members) > 1:
            tell = partial(_told_of, progress, f"training {i + 1} of {len(members)}: ")
        course, work = train_one(member, tell)
        works.append(work)
        seed = {"seed": member.seed} if len(members) > 1 else {}
        history += [seed | epoch for epoch in course]
        for sum_, weights in zip(total, network.get_weights(), strict=True):
            sum_ += weights
    network.set_weights([(sum_ / len(members)).astype(np.float32) for sum_ in total])
    return history, works


def _told_of(progress: Progress, which: str, what: str, done: int, of: int) -> None:
    progress(which + what, done, of)


def _told(data: Path, progress: Progress | None) -> tuple[str, str]:
    """Whose labels challenge-2011's leads have, and what is absent, said before the work."""
    leads, lead_labels = challenge2011.whose_leads(data)
    if progress is not None:
        if lead_labels == "by recording":
            progress(
                f"{leads} has no {challenge2011.LEADS}: its leads are labelled {lead_labels}", 1, 1
            )
        if absent := missing(data):
            progress(f"without {', '.join(absent)}: {data} has none", 1, 1)
    return leads, lead_labels


def _refuse(out: Path, overwrite: bool, *inputs: Path) -> None:
    """What can't be written is said before any work."""
    if overwrite:
        refuse_swallowing(out, *inputs)
    refuse_existing(out, overwrite)
    refuse_unwritable(out)
    if not MODEL_NAME.fullmatch(out.name):
        raise ArgumentError(
            f"{out}: its last part names the model and must match {MODEL_NAME.pattern}: name "
            f"another output"
        )


def _refuse_few(recipe: Recipe) -> None:
    """Counts that can't work are said before the sets are made."""
    n, of = recipe.composition.n_train, recipe.composition.n_validation
    if n < recipe.batch:
        raise ArgumentError(
            f"{n} training segments are fewer than a batch of {recipe.batch}: ask for more"
        )
    if min(n, of) < LEAST:
        raise ArgumentError(
            f"{n} training and {of} validation segments: at least {LEAST} of each are needed"
        )


def _pretraining(recipe: Recipe) -> dict[str, Any]:
    """``pretraining``: what the recipe's initial weights were trained on, if on photographs.

    Of a model that was itself trained from such weights, what its metrics say, and its name.
    """
    from ecgqa_tflite.training.pretrain import origin

    name = recipe.initial_weights
    if name is None:
        return {}
    found = origin(name)
    if found is None:
        model = open_model(name)
        found = model.metrics.get("training", {}).get("pretraining")
        found = None if found is None else {**found, "through": model.name}
    return {} if found is None else {"pretraining": found}


def calibration(segments: LabelledSet, n: int, seed: int) -> NDArray[np.intp]:
    """Indices of ``n`` segments of a set, from each part by its share; seeded, sorted."""
    sizes = np.array([len(part) for part in segments.parts])
    n = min(n, int(sizes.sum()))
    # Largest remainders: shares add up to n.
    exact = n * sizes / sizes.sum()
    shares = np.floor(exact).astype(int)
    rest = np.argsort(shares - exact, kind="stable")[: n - shares.sum()]
    shares[rest] += 1
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            place.start + np.sort(rng.choice(len(part), share, replace=False))
            for (part, place), share in zip(segments.placed(), shares, strict=True)
        ]
    )


def match_threshold(int8_scores: NDArray[np.int8], float_high: NDArray[np.bool_]) -> int:
    """The int8 threshold whose decisions agree best with the float model's.

    The int8 score of class 1 is its softmax in 256 steps. Of equally good thresholds the middle
    one is taken.

    Parameters
    ----------
    int8_scores
        Of class 1 on validation segments, shape (n,).
    float_high
        What the float model calls high there, shape (n,).
    """
    levels = np.arange(-127, 128)
    high = np.sort(int8_scores[float_high])
    low = np.sort(int8_scores[~float_high])
    flips = np.searchsorted(high, levels) + len(low) - np.searchsorted(low, levels)
    best = np.flatnonzero(flips == flips.min())
    return int(levels[best[len(best) // 2]])


def judged(
    tflite: bytes,
    float_logits: NDArray[np.float64],
    threshold: float,
    segments: LabelledSet,
    maps: NDArray[np.uint8],
    spec: FrontEnd,
    progress: Progress | None = None,
    threshold_int8: int | None = None,
) -> tuple[int, dict[str, Any]]:
    """An int8 network held against its float one on validation.

    Parameters
    ----------
    float_logits
        Of the float network on validation, (n,).
    threshold
        The float network calls high where P(high) is at least this.
    segments, maps
        Validation segments and their index maps, uint8 (n, rows, cols).
    threshold_int8
        The int8 threshold, where it is settled; None: that whose decisions agree best with the
        float ones.

    Returns
    -------
    threshold_int8, validation
        The int8 threshold; what ``metrics`` of a
        model folder say of validation: ``segments``, ``float`` and ``int8``
        (:func:`~ecgqa_tflite.evaluation.figures.score_table`, with ``reliability``), ``flips`` and
        ``called_high_by_source``.
    """
    truth, p = segments.quality, 1 / (1 + np.exp(-float_logits))
    scores = high_scores(
        tflite,
        lambda at: image_s8(np.asarray(maps[at]), spec.colormap),
        len(maps),
        progress=progress and partial(progress, "scoring validation, int8"),
    )
    if threshold_int8 is None:
        threshold_int8 = match_threshold(scores, p >= threshold)
    high = scores >= threshold_int8
    return threshold_int8, {
        "segments": segments.census(),
        "float": table_of(segments, p, threshold)
        | {"reliability": reliability(truth, p, segments.group)},
        "int8": table_of(segments, scores, threshold_int8)
        | {"reliability": reliability(truth, probabilities(scores), segments.group)},
        "flips": compare_decisions(p >= threshold, high),
        "called_high_by_source": {
            source: float(high[mask].mean()) for source, mask in segments.by_source.items()
        },
    }
