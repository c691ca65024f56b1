# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How much of a recording is usable, where, and why the rest is not."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecgqa_tflite.decisions import Span
from ecgqa_tflite.recording.file import Start
from ecgqa_tflite.spec import Quality

HOUR_S = 3600.0


@dataclass(frozen=True)
class Hour:
    """An hour, or what a recording has of it.

    Attributes
    ----------
    start_s
        Where it starts, s from the start of the recording; below 0 where the recording begins
        within the hour.
    assessed_s, high_s
        Of it, s.
    """

    start_s: float
    assessed_s: float
    high_s: float


@dataclass(frozen=True)
class Summary:
    """What runs add up to.

    Attributes
    ----------
    assessed_s, high_s
        In all, s.
    longest
        Start and end of the longest stretch of high quality, s; None where there is none.
    low_s
        Seconds of low quality by reason, ``ok`` where the network decided; most first.
    hours
        Those that were assessed at all, by the clock where the recording's start is known.
    """

    assessed_s: float
    high_s: float
    longest: tuple[float, float] | None
    low_s: Mapping[str, float]
    hours: tuple[Hour, ...]

    @property
    def share_high(self) -> float:
        """Part of what was assessed that is usable, 0..1."""
        return self.high_s / self.assessed_s if self.assessed_s else 0.0


def summarise(runs: Sequence[Span], start: Start | None = None) -> Summary:
    """Add up runs, which are in order and do not overlap."""
    low: Counter[str] = Counter()
    for run in runs:
        if run.quality != Quality.HIGH:
            low[run.reason] += run.end_s - run.start_s  # type: ignore[assignment]
    high = [r for r in runs if r.quality == Quality.HIGH]
    high_s = sum(r.end_s - r.start_s for r in high)
    longest = max(high, key=lambda r: r.end_s - r.start_s, default=None)
    return Summary(
        high_s + sum(low.values()),
        high_s,
        (longest.start_s, longest.end_s) if longest is not None else None,
        dict(low.most_common()),
        _hours(runs, start),
    )


def _hours(runs: Sequence[Span], start: Start | None) -> tuple[Hour, ...]:
    before_s = 0.0  # of the clock's hour before the recording
    if start is not None:
        time = start.time() if isinstance(start, datetime.datetime) else start
        before_s = time.minute * 60 + time.second + time.microsecond / 1e6
    assessed: Counter[int] = Counter()
    high: Counter[int] = Counter()
    for run in runs:
        at = run.start_s
        while at < run.end_s - 1e-9:
            hour = int((at + before_s + 1e-9) // HOUR_S)
            end = min(run.end_s, (hour + 1) * HOUR_S - before_s)
            assessed[hour] += end - at  # type: ignore[assignment]
            if run.quality == Quality.HIGH:
                high[hour] += end - at  # type: ignore[assignment]
            at = end
    return tuple(Hour(h * HOUR_S - before_s, assessed[h], high[h]) for h in sorted(assessed))
