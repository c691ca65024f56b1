# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What is said of segments: a :class:`Decision` each, and the :class:`Span` it speaks for.

One writer per form lies beside this.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT, Quality

Reason = Literal["ok", "gap", "flat", "held", "clipped", "smooth"]


@dataclass(frozen=True)
class Decision:
    """What is said of one segment.

    Attributes
    ----------
    start_s, end_s
        The segment, s from the start of the recording.
    quality
        High where the int8 score of class 1 reaches the model's threshold.
    score
        Softmax of class 1 as the int8 network gives it, 0..1 in steps of ``SCORE_SCALE``; 0
        where the network was not asked.
    reason
        ``ok``: the network decided. ``gap``: samples are missing. ``flat``: constant, or
        nothing but a baseline. ``held``: about 1 s or more holds one value, or mains hum alone.
        ``clipped``: a tenth of the samples or more lie on the segment's extremes. ``smooth``:
        nothing is as steep as a QRS complex. All but ``ok`` are low quality.
    """

    start_s: float
    end_s: float
    quality: Quality
    score: float
    reason: Reason


@dataclass(frozen=True)
class Span:
    """An interval for which one decision, or several alike, speaks.

    Attributes
    ----------
    start_s, end_s
        s from the start of the recording; spans never overlap.
    quality, reason
        As in :class:`Decision`.
    lowest_score, highest_score
        Over the decisions in it, 0..1.
    """

    start_s: float
    end_s: float
    quality: Quality
    reason: Reason
    lowest_score: float
    highest_score: float


def probability(score_int8: int) -> float:
    """Real value of a softmax's int8 score."""
    return (score_int8 - SCORE_ZERO_POINT) * SCORE_SCALE


def spans(decisions: Sequence[Decision]) -> list[Span]:
    """What each decision speaks for: where segments overlap, the one whose centre is nearest.

    Segments that do not overlap speak for themselves; a space between segments is nobody's.
    """
    edges = [
        (before.end_s + after.start_s) / 2 if after.start_s < before.end_s else None
        for before, after in itertools.pairwise(decisions)
    ]
    return [
        Span(
            d.start_s if left is None else left,
            d.end_s if right is None else right,
            d.quality,
            d.reason,
            d.score,
            d.score,
        )
        for d, left, right in zip(decisions, [None, *edges], [*edges, None], strict=True)
    ]


def best(leads: Sequence[Sequence[Span]]) -> list[Span]:
    """At each time the best that any lead has: high before low, then the higher score.

    Parameters
    ----------
    leads
        Of each lead its spans in order; the leads' edges need not be the same.
    """
    edges = sorted({edge for parts in leads for p in parts for edge in (p.start_s, p.end_s)})
    at = [0] * len(leads)
    out: list[Span] = []
    for start_s, end_s in itertools.pairwise(edges):
        there: list[Span] = []
        for i, parts in enumerate(leads):
            while at[i] < len(parts) and parts[at[i]].end_s <= start_s:
                at[i] += 1
            if at[i] < len(parts) and parts[at[i]].start_s <= start_s:
                there.append(parts[at[i]])
        if there:
            top = max(there, key=lambda p: (p.quality, p.highest_score))
            out.append(replace(top, start_s=start_s, end_s=end_s))
    return out


def merged(parts: Sequence[Span]) -> list[Span]:
    """Adjacent spans of equal quality and reason as one."""
    return list(_merge(parts))


def _merge(parts: Sequence[Span]) -> Iterator[Span]:
    current: Span | None = None
    for part in parts:
        if (
            current is not None
            and (current.quality, current.reason) == (part.quality, part.reason)
            and abs(current.end_s - part.start_s) < 1e-6
        ):
            current = Span(
                current.start_s,
                part.end_s,
                part.quality,
                part.reason,
                min(current.lowest_score, part.lowest_score),
                max(current.highest_score, part.highest_score),
            )
        else:
            if current is not None:
                yield current
            current = part
    if current is not None:
        yield current
