"""``ecgqa experiment fusion``: a network's score and classical features, weighed together."""

from __future__ import annotations

from pathlib import Path

import click

from ecgqa_tflite.cli import need
from ecgqa_tflite.cli.progress import default_cache, progress
from ecgqa_tflite.datasets.balanced import build
from ecgqa_tflite.datasets.challenge2017 import read_graded
from ecgqa_tflite.experiment import fusion
from ecgqa_tflite.experiment.external import read_test
from ecgqa_tflite.model_folder import json_text, open_model
from ecgqa_tflite.output import refuse_existing, whole_file
from ecgqa_tflite.training.recipe import Recipe

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("fusion")
@click.option("--model", default="light_cnn", show_default=True, help="Model to add features to.")
@click.option(
    "--data",
    required=True,
    type=_FOLDER,
    help="Folder that holds challenge-2011, mitdb and nstdb.",
)
@click.option(
    "--test",
    "test_folder",
    type=_FOLDER,
    help="External test: the folder of challenge-2017. Left unopened where not given.",
)
@click.option(
    "--adjudicated",
    type=_FILE,
    help="CSV of segments of the test graded A, B, C by eye: record,start_s,label_*,read_1,...",
)
@click.option("-o", "--out", required=True, type=_FILE, help="JSON to write.")
@click.option("--overwrite", is_flag=True, help="Replace the JSON.")
@click.option("--seed", default=0, show_default=True, help="Of the forest and the halvings.")
@click.option(
    "--cache", type=_FOLDER, help="Where mixtures are kept.  [default: the user's cache folder]"
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Processes that prepare.",
)
def command(
    model: str,
    data: Path,
    test_folder: Path | None,
    adjudicated: Path | None,
    out: Path,
    overwrite: bool,
    seed: int,
    cache: Path | None,
    workers: int,
) -> None:
    """Ask whether a network gains from classical features beside its score.

    Weights, thresholds and the verdict come from the patients that the model's training held out;
    the external test is scored last and decides nothing.

    \b
    Examples:
      ecgqa experiment fusion --data data -o fusion.json
      ecgqa experiment fusion --data data --test data/challenge-2017 -o f.json
    """
    need("sklearn")
    refuse_existing(out, overwrite)
    opened = open_model(model)
    composition = Recipe.from_dict(opened.recipe).composition
    graded = None if adjudicated is None else read_graded(adjudicated)
    with progress() as tell:
        sets = build(data, opened.spec, composition, cache or default_cache(), workers, tell)
        test = None if test_folder is None else read_test(test_folder, opened.spec, graded, tell)
        result = fusion.fusion(opened, sets, test, seed=seed, workers=workers, progress=tell)
    with whole_file(out, overwrite) as temporary:
        temporary.write_text(json_text(result), encoding="utf-8")
    click.echo(fusion.markdown(result))
    click.echo(f"Written: {out}")
