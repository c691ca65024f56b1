"""``ecgqa train``: recordings in, a model folder out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.cli.progress import default_cache, progress
from ecgqa_tflite.spec import PRESETS, Colormap, FrontEnd, Scaling
from ecgqa_tflite.training.recipe import Precision, Recipe


@click.command(cls=Command)
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that holds challenge-2011, mitdb and nstdb.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Model folder to write; its last part is the model's name.",
)
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="wearable", show_default=True,
    help="Front end to start from.",
)  # fmt: skip
@click.option("--colormap", type=click.Choice(get_args(Colormap)), help="Colours of the image.")
@click.option("--scaling", type=click.Choice(get_args(Scaling)), help="Range of the image.")
@click.option("--size", type=int, help="Rows and columns of the image.")
@click.option(
    "--recipe",
    "recipe_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="recipe.json to repeat; the options below change it.",
)
@click.option(
    "--architecture", type=click.Choice(["light_cnn", "inception_v1"]), help="Network to train."
)
@click.option("--alpha", type=float, help="Width of Light-CNN.")
@click.option("--from", "initial_weights", help="Model or pre-training whose body it starts from.")
@click.option("--epochs", type=int, help="Passes over the training set.")
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    help="bfloat16: about half the time where the processor has it.",
)
@click.option("--segments", type=int, help="Training segments; a fifth as many validate.")
@click.option("--seed", type=int, help="Of the network, the order and the augmentation.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where scalograms and unfinished runs are kept.  [default: the user's cache folder]",
)
@click.option("--workers", type=int, default=2, show_default=True, help="Processes that prepare.")
@click.option("--overwrite", is_flag=True, help="Replace the output.")
def command(
    data: Path,
    out: Path,
    preset: str,
    colormap: Colormap | None,
    scaling: Scaling | None,
    size: int | None,
    recipe_file: Path | None,
    segments: int | None,
    cache: Path | None,
    workers: int,
    overwrite: bool,
    **changes: Any,
) -> None:
    """Train a network on challenge-2011, mitdb and nstdb and write its model folder.

    Segments, scalograms and a checkpoint an epoch are kept in the cache: the same command goes on
    where it was killed. Thresholds are chosen on held-out patients; the int8 model is made too.

    \b
    Examples:
      ecgqa train --data data -o models/mine
      ecgqa train --data data -o models/small --alpha 0.25 --colormap grey
      ecgqa train --data data -o models/again --recipe models/mine/recipe.json
    """
    need("tensorflow", "tf_keras")
    look = {"colormap": colormap, "scaling": scaling, "rows": size, "cols": size}
    spec = FrontEnd.preset(preset, **{k: v for k, v in look.items() if v is not None})
    recipe = Recipe() if recipe_file is None else Recipe.read(recipe_file)
    if segments is not None:
        composition = replace(
            recipe.composition, n_train=segments, n_validation=max(2, segments // 5)
        )
        recipe = replace(recipe, composition=composition)
    recipe = replace(recipe, **{k: v for k, v in changes.items() if v is not None})

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
    click.echo(
        f"{model.path}: int8 on validation: BAcc {table['bacc']['value']:.3f}, "
        f"AUC {table['auc']['value']:.3f}"
    )
    click.echo(f"Next: ecgqa evaluate {model.path} FOLDER; ecgqa-convert {model.path} -o DIR")
