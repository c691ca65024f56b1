# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How well scores tell high from low quality: figures with intervals, no TensorFlow.

Se is the recall of high quality and Sp that of low quality, as in the seed paper; BAcc is their
mean. AUC is the probability that a high segment scores above a low one, ties counting half.
Intervals are percentiles of a bootstrap over recordings, because segments of one recording are
not independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.spec import Quality

HEADINGS = {"se": "Se", "sp": "Sp", "acc": "Acc", "bacc": "BAcc", "auc": "AUC"}
FIGURES = tuple(HEADINGS)
"""Of every table, in this order."""
CONFIDENCE = 0.95
Scored = tuple[ArrayLike, float]
"""Scores, and the one from which a segment is called high."""
_BATCH = 64  # resamples worked on at a time: their weights stay within some 20 MB


LABEL_WORDS = {
    "graded": "graded by eye (A, C)",
    "by lead": "labels by lead",
    "inherited": "inherited labels",
}
"""What a table's truth is: readings of each segment, or labels of its lead or recording."""


def by_labels(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables of an evaluation by what they take for the truth, readings of segments first.

    Parameters
    ----------
    result
        As :func:`~ecgqa_tflite.evaluation.models.evaluate` has it.

    Returns
    -------
    dict
        A word of :data:`LABEL_WORDS`, and under it ``int8`` and ``float``, as far as there are.
    """
    kinds = {"int8": result} | ({"float": result["float"]} if result.get("float") else {})
    graded = {
        kind: {"threshold": table["threshold"], **read} if "threshold" in table else read
        for kind, table in kinds.items()
        if (read := table.get("graded"))
    }
    labels = LABEL_WORDS[result.get("labels", "inherited")]
    return ({LABEL_WORDS["graded"]: graded} if graded else {}) | {labels: kinds}


def score_table(
    y_true: ArrayLike,
    score: ArrayLike,
    threshold: float,
    groups: ArrayLike,
    n_boot: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Se, Sp, Acc, BAcc and AUC with 95 % confidence intervals.

    Parameters
    ----------
    y_true
        :class:`~ecgqa_tflite.spec.Quality` of each segment, shape (n,).
    score
        Higher means high quality; any real or integer type, shape (n,).
    threshold
        A segment is called high where its score is at least this.
    groups
        Recording (or patient) of each segment, shape (n,): what the bootstrap resamples.
    n_boot, seed
        Resamples, and the seed of their draw.

    Returns
    -------
    dict
        ``se sp acc bacc auc``, each ``{"value", "low", "high"}`` (None where a class is absent),
        ``n``: ``{"high", "low"}``, ``groups``: recordings, ``tie_share``: share of (high, low)
        pairs with equal scores.

    Raises
    ------
    ArgumentError
        Shapes differ, nothing is there, or a score is NaN.
    """
    drawn = _bootstrap(y_true, score, threshold, groups, n_boot, seed)
    table: dict[str, Any] = {
        name: _with_interval(drawn.value[name], drawn.draws[name]) for name in FIGURES
    }
    return table | drawn.counts


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval; None for what can't be told.

    In JSON it is an object of these three: :meth:`of` reads one, ``asdict`` writes it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, plain: Mapping[str, float | None] | None) -> Figure:
        """From its JSON form; of nothing, nothing can be told."""
        return cls(**plain) if plain else cls(None)

    def __format__(self, style: str) -> str:
        """A number's format; with `` to`` behind it that, and no hyphen, stands in the interval."""
        if self.value is None:
            return "-"
        interval = self.interval(style)
        text = format(self.value, style.partition(" ")[0])
        return text if interval is None else f"{text} ({interval})"

    def interval(self, style: str) -> str | None:
        """The interval alone, in the same styles; None where there is none."""
        if self.low is None or self.high is None:
            return None
        number, _, word = style.partition(" ")
        return f"{self.low:{number}}{f' {word} ' if word else '-'}{self.high:{number}}"


@dataclass(frozen=True)
class _Bootstrap:
    """Figures and what they are in each resample, shape (n_boot,); NaN where a class is absent."""

    value: dict[str, float]
    draws: dict[str, NDArray[np.float64]]
    counts: dict[str, Any]


def _bootstrap(
    y_true: ArrayLike,
    score: ArrayLike,
    threshold: float,
    groups: ArrayLike,
    n_boot: int,
    seed: int,
) -> _Bootstrap:
    """The same groups, ``n_boot`` and seed draw the same resamples, whatever the scores."""
    y, s, names = np.asarray(y_true), np.asarray(score), np.asarray(groups)
    if not y.shape == s.shape == names.shape or y.ndim != 1 or not y.size:
        raise ArgumentError("y_true, score and groups must be 1-D, equally long and not empty")
    if np.isnan(s.astype(float)).any():
        raise ArgumentError("a score is NaN")
    high = y == Quality.HIGH
    _, member = np.unique(names, return_inverse=True)
    n_groups = int(member.max()) + 1
    counts = _Counts.of(high, s >= threshold, member, n_groups)
    ranks = _Ranks.of(high, s, member)

    value = _figures(counts, ranks, np.ones((1, n_groups)))
    rng = np.random.default_rng(seed)
    resampled = [
        _figures(counts, ranks, _resample(rng, n_groups, min(_BATCH, n_boot - done)))
        for done in range(0, n_boot, _BATCH)
    ]
    return _Bootstrap(
        {name: float(value[name][0]) for name in FIGURES},
        {
            name: np.concatenate([np.zeros(0), *(part[name] for part in resampled)])
            for name in FIGURES
        },
        {
            "n": {"high": int(high.sum()), "low": int((~high).sum())},
            "groups": n_groups,
            "tie_share": ranks.tie_share(),
        },
    )


def _with_interval(value: float, draws: NDArray[np.float64]) -> dict[str, float | None]:
    """``value`` and percentiles of the resamples; None for what is not a number."""
    finite = draws[np.isfinite(draws)]
    tails = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
    ends = np.percentile(finite, tails) if finite.size else (np.nan, np.nan)
    return asdict(Figure(*(float(x) if np.isfinite(x) else None for x in (value, *ends))))


def _resample(rng: np.random.Generator, n_groups: int, n: int) -> NDArray[np.float64]:
    """How often each group was drawn, with replacement, in ``n`` resamples; (n, n_groups)."""
    drawn = rng.integers(n_groups, size=(n, n_groups))
    drawn += n_groups * np.arange(n)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * n_groups).reshape(n, n_groups).astype(float)


@dataclass(frozen=True)
class _Counts:
    """Per group: segments that are high, low, high and called so, low and called so; (4, g)."""

    table: NDArray[np.float64]

    @classmethod
    def of(
        cls, high: NDArray[np.bool_], called: NDArray[np.bool_], member: NDArray[Any], n_groups: int
    ) -> _Counts:
        cells = (high, ~high, high & called, ~high & ~called)
        return cls(np.array([np.bincount(member, cell, n_groups) for cell in cells]))


@dataclass(frozen=True)
class _Ranks:
    """Segments in the order of their scores, for weighted AUCs.

    ``starts`` marks where each distinct score begins.
    """

    high: NDArray[np.float64]
    member: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, high: NDArray[np.bool_], score: NDArray[Any], member: NDArray[Any]) -> _Ranks:
        order = np.argsort(score, kind="stable")
        ordered = score[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        return cls(high[order].astype(float), member[order], starts)

    def auc(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """AUC where group g counts ``weights[:, g]`` times; (n,), NaN where a class is absent."""
        w = weights[:, self.member]
        high = np.add.reduceat(w * self.high, self.starts, axis=1)
        low = np.add.reduceat(w, self.starts, axis=1) - high
        below = np.cumsum(low, axis=1) - low / 2
        pairs = high.sum(axis=1) * low.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.where(pairs > 0, (high * below).sum(axis=1) / pairs, np.nan)

    def tie_share(self) -> float | None:
        """Share of (high, low) pairs with equal scores; None where a class is absent."""
        high = np.add.reduceat(self.high, self.starts)
        low = np.add.reduceat(1 - self.high, self.starts)
        pairs = high.sum() * low.sum()
        return float((high * low).sum() / pairs) if pairs else None


def _figures(
    counts: _Counts, ranks: _Ranks, weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    n_high, n_low, true_high, true_low = (weights @ counts.table.T).T
    with np.errstate(invalid="ignore", divide="ignore"):
        se, sp = true_high / n_high, true_low / n_low
        acc = (true_high + true_low) / (n_high + n_low)
    return {"se": se, "sp": sp, "acc": acc, "bacc": (se + sp) / 2, "auc": ranks.auc(weights)}


# ---- thresholds ---------------------------------------------------------------------------------

PLATEAU = 0.002
"""Balanced accuracy that a threshold on the plateau may fall short of the best one."""


def choose_threshold(y_true: ArrayLike, logit: ArrayLike) -> float:
    """Middle of the plateau on which balanced accuracy is as good as at its best.

    The maximum itself hangs on single segments. The plateau is the unbroken interval of
    thresholds around the maximum (the first, if several) whose balanced accuracy is within
    :data:`PLATEAU` of it; its middle is the threshold. Give logits, not probabilities: a
    saturated softmax squeezes most of the interval into its ends.

    Parameters
    ----------
    y_true
        Quality of each segment, shape (n,); both classes.
    logit
        Score, finite, shape (n,).

    Raises
    ------
    DatasetError
        A class is absent.
    """
    high = np.asarray(y_true) == Quality.HIGH
    x = np.asarray(logit, float)
    if not high.any() or high.all():
        raise DatasetError("a threshold needs segments of both qualities to choose it on")
    levels = np.unique(x)
    # Called high from levels[k] on; k = len(levels) would call nothing high and is never best.
    below_high = np.searchsorted(np.sort(x[high]), levels)
    below_low = np.searchsorted(np.sort(x[~high]), levels)
    bacc = (1 - below_high / high.sum() + below_low / (~high).sum()) / 2
    best = int(np.argmax(bacc))
    poor = np.flatnonzero(bacc < bacc[best] - PLATEAU)
    first = int(poor[poor < best].max(initial=-1)) + 1
    after = poor[poor > best]
    last = int(after.min()) - 1 if after.size else len(levels) - 1
    lowest = levels[first - 1] if first else levels[0]
    return float((lowest + levels[last]) / 2)


# ---- float against int8 -------------------------------------------------------------------------


def compare_decisions(before: ArrayLike, after: ArrayLike) -> dict[str, Any]:
    """How many decisions (True: high) two models don't share.

    Returns
    -------
    dict
        ``flipped``, ``share``, ``to_high``, ``to_low``, counted from ``before`` to ``after``.
    """
    a, b = np.asarray(before, bool), np.asarray(after, bool)
    if a.shape != b.shape or not a.size:
        raise ArgumentError("decisions to compare must be equally many and not none")
    return {
        "flipped": int((a != b).sum()),
        "share": float((a != b).mean()),
        "to_high": int((~a & b).sum()),
        "to_low": int((a & ~b).sum()),
    }


# ---- one model against another ------------------------------------------------------------------


def score_difference(
    y_true: ArrayLike,
    one: Scored,
    other: Scored,
    groups: ArrayLike,
    n_boot: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, float | None]]:
    """Figures of one model less those of another on the same segments, with paired intervals.

    Each resample of recordings is taken for both models, so what makes a recording hard for both
    cancels out: an interval that leaves out 0 is a difference.

    Parameters
    ----------
    y_true, groups, n_boot, seed
        As for :func:`score_table`.
    one, other
        Scores of each model, shape (n,), and its threshold.

    Returns
    -------
    dict
        ``se sp acc bacc auc``, each ``{"value", "low", "high"}``.

    Raises
    ------
    ArgumentError
        As :func:`score_table`.
    """
    a, b = (_bootstrap(y_true, *scored, groups, n_boot, seed) for scored in (one, other))
    return {
        name: _with_interval(a.value[name] - b.value[name], a.draws[name] - b.draws[name])
        for name in FIGURES
    }


# ---- calibration of P(high) ---------------------------------------------------------------------


def reliability(
    y_true: ArrayLike,
    p_high: ArrayLike,
    groups: ArrayLike | None = None,
    n_bins: int = 10,
    n_boot: int = 2000,
) -> dict[str, Any]:
    """How often segments are high where the model says so with probability p.

    A model that was trained on as many high as low segments says P(high) for such a mix. Against a
    set of another mix its probabilities are off by that alone; ``ece_balanced`` leaves it out.

    Parameters
    ----------
    y_true
        Quality of each segment, shape (n,).
    p_high
        Probability of high, 0..1, shape (n,).
    groups
        Recording (or patient) of each segment, shape (n,), for intervals; None: no intervals.
    n_bins
        Bins of equal width.
    n_boot
        Resamples of the bootstrap over recordings.

    Returns
    -------
    dict
        ``bins``: from 0 to 1, each with ``from``, ``to``, ``mean_p`` (None where it is empty),
        counts ``high`` and ``low`` and, with groups, ``share``: of high segments, both classes
        weighted alike, ``{"value", "low", "high"}``; ``ece``: expected calibration error, the mean
        over segments of the distance between a bin's mean probability and its share of high
        segments (Naeini et al. 2015); ``ece_balanced``: the same with both classes weighted alike,
        None where one is absent.

    Raises
    ------
    ArgumentError
        Shapes differ, nothing is there, or a probability is not in 0..1.
    """
    high, p = np.asarray(y_true) == Quality.HIGH, np.asarray(p_high, float)
    if high.shape != p.shape or p.ndim != 1 or not p.size:
        raise ArgumentError("y_true and p_high must be 1-D, equally long and not empty")
    if not ((p >= 0) & (p <= 1)).all():
        raise ArgumentError("a probability is not in 0..1")
    place = np.minimum((p * n_bins).astype(int), n_bins - 1)

    def per_bin(weights: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(place, weights, n_bins).astype(float)

    def ece(weights: NDArray[np.float64]) -> float:
        gaps = np.abs(per_bin(weights * high) - per_bin(weights * p))
        return float(gaps.sum() / weights.sum())

    shares: list[dict[str, Any]] = [{}] * n_bins
    if groups is not None:
        shares = [{"share": s} for s in _balanced_shares(high, place, groups, n_bins, n_boot)]
    n, n_high, sum_p = per_bin(np.ones(p.size)), per_bin(high), per_bin(p)
    share = high.mean()
    balanced = None
    if 0 < share < 1:
        balanced = ece(np.where(high, 1 / share, 1 / (1 - share)))
    return {
        "bins": [
            {
                "from": i / n_bins,
                "to": (i + 1) / n_bins,
                "mean_p": float(sum_p[i] / n[i]) if n[i] else None,
                "high": int(n_high[i]),
                "low": int(n[i] - n_high[i]),
                **shares[i],
            }
            for i in range(n_bins)
        ],
        "ece": ece(np.ones(p.size)),
        "ece_balanced": balanced,
    }


def _balanced_shares(
    high: NDArray[np.bool_], place: NDArray[np.intp], groups: ArrayLike, n_bins: int, n_boot: int
) -> list[dict[str, float | None]]:
    """Share of high segments per bin, the classes weighted alike, with intervals."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(member.max()) + 1
    counts = [
        np.bincount(member[mask] * n_bins + place[mask], minlength=n_groups * n_bins)
        .reshape(n_groups, n_bins)
        .astype(float)
        for mask in (high, ~high)
    ]

    def shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        of_high, of_low = (weights @ table for table in counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_high /= of_high.sum(axis=1, keepdims=True)
            of_low /= of_low.sum(axis=1, keepdims=True)
            return np.asarray(of_high / (of_high + of_low))

    value = shares(np.ones((1, n_groups)))[0]
    rng = np.random.default_rng(0)
    steps = [min(_BATCH, n_boot - done) for done in range(0, n_boot, _BATCH)]
    draws = np.concatenate(
        [np.zeros((0, n_bins)), *(shares(_resample(rng, n_groups, n)) for n in steps)]
    )
    return [_with_interval(float(value[i]), draws[:, i]) for i in range(n_bins)]
