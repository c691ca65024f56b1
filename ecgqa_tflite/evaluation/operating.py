# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Operating points: what each int8 threshold calls high, and the one that a rule asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT, Quality

LEVELS = np.arange(SCORE_ZERO_POINT + 1, SCORE_ZERO_POINT + 256)
"""Every int8 threshold that leaves out a segment that no network was asked about."""
COLUMNS = ("threshold_int8", "p_high", "se", "sp", "high_called_high", "low_called_high")

Kind = Literal["min_sp", "min_se", "cost"]
AIMS = ("sp", "se")
"""Which figure of a point each bound is about: ``min_sp``, ``min_se``."""


@dataclass(frozen=True)
class Rule:
    """What an operating point is chosen by.

    Attributes
    ----------
    kind
        ``min_sp``: the highest Se whose Sp is at least ``value``; ``min_se``: the other way round;
        ``cost``: the least sum, where a low-quality segment called high costs ``value`` times as
        much as a high-quality one called low.
    value
        Share of 0..1, or the ratio of costs.

    Raises
    ------
    ArgumentError
        The value is out of range.
    """

    kind: Kind
    value: float

    def __post_init__(self) -> None:
        within = 0 < self.value < np.inf if self.kind == "cost" else 0 < self.value <= 1
        if not within:
            wanted = "a positive number" if self.kind == "cost" else "above 0 and at most 1"
            raise ArgumentError(f"{self}: must be {wanted}")

    def __str__(self) -> str:
        return {
            "min_sp": f"Sp of at least {self.value:g}",
            "min_se": f"Se of at least {self.value:g}",
            "cost": f"low called high at {self.value:g} times the cost of high called low",
        }[self.kind]


@dataclass(frozen=True)
class OperatingPoint:
    """What one threshold does on a set.

    Attributes
    ----------
    threshold_int8
        Called high from this int8 score of class 1 on.
    high, low
        Segments of each quality.
    high_called_high, low_called_high
        Those of them that are called high.
    """

    threshold_int8: int
    high: int
    low: int
    high_called_high: int
    low_called_high: int

    @property
    def se(self) -> float:
        """Recall of high quality."""
        return self.high_called_high / self.high

    @property
    def sp(self) -> float:
        """Recall of low quality."""
        return 1 - self.low_called_high / self.low

    def row(self) -> dict[str, Any]:
        """By :data:`COLUMNS`."""
        values = (
            self.threshold_int8, probability(self.threshold_int8), round(self.se, 6),
            round(self.sp, 6), self.high_called_high, self.low_called_high,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))


def operating_points(y_true: ArrayLike, scores: NDArray[np.int8]) -> list[OperatingPoint]:
    """One for each of :data:`LEVELS`, in their order: Se falls along it and Sp rises.

    Parameters
    ----------
    y_true
        Quality of each segment, shape (n,).
    scores
        int8 score of class 1, shape (n,); the lowest where no network was asked.

    Raises
    ------
    DatasetError
        A class is absent.
    """
    high = np.asarray(y_true) == Quality.HIGH
    if not high.any() or high.all():
        raise DatasetError("operating points need segments of both qualities")
    above = [
        int(np.sum(mask)) - np.searchsorted(np.sort(scores[mask]), LEVELS) for mask in (high, ~high)
    ]
    n_high, n_low = int(high.sum()), int((~high).sum())
    return [
        OperatingPoint(int(level), n_high, n_low, int(of_high), int(of_low))
        for level, of_high, of_low in zip(LEVELS, *above, strict=True)
    ]


def choose(
    points: list[OperatingPoint], rule: Rule, now: OperatingPoint | None = None
) -> OperatingPoint:
    """The point that a rule asks for; of equally good ones ``now``, else the middle one.

    Parameters
    ----------
    now
        The model's own: few recordings give many equal points, which are no reason to move it.

    Raises
    ------
    ArgumentError
        No threshold reaches the bound, or only one that calls nothing high (all, for a bound on
        Se).
    """
    if rule.kind == "cost":
        costs = [rule.value * p.low_called_high + p.high - p.high_called_high for p in points]
        return _middle(points, [cost == min(costs) for cost in costs], now)
    aim, other = AIMS if rule.kind == "min_sp" else reversed(AIMS)
    inside = [getattr(p, aim) >= rule.value for p in points]
    best = max((getattr(p, other) for p, ok in zip(points, inside, strict=True) if ok), default=0.0)
    if not best:
        top = max(getattr(p, aim) for p in points if getattr(p, other))
        raise ArgumentError(
            f"{rule}: no threshold gives that and any {other.title()} here; the highest "
            f"{aim.title()} with some is {top:.4f}"
        )
    good = [ok and getattr(p, other) == best for p, ok in zip(points, inside, strict=True)]
    return _middle(points, good, now)


def _middle(
    points: list[OperatingPoint], chosen: list[bool], now: OperatingPoint | None
) -> OperatingPoint:
    found = [point for point, taken in zip(points, chosen, strict=True) if taken]
    return now if now is not None and now in found else found[len(found) // 2]


def float_threshold(threshold_int8: int) -> float:
    """P(high) from which a float softmax, rounded as the int8 one is, reaches an int8 score."""
    return (threshold_int8 - SCORE_ZERO_POINT - 0.5) * SCORE_SCALE


def taken_before(table: Mapping[str, Any], metrics: Mapping[str, Any]) -> bool:
    """Whether a table of figures was taken at another threshold than a sealed model's own.

    Parameters
    ----------
    table
        Of the float or the int8 network.
    metrics
        Of the model: without ``threshold`` its threshold was never moved.
    """
    if "threshold" not in metrics:
        return False
    now = metrics["threshold"]["threshold_int8"]
    return table.get("threshold", now) not in (now, float_threshold(now))
