# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A calibration curve: share of high segments over P(high)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecgqa_tflite.plots.square import Square, document, legend

LEAST = 20
"""Segments below which a bin is drawn hollow: its share means little."""
AXES = Square("P(high) by the model", "share labelled high, classes weighted alike")


def calibration_svg(curves: Mapping[str, Mapping[str, Any]]) -> str:
    """Share of high segments over P(high), a line per set, one for each bin that is not empty.

    Both classes of a set are weighted alike, so that sets of another mix can be held together. A
    bin of fewer than :data:`LEAST` segments has a hollow mark; a title on each gives its counts. A
    bar is the 95 % interval over recordings, where the curve has one.

    Parameters
    ----------
    curves
        By name, as :func:`ecgqa_tflite.evaluation.figures.reliability` gives them; both classes
        present.

    Returns
    -------
    The SVG document.
    """
    lines = [*AXES.frame(), AXES.diagonal()]
    for i, curve in enumerate(curves.values()):
        lines += _curve(curve, i)
    return document([*lines, *legend(curves)], len(curves))


def _curve(curve: Mapping[str, Any], i: int) -> list[str]:
    n_high, n_low = (sum(b[q] for b in curve["bins"]) for q in ("high", "low"))
    points, marks, bars = [], [], []
    for b in curve["bins"]:
        if b["mean_p"] is None:
            continue
        high, low = b["high"] / n_high, b["low"] / n_low
        point = b["mean_p"], high / (high + low)
        points.append(point)
        title = f"P {b['from']:g}-{b['to']:g}: {b['high']:,} high, {b['low']:,} low"
        interval = b.get("share", {})
        if interval.get("low") is not None:
            bars.append(AXES.interval(point[0], interval["low"], interval["high"], i))
            title += f"; share {interval['low']:.2f}-{interval['high']:.2f}"
        few = b["high"] + b["low"] < LEAST
        marks.append(AXES.mark(*point, i, hollow=few, title=title))
    return [*bars, AXES.line(points, i), *marks]
