# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of one run on the external test: inherited labels, grades, and ten seconds for five."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.evaluation.breakdown import stretches
from ecgqa_tflite.evaluation.figures import Figure, score_table
from ecgqa_tflite.evaluation.models import graded_table
from ecgqa_tflite.experiment.external import ExternalTest
from ecgqa_tflite.spec import Quality

RESAMPLES_PAIRS = 500
"""Of the bootstrap for decisions on ten seconds."""


def figures_of(
    test: ExternalTest,
    score: NDArray[Any],
    threshold: float,
    chosen: NDArray[np.intp] | None = None,
) -> dict[str, Any]:
    """Figures of one set of scores.

    Parameters
    ----------
    score
        Of every segment, shape (n,); higher means high quality.
    threshold
        High where the score is at least this.
    chosen
        Indices of the segments that were scored, as :meth:`ExternalTest.sample` draws them; None:
        all. On a sample Acc is worked out for the classes' shares of the whole test.

    Returns
    -------
    dict
        :func:`~ecgqa_tflite.evaluation.figures.score_table`, with ``threshold`` and, where
        segments were graded, ``graded`` (:func:`~ecgqa_tflite.evaluation.models.graded_table`).
    """
    at = np.arange(len(test)) if chosen is None else chosen
    table = score_table(test.quality[at], score[at], threshold, test.group[at])
    if len(at) < len(test):
        share = float((test.quality == Quality.HIGH).mean())
        se, sp = table["se"]["value"], table["sp"]["value"]
        acc = None if se is None or sp is None else share * se + (1 - share) * sp
        table["acc"] = asdict(Figure(acc))
    table["threshold"] = float(threshold)
    if test.graded is not None:
        table["graded"] = graded_table(test, score, threshold, test.graded)
    return table


def pairs_of(test: ExternalTest, score: NDArray[Any], threshold: float) -> dict[str, Any]:
    """Decisions on ten seconds, by the mean of two scores, and on five for the same stretches."""
    pairs = stretches(test.group, 2)
    both = pairs.ravel()
    mean = score[pairs].astype(float).mean(axis=1)
    first = pairs[:, 0]
    return {
        "ten_seconds": score_table(
            test.quality[first], mean, threshold, test.group[first], RESAMPLES_PAIRS
        ),
        "five_seconds": score_table(
            test.quality[both], score[both], threshold, test.group[both], RESAMPLES_PAIRS
        ),
    }
