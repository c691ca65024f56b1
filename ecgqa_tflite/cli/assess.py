# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa assess``: which seconds of recordings can be trusted."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console

from ecgqa_tflite import plots
from ecgqa_tflite.assess import Kernels, Wanted, assess_files
from ecgqa_tflite.cli import DEFAULT_MODEL, SOME_FAILED, Command, need
from ecgqa_tflite.cli.annotations import add_annotations
from ecgqa_tflite.cli.kernels import kernels_option
from ecgqa_tflite.cli.outputs import Outputs
from ecgqa_tflite.cli.progress import LOG_INTERVAL_S, progress
from ecgqa_tflite.cli.reading import reading_options
from ecgqa_tflite.cli.tables import leads_table, recordings_table, runs_table, summary_lines, title
from ecgqa_tflite.decisions import spans
from ecgqa_tflite.decisions.csv import csv_text
from ecgqa_tflite.decisions.json import json_text
from ecgqa_tflite.decisions.page import write_page
from ecgqa_tflite.decisions.report import Assessed, Failure, Run
from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.escape import terminal
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.recording import expanded
from ecgqa_tflite.recording.file import ReadOptions, RecordingFile

FEWEST_FOR_A_RATE = 200
"""Segments below which the time is that of starting."""

_FILE = click.Path(dir_okay=False, path_type=Path)
_TEXT = click.Path(dir_okay=False, path_type=Path, allow_dash=True)


@click.command(cls=Command)
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped model or folder.")
@click.option(
    "--lead",
    help="Name or number (from 0) of the lead, or all.  [default: the one likeliest to be an ECG]",
)
@reading_options
@click.option(
    "--hop", "hop_s", type=float, metavar="S",
    help="Seconds from one segment's start to the next.  [default: a segment's length]",
)  # fmt: skip
@click.option(
    "--json", "json_file", metavar="FILE", type=_TEXT,
    help="Write all decisions as JSON; - for standard output.",
)  # fmt: skip
@click.option(
    "--csv", "csv_file", metavar="FILE", type=_TEXT,
    help="Write them as CSV; - for standard output.",
)  # fmt: skip
@click.option(
    "--runs", "as_runs", is_flag=True,
    help="Write runs of equal quality to --csv and --json, not each segment.",
)  # fmt: skip
@click.option(
    "--parquet", metavar="FILE", type=_FILE, help="Write them as Parquet (needs pyarrow)."
)
@click.option(
    "--annotations", metavar="FILE", type=_FILE,
    help="Write runs as annotations: RECORD.qa (WFDB: low is shut down), .edf (EDF+) or .tsv "
    "(BIDS events, with a .json).",
)  # fmt: skip
@click.option(
    "--html", "html_file", metavar="FILE", type=_FILE,
    help="Write a page to look at: one offline file of 3 MB or less for each lead.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="Keep the whole ECG in the page, whatever its size.")
@click.option(
    "--picture", metavar="FILE", type=_FILE,
    help="Draw the strip: .png (one sheet, 2 min at most) or .pdf (A4 pages; of more than 10 min "
    "its hours and what is low).",
)  # fmt: skip
@click.option(
    "--from", "from_s", type=float, metavar="S",
    help="Start of the picture, s.  [default: where quality is first low]",
)  # fmt: skip
@click.option("--to", "to_s", type=float, metavar="S", help="End of the picture, s.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=lambda: os.cpu_count() or 1,
    help="Threads that share the segments.  [default: one per core]",
)  # fmt: skip
@kernels_option
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
def command(
    records: tuple[str, ...],
    model: str,
    lead: str | None,
    options: ReadOptions,
    hop_s: float | None,
    json_file: Path | None,
    csv_file: Path | None,
    as_runs: bool,
    parquet: Path | None,
    annotations: Path | None,
    html_file: Path | None,
    full: bool,
    picture: Path | None,
    from_s: float | None,
    to_s: float | None,
    threads: int,
    kernels: Kernels,
    overwrite: bool,
) -> None:
    """Tell which seconds of recordings can be trusted.

    RECORD is a file of any format that `ecgqa formats` lists (a WFDB record with or without .hea),
    a folder of such files, or a pattern. Each segment is called high quality (every R peak can be
    told) or low, by the integer front end and the int8 network that a firmware runs. Missing
    samples, flat, held, clipped and smooth signals are low quality, with the reason. Needs no
    TensorFlow.

    Exit code: 0 all assessed, 1 none, 2 a wrong command line, 3 some recordings could not be
    assessed (each is said and passed over), 130 interrupted.

    \b
    Examples:
      ecgqa assess data/mitdb/104
      ecgqa assess data/mitdb/104 --lead V2 --picture strip.png --from 60
      ecgqa assess night.edf --lead all --runs --csv runs.csv
      ecgqa assess holter --html day.html
      ecgqa assess vest.csv --fs 250 --unit uV --column 2
      ecgqa assess data/mitdb/104 --lead all --annotations data/mitdb/104.qa
      ecgqa assess nights/ more/*.edf --json nights.json
      ecgqa assess holter --json - | jq .records[0].leads[0].n_high
    """
    if picture is None and (from_s, to_s) != (None, None):
        raise click.UsageError("--from and --to are of the picture: give --picture FILE too")
    if as_runs and (json_file, csv_file, parquet) == (None, None, None):
        raise click.UsageError("--runs is of files: give --csv, --json or --parquet FILE too")
    if full and html_file is None:
        raise click.UsageError("--full is of the page: give --html FILE too")
    strip = _Strip(from_s, to_s)
    outputs = Outputs(overwrite)
    outputs.add_text("--json", json_file, functools.partial(json_text, as_runs=as_runs))
    outputs.add_text("--csv", csv_file, functools.partial(csv_text, as_runs=as_runs))
    if parquet is not None:
        need("pyarrow")
        from ecgqa_tflite.decisions.parquet import write_parquet

        outputs.add_run("--parquet", parquet, functools.partial(write_parquet, as_runs=as_runs))
    opened_model = open_model(model)
    if annotations is not None:
        add_annotations(outputs, annotations, opened_model)
    outputs.add_file("--html", html_file, functools.partial(_write_page, opened_model, full))
    outputs.add_file("--picture", picture, strip.write, strip.check)

    paths = expanded(records)
    outputs.check(paths)
    console = Console(stderr=outputs.to_stdout, highlight=False)
    wanted = Wanted(lead=lead, options=options, hop_s=hop_s, threads=threads, kernels=kernels)
    started = time.perf_counter()
    with progress(at_least_s=LOG_INTERVAL_S) as tell:
        file, run = _assess(paths, opened_model, wanted, outputs, tell)
    took_s = time.perf_counter() - started
    _print(console, run, several=len(paths) > 1)
    console.print(_cost(run, took_s, threads))
    for line in outputs.write(run, file):
        console.print(line, markup=False, soft_wrap=True)
    if run.failed:
        console.print(f"{len(run.failed)} of {len(paths)} recordings could not be assessed")
        raise click.exceptions.Exit(SOME_FAILED)


def _assess(
    paths: Sequence[Path], model: ModelFolder, wanted: Wanted, outputs: Outputs, tell: Progress
) -> tuple[RecordingFile, Run]:
    """Everything that was named, each told as it is known; the first file and the answer."""
    assessed: list[Assessed] = []
    failed: list[Failure] = []
    first: RecordingFile | None = None
    for found, file in assess_files(paths, model, wanted, check=outputs.check_file, progress=tell):
        if isinstance(found, Failure):
            if len(paths) == 1:
                raise RecordingError(found.error)
            click.echo(terminal(f"Passed over: {found.error}"), err=True)
            failed.append(found)
            continue
        _tell_about(found, f"{found.path}: " if len(paths) > 1 else "")
        assessed.append(found)
        first = first or file
    if first is None:
        raise RecordingError(f"none of {len(paths)} recordings could be assessed")
    return first, Run(model, wanted.hop_s, tuple(assessed), tuple(failed))


def _tell_about(assessed: Assessed, which: str) -> None:
    """Notes, doubts and, where there was a choice, which lead was taken, on stderr."""
    for note in assessed.notes:
        click.echo(terminal(f"{which}Note: {note}"), err=True)
    for doubt in assessed.doubts:
        click.echo(terminal(f"{which}Warning: {doubt}"), err=True)
    there, others = assessed.signals
    if not which and len(there) + len(others) > 1:
        taken = ", ".join(lead.lead for lead in assessed.leads)
        line = f"Lead {taken}"
        if len(assessed.leads) < len(there):
            line += f" of {', '.join(there)} (--lead NAME or all)"
        if others:
            line += f"; no voltage: {', '.join(others)}"
        click.echo(terminal(line), err=True)


def _print(console: Console, run: Run, *, several: bool) -> None:
    if several:
        console.print(recordings_table(run))
    else:
        (assessed,) = run.assessed
        console.print(
            terminal(title(assessed, run.model.name)), style="italic", markup=False, soft_wrap=True
        )
        console.print(runs_table(assessed))
        if len(assessed.leads) > 1:
            console.print("")
            console.print(leads_table(assessed))
    console.print("")
    for line in summary_lines(run):
        console.print(line)
    for assessed in run.assessed if not several else ():
        if left_out := _left_out(assessed):
            console.print(left_out)


def _left_out(assessed: Assessed) -> str:
    """What no decision speaks for."""
    decisions = assessed.leads[0].decisions
    if len(decisions) > 1 and decisions[1].start_s > decisions[0].end_s:
        return "Of what lies between the segments (--hop), nothing was assessed"
    rest_s = assessed.duration_s - decisions[-1].end_s
    if rest_s > 0.005:
        return f"The last {rest_s:.2f} s are not a whole segment: not assessed"
    return ""


def _cost(run: Run, took_s: float, threads: int) -> str:
    n = sum(len(lead.decisions) for assessed in run.assessed for lead in assessed.leads)
    rate = f", {n / took_s:,.0f} segments/s" if n >= FEWEST_FOR_A_RATE else ""
    return f"{took_s:.2f} s on {threads} thread{'s' if threads > 1 else ''}{rate}"


def _write_page(model: ModelFolder, full: bool, path: Path, file: RecordingFile, run: Run) -> str:
    """The page of every lead that was assessed."""
    leads = [(lead.lead, lead.decisions) for lead in run.assessed[0].leads]
    with progress(at_least_s=LOG_INTERVAL_S) as tell:
        write_page(path, file, leads, model, full=full, progress=tell)
    return ""


@dataclass(frozen=True)
class _Strip:
    """The picture of one lead: of several, of the one that is taken where nobody says."""

    from_s: float | None
    to_s: float | None

    def check(self, path: Path, file: RecordingFile) -> None:
        """Say what can't be drawn before the work."""
        plots.check_picture_suffix(path, plots.STRIP_SUFFIXES)
        plots.check_stretch(file.duration_s, self.from_s or 0.0, self.to_s)

    def write(self, path: Path, file: RecordingFile, run: Run) -> str:
        """Draw it; what is to be said of it."""
        (assessed,) = run.assessed
        names = [lead.lead for lead in assessed.leads]
        likeliest = file.leads[file.lead_index()].name
        lead = assessed.leads[names.index(likeliest) if likeliest in names else 0]
        with progress(at_least_s=LOG_INTERVAL_S) as tell:
            drawn = plots.save_strip(
                path,
                file.lead(lead.lead) * np.float32(lead.scale),
                lead.fs_hz,
                spans(lead.decisions),
                title=f"{assessed.record}   lead {lead.lead}   {run.model.name}",
                start_s=self.from_s,
                end_s=self.to_s,
                progress=functools.partial(tell, "rows drawn"),
            )
        wanted_s = min(math.inf if self.to_s is None else self.to_s, assessed.duration_s)
        if drawn[1] >= wanted_s - 1e-6 and drawn[0] <= (self.from_s or 0.0):
            return ""
        return (
            f"The picture shows {plots.clock(drawn[0])} to {plots.clock(drawn[1])}: "
            f"--from S moves it, --html FILE shows the whole"
        )
