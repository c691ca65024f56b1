# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What an archive holds: the usable share by hour, lead and reason, the worst records, those
without a result.
"""

from __future__ import annotations

import csv
import datetime
import heapq
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecgqa_tflite.bulk.plan import Entry, Plan, entries_of_records
from ecgqa_tflite.bulk.results import read_aside, read_result, start_of
from ecgqa_tflite.bulk.storage import Folder
from ecgqa_tflite.bulk.work import Outcome
from ecgqa_tflite.progress import Count

MOST_LISTED = 20
"""Worst records."""

SIDE_LIST = "aside.csv"

ELAPSED, CLOCK = "hour of the recording", "hour of the day"


@dataclass
class Share:
    """Segments, and those of high quality among them."""

    n: int = 0
    n_high: int = 0

    def add(self, n: int, n_high: int) -> None:
        """Count more."""
        self.n += n
        self.n_high += n_high

    @property
    def usable(self) -> float:
        """0..1, 0 where there is no segment."""
        return self.n_high / self.n if self.n else 0.0


@dataclass(frozen=True)
class Line:
    """A lead of a record in the summary.

    Attributes
    ----------
    path, lead
        Which.
    hours
        Length of the recording.
    n, n_high
        Segments, and those of high quality.
    key
        Of its first entry, which names its files.
    """

    path: str
    lead: str
    hours: float
    n: int
    n_high: int
    key: str

    @property
    def usable(self) -> float:
        """0..1."""
        return self.n_high / self.n if self.n else 0.0


Each = Callable[[Line, Sequence[dict[str, Any]]], None]
"""Called with a record's line and its results."""


@dataclass
class Summary:
    """Figures of everything that has a result.

    Attributes
    ----------
    hours
        Of the recordings.
    whole
        All segments.
    by_lead, by_hour
        Shares by lead name, and by :data:`CLOCK` or, where a recording does not say when it
        starts, :data:`ELAPSED` hour.
    by_reason
        Segments by what was said of them: ``ok`` are the usable ones, ``noise`` those that the
        network calls low, the others what they are called in a decision.
    worst
        Records with the smallest usable share.
    missing
        Entries without a result and why; an empty reason: still to be done.
    n_records
        Leads of records that have their whole result.
    """

    hours: float = 0.0
    whole: Share = field(default_factory=Share)
    by_lead: dict[str, Share] = field(default_factory=dict)
    by_hour: dict[str, dict[int, Share]] = field(default_factory=dict)
    by_reason: dict[str, int] = field(default_factory=dict)
    worst: list[Line] = field(default_factory=list)
    missing: list[tuple[Entry, str]] = field(default_factory=list)
    n_records: int = 0

    @property
    def set_aside(self) -> list[tuple[Entry, str]]:
        """Those that will not be tried again."""
        return [(entry, reason) for entry, reason in self.missing if reason]

    def usable_hours(self) -> float:
        """Hours of recording times the usable share."""
        return self.hours * self.whole.usable


def summarise(
    plan: Plan, out: Folder, each: Each | None = None, progress: Count | None = None
) -> Summary:
    """Go through every result; the same results give the same summary.

    ``each`` is called with every record's line and results, spans in order.
    """
    summary = Summary()
    lines = _lines(plan, out, summary, each, progress)
    summary.worst = heapq.nsmallest(MOST_LISTED, lines, key=lambda r: (r.usable, r.path, r.lead))
    return summary


def side_list(summary: Summary, unread: Sequence[Outcome]) -> bytes:
    """CSV of every entry without a result, and why."""
    now = {outcome.entry.key: outcome.reason for outcome in unread}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["record", "lead", "first_segment", "tried_again", "reason"])
    for entry, reason in summary.missing:
        why = reason or now.get(entry.key, "not done yet")
        again = "no" if reason else "yes"
        writer.writerow([entry.path, entry.lead or "", entry.first, again, why])
    return text.getvalue().encode()


def _lines(
    plan: Plan,
    out: Folder,
    summary: Summary,
    each: Each | None,
    progress: Count | None,
) -> Iterator[Line]:
    """A line for each record whose result is whole, counted into ``summary``."""
    for i, entries in enumerate(entries_of_records(plan.entries), start=1):
        results = []
        for entry in entries:
            result = read_result(out, entry.key, plan.options.form)
            if result is None:
                summary.missing.append((entry, read_aside(out, entry.key) or ""))
            else:
                results.append(result)
        if results:
            line = _count(summary, entries[0], results)
            if each is not None:
                each(line, results)
            yield line
            summary.n_records += len(results) == len(entries)
        if progress is not None:
            progress(i, plan.n_records)


def _count(summary: Summary, entry: Entry, results: Sequence[dict[str, Any]]) -> Line:
    first = results[0]
    n, n_high = (sum(result[name] for result in results) for name in ("n_segments", "n_high"))
    summary.hours += first["duration_s"] / 3600
    summary.whole.add(n, n_high)
    summary.by_lead.setdefault(first["lead"], Share()).add(n, n_high)
    start = start_of(first)
    kind = ELAPSED if start is None else CLOCK
    offset_s = 0.0 if start is None else _seconds(start)
    hours = summary.by_hour.setdefault(kind, {})
    for result in results:
        for row in result["decisions"]:
            hour = int((offset_s + row["start_s"]) // 3600)
            high = is_high(row, result)
            hours.setdefault(hour % 24 if kind == CLOCK else hour, Share()).add(1, high)
            reason = row["reason"] if high or row["reason"] != "ok" else "noise"
            summary.by_reason[reason] = summary.by_reason.get(reason, 0) + 1
    return Line(entry.path, first["lead"], first["duration_s"] / 3600, n, n_high, entry.key)


def is_high(row: dict[str, Any], result: dict[str, Any]) -> bool:
    """Whether a decision of a result is high quality."""
    return bool(row["reason"] == "ok" and row["score"] >= result["threshold"])


def _seconds(start: datetime.datetime | datetime.time) -> float:
    return start.hour * 3600 + start.minute * 60 + start.second + start.microsecond / 1e6
