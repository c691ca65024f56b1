# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A gallery of segments: each strip over its scalogram, with what was said of it.

Amplitudes have no unit: some sets don't publish theirs, and every strip fills its own height, as
every scalogram is scaled to its own extremes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.decisions.looks import BIG_BOX, INK, MM_PER_S, MUTED, PAPER, SMALL_BOX
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.plots.paper import MM_PER_INCH, check_picture_suffix, new_figure
from ecgqa_tflite.spec import FrontEnd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GALLERY_SUFFIXES = (".png", ".html")
COLUMNS = 3
PX_PER_MM = 5
LEFT_MM, RIGHT_MM, TOP_MM, BOTTOM_MM = 8.0, 3.0, 7.0, 8.0
STRIP_MM, GAP_MM, SCALOGRAM_MM = 34.0, 1.5, 24.0
HEIGHT_MM = TOP_MM + STRIP_MM + GAP_MM + SCALOGRAM_MM + BOTTOM_MM
HEADING_MM = 12.0
TICKS_HZ = (1, 5, 20, 80)


@dataclass(frozen=True, eq=False)
class Picture:
    """A segment in a gallery.

    Attributes
    ----------
    caption
        One line.
    samples
        Shape (segment_len,), any unit.
    index_map
        uint8, (rows, cols).
    """

    caption: str
    samples: NDArray[np.int16]
    index_map: NDArray[np.uint8]


def save_gallery(
    path: Path,
    title: str,
    sections: Sequence[tuple[str, Sequence[Picture]]],
    spec: FrontEnd,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw segments under headings: one sheet (``.png``) or a page that opens offline (``.html``).

    Parameters
    ----------
    sections
        Headings and their segments.
    progress
        Called with segments drawn and segments in all.

    Raises
    ------
    ArgumentError
        ``path`` ends neither in ``.png`` nor in ``.html``.
    """
    check_picture_suffix(path, GALLERY_SUFFIXES)
    total, drawn = sum(len(pictures) for _, pictures in sections), 0

    def tick() -> None:
        nonlocal drawn
        drawn += 1
        if progress is not None:
            progress(drawn, total)

    if path.suffix.lower() == ".html":
        path.write_text(_page(title, sections, spec, tick), encoding="utf-8")
    else:
        _sheet(title, sections, spec, tick).savefig(path, dpi=PX_PER_MM * MM_PER_INCH)


def _width_mm(spec: FrontEnd) -> float:
    return LEFT_MM + spec.segment_s * MM_PER_S + RIGHT_MM


def _sheet(
    title: str,
    sections: Sequence[tuple[str, Sequence[Picture]]],
    spec: FrontEnd,
    tick: Callable[[], None],
) -> Figure:
    rows = sum(-(-len(pictures) // COLUMNS) for _, pictures in sections)
    width, height = _width_mm(spec), HEADING_MM * (1 + len(sections)) + HEIGHT_MM * rows
    figure = new_figure(COLUMNS * width, height)

    def text(y_mm: float, words: str, size: float) -> None:
        figure.text(
            LEFT_MM / (COLUMNS * width), y_mm / height, words,
            fontsize=size, weight="bold", va="center",
        )  # fmt: skip

    y = height - HEADING_MM
    text(y + HEADING_MM / 2, title, 15)
    for heading, pictures in sections:
        y -= HEADING_MM
        text(y + HEADING_MM / 2, heading, 12)
        for i, picture in enumerate(pictures):
            if i % COLUMNS == 0:
                y -= HEIGHT_MM
            _draw(figure, (i % COLUMNS) * width, y, picture, spec, caption=True)
            tick()
    return figure


def _page(
    title: str,
    sections: Sequence[tuple[str, Sequence[Picture]]],
    spec: FrontEnd,
    tick: Callable[[], None],
) -> str:
    body = []
    for heading, pictures in sections:
        body.append(f"<h2>{escape(heading)}</h2>\n<div>")
        for picture in pictures:
            figure, png = new_figure(_width_mm(spec), HEIGHT_MM - TOP_MM), io.BytesIO()
            _draw(figure, 0, 0, picture, spec, caption=False)
            figure.savefig(png, dpi=PX_PER_MM * MM_PER_INCH)
            data = base64.b64encode(png.getvalue()).decode()
            body.append(
                f"<figure><figcaption>{escape(picture.caption)}</figcaption>"
                f'<img alt="" src="data:image/png;base64,{data}"></figure>'
            )
            tick()
        body.append("</div>")
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>body{font:15px sans-serif;margin:1em}"
        "div{display:flex;flex-wrap:wrap;gap:.8em}figure{margin:0;width:min(34em,100%)}"
        "img{width:100%}</style>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</html>\n"
    )


def _draw(
    figure: Figure, x_mm: float, y_mm: float, picture: Picture, spec: FrontEnd, *, caption: bool
) -> None:
    """One segment, its lower left corner at (x, y)."""
    page_w, page_h = figure.get_size_inches() * MM_PER_INCH
    width = spec.segment_s * MM_PER_S

    def axes_at(y: float, h: float) -> Axes:
        return figure.add_axes(
            ((x_mm + LEFT_MM) / page_w, (y_mm + y) / page_h, width / page_w, h / page_h)
        )

    top = axes_at(BOTTOM_MM + SCALOGRAM_MM + GAP_MM, STRIP_MM)
    n = len(picture.samples)
    top.plot(np.arange(n) * (spec.segment_s / n), picture.samples, color=INK, lw=0.8)
    top.set_facecolor(PAPER)
    top.set_xticks(np.arange(0, spec.segment_s + 1e-9, 0.2), minor=True)
    top.grid(True, axis="x", which="minor", color=SMALL_BOX, lw=0.5)
    top.grid(True, axis="x", color=BIG_BOX, lw=0.7)
    top.tick_params(which="both", labelbottom=False, length=0)
    top.set_yticks([])
    top.set_xlim(0, spec.segment_s)
    if caption:
        figure.text(
            (x_mm + LEFT_MM) / page_w, (y_mm + HEIGHT_MM - TOP_MM + 1) / page_h,
            picture.caption, fontsize=9, va="bottom",
        )  # fmt: skip

    bottom = axes_at(BOTTOM_MM, SCALOGRAM_MM)
    f = np.log10(spec.centre_frequencies_hz)
    half_row = (f[0] - f[-1]) / (len(f) - 1) / 2
    pixels = image(picture.index_map, spec.colormap)
    bottom.imshow(
        np.repeat(pixels, 3, axis=-1) if spec.channels == 1 else pixels,
        extent=(0, spec.segment_s, f[-1] - half_row, f[0] + half_row),
        aspect="auto", interpolation="nearest", origin="upper",
    )  # fmt: skip
    ticks = [t for t in TICKS_HZ if f[-1] <= np.log10(t) <= f[0]]
    bottom.set_yticks([float(np.log10(t)) for t in ticks], [str(t) for t in ticks])
    bottom.set_ylabel("Hz", fontsize=7, labelpad=1)
    bottom.set_xlabel("time, s", fontsize=7, labelpad=1)
    bottom.tick_params(labelsize=7, color=MUTED, pad=1.5)
