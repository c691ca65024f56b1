# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The quality strip on ECG paper."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.decisions import Span, merged
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.plots.paper import (
    BIG_BOX,
    INK,
    MM_PER_S,
    MUTED,
    PAPER,
    PNG_PX_PER_MM,
    SMALL_BOX,
    check_picture_suffix,
)
from ecgqa_tflite.spec import Quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# ---- paper ------------------------------------------------------------------------------------

MM_PER_MV = 10.0
ROW_S = 10.0
"""Seconds per row: 250 mm fit on A4 across."""
ROW_MM = ROW_S * MM_PER_S
MARGIN_LEFT_MM, MARGIN_RIGHT_MM = 30.0, 17.0
PAGE_WIDTH_MM = MARGIN_LEFT_MM + ROW_MM + MARGIN_RIGHT_MM  # 297: A4 across
PAGE_HEIGHT_MM = 210.0
HEAD_MM, OVERVIEW_MM, FOOT_MM = 17.0, 17.0, 9.0
BAND_MM, ROW_GAP_MM = 5.0, 8.0
LOWEST_ROW_MM, HIGHEST_ROW_MM = 20.0, 40.0
PNG_LONGEST_S = 120.0
"""A PNG is one sheet; what is longer goes into a PDF of A4 pages."""

STRIP_SUFFIXES = (".png", ".pdf")


@dataclass(frozen=True)
class _Look:
    """How a quality is shown: colours that colour-blind people tell apart, and never colour alone.

    Hatching and words say the same. The colours are Okabe and Ito's blue and orange.
    """

    word: str
    face: str
    ink: str
    hatch: str


_LOOKS = {
    (Quality.HIGH, "ok"): _Look("high", "#0072b2", "#ffffff", ""),
    (Quality.LOW, "ok"): _Look("low", "#f0a020", "#000000", "////"),
    (Quality.LOW, "gap"): _Look("gap", "#ffffff", "#000000", "...."),
    (Quality.LOW, "flat"): _Look("flat", "#bdbdbd", "#000000", "----"),
    (Quality.LOW, "held"): _Look("held", "#d9d9d9", "#000000", "||"),
    (Quality.LOW, "clipped"): _Look("clipped", "#d9d9d9", "#000000", "xx"),
}


def clock(seconds: float, decimals: int = 0) -> str:
    """``1:02:03`` or ``2:03``, with tenths and so on where wanted."""
    total = round(seconds * 10**decimals)
    whole, fraction = divmod(total, 10**decimals)
    hours, rest = divmod(whole, 3600)
    minutes = f"{hours}:{rest // 60:02d}" if hours else f"{rest // 60}"
    text = f"{minutes}:{rest % 60:02d}"
    return f"{text}.{fraction:0{decimals}d}" if decimals else text


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
    start_s: float = 0.0,
    end_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[float, float]:
    """Draw a recording on ECG paper, 25 mm/s and 10 mm/mV, with its quality under it.

    A ``.png`` is one sheet as long as it needs to be, of at most :data:`PNG_LONGEST_S`; a
    ``.pdf`` has A4 pages across, all of the interval. Above the rows a bar shows the quality of
    the whole recording. Each row is centred on its median; what leaves the paper is cut off there.

    Parameters
    ----------
    signal_mv
        One lead, shape (n_samples,), mV; NaN is left blank.
    spans
        As :func:`ecgqa_tflite.decisions.spans` gives them.
    title
        First line: record, lead, model.
    start_s, end_s
        The interval to draw, s; None: to the end.
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
    last_s = check_stretch(len(signal_mv) / fs_hz, start_s, end_s)
    if not as_pdf:
        last_s = min(last_s, start_s + PNG_LONGEST_S)
    starts = [start_s + i * ROW_S for i in range(math.ceil((last_s - start_s) / ROW_S - 1e-9))]
    strip = _Strip(signal_mv, fs_hz, list(spans), title, start_s, last_s, progress, len(starts))
    around_mm = HEAD_MM + OVERVIEW_MM + FOOT_MM
    if as_pdf:
        from matplotlib.backends.backend_pdf import PdfPages

        per_page = int((PAGE_HEIGHT_MM - around_mm) // strip.pitch_mm)
        pages = [starts[i : i + per_page] for i in range(0, len(starts), per_page)]
        with PdfPages(path, metadata={"CreationDate": None}) as pdf:
            for number, rows in enumerate(pages, start=1):
                foot = f"page {number} of {len(pages)}"
                pdf.savefig(strip.page(rows, PAGE_HEIGHT_MM, foot))
    else:
        figure = strip.page(starts, around_mm + len(starts) * strip.pitch_mm, "")
        figure.savefig(path, dpi=PNG_PX_PER_MM * 25.4)
    return start_s, last_s


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
        progress: Callable[[int, int], None] | None,
        n_rows: int,
    ) -> None:
        self.signal_mv, self.fs_hz, self.spans = signal_mv, fs_hz, spans
        self.span_ends = [span.end_s for span in spans]
        self.title, self.start_s, self.end_s = title, start_s, end_s
        self.progress, self.n_rows, self.drawn = progress, n_rows, 0
        self.row_mm = self._row_height_mm()
        self.pitch_mm = self.row_mm + BAND_MM + ROW_GAP_MM

    def _row_height_mm(self) -> float:
        """High enough for all but the wildest row, in whole big boxes, above and below alike."""
        reach = []
        for start in np.arange(self.start_s, self.end_s, ROW_S):
            row = self._samples(start)[1]
            if np.isfinite(row).any():
                spread = np.nanquantile(np.abs(row - np.nanmedian(row)), 0.998)
                reach.append(float(spread) * MM_PER_MV)
        wanted = 2 * float(np.quantile(reach, 0.9)) + 4 if reach else 0.0
        return min(HIGHEST_ROW_MM, max(LOWEST_ROW_MM, 10 * math.ceil(wanted / 10)))

    def _samples(self, start_s: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Times from the start of the row, s, and mV."""
        first = math.ceil(start_s * self.fs_hz - 1e-9)
        stop = math.ceil(min(start_s + ROW_S, self.end_s) * self.fs_hz - 1e-9)
        row = self.signal_mv[first : stop + 1]  # one more: the trace reaches the row's edge
        times = (first + np.arange(len(row))) / self.fs_hz - start_s
        return times, row

    def page(self, row_starts: Sequence[float], height_mm: float, foot: str) -> Figure:
        """A page with a head, the overview, and a row for each start."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(PAGE_WIDTH_MM / 25.4, height_mm / 25.4), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, PAGE_WIDTH_MM)
        axes.set_ylim(0, height_mm)
        axes.axis("off")
        y = height_mm - HEAD_MM
        axes.text(MARGIN_LEFT_MM, y + 5, self.title, fontsize=11, weight="bold", va="baseline")
        scale = f"{MM_PER_S:g} mm/s   {MM_PER_MV:g} mm/mV"
        right = MARGIN_LEFT_MM + ROW_MM
        axes.text(right, y + 5, scale, fontsize=9, color=MUTED, ha="right", va="baseline")
        y -= OVERVIEW_MM
        self._overview(axes, y + 8, row_starts)
        for start in row_starts:
            y -= self.row_mm
            self._row(axes, y, start)
            y -= BAND_MM
            self._band(axes, y, start)
            y -= ROW_GAP_MM
            self.drawn += 1
            if self.progress is not None:
                self.progress(self.drawn, self.n_rows)
        axes.text(right, 4, foot, fontsize=8, color=MUTED, ha="right")
        return figure

    def _overview(self, axes: Axes, y: float, row_starts: Sequence[float]) -> None:
        """The whole recording in one bar; a bracket marks what this page shows."""
        duration_s = len(self.signal_mv) / self.fs_hz
        mm_per_s = ROW_MM / duration_s
        x0 = MARGIN_LEFT_MM
        axes.text(
            x0 - 2, y + 2, "whole\nrecording", fontsize=7, color=MUTED, ha="right", va="center"
        )
        _box(axes, x0, y, ROW_MM, 4, face="white", line=0.4)
        for span in merged(self.spans):
            look = _LOOKS[span.quality, span.reason]
            width = (span.end_s - span.start_s) * mm_per_s
            hatch = look.hatch if width > 1 else ""
            _box(axes, x0 + span.start_s * mm_per_s, y, width, 4, look.face, hatch)
        shown_from, shown_to = row_starts[0], min(row_starts[-1] + ROW_S, self.end_s)
        if shown_to - shown_from < duration_s - 0.5:
            left, right = x0 + shown_from * mm_per_s, x0 + shown_to * mm_per_s
            axes.plot([left, left, right, right], [y + 4.6, y + 5.6, y + 5.6, y + 4.6], "k", lw=0.9)
        for seconds in _nice_times(duration_s):
            x = x0 + seconds * mm_per_s
            axes.plot([x, x], [y, y - 1], color=MUTED, lw=0.5)
            axes.text(x, y - 1.4, clock(seconds), fontsize=6.5, color=MUTED, ha="center", va="top")

    def _row(self, axes: Axes, y: float, start_s: float) -> None:
        """Paper, a 1-mV pulse in the margin, and the trace."""
        x0, middle = MARGIN_LEFT_MM, y + self.row_mm / 2
        times, row = self._samples(start_s)
        width = min(ROW_S, self.end_s - start_s) * MM_PER_S
        _paper(axes, x0, y, width, self.row_mm)
        pulse_x, pulse_y = np.array([0, 1, 1, 6, 6, 7]), np.array([0, 0, 1, 1, 0, 0]) * MM_PER_MV
        axes.plot(
            x0 - 9 + pulse_x, middle - MM_PER_MV / 2 + pulse_y,
            color=INK, lw=0.7, solid_joinstyle="miter",
        )  # fmt: skip
        axes.text(x0 - 11, middle, clock(start_s), fontsize=9, ha="right", va="center")
        if np.isfinite(row).any():
            level = (row - np.nanmedian(row)) * MM_PER_MV
            trace = axes.plot(
                x0 + times * MM_PER_S, middle + level, color=INK, lw=0.75, solid_joinstyle="round"
            )[0]
            trace.set_clip_path(_box(axes, x0, y, width, self.row_mm, face="none"))
        for second in range(int(width / MM_PER_S + 1e-9) + 1):
            x = x0 + second * MM_PER_S
            axes.plot([x, x], [y + self.row_mm, y + self.row_mm + 1], color=MUTED, lw=0.6)

    def _band(self, axes: Axes, y: float, start_s: float) -> None:
        """One box a span, with its word and score."""
        end_s = min(start_s + ROW_S, self.end_s)
        _box(axes, MARGIN_LEFT_MM, y, (end_s - start_s) * MM_PER_S, BAND_MM, "white", line=0.3)
        self._unassessed(axes, y, start_s, end_s)
        first = bisect.bisect_right(self.span_ends, start_s)
        for span in itertools.takewhile(lambda s: s.start_s < end_s, self.spans[first:]):
            left_s, right_s = max(span.start_s, start_s), min(span.end_s, end_s)
            if right_s - left_s < 1e-6:
                continue
            look = _LOOKS[span.quality, span.reason]
            x = MARGIN_LEFT_MM + (left_s - start_s) * MM_PER_S
            width = (right_s - left_s) * MM_PER_S
            _box(axes, x, y, width, BAND_MM, look.face, look.hatch, line=0.8)
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


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, face: str, hatch: str = "",
    line: float = 0.0,
) -> Any:  # fmt: skip
    """A rectangle, mm."""
    from matplotlib.patches import Rectangle

    edge = "white" if line and face not in ("white", "none") else "#777777"
    if hatch:
        axes.add_patch(
            Rectangle(
                (x, y), width, height, facecolor=face, edgecolor="#00000066", lw=0, hatch=hatch
            )
        )
        face = "none"
    patch = Rectangle((x, y), width, height, facecolor=face, edgecolor=edge, lw=line)
    axes.add_patch(patch)
    return patch


def _paper(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    """1-mm and 5-mm boxes."""
    from matplotlib.collections import LineCollection

    _box(axes, x, y, width, height, PAPER)
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
