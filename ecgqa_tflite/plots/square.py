# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A plot of lines and marks as SVG, by hand: a model card gets it on a base install too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

SIDE, LEFT, TOP, BOTTOM = 320, 56, 16, 52
LEGEND_LINE = 20
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8a6d00"
)  # fmt: skip
"""Okabe and Ito's: colour-blind people tell them apart; shapes tell them apart without colour."""
SHAPES = 4
"""Circle, square, triangle, diamond."""
CORNERS = (
    ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    ((-5, 4), (0, -5), (5, 4)),
    ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
)
TICKS = 5


@dataclass(frozen=True)
class Square:
    """Two axes, :data:`SIDE` pixels each.

    Attributes
    ----------
    x_label, y_label
        Written along the axes.
    x, y
        First and last value of each axis.
    """

    x_label: str
    y_label: str
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return round(LEFT + SIDE * across, 1), round(TOP + SIDE * (1 - up), 1)

    def frame(self) -> list[str]:
        """Grid, numbers and labels."""
        lines = []
        for k in range(TICKS + 1):
            x = self.x[0] + (self.x[1] - self.x[0]) * k / TICKS
            y = self.y[0] + (self.y[1] - self.y[0]) * k / TICKS
            px, py = self.at(x, y)
            lines += [
                f'<line x1="{LEFT}" x2="{LEFT + SIDE}" y1="{py}" y2="{py}" stroke="#dddddd"/>',
                f'<text x="{LEFT - 6}" y="{py + 4}" text-anchor="end">{y:.3g}</text>',
                f'<text x="{px}" y="{TOP + SIDE + 16}" text-anchor="middle">{x:.3g}</text>',
            ]
        middle = TOP + SIDE / 2
        return [
            *lines,
            f'<text x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 34}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>",
            f'<text x="16" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 16 {middle})">{escape(self.y_label)}</text>',
        ]

    def line(self, points: Iterable[tuple[float, float]], i: int, *, dashed: bool = False) -> str:
        """A line in the colour of series ``i``."""
        text = " ".join("{},{}".format(*self.at(x, y)) for x, y in points)
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        return f'<polyline points="{text}" fill="none" stroke="{_colour(i)}"{dash}/>'

    def interval(self, x: float, low: float, high: float, i: int) -> str:
        """A bar from low to high at ``x``, in the colour of series ``i``, beside others' bars."""
        (px, bottom), (_, top) = self.at(x, low), self.at(x, high)
        px = round(px + 1.5 * i, 1)
        return (
            f'<line x1="{px}" x2="{px}" y1="{bottom}" y2="{top}" stroke="{_colour(i)}" '
            'stroke-width="3" stroke-opacity="0.4"/>'
        )

    def diagonal(self) -> str:
        """From corner to corner, dashed."""
        (x1, y1), (x2, y2) = self.at(self.x[0], self.y[0]), self.at(self.x[1], self.y[1])
        return (
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#888888" '
            'stroke-dasharray="4 4"/>'
        )

    def mark(self, x: float, y: float, i: int, *, hollow: bool = False, title: str = "") -> str:
        """The mark of series ``i`` at a point, with a title to hover over."""
        return mark(*self.at(x, y), i, hollow=hollow, title=title)


def mark(px: float, py: float, i: int, *, hollow: bool = False, title: str = "") -> str:
    """A circle, square, triangle or diamond at a place in pixels."""
    look = f'fill="{"white" if hollow else _colour(i)}" stroke="{_colour(i)}"'
    inside = f"<title>{escape(title)}</title>" if title else ""
    if i % SHAPES == 0:
        return f'<circle cx="{px}" cy="{py}" r="4.5" {look}>{inside}</circle>'
    corners = CORNERS[i % SHAPES - 1]
    points = " ".join(f"{round(px + dx, 1)},{round(py + dy, 1)}" for dx, dy in corners)
    return f'<polygon points="{points}" {look}>{inside}</polygon>'


def legend(names: Iterable[str]) -> list[str]:
    """A line each, with its mark, below the axes."""
    lines = []
    for i, name in enumerate(names):
        y = TOP + SIDE + BOTTOM + LEGEND_LINE * i
        lines.append(mark(LEFT + 6, y, i))
        lines.append(f'<text x="{LEFT + 18}" y="{y + 4}">{escape(name)}</text>')
    return lines


def document(lines: Iterable[str], n_legend: int) -> str:
    """The SVG around what was drawn."""
    width, height = LEFT + SIDE + 20, TOP + SIDE + BOTTOM + LEGEND_LINE * n_legend
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]
