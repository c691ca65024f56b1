# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a merged experiment: every run a dot, and accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecgqa_tflite.experiment.tables import FORMS, is_graded
from ecgqa_tflite.plots import new_figure

BLUE, ORANGE = "#0072b2", "#e69f00"
"""Okabe and Ito's: colour-blind people tell them apart."""
FIGURES = {
    "bacc": "BAcc, inherited labels",
    "auc": "AUC, inherited labels",
    "graded_bacc": "BAcc, graded A against C",
    "graded_auc": "AUC, graded A against C",
}
COSTS = {"macs": ("million multiply-accumulates", 1e-6), "ram_bytes": ("device RAM, KiB", 1 / 1024)}

Result = Mapping[str, Any]


def save_all(result: Result, folder: Path) -> list[Path]:
    """Draw what there is, as SVG; the files.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed.
    """
    path = folder / f"{result['experiment']}.svg"
    _runs(result, path)
    drawn = [path]
    networks = [row for row in result["rows"] if "costs" in row]
    if len({row["costs"]["macs"] for row in networks}) > 2:
        path = folder / f"{result['experiment']}_cost.svg"
        _cost(result, networks, path)
        drawn.append(path)
    return drawn


def _figures(result: Result) -> list[str]:
    return [name for name in FIGURES if is_graded(result) or not name.startswith("graded_")]


def _runs(result: Result, path: Path) -> None:
    """A line for each row and form: runs as dots, their mean as a bar."""
    lines = [
        (row["label"], words, row["forms"][form])
        for row in result["rows"]
        for form, words in FORMS.items()
        if form in row["forms"]
    ]
    names = _figures(result)
    figure = new_figure(60 + 62 * len(names), 26 + 6.5 * len(lines))
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for y, (_, words, figures) in enumerate(lines):
            colour = ORANGE if words == FORMS["float"] else BLUE
            values = figures[name]["values"]
            panel.plot(values, [y] * len(values), "o", color=colour, ms=4, alpha=0.6, mew=0)
            panel.plot([figures[name]["mean"]], [y], "|", color=colour, ms=13, mew=2)
        panel.set_title(FIGURES[name], fontsize=9, loc="left")
        panel.grid(True, axis="x", alpha=0.3)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    labels = [f"{label}, {words}" for label, words, _ in lines]
    panels[0].set_yticks(range(len(lines)), labels, fontsize=8)
    panels[0].invert_yaxis()
    _save(result, figure, path)


def _cost(result: Result, networks: list[Mapping[str, Any]], path: Path) -> None:
    """Accuracy of the int8 networks against what they cost; the best for their cost on a line."""
    names = _figures(result)
    figure = new_figure(10 + 78 * len(names), 150)
    axes = figure.subplots(2, len(names), sharey="col", squeeze=False)
    for panels, (key, (words, factor)) in zip(axes, COSTS.items(), strict=True):
        points = [row for row in networks if row["costs"][key] is not None]
        for panel, name in zip(panels, names, strict=True):
            xs = [row["costs"][key] * factor for row in points]
            ys = [row["forms"]["int8"][name]["mean"] for row in points]
            panel.plot(xs, ys, "o", color=BLUE, ms=5)
            for row, x, y in zip(points, xs, ys, strict=True):
                values = row["forms"]["int8"][name]
                panel.plot([x, x], [values["low"], values["high"]], color=BLUE, lw=1, alpha=0.5)
                panel.annotate(
                    row["name"], (x, y), textcoords="offset points", xytext=(4, 3), fontsize=6
                )
            best = front(list(zip(xs, ys, strict=True)))
            panel.plot(*zip(*best, strict=True), "-", color=ORANGE, lw=1.2, zorder=0)
            panel.set_xscale("log")
            ticks = round_numbers(min(xs), max(xs))
            panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.minorticks_off()
            panel.set_xlim(min(xs) / 1.5, max(xs) * 4)  # names stand to the right
            panel.set_xlabel(f"{words}: less is better", fontsize=8)
            panel.set_title(f"{FIGURES[name]}, int8", fontsize=9, loc="left")
            panel.grid(True, alpha=0.2)
            panel.tick_params(labelsize=8)
    _save(result, figure, path)


def round_numbers(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2, 5, 10, ..., or 1, 10, ... where those are many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    return [step * 10.0**decade for decade in decades for step in steps]


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both cost (less is better) and figure, by cost."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best


def _save(result: Result, figure: Any, path: Path) -> None:
    if result["quick"]:
        figure.text(0.995, 0.995, "quick version", ha="right", va="top", fontsize=8, color="red")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
