# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``ecgqa assess`` prints: runs, rows of several recordings, what they add up to."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ecgqa_tflite import plots
from ecgqa_tflite.decisions import Span, probability
from ecgqa_tflite.decisions.report import ANY_LEAD, Assessed, Run
from ecgqa_tflite.decisions.summary import HOUR_S, Summary, summarise
from ecgqa_tflite.escape import terminal
from ecgqa_tflite.spec import Quality

MOST_ROWS = 40
"""Rows of a table; a day of noise has thousands of runs, and files hold them all."""

MOST_HOURS = 48
FEWEST_HOURS = 2
"""Shorter than so many and the runs say it."""

_STYLES = {(Quality.HIGH, "ok"): "bold blue", (Quality.LOW, "ok"): "bold yellow"}
_WHY = {
    "ok": "noise", "gap": "gap", "flat": "flat", "held": "held", "clipped": "clipped",
    "smooth": "smooth",
}  # fmt: skip


def title(assessed: Assessed, model: str) -> str:
    """The line above a recording's table."""
    several = len(assessed.leads) > 1
    parts = [
        assessed.record,
        f"lead {ANY_LEAD if several else assessed.leads[0].lead}",
        f"{assessed.leads[0].fs_hz:g} Hz",
        model,
    ]
    if assessed.start is not None:
        parts.append(f"starts {assessed.time_at(0).replace('T', ' ')}")
    return "   ".join(parts)


def runs_table(assessed: Assessed) -> Table:
    """Runs of equal quality; of several leads, of the best of them at each time."""
    runs = assessed.any_lead if len(assessed.leads) > 1 else assessed.leads[0].runs
    times = ("from", "to", "seconds")
    table = _table(times if assessed.start is None else ("time", *times), ("quality", "score"))
    decimals = 0 if all(r.start_s.is_integer() and r.end_s.is_integer() for r in runs) else 2
    for run in itertools.islice(runs, MOST_ROWS):
        low, high = f"{run.lowest_score:.3f}", f"{run.highest_score:.3f}"
        score = low if low == high else f"{low} to {high}"
        cells = [
            plots.clock(run.start_s, decimals),
            plots.clock(run.end_s, decimals),
            f"{run.end_s - run.start_s:.{decimals}f}",
        ]
        if assessed.start is not None:
            cells.insert(0, _time_of_day(assessed, run.start_s))
        table.add_row(*cells, _quality(run), score if run.reason == "ok" else "")
    if len(runs) > MOST_ROWS:
        empty = [""] * (len(table.columns) - 3)
        table.add_row("...", *empty, f"{len(runs) - MOST_ROWS} more: --csv FILE has all", "")
    return table


def leads_table(assessed: Assessed) -> Table:
    """A row for each of several leads, and one for where any is good."""
    table = _table(("usable", "longest usable run"), ("lead",))
    for lead in assessed.leads:
        _add_lead(table, lead.lead, assessed, lead.runs)
    _add_lead(table, ANY_LEAD, assessed, assessed.any_lead)
    return table


def recordings_table(run: Run) -> Table:
    """A row for each lead of each recording."""
    table = _table(("usable", "longest usable run"), ("lead", "length", "record"))
    for assessed in run.assessed:
        about = (plots.clock(assessed.duration_s), assessed.path)
        for lead in assessed.leads:
            _add_lead(table, lead.lead, assessed, lead.runs, *about)
        if len(assessed.leads) > 1:
            _add_lead(table, ANY_LEAD, assessed, assessed.any_lead, *about)
    return table


def summary_lines(run: Run) -> Iterator[str]:
    """What all that was assessed adds up to: share, longest run, reasons, hours."""
    parts = [_whole(assessed) for assessed in run.assessed]
    decisions = [d for a in run.assessed for lead in a.leads for d in lead.decisions]
    n, high = len(decisions), sum(d.quality == Quality.HIGH for d in decisions)
    total, usable = sum(p.assessed_s for p in parts), sum(p.high_s for p in parts)
    yield (
        f"[bold]{high / n:.0%} high quality[/]: {high} of {n} segments of "
        f"{run.model.spec.segment_s:g} s (high from score "
        f"{probability(run.model.threshold_int8):.3f})"
    )
    several = any(len(a.leads) > 1 for a in run.assessed)
    line = f"Usable {_length(usable)} of {_length(total)}" + (" (any lead)" if several else "")
    yield line + _longest(run.assessed, parts)
    if low := _reasons(parts):
        yield f"Low: {low}"
    if len(run.assessed) == 1:
        yield from _hours(run.assessed[0], parts[0])


def _longest(all_assessed: Sequence[Assessed], parts: Sequence[Summary]) -> str:
    """The longest usable run of all."""
    runs = [
        (part.longest[1] - part.longest[0], part.longest[0], assessed)
        for part, assessed in zip(parts, all_assessed, strict=True)
        if part.longest is not None
    ]
    if not runs:
        return ""
    length, start_s, assessed = max(runs, key=lambda run: run[0])
    of = f" of {escape(assessed.record)}" if len(parts) > 1 else ""
    return f"; longest usable run {_length(length)} from {_from(assessed, start_s)}{of}"


def _reasons(parts: Sequence[Summary]) -> str:
    """How long the quality was low for which reason, most first."""
    low: Counter[str] = Counter()
    for part in parts:
        for reason, seconds in part.low_s.items():
            low[reason] += seconds  # type: ignore[assignment]
    return ", ".join(f"{_WHY[reason]} {_length(s)}" for reason, s in low.most_common())


def _hours(assessed: Assessed, summary: Summary) -> Iterator[str]:
    """Usable percent of each hour."""
    if len(summary.hours) <= FEWEST_HOURS:
        return
    by = "clock" if assessed.start is not None else "recording"
    cells = [
        (_time_of_day(assessed, hour.start_s)[:5] if assessed.start is not None
         else f"{hour.start_s / HOUR_S:3.0f} h") + f" {hour.high_s / hour.assessed_s:4.0%}"
        for hour in summary.hours[:MOST_HOURS]
    ]  # fmt: skip
    yield f"Usable by hour of the {by}:"
    for i in range(0, len(cells), 6):
        yield "  " + "   ".join(cells[i : i + 6])
    if len(summary.hours) > MOST_HOURS:
        yield f"  and {len(summary.hours) - MOST_HOURS} hours more: --json FILE has all"


def _whole(assessed: Assessed) -> Summary:
    runs = assessed.any_lead if len(assessed.leads) > 1 else assessed.leads[0].runs
    return summarise(runs, assessed.start)


def _table(right: Sequence[str], left: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for name in right:
        table.add_column(name, justify="right")
    for name in left:
        table.add_column(name, overflow="fold")
    return table


def _add_lead(
    table: Table, lead: str, assessed: Assessed, runs: Sequence[Span], *about: str
) -> None:
    found = summarise(runs, assessed.start)
    longest = ""
    if found.longest is not None:
        start_s, end_s = found.longest
        longest = f"{_length(end_s - start_s)} from {_from(assessed, start_s)}"
    table.add_row(f"{found.share_high:.0%}", longest, *(Text(terminal(x)) for x in (lead, *about)))


def _quality(run: Span) -> Text:
    text = run.quality.name.lower() + ("" if run.reason == "ok" else f" ({run.reason})")
    return Text(text, style=_STYLES.get((run.quality, run.reason), "dim"))


def _from(assessed: Assessed, start_s: float) -> str:
    if assessed.start is None:
        return plots.clock(start_s)
    return _time_of_day(assessed, start_s)


def _time_of_day(assessed: Assessed, seconds: float) -> str:
    """Hours, minutes and seconds, the date left to the title."""
    return assessed.time_at(seconds).rpartition("T")[2][:8]


def _length(seconds: float) -> str:
    return plots.clock(seconds) if seconds < HOUR_S * 100 else f"{seconds / HOUR_S:,.1f} h"
