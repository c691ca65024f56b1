# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model calls high, by anything that segments can be told apart by, with intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.evaluation.figures import score_table
from ecgqa_tflite.spec import Quality

STRETCHES = (1, 2, 6)
"""Segments that one decision is taken on, by the mean of their scores: 5, 10 and 30 s."""
CELLS = ("high_called_high", "high_called_low", "low_called_high", "low_called_low")


def confusion(y_true: ArrayLike, called: ArrayLike) -> dict[str, int]:
    """Counts by :data:`CELLS`.

    Parameters
    ----------
    y_true
        Quality of each segment, shape (n,).
    called
        Whether it is called high, shape (n,).
    """
    high, said = np.asarray(y_true) == Quality.HIGH, np.asarray(called, bool)
    masks = (high & said, high & ~said, ~high & said, ~high & ~said)
    return {name: int(mask.sum()) for name, mask in zip(CELLS, masks, strict=True)}


def share_with_interval(
    mask: NDArray[np.bool_], groups: ArrayLike, n_boot: int = 2000
) -> dict[str, float | None]:
    """Share of a mask that is true, ``{"value", "low", "high"}``, over recordings.

    One recording tells of no other, so its share has no interval.
    """
    if len(np.unique(np.asarray(groups))) == 1:
        return {"value": float(mask.mean()), "low": None, "high": None}
    # the recall of high quality where all of them are
    figure: dict[str, float | None] = score_table(
        np.full(len(mask), Quality.HIGH), mask, 1, groups, n_boot
    )["se"]
    return figure


def share_called_high(
    called: NDArray[np.bool_], groups: ArrayLike, n_boot: int = 2000
) -> dict[str, Any]:
    """Share of segments that are called high, with its interval over recordings.

    Returns
    -------
    dict
        ``n``, ``groups`` (recordings), ``high`` (segments called so) and ``called_high``:
        ``{"value", "low", "high"}``.
    """
    return {
        "n": len(called),
        "groups": len(np.unique(np.asarray(groups))),
        "high": int(called.sum()),
        "called_high": share_with_interval(called, groups, n_boot),
    }


def by_name(
    names: NDArray[np.str_], called: NDArray[np.bool_], groups: NDArray[Any], n_boot: int = 2000
) -> dict[str, dict[str, Any]]:
    """:func:`share_called_high` for each name, in their order; segments without a name left out.

    Parameters
    ----------
    names
        What each segment is told apart by, shape (n,): its class in the set, its rhythm.
    """
    return {
        str(name): share_called_high(called[names == name], groups[names == name], n_boot)
        for name in np.unique(names)
        if name
    }


def by_recording(segments: LabelledSet, called: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """A row per recording: segments of each quality, and those of them called high."""
    names, member = np.unique(segments.group, return_inverse=True)
    high = segments.quality == Quality.HIGH
    counts = [
        np.bincount(member[mask], minlength=len(names))
        for mask in (high, ~high, high & called, ~high & called)
    ]
    return [
        {
            "recording": str(name),
            "high": int(n_high),
            "low": int(n_low),
            "high_called_high": int(right),
            "low_called_high": int(wrong),
        }
        for name, n_high, n_low, right, wrong in zip(names, *counts, strict=True)
    ]


def stretches(group: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Indices of ``k`` consecutive segments of one recording, without overlap, shape (m, k).

    Parameters
    ----------
    group
        Recording of each segment; a recording's segments stand together, in order of time.
    """
    new = np.r_[True, group[1:] != group[:-1]]
    start = np.maximum.accumulate(np.where(new, np.arange(len(group)), 0))
    place = np.arange(len(group)) - start
    first = np.flatnonzero(place % k == 0)
    first = first[first + k <= len(group)]
    whole = group[first] == group[first + k - 1]
    return np.asarray(first[whole][:, None] + np.arange(k))


def by_stretch(
    segments: LabelledSet,
    scores: NDArray[np.int8],
    threshold: float,
    segment_s: float,
    n_boot: int = 500,
) -> dict[str, dict[str, Any]]:
    """Figures of decisions on 5, 10 and 30 s by the mean of the scores, and on the same stretches.

    Returns
    -------
    dict
        By length in s, those for which recordings are long enough:
        :func:`~ecgqa_tflite.evaluation.figures.score_table`, with ``one``: BAcc of single
        segments in the stretches that are as long.
    """
    # leads of one recording stand one after the other and share its group
    place = np.array([name.partition("@")[0] for name in segments.ids])
    found = {}
    for k in STRETCHES:
        at = stretches(place, k)
        if not len(at):
            continue
        first, mean = at[:, 0], scores[at].astype(float).mean(axis=1)
        table = score_table(segments.quality[first], mean, threshold, segments.group[first], n_boot)
        single = score_table(
            segments.quality[at.ravel()], scores[at.ravel()], threshold,
            segments.group[at.ravel()], 0,
        )  # fmt: skip
        found[f"{k * segment_s:g}"] = table | {"one": single["bacc"]}
    return found


def decision_rows(
    segments: LabelledSet,
    scores: NDArray[np.int8],
    p_high: NDArray[np.float64],
    threshold_int8: int,
    more: Mapping[str, NDArray[np.str_]],
) -> list[dict[str, Any]]:
    """A row per segment, for a CSV.

    Parameters
    ----------
    scores, p_high
        int8 score of class 1, and the P(high) it stands for, shape (n,).
    more
        Further columns by name, str, shape (n,).
    """
    called = np.where(scores >= threshold_int8, "high", "low")
    columns = {
        "id": segments.ids.tolist(),
        "recording": segments.group.tolist(),
        "label": [Quality(int(quality)).name.lower() for quality in segments.quality],
        "signal": np.where(segments.usable, "yes", "no").tolist(),
        "score": scores.tolist(),
        "p_high": p_high.round(6).tolist(),
        "called": called.tolist(),
        **{name: values.tolist() for name, values in more.items()},
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows, of which there is one at least, as CSV under their names; lines end in a line feed."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
