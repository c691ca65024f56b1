# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network has to beat: a random forest on classical features, and NeuroKit2's indices.

Both take and give what the networks do, labelled segments and a score that is higher for higher
quality, so that one threshold rule and one table serve all. A segment that holds no signal scores
lowest without being looked at, as on the device.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.experiment.features import NAMES, features
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.spec import Quality

TREES = 400
LEAF = 3
"""Fewest training segments in a leaf: probabilities then take more values than votes."""

NeuroKitMethod = Literal["averageQRS", "zhao2018", "templatematch", "dissimilarity", "ho2025"]
"""``dissimilarity`` and ``ho2025`` from NeuroKit2 0.3.0 on."""
NEUROKIT_METHODS: tuple[NeuroKitMethod, ...] = ("averageQRS", "zhao2018", "templatematch")
LOWEST: dict[NeuroKitMethod, float] = {
    "averageQRS": 0.0,
    "zhao2018": 0.0,
    "templatematch": -1.0,
    "dissimilarity": -1e6,
    "ho2025": 0.0,
}
"""Score where no beats are found."""
ZHAO2018 = {"Unacceptable": 0.0, "Barely acceptable": 1.0, "Excellent": 2.0}
"""Scores of the classes that ``zhao2018`` answers."""

_CHUNK = 64


def feature_matrix(
    segments: LabelledSet, workers: int = 1, progress: Progress | None = None
) -> NDArray[np.float64]:
    """:func:`~ecgqa_tflite.experiment.features.features` of every segment.

    Returns
    -------
    float64, shape (n, 24).
    """
    return _in_chunks(features, segments, workers, progress, "classical features", (len(NAMES),))


Matrix = Callable[[LabelledSet, int, Progress | None], NDArray[np.float64]]


def random_forest_scores(
    train: LabelledSet,
    validation: LabelledSet,
    test: LabelledSet,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    matrix: Matrix = feature_matrix,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(high) by a random forest on the 24 features, trained on ``train``, classes alike in weight.

    Parameters
    ----------
    seed
        Of the forest; the same seed gives the same scores, whatever ``workers``.
    matrix
        Gives the features of a set; one that keeps them serves several seeds.

    Returns
    -------
    tuple of two float64 arrays
        Scores of ``validation`` and of ``test``, 0..1, each in the order of its set.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed, n_jobs=workers
    ).fit(matrix(train, workers, progress), train.quality)
    high = list(forest.classes_).index(Quality.HIGH)

    def scores(segments: LabelledSet) -> NDArray[np.float64]:
        p = forest.predict_proba(matrix(segments, workers, progress))[:, high]
        return np.where(segments.usable, p, 0.0)

    return scores(validation), scores(test)


def neurokit_scores(
    segments: LabelledSet,
    workers: int = 1,
    progress: Progress | None = None,
    method: NeuroKitMethod = "averageQRS",
) -> NDArray[np.float64]:
    """Quality by NeuroKit2's ``ecg_quality`` on what its ``ecg_clean`` makes of a segment.

    ``averageQRS`` (its default) and ``templatematch`` are means over the segment's samples, 0..1
    and -1..1; ``dissimilarity`` is minus such a mean, ``ho2025`` the share of the segment where two
    detectors agree; ``zhao2018`` has three classes (:data:`ZHAO2018`). A segment on which
    NeuroKit2 ends in an error, because it finds no beats, scores lowest. Some 40 to 70 ms per
    segment and core.

    Returns
    -------
    float64, shape (n,).

    Raises
    ------
    ToolError
        NeuroKit2 is not installed.
    """
    _neurokit()
    what = f"NeuroKit2 {method}"
    return _in_chunks(NeuroKit(method), segments, workers, progress, what, ())


def _neurokit() -> Any:
    try:
        return importlib.import_module("neurokit2")
    except ImportError as error:
        raise ToolError(
            "NeuroKit2 is not installed; this baseline needs it: pip install neurokit2"
        ) from error


class NeuroKit:
    """The scores of segments by one method; an object, so that it reaches worker processes."""

    def __init__(self, method: NeuroKitMethod) -> None:
        self.method = method

    def __call__(self, samples: NDArray[np.int16], fs_hz: float) -> NDArray[np.float64]:
        """Scores, shape (n,), of int16 (n, segment_len)."""
        nk = _neurokit()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.array([self._one(nk, segment, round(fs_hz)) for segment in samples])

    def _one(self, nk: Any, samples: NDArray[np.int16], fs_hz: int) -> float:
        lowest = LOWEST[self.method]
        if not samples.any():
            return lowest
        try:
            clean = nk.ecg_clean(samples.astype(np.float64) / 1000, sampling_rate=fs_hz)
            answer = nk.ecg_quality(clean, sampling_rate=fs_hz, method=self.method)
        except Exception:  # no beats show up in ways as different as its steps
            return lowest
        if isinstance(answer, str):
            return ZHAO2018[answer]
        known = np.asarray(answer, float)[np.isfinite(answer)]
        if not known.size:
            return lowest
        return float(-np.abs(known).mean() if self.method == "dissimilarity" else known.mean())


def _in_chunks(
    function: Callable[[NDArray[np.int16], float], NDArray[np.float64]],
    segments: LabelledSet,
    workers: int,
    progress: Progress | None,
    what: str,
    shape: tuple[int, ...],
) -> NDArray[np.float64]:
    """``function`` of all segments, some at a time, in processes that die with this one."""
    from joblib import Parallel, delayed  # scikit-learn brings it

    chunks = [
        (part.samples[start : start + _CHUNK], part.fs_hz)
        for part in segments.parts
        for start in range(0, len(part), _CHUNK)
    ]
    total, found, done = len(segments), [], 0
    for values in Parallel(n_jobs=workers, return_as="generator")(
        delayed(function)(*chunk) for chunk in chunks
    ):
        found.append(values)
        done += len(values)
        if progress is not None:
            progress(what, done, total)
    return np.concatenate(found) if found else np.zeros((0, *shape))
