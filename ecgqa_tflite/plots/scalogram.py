# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A segment over the image that the network sees of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.decisions.looks import INK, MM_PER_S, MUTED, PAPER, SMALL_BOX
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.plots.paper import (
    MM_PER_INCH,
    PNG_PX_PER_MM,
    check_picture_suffix,
    new_figure,
)
from ecgqa_tflite.spec import FrontEnd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALOGRAM_SUFFIXES = (".png", ".pdf", ".svg")


def save_scalogram(
    path: Path,
    segment_mv: NDArray[np.float32],
    fs_hz: float,
    index_map: NDArray[np.uint8],
    spec: FrontEnd,
    *,
    title: str,
    start_s: float = 0.0,
) -> None:
    """Draw a segment over the image that the network sees of it.

    Parameters
    ----------
    segment_mv
        The segment, shape (segment_len,), mV.
    index_map
        uint8, (rows, cols), as the C front end gives it; drawn pixel by pixel in the spec's
        colours, on a logarithmic frequency axis, Hz.
    start_s
        Where the segment starts in its recording, s.
    """
    check_picture_suffix(path, SCALOGRAM_SUFFIXES)
    end_s = start_s + spec.segment_s
    left, width = 22.0, spec.segment_s * MM_PER_S * 1.2
    page_w, page_h = left + width + 24.0, 148.0

    figure = new_figure(page_w, page_h)

    def axes_at(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / page_w, y / page_h, w / page_w, h / page_h))

    figure.text(left / page_w, 1 - 8 / page_h, title, fontsize=11, weight="bold", va="center")

    top = axes_at(left, 102, width, 32)
    times = start_s + np.arange(len(segment_mv)) / fs_hz
    top.plot(times, segment_mv, color=INK, lw=0.8)
    top.set_ylabel("mV")
    top.set_facecolor(PAPER)
    top.grid(True, color=SMALL_BOX, lw=0.6)
    top.tick_params(labelbottom=False)
    top.set_xlim(start_s, end_s)

    bottom = axes_at(left, 15, width, 83)
    f = np.log10(spec.centre_frequencies_hz)
    half_row = (f[0] - f[-1]) / (len(f) - 1) / 2
    bottom.imshow(
        _rgb(index_map, spec), extent=(start_s, end_s, f[-1] - half_row, f[0] + half_row),
        aspect="auto", interpolation="nearest", origin="upper",
    )  # fmt: skip
    _frequency_ticks(bottom, spec, f[-1], f[0])
    bottom.set_xlabel("time, s")

    bar = axes_at(left + width + 4, 15, 4, 83)
    bar.imshow(
        _rgb(np.arange(256, dtype=np.uint8)[:, None], spec), extent=(0, 1, -0.5, 255.5),
        aspect="auto", interpolation="nearest", origin="lower",
    )  # fmt: skip
    bar.set_xticks([])
    bar.set_yticks([0, 64, 128, 192, 255])
    bar.yaxis.tick_right()
    bar.set_title("index", fontsize=8)
    for axes in (top, bottom, bar):
        axes.tick_params(labelsize=8, color=MUTED)
    figure.savefig(path, dpi=PNG_PX_PER_MM * MM_PER_INCH)


def _rgb(index_map: NDArray[np.uint8], spec: FrontEnd) -> NDArray[np.uint8]:
    pixels = image(index_map, spec.colormap)
    return np.repeat(pixels, 3, axis=-1) if spec.channels == 1 else pixels


def _frequency_ticks(axes: Axes, spec: FrontEnd, low: float, high: float) -> None:
    """1, 2, 5, ... Hz between two logarithms, and the spec's ends where none of them is near."""
    inside = [t for t in (1, 2, 5, 10, 20, 50, 100, 200) if low < math.log10(t) < high]
    ends = [
        end
        for end in (spec.f_min_hz, spec.f_max_hz)
        if all(not 0.8 < end / tick < 1.25 for tick in inside)
    ]
    ticks = sorted({*inside, *ends})
    axes.set_yticks([math.log10(t) for t in ticks], [f"{t:g}" for t in ticks])
    minor = [t for d in (-1, 0, 1, 2) for t in np.arange(1, 10) * 10.0**d]
    axes.set_yticks([math.log10(t) for t in minor if low <= math.log10(t) <= high], minor=True)
    axes.set_ylabel("frequency, Hz")
