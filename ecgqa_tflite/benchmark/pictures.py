# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a report: stage bars, latency distributions, RAM against accuracy.

They need matplotlib (extra ``train``), which ``plots`` imports when one is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.benchmark.results import STAGES, Kind, Report, Row
from ecgqa_tflite.plots import new_figure

COLOURS = {"cwt": "#0072b2", "image": "#56b4e9", "network": "#e69f00", "decision": "#000000"}
"""Okabe and Ito's: colour-blind people tell them apart."""
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000")
HATCHES = {Kind.MEASURED: "", Kind.EMULATED: "////", Kind.ESTIMATED: "...."}
DPI = 120


def save_all(report: Report, folder: Path) -> list[Path]:
    """Draw what the report has data for, as PNG; the files.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed.
    """
    drawn = []
    for name, draw in (("stages", stages), ("latency", latency), ("pareto", pareto)):
        path = folder / f"{name}.png"
        if draw(report, path):
            drawn.append(path)
    return drawn


def stages(report: Report, path: Path) -> bool:
    """Share of each stage, a row a bar, with its total; hatching says of what kind it is."""
    rows = [r for r in report.rows if r.total is not None and "cwt" in r.stages]
    if not rows:
        return False
    models = _models(report, rows)
    counts = [sum(r.model == m for r in rows) for m in models]
    figure = new_figure(240, 34 + 9 * sum(counts) + 14 * len(models))
    axes = figure.subplots(len(models), 1, squeeze=False, gridspec_kw={"height_ratios": counts})
    for axis, model in zip(axes[:, 0], models, strict=True):
        mine = [r for r in rows if r.model == model]
        for y, row in enumerate(mine):
            _bar(axis, y, row)
        axis.set_yticks(range(len(mine)), [f"{r.target}: {r.variant}" for r in mine], fontsize=8)
        axis.set_xlim(0, 122)
        axis.set_xticks(range(0, 101, 20), [f"{x} %" for x in range(0, 101, 20)], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(f"{model}: where a segment's cost goes", fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    _legend(figure, axes[0, 0], rows)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=DPI)
    return True


def _models(report: Report, rows: Sequence[Row]) -> list[str]:
    """Those that rows are of, in the report's order."""
    return [m for m in report.models if any(r.model == m for r in rows)]


def _legend(figure: Any, axis: Any, rows: Sequence[Row]) -> None:
    """Stages and kinds that the rows have."""
    handles = [
        axis.barh(0, 0, color=COLOURS[s], label=s)
        for s in STAGES
        if any(s in r.stages for r in rows)
    ]
    kinds = [k for k in Kind if any(r.kind is k for r in rows)]
    handles += [
        axis.barh(0, 0, color="#bbbbbb", hatch=HATCHES[k], edgecolor="white", label=str(k))
        for k in kinds
    ]
    figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), fontsize=8, frameon=False
    )


def _bar(axis: Any, y: int, row: Row) -> None:
    """A row's stages one after another, and what they cost."""
    whole, left = sum(t.p50 for t in row.stages.values()), 0.0
    for name in (name for name in STAGES if name in row.stages):
        share = 100 * row.stages[name].p50 / whole
        axis.barh(
            y, share, left=left, color=COLOURS[name], hatch=HATCHES[row.kind],
            edgecolor="white", linewidth=0.6, height=0.72,
        )  # fmt: skip
        if share > 6:
            axis.text(
                left + share / 2, y, f"{share:.0f} %", ha="center", va="center",
                fontsize=8, color="black" if name in ("image", "network") else "white",
                bbox={"facecolor": COLOURS[name], "edgecolor": "none", "pad": 1},
            )  # fmt: skip
        left += share
    axis.text(101, y, _cost(row), va="center", fontsize=8)


def latency(report: Report, path: Path) -> bool:
    """How often a segment took at most so long: measured rows, a curve each; dots at p50 to p99."""
    rows = [
        r
        for r in report.rows
        if r.kind is Kind.MEASURED and r.unit == "ms" and r.total is not None and "cwt" in r.stages
    ]
    if not rows:
        return False
    models = _models(report, rows)
    figure = new_figure(240, 25 + 75 * len(models))
    axes = figure.subplots(len(models), 1, squeeze=False, sharex=True)
    for axis, model in zip(axes[:, 0], models, strict=True):
        for i, row in enumerate(r for r in rows if r.model == model):
            assert row.total is not None
            x = np.array(row.total.samples)
            colour = LINES[i % len(LINES)]
            axis.plot(
                x, np.linspace(0, 100, len(x)), color=colour, lw=1.5,
                label=f"{row.target}: p50 {_ms(row.total.p50)}\n{row.variant}",
            )  # fmt: skip
            marks = (row.total.p50, row.total.p90, row.total.p99)
            axis.plot(marks, (50, 90, 99), "o", color=colour, ms=4)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_ylabel("% of segments", fontsize=9)
        axis.set_title(f"{model}: samples to decision on this machine", fontsize=10, loc="left")
        axis.grid(True, which="both", alpha=0.25)
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    axes[-1, 0].set_xlabel("ms per segment (dots: p50, p90, p99)", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    return True


def pareto(report: Report, path: Path) -> bool:
    """RAM of the network's runtime against balanced accuracy, where it is known."""
    points = _points(report)
    if not points:
        return False
    data = next(iter(report.models[points[0][0]]["bacc"]))
    figure = new_figure(160, 100)
    axis = figure.subplots()
    for i, runtime in enumerate(dict.fromkeys(p[3] for p in points)):
        mine = [p for p in points if p[3] == runtime]
        axis.scatter(
            [p[2] / 1024 for p in mine], [p[1] for p in mine], marker="os^v"[i % 4],
            color=LINES[i], label=runtime, s=45, zorder=3,
        )  # fmt: skip
        for p in mine:
            axis.annotate(
                p[0], (p[2] / 1024, p[1]), textcoords="offset points", xytext=(5, 6), fontsize=8
            )
    axis.set_xscale("log", base=2)
    kib = [p[2] / 1024 for p in points]
    ticks = [2**i for i in range(int(np.log2(min(kib))) - 1, int(np.log2(max(kib))) + 3)]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.set_xlim(ticks[0], ticks[-1])
    best, worst = max(p[1] for p in points), min(p[1] for p in points)
    axis.set_ylim(worst - 0.02, min(best + 0.02, 1.0))
    axis.set_xlabel("RAM, KiB: less is better", fontsize=9)
    axis.set_ylabel(f"balanced accuracy, int8, {data}", fontsize=9)
    axis.set_title("RAM against accuracy", fontsize=10, loc="left")
    axis.grid(True, which="both", alpha=0.25)
    axis.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    return True


def _points(report: Report) -> list[tuple[str, float, int, str]]:
    """Model, balanced accuracy, RAM in bytes and runtime, where all are known."""
    found = []
    for row in report.rows:
        scores: dict[str, float] = report.models[row.model]["bacc"]
        runtime = {"tflm": "TFLM arena", "cortex-m4": "this engine, Cortex-M4"}.get(row.target)
        if row.ram_bytes is not None and scores and runtime is not None:
            found.append((row.model, next(iter(scores.values())), row.ram_bytes, runtime))
    return found


def _cost(row: Row) -> str:
    assert row.total is not None
    if row.unit == "instructions":
        return f"{row.total.p50 / 1e6:.1f} M instructions"
    return _ms(row.total.p50)


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"
