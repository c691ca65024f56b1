# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What pictures share: an A4 page, suffixes, clocks, boxes. matplotlib draws, when asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa_tflite.decisions.looks import MM_PER_S, MUTED
from ecgqa_tflite.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PNG_PX_PER_MM = 6
"""A small box is 6 pixels: its lines fall on whole pixels, all of one weight."""

ROW_S = 10.0
"""Seconds per row of ECG paper: 250 mm fit on A4 across."""
ROW_MM = ROW_S * MM_PER_S
MARGIN_LEFT_MM, MARGIN_RIGHT_MM = 30.0, 17.0
PAGE_WIDTH_MM = MARGIN_LEFT_MM + ROW_MM + MARGIN_RIGHT_MM  # 297: A4 across
PAGE_HEIGHT_MM = 210.0
HEAD_MM, FOOT_MM = 17.0, 9.0
MM_PER_INCH = 25.4
A_HAIR = 1 + 1e-9
"""Matplotlib before 3.11 floors a figure's pixels, and a product may round to just below one."""


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """An empty figure of a size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width_mm / MM_PER_INCH * A_HAIR, height_mm / MM_PER_INCH * A_HAIR)
    figure = Figure(figsize=size, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def new_page(title: str, right: str, foot: str, height_mm: float) -> tuple[Figure, Axes]:
    """A page with its first line and its foot; its axes are in mm from the lower left."""
    figure = new_figure(PAGE_WIDTH_MM, height_mm)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, PAGE_WIDTH_MM)
    axes.set_ylim(0, height_mm)
    axes.axis("off")
    y, x1 = height_mm - HEAD_MM + 5, MARGIN_LEFT_MM + ROW_MM
    axes.text(MARGIN_LEFT_MM, y, title, fontsize=11, weight="bold", va="baseline", parse_math=False)
    axes.text(x1, y, right, fontsize=9, color=MUTED, ha="right", va="baseline")
    axes.text(x1, 4, foot, fontsize=8, color=MUTED, ha="right")
    return figure, axes


def check_picture_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Raise :class:`ArgumentError` where ``path`` ends in none of ``suffixes``."""
    if path.suffix.lower() not in suffixes:
        raise ArgumentError(f"{path}: a picture ends in {' or '.join(suffixes)}")


def clock(seconds: float, decimals: int = 0) -> str:
    """``1:02:03`` or ``2:03``, with tenths and so on where wanted."""
    total = round(seconds * 10**decimals)
    whole, fraction = divmod(total, 10**decimals)
    hours, rest = divmod(whole, 3600)
    minutes = f"{hours}:{rest // 60:02d}" if hours else f"{rest // 60}"
    text = f"{minutes}:{rest % 60:02d}"
    return f"{text}.{fraction:0{decimals}d}" if decimals else text


def box(
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
