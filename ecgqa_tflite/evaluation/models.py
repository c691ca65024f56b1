"""Models on labelled segments: what ``ecgqa evaluate`` says of one, and of two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import Assessor
from ecgqa_tflite.datasets.challenge2017 import Graded
from ecgqa_tflite.datasets.labelled import LabelledSegments
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.evaluation.figures import (
    compare_decisions,
    reliability,
    score_difference,
    score_table,
)
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Count, within
from ecgqa_tflite.segments import Segments, SegmentStatus
from ecgqa_tflite.spec import Quality


def int8_scores(
    model: ModelFolder,
    parts: Sequence[LabelledSegments],
    *,
    threads: int = 1,
    progress: Count | None = None,
) -> NDArray[np.int8]:
    """Score of class 1 of every segment, with the deployed front end and int8 network.

    Segments that hold no signal score -128 without the network, as on the device.

    Returns
    -------
    int8, shape (n,): parts one after the other.
    """
    total, done = sum(map(len, parts)), 0
    scores = []
    for part in parts:
        segments = Segments(
            part.samples,
            np.zeros(len(part)),
            np.where(part.usable, SegmentStatus.OK, SegmentStatus.GAP).astype(np.str_),
            part.fs_hz,
        )
        assessor = Assessor(model, part.fs_hz, threads=threads)
        scores.append(assessor.scores(segments, progress=within(progress, done, total)))
        done += len(part)
    return np.concatenate(scores)


def probabilities(scores: NDArray[np.int8]) -> NDArray[np.float64]:
    """P(high) that int8 scores stand for, 0..1, same shape."""
    levels: NDArray[np.float64] = np.array([probability(s) for s in range(-128, 128)])
    return levels.take(scores.astype(int) + 128)


def table_of(
    parts: Sequence[LabelledSegments], score: NDArray[Any], threshold: float, n_boot: int = 2000
) -> dict[str, Any]:
    """:func:`score_table` of all parts together; ``score`` in their order."""
    return score_table(
        np.concatenate([part.quality for part in parts]),
        score,
        threshold,
        np.concatenate([part.group for part in parts]),
        n_boot,
    )


def graded_table(
    parts: Sequence[LabelledSegments],
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
    at = _places(parts, graded)
    group = np.concatenate([part.group for part in parts])
    grade = graded.agreed
    judged = np.isin(grade, ["A", "C"])
    table = score_table(
        np.where(grade[judged] == "A", Quality.HIGH, Quality.LOW),
        score[at[judged]],
        threshold,
        group[at[judged]],
        n_boot,
    )
    called = score[at[grade == "B"]] >= threshold
    table["b_called_high"] = float(called.mean()) if called.size else None
    return table


def _places(parts: Sequence[LabelledSegments], graded: Graded) -> NDArray[np.intp]:
    """Index of each graded segment among the segments of all parts."""
    ids = np.concatenate([part.ids for part in parts])
    place = {str(name): i for i, name in enumerate(ids)}
    missing = [str(name) for name in graded.ids if str(name) not in place]
    if missing:
        raise DatasetError(f"{len(missing)} graded segments are not in the set, e.g. {missing[0]}")
    return np.array([place[str(name)] for name in graded.ids], np.intp)


def evaluate(
    model: ModelFolder,
    parts: Sequence[LabelledSegments],
    scores: NDArray[np.int8],
    float_scores: NDArray[np.float64] | None = None,
    graded: Graded | None = None,
    n_boot: int = 2000,
) -> dict[str, Any]:
    """Everything ``ecgqa evaluate`` says of a model on a labelled set.

    Parameters
    ----------
    parts
        Segments with the labels of the set.
    scores
        int8 scores of class 1, as :func:`int8_scores` gives them, shape (n,).
    float_scores
        P(high) by the float model, shape (n,); None leaves it out.
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
    quality = np.concatenate([part.quality for part in parts])

    def figures(
        values: NDArray[Any], threshold: float, p_high: NDArray[np.float64]
    ) -> dict[str, Any]:
        table = table_of(parts, values, threshold, n_boot)
        table["threshold"] = threshold
        table["reliability"] = reliability(quality, p_high)
        if graded is not None:
            table["graded"] = graded_table(parts, values, threshold, graded, n_boot)
        return table

    result = figures(scores, model.threshold_int8, probabilities(scores))
    if float_scores is not None:
        result["float"] = figures(float_scores, model.threshold, float_scores)
        result["flips"] = compare_decisions(
            float_scores >= model.threshold, scores >= model.threshold_int8
        )
    return result


def compare(
    model: ModelFolder,
    scores: NDArray[np.int8],
    other: ModelFolder,
    other_scores: NDArray[np.int8],
    parts: Sequence[LabelledSegments],
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
    quality = np.concatenate([part.quality for part in parts])
    group = np.concatenate([part.group for part in parts])

    def difference(truth: NDArray[Any], at: NDArray[Any]) -> dict[str, Any]:
        return score_difference(
            truth,
            scores[at],
            model.threshold_int8,
            other_scores[at],
            other.threshold_int8,
            group[at],
            n_boot,
        )

    result: dict[str, Any] = {"model": model.name, "other": other.name}
    result |= difference(quality, np.arange(len(quality)))
    result["flips"] = compare_decisions(other_high, high)
    if graded is not None:
        judged = np.isin(graded.agreed, ["A", "C"])
        truth = np.where(graded.agreed[judged] == "A", Quality.HIGH, Quality.LOW)
        result["graded"] = difference(truth, _places(parts, graded)[judged])
    return result
