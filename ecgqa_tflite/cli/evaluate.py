"""``ecgqa evaluate``: a model against a labelled set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ecgqa_tflite import plots
from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.datasets.challenge2017 import read_graded
from ecgqa_tflite.datasets.folders import load_folder, set_name
from ecgqa_tflite.datasets.labelled import set_digest
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.evaluation import failures
from ecgqa_tflite.evaluation.card import HEADINGS, add_external, refuse_seen, refuse_unrecordable
from ecgqa_tflite.evaluation.figures import FIGURES
from ecgqa_tflite.evaluation.models import compare, evaluate, int8_scores
from ecgqa_tflite.model_folder import json_text, open_model
from ecgqa_tflite.output import refuse_existing, whole_file

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("model", metavar="MODEL")
@click.argument("data", metavar="DATA", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "json_file", type=_FILE, help="Write the figures to this file.")
@click.option(
    "--float",
    "with_float",
    is_flag=True,
    help="Score the float model too and count decisions that differ (needs TensorFlow).",
)
@click.option(
    "--float-front-end",
    type=click.Choice(["integer", "reference"]),
    default="integer",
    show_default=True,
    help="Images for the float model: the device's, or those of the float64 reference (slow).",
)
@click.option(
    "--adjudicated",
    type=_FILE,
    help="CSV of segments of DATA graded A, B, C by eye: record,start_s,label_*,read_1,...",
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
    json_file: Path | None,
    with_float: bool,
    float_front_end: str,
    adjudicated: Path | None,
    other: str | None,
    gallery: Path | None,
    sample: int,
    seed: int,
    sheet: Path | None,
    graded_errors: Path | None,
    resamples: int,
    threads: int,
    record: bool,
    overwrite: bool,
) -> None:
    """Score MODEL on the labelled folder DATA: Se, Sp, Acc, BAcc, AUC with 95 % intervals.

    DATA is laid out as PhysioNet does: REFERENCE.csv (challenge-2017), LEADS.csv or RECORDS-
    acceptable and RECORDS-unacceptable (challenge-2011). Segments inherit their recording's label.
    What is scored is what a device runs: integer front end and int8 network. Intervals come from a
    bootstrap over recordings.

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
      ecgqa evaluate models/mine data/challenge-2017 \\
          --gallery errors.html --errors errors.csv
      ecgqa evaluate models/mine data/challenge-2017 \\
          --graded-errors errors.csv --record
    """
    if with_float:
        need("tensorflow", "tf_keras")
    folder = open_model(model)
    if record:
        if not Path(model).is_dir():
            raise ArgumentError(
                f"{model} ships with the package and stays as it is: copy {folder.path} and note "
                f"figures in the copy"
            )
        refuse_unrecordable(folder)
    rival = None if other is None else open_model(other)
    for path in (json_file, gallery, sheet):
        if path is not None:
            refuse_existing(path, overwrite)
    if gallery is not None:
        plots.check_picture_suffix(gallery, plots.GALLERY_SUFFIXES)
        need("matplotlib")
    graded = None if adjudicated is None else read_graded(adjudicated)
    readings = {} if graded_errors is None else failures.read_sheet(graded_errors)
    with progress() as tell:
        read = 0

        def tick(total: int) -> None:
            nonlocal read
            read += 1
            tell("reading recordings", read, total)

        parts = load_folder(data, folder.spec, tick)
        source = set_name(data, parts)
        if record:
            refuse_seen(folder, source, parts)
        scores = int8_scores(
            folder, parts, threads=threads, progress=lambda n, total: tell("int8", n, total)
        )
        float_scores = other_scores = None
        if with_float:
            from ecgqa_tflite.training.score import float_probabilities

            float_scores = float_probabilities(
                folder, parts, float_front_end, lambda n, total: tell("float", n, total), threads
            )
        if rival is not None:
            other_scores = int8_scores(
                rival, parts, threads=threads, progress=lambda n, t: tell(f"int8 {other}", n, t)
            )
        result = evaluate(folder, parts, scores, float_scores, graded, resamples)
        result |= {"model": folder.name, "spec_hash": folder.spec.hash}
        result |= {"set": source, "digest": set_digest(parts)}
        if with_float:
            result["float"]["front_end"] = float_front_end
        difference = None
        if rival is not None and other_scores is not None:
            difference = compare(folder, scores, rival, other_scores, parts, graded, resamples)

        found = failures.find_failures(parts, scores, folder.threshold_int8)
        drawn = failures.draw_sample(found, sample, seed)
        if graded_errors is not None and sheet is None:
            result["failures"] = failures.tally(found, drawn, readings, seed)
        filled = failures.sheet(drawn, readings)
        if sheet is not None:
            _write(sheet, filled, overwrite)
        if gallery is not None:
            with whole_file(gallery, overwrite) as temporary:
                failures.draw_gallery(
                    temporary, folder, found, drawn, seed, lambda n, t: tell("drawing", n, t)
                )
    if json_file is not None:
        compared = {} if difference is None else {"difference": difference}
        _write(json_file, json_text(result | compared), overwrite)
    _print(result)
    if difference is not None:
        _print_difference(difference)
    if record:
        files = {f"{source}-failures.csv": filled} if "failures" in result else {}
        add_external(folder, source, result, files)
        click.echo(f"noted in {folder.path / 'metrics.json'}")


def _write(path: Path, text: str, overwrite: bool) -> None:
    with whole_file(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _print(result: dict[str, Any]) -> None:
    models = {"int8": result} | ({"float": result["float"]} if "float" in result else {})
    columns = dict(models)
    columns |= {f"{k}, A against C": v["graded"] for k, v in models.items() if "graded" in v}
    table = Table("", *columns, box=None)
    for figure in FIGURES:
        table.add_row(HEADINGS[figure], *(_cell(column[figure]) for column in columns.values()))
    for quality in ("high", "low"):
        table.add_row(f"n {quality}", *(f"{c['n'][quality]:,}" for c in columns.values()))
    Console().print(table)
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
    for direction, (_, words) in failures.DIRECTIONS.items():
        if "failures" in result:
            read = result["failures"][direction]
            click.echo(
                f"{words}: {read['errors']}, of {read['read']} read the label is wrong in "
                f"{_cell(read['label_wrong'])}"
            )


def _print_difference(difference: dict[str, Any]) -> None:
    columns = {"inherited labels": difference}
    if "graded" in difference:
        columns["A against C"] = difference["graded"]
    table = Table(f"{difference['model']} less {difference['other']}", *columns, box=None)
    for figure in FIGURES:
        cells = (_cell(column[figure], "+.3f") for column in columns.values())
        table.add_row(HEADINGS[figure], *cells)
    Console().print(table)
    flips = difference["flips"]
    click.echo(f"decisions that differ: {flips['flipped']} ({flips['share']:.2%})")


def _cell(figure: dict[str, float | None], style: str = ".3f") -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{value:{style}}"
    return f"{value:{style}} ({low:{style}} to {high:{style}})"
