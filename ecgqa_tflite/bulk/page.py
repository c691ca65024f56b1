# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pages of an archive: the summary, and a small one of each record that it links to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ecgqa_tflite.bulk.plan import Plan
from ecgqa_tflite.bulk.results import result_name
from ecgqa_tflite.bulk.run import Run
from ecgqa_tflite.bulk.storage import Folder
from ecgqa_tflite.bulk.summary import Line, Share, Summary, is_high

INDEX = "index.html"
CELLS = 1440
"""Most cells of a record's strip: a minute of a day."""

LEVELS = ((0.9, "usable"), (0.1, "partly"), (0.0, "not"))
"""Least usable share of a cell, and what it is called."""

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page_name(key: str) -> str:
    """File of a record's page, relative to the output."""
    return f"pages/{key[:2]}/{key}.html"


def write_record_page(
    out: Folder, plan: Plan, line: Line, results: Sequence[dict[str, Any]]
) -> None:
    """Write the page of one record, from its results in order."""
    rows = [(row, result) for result in results for row in result["decisions"]]
    duration_s = results[0]["duration_s"]
    text = _ENVIRONMENT.get_template("record.html.jinja").render(
        line=line,
        result=results[0],
        runs=strip(rows, duration_s),
        hours=_by_hour(rows),
        files=[f"../../{result_name(result['key'], plan.options.form)}" for result in results],
        model=plan.options.model,
        index=f"../../{INDEX}",
    )
    out.write(page_name(line.key), text.encode())


def write_index(out: Folder, plan: Plan, summary: Summary, last_run: Run | None) -> None:
    """Write the summary's page; ``last_run`` tells which records were slowest."""
    text = _ENVIRONMENT.get_template("index.html.jinja").render(
        plan=plan,
        summary=summary,
        run=last_run,
        page=page_name,
        first={entry.path: entry.key for entry in plan.entries if entry.first == 0},
        without={entry.key for entry, _ in summary.missing},
    )
    out.write(INDEX, text.encode())


def strip(
    rows: Sequence[tuple[dict[str, Any], dict[str, Any]]], duration_s: float
) -> list[tuple[float, float, str]]:
    """Runs of equal level over a recording: start and width, 0..1 of its length, and level."""
    cells: dict[int, Share] = {}
    n = min(CELLS, max(len(rows), 1))
    for row, result in rows:
        at = min(int(row["start_s"] / duration_s * n), n - 1)
        cells.setdefault(at, Share()).add(1, is_high(row, result))
    runs: list[tuple[float, float, str]] = []
    for at, share in sorted(cells.items()):
        level = next(name for least, name in LEVELS if share.usable >= least)
        if runs and runs[-1][2] == level and abs(sum(runs[-1][:2]) - at / n) < 1e-9:
            runs[-1] = (runs[-1][0], (at + 1) / n - runs[-1][0], level)
        else:
            runs.append((at / n, 1 / n, level))
    return runs


def _by_hour(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[int, Share]:
    hours: dict[int, Share] = {}
    for row, result in rows:
        hours.setdefault(int(row["start_s"] // 3600), Share()).add(1, is_high(row, result))
    return hours
