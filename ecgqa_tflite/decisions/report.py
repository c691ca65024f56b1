# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What was decided of recordings: :class:`Assessed` is one, :class:`Run` is all of a run."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from ecgqa_tflite.decisions import Decision, Span, best, merged, spans
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording.file import Start

ANY_LEAD = "(any lead)"
"""Where several leads are assessed: the best of them at each time."""


@dataclass(frozen=True)
class AssessedLead:
    """One lead's decisions, in order.

    Attributes
    ----------
    lead
        Its name.
    fs_hz
        Its sampling rate, Hz.
    decisions
        One per segment.
    scale
        What its mV were multiplied by, where the unit is doubted.
    """

    lead: str
    fs_hz: float
    decisions: Sequence[Decision]
    scale: float = 1.0

    @property
    def runs(self) -> list[Span]:
        """Spans of equal quality and reason."""
        return merged(spans(self.decisions))


@dataclass(frozen=True)
class Assessed:
    """A recording, assessed.

    Attributes
    ----------
    path
        The file, as it was named.
    record
        What the recording is called.
    duration_s
        Length of the longest lead, s.
    start
        When it starts, where the file says.
    notes
        What the reader amended or assumed.
    doubts
        What looks wrong about a lead that was taken.
    signals
        Every lead that the file has; then those that are no ECG, with their units.
    leads
        Those assessed.
    """

    path: str
    record: str
    duration_s: float
    start: Start | None
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    signals: tuple[tuple[str, ...], tuple[str, ...]]
    leads: tuple[AssessedLead, ...]

    @property
    def any_lead(self) -> list[Span]:
        """Runs where any lead is good."""
        return merged(best([spans(lead.decisions) for lead in self.leads]))

    def time_at(self, seconds: float) -> str:
        """``seconds`` after the start as ISO 8601, a time of day where there is no date.

        Empty where nobody knows.
        """
        return time_at(self.start, seconds)


@dataclass(frozen=True)
class Failure:
    """A recording that could not be assessed, and why."""

    path: str
    error: str


@dataclass(frozen=True)
class Run:
    """Everything that one call decided.

    Attributes
    ----------
    model
        What decided.
    hop_s
        From one segment's start to the next, s; None for a segment's length.
    assessed, failed
        In the order in which they were named.
    """

    model: ModelFolder
    hop_s: float | None
    assessed: tuple[Assessed, ...]
    failed: tuple[Failure, ...] = ()


def time_at(start: Start | None, seconds: float) -> str:
    """See :meth:`Assessed.time_at`."""
    if start is None:
        return ""
    begin = (
        start
        if isinstance(start, datetime.datetime)
        else datetime.datetime.combine(datetime.date(2000, 1, 1), start)
    )
    try:
        # to the millisecond first, or 08:29:59.9996 would be told as 08:29:59
        moment = begin + datetime.timedelta(milliseconds=round(seconds * 1000))
    except OverflowError:
        return ""
    timespec = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    text = moment.isoformat(timespec=timespec)
    return text if begin is start else text.partition("T")[2]
