# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The quality strip on ECG paper."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.decisions import Span, merged
from ecgqa_tflite.decisions.looks import (
    BIG_BOX,
    INK,
    LOOKS,
    MM_PER_S,
    MUTED,
    PAPER,
    SMALL_BOX,
    gain_mm_per_mv,
)
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.plots.hours import hour_pages
from ecgqa_tflite.plots.paper import (
    FOOT_MM,
    HEAD_MM,
    MARGIN_LEFT_MM,
    MM_PER_INCH,
    PAGE_HEIGHT_MM,
    PNG_PX_PER_MM,
    ROW_MM,
    ROW_S,
    box,
    check_picture_suffix,
    clock,
    new_page,
)
from ecgqa_tflite.progress import Count
from ecgqa_tflite.spec import Quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVERVIEW_MM = 17.0
BAND_MM, ROW_GAP_MM = 5.0, 8.0
LOWEST_ROW_MM, HIGHEST_ROW_MM = 20.0, 40.0
PULSE_MM = 10.0
WANDER_MM = 4.0
"""Room for the baseline, above and below the beats."""
NO_BEATS_MV = 0.6
"""What a lead without any is drawn for: the usual gain, the lowest rows."""
BEATS_SHOWN = 1.5
"""A beat so many times as high as usual is not cut off."""
PNG_LONGEST_S = 120.0
"""A PNG is one sheet; what is longer goes into a PDF of A4 pages."""
PDF_LONGEST_S = 600.0
"""What is longer is shown in hours, and on ECG paper where quality is low alone."""
MOST_LOW_ROWS = 60
"""Rows of ECG paper after the hours: 15 to 20 pages."""
BEFORE_S = 20.0
"""Shown before the first low run, where a sheet can't show everything."""

STRIP_SUFFIXES = (".png", ".pdf")


def check_stretch(duration_s: float, start_s: float, end_s: float | None) -> float:
    """Where a picture of a recording ends, s; an :class:`ArgumentError` if it would be empty."""
    last_s = duration_s if end_s is None else min(end_s, duration_s)
    if not 0 <= start_s < last_s:
        raise ArgumentError(
            f"nothing to draw from {start_s:g} s to {last_s:g} s: "
            f"the recording is {duration_s:g} s long"
        )
    return last_s


def save_strip(
    path: Path,
    signal_mv: NDArray[np.float32],
    fs_hz: float,
    spans: Sequence[Span],
    *,
    title: str,
    start_s: float | None = None,
    end_s: float | None = None,
    progress: Count | None = None,
) -> tuple[float, float]:
    """Draw a recording on ECG paper, 25 mm/s, with its quality under it.

    A ``.png`` is one sheet as long as it needs to be, of at most :data:`PNG_LONGEST_S`. A ``.pdf``
    has A4 pages across: all of the interval, or, where that is longer than :data:`PDF_LONGEST_S`,
    its hours in rows, and then the stretches where quality is low or changes. The gain is 10 mm/mV,
    or what trusted beats need to fit. Above the rows a bar shows the quality of the whole
    recording. Each row is centred on the median of what is trusted in it; what leaves the paper
    is cut off there.

    Parameters
    ----------
    signal_mv
        One lead, shape (n_samples,), mV; NaN is left blank.
    spans
        As :func:`ecgqa_tflite.decisions.spans` gives them.
    title
        First line: record, lead, model.
    start_s, end_s
        The interval to draw, s. No end: to the end. No start: the start, or shortly before the
        first low run where one sheet can't show everything.
    progress
        Called with rows drawn and rows in all.

    Returns
    -------
    (float, float)
        The interval drawn, s.

    Raises
    ------
    ArgumentError
        ``path`` ends neither in ``.png`` nor in ``.pdf``; the interval is empty.
    """
    check_picture_suffix(path, STRIP_SUFFIXES)
    as_pdf = path.suffix.lower() == ".pdf"
    duration_s = len(signal_mv) / fs_hz
    if start_s is None:
        start_s = 0.0 if as_pdf or end_s is not None else _where_it_starts(spans, duration_s)
    last_s = check_stretch(duration_s, start_s, end_s)
    if not as_pdf:
        last_s = min(last_s, start_s + PNG_LONGEST_S)
    starts = [start_s + i * ROW_S for i in range(math.ceil((last_s - start_s) / ROW_S - 1e-9))]
    lead = (signal_mv, fs_hz, list(spans), title, start_s, last_s)
    if not as_pdf:
        strip = _Strip(*lead, starts, progress)
        height_mm = HEAD_MM + OVERVIEW_MM + len(starts) * strip.pitch_mm + FOOT_MM
        strip.page(starts, height_mm, "").savefig(path, dpi=PNG_PX_PER_MM * MM_PER_INCH)
        return start_s, last_s
    first_pages, note = [], ""
    if last_s - start_s > PDF_LONGEST_S:
        starts, note = _low_rows(starts, merged(spans), last_s)
        first_pages = hour_pages(*lead)
    _save_pdf(path, first_pages, _Strip(*lead, starts, progress), note)
    return start_s, last_s


def _save_pdf(path: Path, first_pages: Sequence[Figure], strip: _Strip, note: str) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    per_page = int((PAGE_HEIGHT_MM - HEAD_MM - OVERVIEW_MM - FOOT_MM) // strip.pitch_mm)
    parts = [strip.starts[i : i + per_page] for i in range(0, len(strip.starts), per_page)]
    total = len(first_pages) + len(parts)
    with PdfPages(path, metadata={"CreationDate": None}) as pdf:
        for figure in first_pages:
            pdf.savefig(figure)
        for number, rows in enumerate(parts, start=len(first_pages) + 1):
            pdf.savefig(strip.page(rows, PAGE_HEIGHT_MM, f"{note}page {number} of {total}"))


def _where_it_starts(spans: Sequence[Span], duration_s: float) -> float:
    """Start of the one sheet, s: shortly before the first low run."""
    first = next((s.start_s for s in spans if s.quality == Quality.LOW), 0.0)
    latest = max(0.0, duration_s - PNG_LONGEST_S)
    return min(max(0.0, (first - BEFORE_S) // ROW_S * ROW_S), math.ceil(latest / ROW_S) * ROW_S)


def _low_rows(
    starts: Sequence[float], runs: Sequence[Span], last_s: float
) -> tuple[list[float], str]:
    """Rows that a low run touches, and what to say of those left out.

    Where there are too many: those in which runs start, the longest first.
    """
    ranks: dict[int, tuple[bool, float]] = {}
    for run in runs:
        if run.quality == Quality.HIGH or run.end_s <= starts[0] or run.start_s >= last_s:
            continue
        first = max(0, int((run.start_s - starts[0]) // ROW_S))
        last = min(len(starts) - 1, math.ceil((run.end_s - starts[0]) / ROW_S - 1e-9) - 1)
        for row in range(first, last + 1):
            rank = row > first, run.start_s - run.end_s
            ranks[row] = min(rank, ranks.get(row, rank))
    kept = sorted(sorted(ranks, key=lambda row: ranks[row])[:MOST_LOW_ROWS])
    note = f"{len(kept)} of {len(ranks)} rows of low quality   " if len(kept) < len(ranks) else ""
    return [starts[row] for row in kept], note


class _Strip:
    """Rows of one recording, drawn on pages; every coordinate is in mm from the lower left."""

    def __init__(
        self,
        signal_mv: NDArray[np.float32],
        fs_hz: float,
        spans: list[Span],
        title: str,
        start_s: float,
        end_s: float,
        starts: list[float],
        progress: Count | None,
    ) -> None:
        self.signal_mv, self.fs_hz, self.spans = signal_mv, fs_hz, spans
        self.span_ends = [span.end_s for span in spans]
        self.title, self.start_s, self.end_s = title, start_s, end_s
        self.starts, self.progress, self.drawn = starts, progress, 0
        reach_mv = self._reach_mv()
        self.mm_per_mv = gain_mm_per_mv(reach_mv, HIGHEST_ROW_MM / 2 - WANDER_MM)
        wanted = 10 * math.ceil((2 * (reach_mv * self.mm_per_mv + WANDER_MM)) / 10 - 1e-9)
        self.row_mm = min(HIGHEST_ROW_MM, max(LOWEST_ROW_MM, wanted))
        self.pitch_mm = self.row_mm + BAND_MM + ROW_GAP_MM

    def _reach_mv(self) -> float:
        """How far trusted beats, those half again as high as usual too, reach from their middle.

        Artefacts of trusted segments, which may reach farther, don't count.
        """
        trusted: list[float] = []
        untrusted: list[float] = []
        second = max(round(self.fs_hz), 1)
        for start in self.starts:
            _, level, high = self._centred(start)
            for at in range(0, len(level), second):
                part, is_high = level[at : at + second], high[at : at + second]
                held = part[np.isfinite(part)]
                reach = float(np.abs(held - np.median(held)).max()) if held.size else 0.0
                if reach > 0:
                    (trusted if is_high.all() else untrusted).append(reach)
        reaches = trusted or untrusted or [NO_BEATS_MV]
        most = float(np.quantile(reaches, 0.95, method="higher"))
        return min(most, BEATS_SHOWN * float(np.median(reaches)))

    def _centred(
        self, start_s: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.bool_]]:
        """Times from the start of a row, s; mV from its trusted median; which are trusted."""
        times, row = self._samples(start_s)
        high = np.zeros(len(row), np.bool_)
        for span in self._between(start_s, start_s + ROW_S):
            if span.quality == Quality.HIGH:
                high |= (times >= span.start_s - start_s) & (times < span.end_s - start_s)
        high &= np.isfinite(row)
        held = row[high] if high.any() else row[np.isfinite(row)]
        return times, row - np.median(held) if held.size else row, high

    def _between(self, start_s: float, end_s: float) -> Iterator[Span]:
        first = bisect.bisect_right(self.span_ends, start_s)
        return itertools.takewhile(lambda s: s.start_s < end_s, self.spans[first:])

    def _samples(self, start_s: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Times from the start of the row, s, and mV."""
        first = math.ceil(start_s * self.fs_hz - 1e-9)
        stop = math.ceil(min(start_s + ROW_S, self.end_s) * self.fs_hz - 1e-9)
        row = self.signal_mv[first : stop + 1]  # one more: the trace reaches the row's edge
        times = (first + np.arange(len(row))) / self.fs_hz - start_s
        return times, row

    def page(self, row_starts: Sequence[float], height_mm: float, foot: str) -> Figure:
        """A page with a head, the overview, and a row for each start."""
        scale = f"{MM_PER_S:g} mm/s   {self.mm_per_mv:g} mm/mV"
        figure, axes = new_page(self.title, scale, foot, height_mm)
        y = height_mm - HEAD_MM - OVERVIEW_MM
        self._overview(axes, y + 8, row_starts)
        for start in row_starts:
            y -= self.row_mm
            self._row(axes, y, start)
            y -= BAND_MM
            self._band(axes, y, start)
            y -= ROW_GAP_MM
            self.drawn += 1
            if self.progress is not None:
                self.progress(self.drawn, len(self.starts))
        return figure

    def _overview(self, axes: Axes, y: float, row_starts: Sequence[float]) -> None:
        """The whole recording in one bar; brackets mark what this page shows."""
        duration_s = len(self.signal_mv) / self.fs_hz
        mm_per_s = ROW_MM / duration_s
        x0 = MARGIN_LEFT_MM
        axes.text(
            x0 - 2, y + 2, "whole\nrecording", fontsize=7, color=MUTED, ha="right", va="center"
        )
        box(axes, x0, y, ROW_MM, 4, face="white", line=0.4)
        for span in merged(self.spans):
            look = LOOKS[span.quality, span.reason]
            width = (span.end_s - span.start_s) * mm_per_s
            hatch = look.hatch if width > 1 else ""
            box(axes, x0 + span.start_s * mm_per_s, y, width, 4, look.face, hatch)
        for shown_from, shown_to in _joined(row_starts, self.end_s):
            if shown_to - shown_from >= duration_s - 0.5:
                continue
            left, right = x0 + shown_from * mm_per_s, x0 + shown_to * mm_per_s
            axes.plot([left, left, right, right], [y + 4.6, y + 5.6, y + 5.6, y + 4.6], "k", lw=0.9)
        for seconds in _nice_times(duration_s):
            x = x0 + seconds * mm_per_s
            axes.plot([x, x], [y, y - 1], color=MUTED, lw=0.5)
            axes.text(x, y - 1.4, clock(seconds), fontsize=6.5, color=MUTED, ha="center", va="top")

    def _row(self, axes: Axes, y: float, start_s: float) -> None:
        """Paper, a pulse of 10 mm in the margin, and the trace."""
        x0, middle = MARGIN_LEFT_MM, y + self.row_mm / 2
        times, level, _ = self._centred(start_s)
        width = min(ROW_S, self.end_s - start_s) * MM_PER_S
        _paper(axes, x0, y, width, self.row_mm)
        pulse_x, pulse_y = np.array([0, 1, 1, 6, 6, 7]), np.array([0, 0, 1, 1, 0, 0]) * PULSE_MM
        axes.plot(
            x0 - 9 + pulse_x, middle - PULSE_MM / 2 + pulse_y,
            color=INK, lw=0.7, solid_joinstyle="miter",
        )  # fmt: skip
        pulse_mv = f"{PULSE_MM / self.mm_per_mv:g} mV"
        axes.text(
            x0 - 5.5, middle - PULSE_MM / 2 - 1, pulse_mv, fontsize=6, color=MUTED,
            ha="center", va="top",
        )  # fmt: skip
        axes.text(x0 - 11, middle, clock(start_s), fontsize=9, ha="right", va="center")
        if np.isfinite(level).any():
            trace = axes.plot(
                x0 + times * MM_PER_S, middle + level * self.mm_per_mv, color=INK, lw=0.75,
                solid_joinstyle="round",
            )[0]  # fmt: skip
            trace.set_clip_path(box(axes, x0, y, width, self.row_mm, face="none"))
        for second in range(int(width / MM_PER_S + 1e-9) + 1):
            x = x0 + second * MM_PER_S
            axes.plot([x, x], [y + self.row_mm, y + self.row_mm + 1], color=MUTED, lw=0.6)

    def _band(self, axes: Axes, y: float, start_s: float) -> None:
        """One box a span, with its word and score."""
        end_s = min(start_s + ROW_S, self.end_s)
        box(axes, MARGIN_LEFT_MM, y, (end_s - start_s) * MM_PER_S, BAND_MM, "white", line=0.3)
        self._unassessed(axes, y, start_s, end_s)
        for span in self._between(start_s, end_s):
            left_s, right_s = max(span.start_s, start_s), min(span.end_s, end_s)
            if right_s - left_s < 1e-6:
                continue
            look = LOOKS[span.quality, span.reason]
            x = MARGIN_LEFT_MM + (left_s - start_s) * MM_PER_S
            width = (right_s - left_s) * MM_PER_S
            box(axes, x, y, width, BAND_MM, look.face, look.hatch, line=0.8)
            score = f" {span.lowest_score:.2f}" if span.reason == "ok" else ""
            for text, needs_mm in ((look.word + score, 17), (look.word, 9)):
                if width >= needs_mm:
                    axes.text(
                        x + width / 2, y + BAND_MM / 2, text, fontsize=8, weight="bold",
                        color=look.ink, ha="center", va="center_baseline",
                        bbox={"facecolor": look.face, "edgecolor": "none", "pad": 0.8},
                    )  # fmt: skip
                    break

    def _unassessed(self, axes: Axes, y: float, start_s: float, end_s: float) -> None:
        """Say so where the recording ends before another segment is whole."""
        left_s = max(self.spans[-1].end_s, start_s)
        width = (end_s - left_s) * MM_PER_S
        if width >= 21:
            x = MARGIN_LEFT_MM + (left_s - start_s) * MM_PER_S + width / 2
            axes.text(
                x, y + BAND_MM / 2, "not assessed", fontsize=8, color=MUTED,
                ha="center", va="center_baseline",
            )  # fmt: skip


def _joined(row_starts: Sequence[float], end_s: float) -> Iterator[tuple[float, float]]:
    """From and to of rows that follow each other, s."""
    start_s = row_starts[0]
    for before, after in itertools.zip_longest(row_starts, row_starts[1:]):
        if after is None or after - before > ROW_S + 1e-6:
            yield start_s, min(before + ROW_S, end_s)
            start_s = after


def _paper(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    """1-mm and 5-mm boxes."""
    from matplotlib.collections import LineCollection

    box(axes, x, y, width, height, PAPER)
    for step, colour, line in ((1.0, SMALL_BOX, 0.35), (5.0, BIG_BOX, 0.6)):
        xs = x + np.arange(0, width + 1e-6, step)
        ys = y + np.arange(0, height + 1e-6, step)
        lines = [[(v, y), (v, y + height)] for v in xs] + [[(x, v), (x + width, v)] for v in ys]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=line))


def _nice_times(duration_s: float) -> Iterator[float]:
    """Some ten round times from 0 to the end, s."""
    steps = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 21600)
    step = next((s for s in steps if duration_s / s <= 13), 86400)
    return (float(t) for t in range(0, int(duration_s) + 1, step))
