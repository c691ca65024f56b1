# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa pretrain``: photographs in, weights for a network's body out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.resources import default_cache
from ecgqa_tflite.training.pretrain import Pretraining, pretrain
from ecgqa_tflite.training.recipe import Precision


@click.command(cls=Command)
@click.argument("images", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; its last part names the weights.",
)
@click.option(
    "--architecture",
    type=click.Choice(["light_cnn", "inception_v1"]),
    default=Pretraining.architecture,
    show_default=True,
    help="Network to train.",
)
@click.option(
    "--size", type=int, default=Pretraining.size, show_default=True, help="Rows and columns."
)
@click.option(
    "--from",
    "initial_weights",
    metavar="FOLDER",
    help="Pre-training to go on from; of another image size where the layers are the same, as "
    "InceptionV1's are.",
)
@click.option(
    "--epochs", type=int, default=Pretraining.epochs, show_default=True, help="Passes over all."
)
@click.option(
    "--learning-rate", type=float, default=Pretraining.learning_rate, show_default=True,
    help="Adam's, at its highest.",
)  # fmt: skip
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=Pretraining.precision,
    show_default=True,
    help="bfloat16: about half the time where the processor has it.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything drawn.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where unfinished runs are kept.  [default: the user's cache folder]",
)
@click.option("--overwrite", is_flag=True, help="Replace the output.")
def command(images: Path, out: Path, cache: Path | None, overwrite: bool, **recipe: Any) -> None:
    """Pre-train a network on IMAGES, a folder of class folders (ImageNet's way).

    A checkpoint per epoch is kept: the same command goes on where it was killed. Training takes
    the network's body from the folder and gives it a new head of two classes.

    \b
    Examples:
      ecgqa pretrain imagenet70 -o body
      ecgqa pretrain imagenet70 -o small --architecture inception_v1 --size 112
      ecgqa pretrain imagenet70 -o full --architecture inception_v1 --size 224 \\
        --from small --epochs 2
      ecgqa train --data data -o models/mine --from body
    """
    need("tensorflow", "tf_keras")
    with progress() as tell:
        made = pretrain(
            images,
            out,
            Pretraining(**recipe),
            cache or default_cache(),
            overwrite=overwrite,
            progress=tell,
        )
    accuracy = made["validation"]
    click.echo(
        f"{out}: {accuracy['top1']:.1%} of {accuracy['n']} held-out images of "
        f"{len(made['classes'])} classes told right, {accuracy['top5']:.1%} among five"
    )
    click.echo(f"Next: ecgqa train --data DATA -o MODEL --from {out}")
