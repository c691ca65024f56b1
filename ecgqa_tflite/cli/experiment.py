# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa experiment``: the paper's table and its ablations, run by run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from ecgqa_tflite.cli import given, need
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.datasets.challenge2017 import read_graded
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.experiment import design
from ecgqa_tflite.experiment.external import read_test
from ecgqa_tflite.experiment.indices import of_model, peers
from ecgqa_tflite.experiment.report import write_report
from ecgqa_tflite.experiment.run import Session, retime, run
from ecgqa_tflite.experiment.stress_report import FILE as STRESS_FILE
from ecgqa_tflite.experiment.stress_report import PLOT, TABLE, StressJob
from ecgqa_tflite.experiment.stress_report import markdown as stress_markdown
from ecgqa_tflite.experiment.tables import markdown
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.resources import default_cache
from ecgqa_tflite.spec import COLORMAPS, PRESETS, FrontEnd, Scaling
from ecgqa_tflite.training.recipe import Recipe

Decorator = Callable[[Any], Any]
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
POSITIVE = click.IntRange(min=1)

SHARED: tuple[Decorator, ...] = (
    click.option(
        "--data", required=True, type=FOLDER,
        help="Folder that holds challenge-2011, mitdb and nstdb, and may hold arrhythmia.",
    ),
    click.option(
        "--test", "test_folder", required=True, type=FOLDER,
        help="External test: the folder of challenge-2017.",
    ),
    click.option("-o", "--out", required=True, type=FOLDER, help="Folder of the experiment."),
    click.option("--quick", is_flag=True, help="A small version in some ten minutes."),
    click.option("--only", multiple=True, metavar="ROW", help="Run this row; repeat for more."),
    click.option("--repeats", type=int, help="Trainings per row, seeds 0, 1, ..."),
    click.option("--seeds", metavar="LIST", help="Seeds instead, such as 0-4,7."),
    click.option(
        "--adjudicated", type=FILE,
        help="CSV of segments of the test graded A, B, C by eye: record,start_s,label_*,read_1,...",
    ),
    click.option(
        "--recipe", "recipes", multiple=True, metavar="[ROW=]FILE",
        help="recipe.json of every row, or of one; what a row is about stays its own.",
    ),
    click.option(
        "--preset", type=click.Choice(list(PRESETS)), default="wearable", show_default=True,
        help="Front end to start from.",
    ),
    click.option("--colormap", type=click.Choice(tuple(COLORMAPS)), help="Colours of the image."),
    click.option("--scaling", type=click.Choice(get_args(Scaling)), help="Range of the image."),
    click.option("--size", type=int, help="Rows and columns of the image."),
    click.option(
        "--float-sample", type=POSITIVE,
        help="Test float networks on so many segments, all low ones among them; int8 on all.",
    ),
    click.option(
        "--cache", type=FOLDER,
        help="Where scalograms and unfinished runs are kept.  [default: the user's cache folder]",
    ),
    click.option(
        "--workers", type=POSITIVE, default=2, show_default=True, help="Processes that prepare."
    ),
    click.option(
        "--threads", type=POSITIVE, default=2, show_default=True, help="Threads that score."
    ),
)  # fmt: skip
"""Options of both experiments."""


def _shared(function: Any) -> Any:
    for option in reversed(SHARED):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Train many networks alike, test them on recordings of another device, draw the table.

    What is done is never done again: the same command goes on where it was killed, run by run and
    within a run.

    \b
    Examples:
      ecgqa experiment table2 --data data --test data/challenge-2017 -o t --quick
      ecgqa experiment ablations --data data --test data/challenge-2017 -o a
      ecgqa experiment noise-stress --data data -o n
      ecgqa experiment report t
    """


@command.command("table2")
@_shared
@click.option("--pretrained-light", metavar="FOLDER", help="Pre-training of Light-CNN.")
@click.option("--pretrained-inception", metavar="FOLDER", help="Pre-training of InceptionV1.")
def table2(pretrained_light: str | None, pretrained_inception: str | None, **options: Any) -> None:
    """Table 2 of the seed paper: Light-CNN from scratch and pre-trained, InceptionV1, baselines.

    Every network as float and as int8, mean and spread over ten seeds (three for InceptionV1), the
    difference that pre-training makes with its interval, and on the same segments a random forest
    on classical features and NeuroKit2's quality indices.

    \b
    Examples:
      ecgqa experiment table2 --data data --test data/challenge-2017 -o t --quick
      ecgqa experiment table2 --data data --test data/challenge-2017 -o t \\
        --pretrained-light pre/light --pretrained-inception pre/inception
      ecgqa experiment table2 --data data --test data/challenge-2017 -o t \\
        --only inception_v1 --repeats 1 --float-sample 5000
    """
    _run(
        design.table2,
        options,
        pretrained_light=pretrained_light,
        pretrained_inception=pretrained_inception,
    )


@command.command("ablations")
@_shared
def ablations(**options: Any) -> None:
    """One change at a time to Light-CNN: front end, image, width; and the cost of small networks.

    \b
    Examples:
      ecgqa experiment ablations --data data --test data/challenge-2017 -o a
      ecgqa experiment ablations --data data --test data/challenge-2017 -o a \\
        --only base --only grey --repeats 5
    """
    _run(design.ablations, options)


@command.command("noise-stress")
@click.option("--data", required=True, type=FOLDER, help="Folder that holds mitdb and nstdb.")
@click.option("-o", "--out", required=True, type=FOLDER, help="Folder of the experiment.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    default=("light_cnn", "light_cnn_small"),
    show_default=True,
    help="Repeat for more; the first one's lead over the others is told.",
)
@click.option(
    "--packages",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False),
    help="Import peers (NeuroKit2, ecg-quality, biosqi) from here where they aren't installed.",
)
@click.option(
    "--windows",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="Windows drawn at random; 0: all, some 7,000.",
)
@click.option("--no-peers", is_flag=True, help="Our models and random dropping alone.")
@click.option("--seed", default=0, show_default=True, help="Of noise, draw and bootstrap.")
def noise_stress(
    data: Path,
    out: Path,
    models: tuple[str, ...],
    packages: str | None,
    windows: int,
    no_peers: bool,
    seed: int,
) -> None:
    """Beats that two detectors lose to noise, and what of it each quality index keeps away.

    A truth that no reader grades: recordings of mitdb that trained no model, with nstdb's noise at
    24 to -6 dB by the noise stress test's recipe. Beat sensitivity and positive predictivity (EC57,
    150 ms) on everything, on what each index keeps by its own rule, and at equal share kept; the
    lead over each peer with its interval. Peers are those that are there ("make peers" installs
    them into a folder); the same command goes on where it was killed.

    \b
    Examples:
      ecgqa experiment noise-stress --data data -o n
      ecgqa experiment noise-stress --data data -o n --packages build/peers
      ecgqa experiment noise-stress --data data -o n --model mine --no-peers
    """
    if packages is not None:
        sys.path.append(packages)  # last: numpy and scipy stay ours
    opened = [open_model(name) for name in models]
    others, missing = ([], {}) if no_peers else peers()
    indices = [*(of_model(model) for model in opened), *others]
    with progress() as tell:
        job = StressJob(opened, data, out, indices, missing, windows, seed)
        result = job.run(tell)
    click.echo(stress_markdown(result))
    click.echo(f"Written: {', '.join(str(out / name) for name in (STRESS_FILE, TABLE, PLOT))}")


@command.command("report")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--time", "again", is_flag=True, help="Take the networks' times anew before.")
def report(folder: Path, again: bool) -> None:
    """Draw the tables and pictures of the finished runs in DIR anew.

    \b
    Examples:
      ecgqa experiment report t
      ecgqa experiment report t --time     when nothing else runs
    """
    if again:
        need("tensorflow", "tf_keras")
        with progress() as tell:
            retime(folder, tell)
    _report(folder)


def _run(make: Callable[..., design.Experiment], options: dict[str, Any], **more: Any) -> None:
    need("tensorflow", "tf_keras", "sklearn")
    look = {
        "colormap": options["colormap"],
        "scaling": options["scaling"],
        "rows": options["size"],
        "cols": options["size"],
    }
    spec = FrontEnd.preset(options["preset"], **given(look))
    recipes = _recipes(options["recipes"])
    experiment = make(
        spec,
        recipes,
        seeds=_seeds(options["seeds"]),
        repeats=options["repeats"],
        quick=options["quick"],
        **more,
    )
    experiment.chosen(options["only"])
    known = [design.BASE, *(row.name for row in experiment.rows), *experiment.left_out]
    for row in recipes:
        if row not in known:
            raise ArgumentError(f"--recipe {row}=: no such row; there are: {', '.join(known[1:])}")
    graded = None if options["adjudicated"] is None else read_graded(options["adjudicated"])
    out: Path = options["out"]
    with progress() as tell:
        test = read_test(options["test_folder"], spec, graded, tell)
        if experiment.quick:
            test = test.part_of(design.QUICK_RECORDINGS)
        session = Session(
            experiment,
            options["data"],
            test,
            out,
            options["cache"] or default_cache(),
            float_sample=options["float_sample"],
            workers=options["workers"],
            threads=options["threads"],
            progress=tell,
        )
        run(session, options["only"])
    _report(out)


def _report(folder: Path) -> None:
    result, files = write_report(folder)
    click.echo(markdown(result))
    for path in files:
        click.echo(f"Written: {path}")


def _recipes(given: tuple[str, ...]) -> dict[str, Recipe]:
    """Recipes by row, one for all others."""
    recipes = {design.BASE: Recipe()}
    for text in given:
        row, _, path = text.rpartition("=")
        recipes[row or design.BASE] = Recipe.read(Path(path))
    return recipes


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    seeds: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ArgumentError(f"--seeds {text}: needs numbers and ranges such as 0-4,7")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise ArgumentError(f"--seeds {text}: names no seed")
    return seeds
