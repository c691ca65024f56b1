# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa threshold``: from which score a model calls high."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from ecgqa_tflite.cli import Command
from ecgqa_tflite.cli.kernels import kernels_option
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.datasets.challenge2017 import read_graded
from ecgqa_tflite.evaluation.figures import LABEL_WORDS, Figure
from ecgqa_tflite.evaluation.operating import Kind, Rule
from ecgqa_tflite.evaluation.threshold import Job
from ecgqa_tflite.model_folder import open_model

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("model", metavar="MODEL")
@click.argument("data", metavar="DATA", type=click.Path(file_okay=False, path_type=Path))
@click.option("--min-sp", type=float, help="The highest Se whose Sp is at least this, 0..1.")
@click.option("--min-se", type=float, help="The highest Sp whose Se is at least this, 0..1.")
@click.option(
    "--cost", type=float,
    help="The least cost, where low quality called high costs so many times high called low.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path),
    help="Model folder to write, sealed at the chosen point; its last part is the model's name.",
)  # fmt: skip
@click.option(
    "--adjudicated", type=_FILE,
    help="CSV of segments of DATA graded A, B, C by eye: choose by A against C instead of labels.",
)  # fmt: skip
@kernels_option
@click.option("--table", type=_FILE, help="Write all 255 points as CSV.")
@click.option("--curve", type=_FILE, help="Draw Se over 1 - Sp (SVG), the points marked.")
@click.option("--json", "json_file", type=_FILE, help="Write the points shown to this file.")
@click.option(
    "--resamples", type=click.IntRange(min=0), default=2000, show_default=True,
    help="Of the bootstrap; 0: no intervals.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(min=1), default=2, show_default=True,
    help="Threads that score.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(
    model: str,
    data: Path,
    min_sp: float | None,
    min_se: float | None,
    cost: float | None,
    adjudicated: Path | None,
    **options: Any,
) -> None:
    """Choose from which score MODEL calls high, on the labelled folder DATA.

    Prints operating points with 95 % intervals (bootstrap over recordings); with one of --min-sp,
    --min-se and --cost it chooses one, and with -o it writes MODEL again, sealed there: the same
    network, weights, licence and figures, the card anew. ecgqa-convert takes that folder as it is.

    Labels are those that ecgqa evaluate takes. What a threshold was chosen on is no test of the
    model any more: the card names the set, and ecgqa evaluate --record refuses it. A bound that
    holds here holds elsewhere only as far as the recordings are alike and many: see the interval.

    \b
    Examples:
      ecgqa threshold light_cnn data/mine
      ecgqa threshold light_cnn data/mine --min-sp .95 -o models/strict
      ecgqa threshold models/mine data/mine --cost 3 --curve curve.svg
    """
    bounds: dict[Kind, float | None] = {"min_sp": min_sp, "min_se": min_se, "cost": cost}
    rules = [Rule(kind, value) for kind, value in bounds.items() if value is not None]
    if len(rules) > 1:
        raise click.UsageError("--min-sp, --min-se and --cost exclude each other")
    with progress() as tell:
        found = Job(
            open_model(model),
            data,
            rules[0] if rules else None,
            graded=None if adjudicated is None else read_graded(adjudicated),
            **options,
        ).run(tell)
    _print(found)
    if options["out"] is not None:
        out = options["out"]
        click.echo(f"Written: {out}. Next: ecgqa-convert {out} -o DIR")


def _print(found: dict[str, Any]) -> None:
    figures = (Column(name, no_wrap=True) for name in ("Se", "Sp"))
    table = Table("from", "P(high)", *figures, "low called high", "", box=None)
    for i, point in enumerate(found["points"]):
        notes = [word for word in ("now", "chosen") if found.get(word) == i]
        table.add_row(
            str(point["threshold_int8"]),
            f"{point['p_high']:.3f}",
            f"{Figure.of(point['se']):.3f}",
            f"{Figure.of(point['sp']):.3f}",
            f"{point['low_called_high']:,} of {point['n']['low']:,}",
            ", ".join(notes),
        )
    Console().print(table)
    first = found["points"][0]
    click.echo(
        f"{found['model']} on {found['set']}, {LABEL_WORDS[found['labels']]}: "
        f"{first['n']['high']:,} high, {first['n']['low']:,} low, {first['groups']:,} recordings"
        + (f"; chosen by {found['rule']}" if "rule" in found else "")
    )
    if found["seen"]:
        click.echo(f"Recordings of {found['set']} trained the model: these figures flatter it.")
