# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa evaluate``: a model against a labelled set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.table import Table

from ecgqa_tflite import plots
from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.cli.kernels import kernels_option
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.datasets.challenge2017 import read_graded
from ecgqa_tflite.datasets.folders import Labels, is_annotated
from ecgqa_tflite.datasets.rhythms import WORDS
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.evaluation.card import PART_WORDS
from ecgqa_tflite.evaluation.failures import DIRECTIONS, read_sheet
from ecgqa_tflite.evaluation.figures import FIGURES, HEADINGS, LABEL_WORDS, Figure, by_labels
from ecgqa_tflite.evaluation.job import Job
from ecgqa_tflite.evaluation.models import FloatFrontEnd
from ecgqa_tflite.evaluation.rhythms import RhythmJob
from ecgqa_tflite.model_folder import ModelFolder, open_model

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("model", metavar="MODEL")
@click.argument("data", metavar="DATA", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "json_file", type=_FILE, help="Write the figures to this file.")
@click.option("--decisions", type=_FILE, help="Write a row per segment, CSV.")
@click.option("--recordings", type=_FILE, help="Write a row per recording, CSV.")
@click.option("--roc", type=_FILE, help="Draw Se over 1 - Sp, SVG.")
@click.option(
    "--robustness", "robust", type=click.IntRange(min=0), default=0, metavar="N",
    help="Judge N segments again with a step, a spike, a shift, hum, another gain or rate, lost "
    "samples, and count decisions that change.",
)  # fmt: skip
@kernels_option
@click.option(
    "--float",
    "with_float",
    is_flag=True,
    help="Score the float model too and count decisions that differ (needs TensorFlow).",
)
@click.option(
    "--float-front-end",
    type=click.Choice(get_args(FloatFrontEnd)),
    default="integer",
    show_default=True,
    help="Images for the float model: the device's, or those of the float64 reference (slow).",
)
@click.option(
    "--adjudicated",
    type=_FILE,
    help="CSV of segments of DATA graded A, B, C by eye: record,start_s,label_*,read_1,...; for "
    "annotated records: set,record,lead,start_s,read_1,...",
)
@click.option(
    "--compare", "other", metavar="MODEL",
    help="Score this model too and tell the difference, paired by recording.",
)  # fmt: skip
@click.option(
    "--gallery", type=_FILE,
    help="Draw the worst errors and those of the sample: .html or .png (needs matplotlib).",
)  # fmt: skip
@click.option(
    "--sample", type=click.IntRange(min=2), default=48, show_default=True,
    help="Errors drawn at random, half each way.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of that draw.")
@click.option(
    "--errors", "sheet", type=_FILE,
    help="Write the sample as CSV, to be read by eye: fill in grade, kind, reader and date.",
)  # fmt: skip
@click.option(
    "--graded-errors", type=_FILE,
    help="The CSV filled in: counts of it join the figures. With --errors: fill in from it.",
)  # fmt: skip
@click.option(
    "--resamples", type=click.IntRange(min=0), default=2000, show_default=True,
    help="Of the bootstrap; 0: no intervals.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(min=1), default=2, show_default=True,
    help="Threads that score.",
)  # fmt: skip
@click.option(
    "--record", is_flag=True, help="Note the result in MODEL's metrics.json and model card."
)
@click.option("--overwrite", is_flag=True, help="Replace output files that exist.")
def command(
    model: str,
    data: Path,
    other: str | None,
    with_float: bool,
    float_front_end: FloatFrontEnd,
    adjudicated: Path | None,
    graded_errors: Path | None,
    **options: Any,
) -> None:
    """Score MODEL on the labelled folder DATA: Se, Sp, Acc, BAcc, AUC with 95 % intervals.

    DATA is laid out as PhysioNet does: REFERENCE.csv (challenge-2017), LEADS.csv or RECORDS-
    acceptable and RECORDS-unacceptable (challenge-2011). Segments inherit their recording's label.
    What is scored is what a device runs: integer front end and int8 network. Intervals come from a
    bootstrap over recordings. Shares called high by the set's classes and decisions on 10 and 30 s
    (the mean score of their segments) come with them.

    DATA may also hold WFDB records whose annotations (.atr) name rhythms, as mitdb and vfdb do, or
    folders of such records: then it is shares called high by rhythm, records that trained MODEL
    apart, and --record puts them into the card. Options about labels and errors have no meaning
    there.

    Errors may be the label's: look at them (--gallery, --errors), fill in the CSV, and give it back
    (--graded-errors --record). Grade: A every R peak is sure, B in between, C no R peaks for more
    than 1 s. Kind, what meets the eye: jump, wander, burst, noise, shape (broad beats or tall T
    waves), rhythm (AF, ectopy), plain, none. A gallery holds pictures of the recordings: mind
    their licence.

    --record notes figures under the name of the public set whose recordings these are, else of
    DATA, and keeps what earlier runs noted on the same segments. A public set that the model was
    trained or calibrated on is not a test, and refused.

    \b
    Examples:
      ecgqa evaluate light_cnn data/challenge-2017 --json figures.json
      ecgqa evaluate models/mine data/challenge-2017 --float --record
      ecgqa evaluate models/mine data/challenge-2017 --compare light_cnn
      ecgqa evaluate models/mine data/mine --decisions d.csv --robustness 500
      ecgqa evaluate models/mine data/vfdb --record
      ecgqa evaluate models/mine data/challenge-2017 \\
          --gallery errors.html --errors errors.csv
      ecgqa evaluate models/mine data/challenge-2017 \\
          --graded-errors errors.csv --record
    """
    if with_float:
        need("tensorflow", "tf_keras")
    if options["gallery"] is not None:
        plots.check_picture_suffix(options["gallery"], plots.GALLERY_SUFFIXES)
        need("matplotlib")
    folder = open_model(model)
    if options["record"] and not Path(model).is_dir():
        raise ArgumentError(
            f"{model} ships with the package and stays as it is: copy {folder.path} and note "
            f"figures in the copy"
        )
    if is_annotated(data):
        _by_rhythm(folder, data, adjudicated, options, other, with_float, graded_errors)
        return
    with progress() as tell:
        result = Job(
            folder,
            data,
            rival=None if other is None else open_model(other),
            float_front_end=float_front_end if with_float else None,
            graded=None if adjudicated is None else read_graded(adjudicated),
            readings=None if graded_errors is None else read_sheet(graded_errors),
            **options,
        ).run(tell)
    _print(result)
    if "difference" in result:
        _print_difference(result["difference"], result["labels"])
    if options["record"]:
        click.echo(f"noted in {folder.path / 'metrics.json'}")


LABELS_ONLY = ("recordings", "roc", "robust", "gallery", "sheet")
"""Options that have no meaning where nobody labelled a segment."""


def _by_rhythm(
    folder: ModelFolder, data: Path, grades: Path | None, options: dict[str, Any], *others: Any
) -> None:
    if any(others) or any(options[name] for name in LABELS_ONLY):
        raise ArgumentError(
            f"{data}: holds rhythms and no labels; --json, --decisions, --adjudicated, --kernels "
            f"and --record are what can be asked of it"
        )
    kept = ("kernels", "decisions", "json_file", "resamples", "threads", "record", "overwrite")
    with progress() as tell:
        job = RhythmJob(folder, data, grades, **{name: options[name] for name in kept})
        found = job.run(tell)
    for name, parts in found["sets"].items():
        for part, words in PART_WORDS.items():
            if part in parts:
                _print_rhythms(f"{name}, {words}", parts[part])
    if options["record"]:
        click.echo(f"noted in {folder.path / 'metrics.json'}")


def _print_rhythms(title: str, part: dict[str, Any]) -> None:
    table = Table(title, "n", "patients", "called high", box=None)
    rows = {f"{WORDS.get(k, k)} ({k})": row for k, row in part.get("rhythms", {}).items()}
    graded = part.get("graded", {"grades": {}, "readable": {}})
    rows |= {f"graded {k}": row for k, row in graded["grades"].items()}
    rows |= {f"graded A, {WORDS.get(k, k)}": row for k, row in graded["readable"].items()}
    for name, row in rows.items():
        figure = f"{Figure.of(row['called_high']):.3f to}"
        table.add_row(name, f"{row['n']:,}", str(row["groups"]), figure)
    Console().print(table)


def _print(result: dict[str, Any]) -> None:
    columns = {
        f"{name}, {words}": table
        for words, kinds in by_labels(result).items()
        for name, table in kinds.items()
    }
    table = Table("", *columns, box=None)
    for figure in FIGURES:
        cells = (f"{Figure.of(column[figure]):.3f to}" for column in columns.values())
        table.add_row(HEADINGS[figure], *cells)
    for quality in ("high", "low"):
        table.add_row(f"n {quality}", *(f"{c['n'][quality]:,}" for c in columns.values()))
    Console().print(table)
    _print_confusion(result["confusion"])
    _print_shares("class of the set", result.get("classes", {}))
    _print_stretches(result["stretches"])
    _print_changes(result.get("robustness", {}))
    if result["tie_share"] is not None:
        click.echo(f"ties: {result['tie_share']:.2%} of (high, low) pairs score alike in int8")
    if "flips" in result:
        flips = result["flips"]
        click.echo(f"decisions that flip from float to int8: {flips['flipped']} "
                   f"({flips['share']:.2%})")  # fmt: skip
    if "graded" in result and result["graded"]["b_called_high"] is not None:
        click.echo(f"graded B and called high: {result['graded']['b_called_high']:.1%}")
    curve = result["reliability"]
    balanced = curve["ece_balanced"]
    click.echo(
        f"P(high), int8: expected calibration error {curve['ece']:.3f}"
        + ("" if balanced is None else f", with both classes weighted alike {balanced:.3f}")
    )
    for direction, (_, words) in DIRECTIONS.items():
        if "failures" in result:
            read = result["failures"][direction]
            click.echo(
                f"{words}: {read['errors']}, of {read['read']} read the label is wrong in "
                f"{Figure.of(read['label_wrong']):.3f to}"
            )


def _print_confusion(counts: dict[str, int]) -> None:
    table = Table("labelled", "called high", "called low", box=None)
    for label in ("high", "low"):
        cells = (f"{counts[f'{label}_called_{called}']:,}" for called in ("high", "low"))
        table.add_row(label, *cells)
    Console().print(table)


def _print_shares(title: str, rows: dict[str, dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title, "segments", "recordings", "called high", box=None)
    for name, row in rows.items():
        figure = f"{Figure.of(row['called_high']):.3f to}"
        table.add_row(name, f"{row['n']:,}", f"{row['groups']:,}", figure)
    Console().print(table)


def _print_stretches(stretches: dict[str, dict[str, Any]]) -> None:
    if len(stretches) < 2:
        return
    table = Table("decided on, by the mean score", "n", "BAcc", "segments one by one", box=None)
    for length, row in stretches.items():
        n = row["n"]["high"] + row["n"]["low"]
        figures = (f"{Figure.of(row[key]):.3f to}" for key in ("bacc", "one"))
        table.add_row(f"{length} s", f"{n:,}", *figures)
    Console().print(table)


def _print_changes(changes: dict[str, dict[str, Any]]) -> None:
    if not changes:
        return
    table = Table("changed in the signal", "decisions changed", "share", "to high", "to low",
                  box=None)  # fmt: skip
    for name, row in changes.items():
        table.add_row(
            name, f"{row['changed']} of {row['n']}", f"{Figure.of(row['share']):.1% to}",
            str(row["to_high"]), str(row["to_low"]),
        )  # fmt: skip
    Console().print(table)


def _print_difference(difference: dict[str, Any], labels: Labels) -> None:
    columns = {LABEL_WORDS["graded"]: difference["graded"]} if "graded" in difference else {}
    columns[LABEL_WORDS[labels]] = difference
    table = Table(f"{difference['model']} less {difference['other']}", *columns, box=None)
    for figure in FIGURES:
        cells = (f"{Figure.of(column[figure]):+.3f to}" for column in columns.values())
        table.add_row(HEADINGS[figure], *cells)
    Console().print(table)
    flips = difference["flips"]
    click.echo(f"decisions that differ: {flips['flipped']} ({flips['share']:.2%})")
