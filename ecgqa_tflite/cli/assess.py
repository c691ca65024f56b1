# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa assess``: which seconds of a recording can be trusted."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ecgqa_tflite import plots
from ecgqa_tflite.assess import assess
from ecgqa_tflite.cli import Command
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.decisions import Decision, merged, spans
from ecgqa_tflite.decisions.csv import csv_text
from ecgqa_tflite.decisions.json import json_text, report
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.escape import terminal
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.output import refuse_existing, refuse_unwritable_file, whole_file
from ecgqa_tflite.progress import Count
from ecgqa_tflite.recording import read_recording
from ecgqa_tflite.spec import Quality

DEFAULT_MODEL = "light_cnn"
MOST_ROWS = 40
"""Rows of the table; a day of noise has thousands of runs, and files hold them all."""

FEWEST_FOR_A_RATE = 200
"""Segments below which the time is that of starting."""

_STYLES = {(Quality.HIGH, "ok"): "bold blue", (Quality.LOW, "ok"): "bold yellow"}

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("record")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped model or folder.")
@click.option("--lead", help="Name or number (from 0) of the lead.  [default: the first]")
@click.option(
    "--hop", "hop_s", type=float, metavar="S",
    help="Seconds from one segment's start to the next.  [default: a segment's length]",
)  # fmt: skip
@click.option(
    "--json", "json_file", metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write all decisions as JSON; - for standard output.",
)  # fmt: skip
@click.option("--csv", "csv_file", metavar="FILE", type=_FILE, help="Write them as CSV.")
@click.option(
    "--picture", metavar="FILE", type=_FILE,
    help="Draw the strip: .png (one sheet, 2 min at most) or .pdf (A4 pages).",
)  # fmt: skip
@click.option(
    "--from", "from_s", type=float, default=0.0, metavar="S", help="Start of the picture, s."
)
@click.option("--to", "to_s", type=float, metavar="S", help="End of the picture, s.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=lambda: os.cpu_count() or 1,
    help="Threads that share the segments.  [default: one per core]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
def command(
    record: str,
    model: str,
    lead: str | None,
    hop_s: float | None,
    json_file: Path | None,
    csv_file: Path | None,
    picture: Path | None,
    from_s: float,
    to_s: float | None,
    threads: int,
    overwrite: bool,
) -> None:
    """Tell which seconds of RECORD can be trusted.

    RECORD is a WFDB record, with or without .hea. Each segment is called high quality (every R peak
    can be told) or low, by the integer front end and the int8 network that a firmware runs.
    Missing samples and flat signals are low quality, with the reason. Needs no TensorFlow.

    \b
    Examples:
      ecgqa assess data/mitdb/104
      ecgqa assess data/mitdb/104 --lead V2 --picture strip.png --from 60
      ecgqa assess holter --hop 1 --csv decisions.csv --picture strip.pdf
      ecgqa assess holter --json - | jq .n_high
    """
    files = [f for f in (json_file, csv_file, picture) if f is not None and str(f) != "-"]
    _refuse(files, overwrite)
    if picture is not None:
        plots.check_picture_suffix(picture, plots.STRIP_SUFFIXES)

    console = Console(stderr=str(json_file) == "-", highlight=False)
    opened = open_model(model)
    recording = read_recording(record)
    if picture is not None:
        plots.check_stretch(recording.duration_s, from_s, to_s)
    started = time.perf_counter()
    with _counter(console, "segments") as tell:
        decisions = assess(
            recording, opened, lead=lead, hop_s=hop_s, threads=threads, progress=tell
        )
    took_s = time.perf_counter() - started

    what = report(recording, opened, decisions, lead)
    if json_file is not None:
        _write(json_file, json_text(what), overwrite)
    if csv_file is not None:
        _write(csv_file, csv_text(what), overwrite)
    console.print(_table(what, decisions))
    console.print(_summary(what, decisions, took_s, threads))
    if picture is not None:
        with (
            _counter(console, "rows drawn") as tell,
            whole_file(picture, overwrite) as temporary,
        ):
            drawn = plots.save_strip(
                temporary,
                recording.lead(lead),
                recording.fs_hz,
                spans(decisions),
                title=f"{what['record']}   lead {what['lead']}   {what['model']}",
                start_s=from_s,
                end_s=to_s,
                progress=tell,
            )
        _tell_left_out(console, drawn, recording.duration_s, to_s)
    for file in files:
        console.print(f"Written: {file}", markup=False, soft_wrap=True)


def _refuse(files: Sequence[Path], overwrite: bool) -> None:
    """What can't be written is said before any work."""
    if len(set(files)) < len(files):
        raise ArgumentError("two outputs have the same name: give each its own")
    for file in files:
        refuse_existing(file, overwrite)
        refuse_unwritable_file(file)


@contextmanager
def _counter(console: Console, what: str) -> Iterator[Count | None]:
    """A bar on a terminal, nothing elsewhere."""
    with progress() as tell:
        yield partial(tell, what) if console.is_terminal else None


def _write(path: Path, text: str, overwrite: bool) -> None:
    if str(path) == "-":
        sys.stdout.write(text)
        return
    with whole_file(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _table(what: dict[str, Any], decisions: Sequence[Decision]) -> Table:
    """Runs of equal quality."""
    runs = merged(spans(decisions))
    decimals = 0 if all(r.start_s.is_integer() and r.end_s.is_integer() for r in runs) else 2
    names = f"{what['record']}   lead {what['lead']}   {what['fs_hz']:g} Hz   {what['model']}"
    table = Table(
        title=escape(terminal(names)),  # a recording's own words are not markup
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
        padding=(0, 3, 0, 0),
    )
    for name in ("from", "to", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("quality")
    table.add_column("score")
    for run in itertools.islice(runs, MOST_ROWS):
        low, high = f"{run.lowest_score:.3f}", f"{run.highest_score:.3f}"
        score = low if low == high else f"{low} to {high}"
        table.add_row(
            plots.clock(run.start_s, decimals),
            plots.clock(run.end_s, decimals),
            f"{run.end_s - run.start_s:.{decimals}f}",
            Text(
                run.quality.name.lower() + ("" if run.reason == "ok" else f" ({run.reason})"),
                style=_STYLES.get((run.quality, run.reason), "dim"),
            ),
            score if run.reason == "ok" else "",
        )
    if len(runs) > MOST_ROWS:
        table.add_row("...", "", "", f"{len(runs) - MOST_ROWS} more: --csv FILE has all", "")
    return table


def _summary(
    what: dict[str, Any], decisions: Sequence[Decision], took_s: float, threads: int
) -> str:
    """How much is high, what was left out, how long it took."""
    n, high = what["n_segments"], what["n_high"]
    lines = [
        f"\n[bold]{high / n:.0%} high quality[/]: {high} of {n} segments of "
        f"{decisions[0].end_s - decisions[0].start_s:g} s (high from score {what['threshold']:.3f})"
    ]
    left_out_s = what["duration_s"] - decisions[-1].end_s
    if len(decisions) > 1 and decisions[1].start_s > decisions[0].end_s:
        lines.append("Of what lies between the segments (--hop), nothing was assessed")
    elif left_out_s > 0.005:
        lines.append(f"The last {left_out_s:.2f} s are not a whole segment: not assessed")
    rate = f", {n / took_s:,.0f} segments/s" if n >= FEWEST_FOR_A_RATE else ""
    lines.append(f"{took_s:.2f} s on {threads} thread{'s' if threads > 1 else ''}{rate}")
    return "\n".join(lines)


def _tell_left_out(
    console: Console, drawn: tuple[float, float], duration_s: float, to_s: float | None
) -> None:
    """Where a picture is shorter than what was asked for."""
    wanted_s = duration_s if to_s is None else min(to_s, duration_s)
    if drawn[1] < wanted_s - 1e-6:
        console.print(
            f"The picture shows {plots.clock(drawn[0])} to {plots.clock(drawn[1])}: "
            f"--from S moves it, a .pdf has it all"
        )
