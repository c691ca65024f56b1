# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa train``: recordings in, a model folder out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from ecgqa_tflite.cli import Command, given, need
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.resources import default_cache
from ecgqa_tflite.spec import COLORMAPS, PRESETS, FrontEnd, Scaling, read_spec
from ecgqa_tflite.training.recipe import Precision, Recipe

PRESET = "wearable"
"""Where neither an option nor a recipe's model says another."""


@click.command(cls=Command)
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that holds challenge-2011, mitdb and nstdb, and may hold arrhythmia.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Model folder to write; its last part is the model's name.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help=f"Front end to start from.  [default: spec.json beside --recipe's file, else {PRESET}]",
)
@click.option("--colormap", type=click.Choice(tuple(COLORMAPS)), help="Colours of the image.")
@click.option("--scaling", type=click.Choice(get_args(Scaling)), help="Range of the image.")
@click.option("--size", type=int, help="Rows and columns of the image.")
@click.option(
    "--recipe",
    "recipe_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="recipe.json to repeat, with the front end of the spec.json beside it; options change "
    "both. Weights that it starts from are named anew, with --from.",
)
@click.option(
    "--architecture", type=click.Choice(["light_cnn", "inception_v1"]), help="Network to train."
)
@click.option("--alpha", type=float, help="Width of Light-CNN.")
@click.option(
    "--from",
    "initial_weights",
    metavar="FOLDER",
    help="Pre-training whose body it starts from, or a model (by folder or shipped name) to go on "
    "from, head and all.",
)
@click.option("--from-scratch", is_flag=True, help="Random weights, whatever --recipe starts from.")
@click.option(
    "--averaged", type=int,
    help="Trainings from the same weights (--from), a seed each, whose mean is the model: as many "
    "times the work, the same model size.",
)  # fmt: skip
@click.option(
    "--teacher", "teachers", multiple=True, metavar="MODEL",
    help="A model (folder or shipped name) whose P(high) is half of the target where a label may "
    "err; repeat for the mean of more.",
)  # fmt: skip
@click.option("--epochs", type=int, help="Passes over the training set.")
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    help="bfloat16: about half the time where the processor has it.",
)
@click.option("--segments", type=int, help="Training segments; a fifth as many validate.")
@click.option(
    "--quick", is_flag=True,
    help="2,000 segments and 2 epochs: see in minutes that everything is there and works.",
)  # fmt: skip
@click.option("--seed", type=int, help="Of the network, the order and the augmentation.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where scalograms and unfinished runs are kept.  [default: the user's cache folder]",
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=2, show_default=True,
    help="Processes that prepare.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the output.")
def command(
    data: Path,
    out: Path,
    preset: str | None,
    colormap: str | None,
    scaling: Scaling | None,
    size: int | None,
    recipe_file: Path | None,
    initial_weights: str | None,
    from_scratch: bool,
    teachers: tuple[str, ...],
    segments: int | None,
    quick: bool,
    cache: Path | None,
    workers: int,
    overwrite: bool,
    **changes: Any,
) -> None:
    """Train a network on challenge-2011, mitdb and nstdb and write its model folder.

    DATA/arrhythmia may hold vfdb, cudb and challenge-2015-vt, PhysioNet's files in a folder each,
    and graded.csv, windows of them graded A or C (set,record,lead,start_s,read_1,read_2). What of
    it is missing is named, and left out: then no recorded ventricular arrhythmia trains.

    Segments, scalograms and a checkpoint per epoch are kept in the cache: the same command goes on
    where it was killed. The float network calls high from P(high) 0.6 on; the int8 network, which
    is made too, gets the threshold that decides most like it on held-out patients.

    challenge-2011's LEADS.csv (record, lead, quality: good or bad) labels its leads one by one. It
    isn't PhysioNet's: the labels are the ECGAssess project's (github.com/LinusKra/ECGAssess, 450
    recordings). Without it a training works too: every lead has the label of its recording, which
    is coarser, and the card says so. Recordings of your own in its place are named as yours.

    \b
    Examples:
      ecgqa train --data data -o models/try --quick
      ecgqa train --data data -o models/mine
      ecgqa train --data data -o models/small --alpha 0.25 --colormap grey
      ecgqa train --data data -o models/again \\
        --recipe models/light_cnn_small/recipe.json
      ecgqa train --data data -o models/from_photographs --from body \\
        --recipe models/light_cnn/recipe.json --teacher inception_v1
      ecgqa train --data data -o models/steadier --from light_cnn --averaged 4
      ecgqa train --data data -o models/taught --from light_cnn \\
        --teacher inception_v1
    """
    if from_scratch and initial_weights is not None:
        raise click.UsageError("--from and --from-scratch exclude each other")
    need("tensorflow", "tf_keras")
    recipe = Recipe(initial_weights=initial_weights, teachers=teachers)
    beside = None
    if recipe_file is not None:
        recipe = Recipe.again(recipe_file, initial_weights, from_scratch, teachers)
        beside = recipe_file.with_name("spec.json")
    if quick:
        recipe = recipe.quick()
    if segments is not None:
        recipe = recipe.of_size(segments)
    recipe = replace(recipe, **given(changes))
    if preset is None and beside is not None and beside.exists():
        spec = read_spec(beside)
    else:
        spec = FrontEnd.preset(preset or PRESET)
    look = {"colormap": colormap, "scaling": scaling, "rows": size, "cols": size}
    spec = replace(spec, **given(look))

    from ecgqa_tflite.training.run import train

    with progress() as tell:
        model = train(
            data,
            out,
            spec,
            recipe,
            cache or default_cache(),
            workers=workers,
            overwrite=overwrite,
            progress=tell,
        )
    table = model.metrics["validation"]["int8"]
    bacc, auc = (table[name]["value"] for name in ("bacc", "auc"))
    click.echo(f"{model.path}: int8 on validation: BAcc {bacc:.3f}, AUC {auc:.3f}")
    click.echo(f"Next: ecgqa evaluate {model.path} FOLDER; ecgqa-convert {model.path} -o DIR")
