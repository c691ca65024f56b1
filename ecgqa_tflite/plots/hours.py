# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A long recording as a page of hours: each a row, with its envelope, quality and usable share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.decisions import Span, merged
from ecgqa_tflite.decisions.looks import LOOKS, MUTED, TRACE, row_s
from ecgqa_tflite.plots.paper import (
    FOOT_MM,
    HEAD_MM,
    MARGIN_LEFT_MM,
    PAGE_HEIGHT_MM,
    ROW_MM,
    box,
    clock,
    new_page,
)
from ecgqa_tflite.recording.envelope import beat_height_mv, envelope
from ecgqa_tflite.spec import Quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS_PER_PAGE = 24
PITCH_MM = (PAGE_HEIGHT_MM - HEAD_MM - FOOT_MM) / ROWS_PER_PAGE
BAND_MM, GAP_MM = 2.0, 0.8
TRACE_MM = PITCH_MM - BAND_MM - GAP_MM
BINS_PER_ROW = 1250
"""Five per mm."""
BEATS_IN_TRACE = 2.0
"""How many usual beats high a row's trace is."""


def hour_pages(
    signal_mv: NDArray[np.float32],
    fs_hz: float,
    spans: Sequence[Span],
    title: str,
    start_s: float,
    end_s: float,
) -> list[Figure]:
    """Pages with a row for each hour, or for 10 minutes of what is shorter than two hours.

    Parameters
    ----------
    signal_mv
        One lead, shape (n_samples,), mV; NaN is left blank.
    spans
        As :func:`ecgqa_tflite.decisions.spans` gives them.
    title
        First line.
    start_s, end_s
        The interval, s; the first row starts with it.
    """
    length_s = row_s(end_s - start_s)
    n_rows = math.ceil((end_s - start_s) / length_s - 1e-9)
    runs = merged(spans)
    beat_mv = beat_height_mv(*envelope(signal_mv, max(round(fs_hz), 1))) or 1.0
    hour = {3600: "an hour", 600: "10 minutes", 60: "a minute"}[round(length_s)]
    pages = []
    for first in range(0, n_rows, ROWS_PER_PAGE):
        figure, axes = new_page(
            title, f"{hour} in each row, share of it usable", "", PAGE_HEIGHT_MM
        )
        for row in range(first, min(first + ROWS_PER_PAGE, n_rows)):
            y = PAGE_HEIGHT_MM - HEAD_MM - (row - first + 1) * PITCH_MM
            left_s = start_s + row * length_s
            right_s = min(left_s + length_s, end_s)
            part = signal_mv[round(left_s * fs_hz) : round(right_s * fs_hz)]
            mm_per_s = ROW_MM / length_s
            axes.text(
                MARGIN_LEFT_MM - 3, y + PITCH_MM / 2, clock(left_s), fontsize=8, ha="right",
                va="center",
            )  # fmt: skip
            _trace(axes, y + BAND_MM, part, fs_hz * length_s / BINS_PER_ROW, beat_mv)
            _band(axes, y, runs, left_s, right_s, mm_per_s)
        pages.append(figure)
    return pages


def _trace(axes: Axes, y: float, part: NDArray[np.float32], bin_len: float, beat_mv: float) -> None:
    if not len(part):
        return
    low, high = envelope(part, max(round(bin_len), 1))
    if not np.isfinite(low).any():
        return
    middle_mv = np.nanmedian((low + high) / 2)
    mm_per_mv = TRACE_MM / (BEATS_IN_TRACE * beat_mv)
    x = MARGIN_LEFT_MM + np.arange(len(low)) * (max(round(bin_len), 1) / bin_len) * (
        ROW_MM / BINS_PER_ROW
    )
    low_mm, high_mm = (
        y + TRACE_MM / 2 + np.clip((v - middle_mv) * mm_per_mv, -TRACE_MM / 2, TRACE_MM / 2)
        for v in (low, high)
    )
    axes.fill_between(x, low_mm, np.maximum(high_mm, low_mm + 0.1), color=TRACE, lw=0, step="post")


def _band(
    axes: Axes, y: float, runs: Sequence[Span], left_s: float, right_s: float, mm_per_s: float
) -> None:
    """Quality of a row, what is not trusted never too narrow to see, and the share that is."""
    high_s = all_s = 0.0
    for quality in (Quality.HIGH, Quality.LOW):
        for run in runs:
            seconds = min(run.end_s, right_s) - max(run.start_s, left_s)
            if run.quality != quality or seconds <= 0:
                continue
            look = LOOKS[run.quality, run.reason]
            x = MARGIN_LEFT_MM + (max(run.start_s, left_s) - left_s) * mm_per_s
            width = max(seconds * mm_per_s, 0.25)
            box(axes, x, y, width, BAND_MM, look.face, look.hatch if width > 1 else "")
            all_s += seconds
            high_s += seconds if quality == Quality.HIGH else 0.0
    if all_s:
        share = f"{math.floor(1000 * high_s / all_s) / 10:g} %"
        axes.text(
            MARGIN_LEFT_MM + ROW_MM + 2, y + PITCH_MM / 2, share, fontsize=8, color=MUTED,
            va="center",
        )  # fmt: skip
