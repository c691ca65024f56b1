# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A calibration curve as SVG, by hand: a model card gets it on a base install too."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

SIDE, LEFT, TOP, BOTTOM = 320, 56, 16, 52
LEGEND_LINE = 20
LEAST = 20
"""Segments below which a bin is drawn hollow: its share means little."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's: colour-blind people tell them apart; shapes tell them apart without colour."""


def calibration_svg(curves: Mapping[str, Mapping[str, Any]]) -> str:
    """Share of high segments over P(high), a line per set, one for each bin that is not empty.

    Both classes of a set are weighted alike, so that sets of another mix can be held together. A
    bin of fewer than :data:`LEAST` segments has a hollow mark; a title on each gives its counts.

    Parameters
    ----------
    curves
        By name, as :func:`ecgqa_tflite.evaluation.figures.reliability` gives them; both classes
        present.

    Returns
    -------
    The SVG document.
    """
    width, height = LEFT + SIDE + 20, TOP + SIDE + BOTTOM + LEGEND_LINE * len(curves)
    lines = [*_frame()]
    for i, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        y = TOP + SIDE + BOTTOM + LEGEND_LINE * i
        lines += _curve(curve, colour, i)
        lines.append(_mark(LEFT + 6, y, colour, i, hollow=False, title=""))
        lines.append(f'<text x="{LEFT + 18}" y="{y + 4}">{escape(name)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def _x(p: float) -> float:
    return round(LEFT + SIDE * p, 1)


def _y(share: float) -> float:
    return round(TOP + SIDE * (1 - share), 1)


def _frame() -> list[str]:
    lines = []
    for k in range(6):
        p = k / 5
        lines += [
            f'<line x1="{LEFT}" x2="{LEFT + SIDE}" y1="{_y(p)}" y2="{_y(p)}" stroke="#dddddd"/>',
            f'<line x1="{_x(p)}" x2="{_x(p)}" y1="{TOP}" y2="{TOP + SIDE}" stroke="#dddddd"/>',
            f'<text x="{LEFT - 6}" y="{_y(p) + 4}" text-anchor="end">{p:g}</text>',
            f'<text x="{_x(p)}" y="{TOP + SIDE + 16}" text-anchor="middle">{p:g}</text>',
        ]
    middle = TOP + SIDE / 2
    return [
        *lines,
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#888888" '
        'stroke-dasharray="4 4"/>',
        f'<text x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 34}" text-anchor="middle">'
        "P(high) by the model</text>",
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
        "share labelled high, classes weighted alike</text>",
    ]


def _curve(curve: Mapping[str, Any], colour: str, shape: int) -> list[str]:
    n_high, n_low = (sum(b[q] for b in curve["bins"]) for q in ("high", "low"))
    points, marks = [], []
    for b in curve["bins"]:
        if b["mean_p"] is None:
            continue
        high, low = b["high"] / n_high, b["low"] / n_low
        share = high / (high + low)
        points.append(f"{_x(b['mean_p'])},{_y(share)}")
        title = f"P {b['from']:g}-{b['to']:g}: {b['high']:,} high, {b['low']:,} low"
        few = b["high"] + b["low"] < LEAST
        marks.append(_mark(_x(b["mean_p"]), _y(share), colour, shape, hollow=few, title=title))
    line = f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}"/>'
    return [line, *marks]


def _mark(x: float, y: float, colour: str, shape: int, *, hollow: bool, title: str) -> str:
    """A circle, square, triangle or diamond."""
    look = f'fill="{"white" if hollow else colour}" stroke="{colour}"'
    inside = f"<title>{escape(title)}</title>" if title else ""
    if shape % 4 == 0:
        return f'<circle cx="{x}" cy="{y}" r="4.5" {look}>{inside}</circle>'
    corners = (
        ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        ((-5, 4), (0, -5), (5, 4)),
        ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
    )[shape % 4 - 1]
    points = " ".join(f"{round(x + dx, 1)},{round(y + dy, 1)}" for dx, dy in corners)
    return f'<polygon points="{points}" {look}>{inside}</polygon>'
