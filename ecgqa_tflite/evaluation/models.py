# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Models on labelled segments: what ``ecgqa evaluate`` says of one, and of two side by side."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import Assessor, Kernels
from ecgqa_tflite.datasets.challenge2017 import Graded
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.evaluation.figures import (
    compare_decisions,
    reliability,
    score_difference,
    score_table,
)
from ecgqa_tflite.frontend import reference
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Count, within
from ecgqa_tflite.segments import Segments, SegmentStatus

FloatFrontEnd = Literal["integer", "reference"]
CHUNK = 512
"""Segments that the float network is asked at a time."""


def int8_scores(
    model: ModelFolder,
    segments: LabelledSet,
    *,
    kernels: Kernels = "fast",
    threads: int = 1,
    progress: Count | None = None,
) -> NDArray[np.int8]:
    """Score of class 1 of every segment, with the deployed front end and int8 network.

    Segments that hold no signal score -128 without the network, as on the device.

    Returns
    -------
    int8, shape (n,).
    """
    out = np.empty(len(segments), np.int8)
    for part, place in segments.placed():
        status = np.where(part.usable, SegmentStatus.OK, SegmentStatus.GAP).astype(np.str_)
        plain = Segments(part.samples, np.zeros(len(part)), status, part.fs_hz)
        assessor = Assessor(model, part.fs_hz, threads=threads, kernels=kernels)
        out[place] = assessor.scores(plain, progress=within(progress, place.start, len(out)))
    return out


def float_scores(
    model: ModelFolder,
    segments: LabelledSet,
    front_end: FloatFrontEnd = "integer",
    *,
    threads: int = 1,
    progress: Count | None = None,
) -> NDArray[np.float64]:
    """P(high) by the float network, shape (n,); 0 for segments that hold no signal.

    Parameters
    ----------
    front_end
        ``integer``: the images that the int8 model gets. ``reference``: those of the float64
        reference, for a comparison of the whole float path with the whole integer one.
    threads
        Of the integer front end; TensorFlow takes what it finds.
    """
    from ecgqa_tflite.networks import load_model
    from ecgqa_tflite.networks.logits import logit_function

    logits = logit_function(load_model(model.path), model.spec)
    out = np.zeros(len(segments))
    for part, place in segments.placed():
        native = NativeFrontEnd(model.spec, part.fs_hz)
        for start in range(0, len(part), CHUNK):
            samples = part.samples[start : start + CHUNK]
            if front_end == "integer":
                maps = native.index_maps(samples, threads=threads)
            else:
                maps = np.stack(
                    [reference.index_map(x.astype(float), part.fs_hz, model.spec) for x in samples]
                )
            first, end = place.start + start, place.start + start + len(samples)
            out[first:end] = 1 / (1 + np.exp(-logits(maps)))
            if progress is not None:
                progress(end, len(out))
    return np.where(segments.usable, out, 0.0)


def probabilities(scores: NDArray[np.int8]) -> NDArray[np.float64]:
    """P(high) that int8 scores stand for, 0..1, same shape."""
    levels: NDArray[np.float64] = np.array([probability(s) for s in range(-128, 128)])
    return levels.take(scores.astype(int) + 128)


def table_of(
    segments: LabelledSet, score: NDArray[Any], threshold: float, n_boot: int = 2000
) -> dict[str, Any]:
    """:func:`score_table` by the labels of a set."""
    return score_table(segments.quality, score, threshold, segments.group, n_boot)


def graded_table(
    segments: LabelledSet,
    score: NDArray[Any],
    threshold: float,
    graded: Graded,
    n_boot: int = 2000,
) -> dict[str, Any]:
    """Figures on segments graded by eye: A (high) against C (low), where all readings agree.

    Returns
    -------
    dict
        As :func:`score_table`, with ``b_called_high``: share of segments graded B by all readings
        that are called high.

    Raises
    ------
    DatasetError
        A graded segment is not among the segments.
    """
    truth = graded.truth(segments)
    at = truth.at
    table = score_table(truth.quality, score[at], threshold, segments.group[at], n_boot)
    called = score[truth.between] >= threshold
    table["b_called_high"] = float(called.mean()) if called.size else None
    return table


def evaluate(
    model: ModelFolder,
    segments: LabelledSet,
    scores: NDArray[np.int8],
    p_high: NDArray[np.float64] | None = None,
    graded: Graded | None = None,
    n_boot: int = 2000,
) -> dict[str, Any]:
    """Everything ``ecgqa evaluate`` says of a model on a labelled set.

    Parameters
    ----------
    scores
        int8 scores of class 1, as :func:`int8_scores` gives them, shape (n,).
    p_high
        P(high) by the float model (:func:`float_scores`), shape (n,); None leaves it out.
    graded
        Segments of the set that were graded one by one; None leaves it out.

    Returns
    -------
    dict
        :func:`score_table` of the int8 model with the deployed front end, ``threshold``,
        ``reliability`` (:func:`reliability`) and, as given, ``graded`` (:func:`graded_table`),
        ``float`` (the same for the float model) and ``flips`` (:func:`compare_decisions` from
        float to int8).
    """

    def figures(values: NDArray[Any], threshold: float, p: NDArray[np.float64]) -> dict[str, Any]:
        table = table_of(segments, values, threshold, n_boot)
        table["threshold"] = threshold
        table["reliability"] = reliability(segments.quality, p, segments.group, n_boot=n_boot)
        if graded is not None:
            table["graded"] = graded_table(segments, values, threshold, graded, n_boot)
        return table

    result = figures(scores, model.threshold_int8, probabilities(scores))
    if p_high is not None:
        result["float"] = figures(p_high, model.threshold, p_high)
        result["flips"] = compare_decisions(
            p_high >= model.threshold, scores >= model.threshold_int8
        )
    return result


def compare(
    model: ModelFolder,
    scores: NDArray[np.int8],
    other: ModelFolder,
    other_scores: NDArray[np.int8],
    segments: LabelledSet,
    graded: Graded | None = None,
    n_boot: int = 2000,
) -> dict[str, Any]:
    """What a model gains over another on the same segments, both as a device runs them.

    Parameters
    ----------
    scores, other_scores
        int8 scores of class 1, as :func:`int8_scores` gives them, shape (n,).
    graded
        Segments of the set that were graded one by one; None leaves them out.

    Returns
    -------
    dict
        ``model`` and ``other`` (names), :func:`score_difference` of the two, ``flips``
        (:func:`compare_decisions` from the other to this one) and, as given, ``graded``: the
        difference on the segments graded A or C.
    """
    high, other_high = scores >= model.threshold_int8, other_scores >= other.threshold_int8

    def difference(truth: NDArray[Any], at: NDArray[Any]) -> dict[str, Any]:
        return score_difference(
            truth,
            (scores[at], model.threshold_int8),
            (other_scores[at], other.threshold_int8),
            segments.group[at],
            n_boot,
        )

    result: dict[str, Any] = {"model": model.name, "other": other.name}
    result |= difference(segments.quality, np.arange(len(segments)))
    result["flips"] = compare_decisions(other_high, high)
    if graded is not None:
        truth = graded.truth(segments)
        result["graded"] = difference(truth.quality, truth.at)
    return result
