# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What pictures share: millimetres, colours, an empty figure. matplotlib draws, when asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgqa_tflite.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MM_PER_S = 25.0
PNG_PX_PER_MM = 6
"""A small box is 6 pixels: its lines fall on whole pixels, all of one weight."""

PAPER, SMALL_BOX, BIG_BOX, INK = "#fffaf7", "#f6d5cf", "#e79a8f", "#111111"
MUTED = "#555555"


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """An empty figure of a size, for rooms that draw pictures of their own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_mm / 25.4, height_mm / 25.4), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def check_picture_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Raise :class:`ArgumentError` where ``path`` ends in none of ``suffixes``."""
    if path.suffix.lower() not in suffixes:
        raise ArgumentError(f"{path}: a picture ends in {' or '.join(suffixes)}")
