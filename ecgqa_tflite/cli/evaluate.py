"""``ecgqa evaluate``: a model against a labelled set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.datasets.challenge2017 import read_graded
from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.evaluation import FIGURES, evaluate, int8_scores
from ecgqa_tflite.model_card import HEADINGS, add_external
from ecgqa_tflite.model_folder import json_text, open_model
from ecgqa_tflite.output import refuse_existing, whole_file


@click.command(cls=Command)
@click.argument("model", metavar="MODEL")
@click.argument("data", metavar="DATA", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures to this file.",
)  # fmt: skip
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
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of segments of DATA graded A, B, C by eye: record,start_s,label_*,read_1,...",
)
@click.option("--resamples", type=int, default=2000, show_default=True, help="Of the bootstrap.")
@click.option("--threads", type=int, default=2, show_default=True, help="Threads that score.")
@click.option(
    "--record", is_flag=True, help="Note the result in MODEL's metrics.json and model card."
)
@click.option("--overwrite", is_flag=True, help="Replace the --json file.")
def command(
    model: str,
    data: Path,
    json_file: Path | None,
    with_float: bool,
    float_front_end: str,
    adjudicated: Path | None,
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

    \b
    Examples:
      ecgqa evaluate light_cnn data/challenge-2017 --json figures.json
      ecgqa evaluate models/mine data/challenge-2017 --float
      ecgqa evaluate models/mine data/challenge-2011
    """
    if with_float:
        need("tensorflow", "tf_keras")
    folder = open_model(model)
    if json_file is not None:
        refuse_existing(json_file, overwrite)
    graded = None if adjudicated is None else read_graded(adjudicated)
    with progress() as tell:
        read = 0

        def tick(total: int) -> None:
            nonlocal read
            read += 1
            tell("reading recordings", read, total)

        parts = load_folder(data, folder.spec, tick)
        scores = int8_scores(
            folder, parts, threads=threads, progress=lambda n, total: tell("int8", n, total)
        )
        float_scores = None
        if with_float:
            from ecgqa_tflite.training.score import float_probabilities

            float_scores = float_probabilities(
                folder, parts, float_front_end, lambda n, total: tell("float", n, total)
            )
    result = evaluate(folder, parts, scores, float_scores, graded, resamples)
    result |= {"model": folder.name, "spec_hash": folder.spec.hash, "set": parts[0].source}
    if with_float:
        result["float"]["front_end"] = float_front_end
    if json_file is not None:
        with whole_file(json_file, overwrite) as temporary:
            temporary.write_text(json_text(result), encoding="utf-8")
    _print(result)
    if record:
        add_external(folder, parts[0].source, result)
        click.echo(f"noted in {folder.path / 'metrics.json'}")


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


def _cell(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
