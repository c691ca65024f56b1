# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa train`` as a user types it; the training itself is in ``unit/test_training.py``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ecgqa_tflite.cli import train as train_module
from ecgqa_tflite.errors import EcgqaError
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training import run
from ecgqa_tflite.training.recipe import Recipe


def train(*arguments: object) -> Result:
    return CliRunner().invoke(train_module.command, [str(a) for a in arguments])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--data", "nowhere", "-o", "new"], "ecgqa data get"),
        (["--data", ".", "-o", "new"], "ecgqa data get"),
        (["--data", "names", "-o", "new"], "records that are not there: 7"),
        (["--data", ".", "-o", "there"], "exists already"),
        (["--data", ".", "-o", "new", "--recipe", "none.json"], "none.json"),
        (["--data", ".", "-o", "new", "--recipe", "broken.json"], "format"),
        (["--data", ".", "-o", "new", "--epochs", "0"], "epochs"),
        (["--data", ".", "-o", "new", "--size", "3"], "rows and cols"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "broken.json").write_text("{}")
    (tmp_path / "names" / "mine").mkdir(parents=True)
    (tmp_path / "names" / "mine" / "LEADS.csv").write_text("record,lead,quality\n7,I,good\n")
    monkeypatch.setattr(run, "new_network", lambda *_: pytest.fail("TensorFlow is loaded first"))
    before = sorted(tmp_path.rglob("*"))
    done = train(*given, "--cache", tmp_path / "cache")
    assert done.exit_code == 1
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_options_change_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class StopError(Exception):
        pass

    def stop(data: Path, out: Path, spec: Any, recipe: Recipe, cache: Path, **rest: Any) -> None:
        seen.update(spec=spec, recipe=recipe, cache=cache, **rest)
        raise StopError

    monkeypatch.setattr(run, "train", stop)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    saved = Recipe(epochs=9, alpha=0.5).to_dict()
    (tmp_path / "recipe.json").write_text(json.dumps(saved))
    done = train(
        "--data", "d", "-o", "o", "--recipe", tmp_path / "recipe.json", "--alpha", 0.25,
        "--segments", 100, "--colormap", "grey", "--size", 113, "--preset", "seed", "--overwrite",
    )  # fmt: skip
    assert isinstance(done.exception, StopError)
    assert seen["recipe"].epochs == 9 and seen["recipe"].alpha == 0.25
    assert seen["recipe"].composition.n_train == 100
    assert seen["recipe"].composition.n_validation == 20
    assert seen["spec"].image_shape == (113, 113, 1) and seen["spec"].f_max_hz == 108.5
    assert seen["cache"] == tmp_path / "ecgqa" and seen["overwrite"]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``ecgqa train`` was last given; nothing is trained."""
    seen: dict[str, Any] = {}

    def stop(data: Path, out: Path, spec: Any, recipe: Recipe, cache: Path, **rest: Any) -> None:
        seen.update(spec=spec, recipe=recipe)
        raise EcgqaError("stopped")

    monkeypatch.setattr(run, "train", stop)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return seen


def saved(folder: Path, spec: FrontEnd | None = None, **recipe: Any) -> Path:
    """A ``recipe.json``, with a ``spec.json`` beside it."""
    (folder / "recipe.json").write_text(json.dumps(Recipe(**recipe).to_dict()))
    if spec is not None:
        (folder / "spec.json").write_text(spec.to_json())
    return folder / "recipe.json"


def test_a_recipe_repeats_its_models_front_end(given: dict[str, Any], tmp_path: Path) -> None:
    spec = FrontEnd.preset("seed", rows=113, cols=113, colormap="grey")
    path = saved(tmp_path, spec)
    for options, wanted in (
        ([], spec),
        (["--colormap", "jet"], replace(spec, colormap="jet")),
        (["--preset", "wearable", "--size", 99], FrontEnd.preset("wearable", rows=99, cols=99)),
    ):
        done = train("--data", "d", "-o", "o", "--recipe", path, *options)
        assert "stopped" in done.stderr and given["spec"] == wanted
    (tmp_path / "spec.json").write_text("{}")
    done = train("--data", "d", "-o", "o", "--recipe", path)
    assert done.exit_code == 1 and "spec.json" in done.stderr
    (tmp_path / "spec.json").unlink()
    train("--data", "d", "-o", "o", "--recipe", path)
    assert given["spec"] == FrontEnd.preset("wearable")


def test_a_recipes_start_is_named_anew(given: dict[str, Any], tmp_path: Path) -> None:
    """The name in a recipe is a folder of whoever trained; here it may be another thing."""
    path = saved(tmp_path, initial_weights="light_cnn")
    arguments = ("--data", "d", "-o", "o", "--recipe", path)
    done = train(*arguments)
    assert done.exit_code == 1 and len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in ("light_cnn", "--from FOLDER", "--from-scratch"))
    assert not given
    train(*arguments, "--from", "body")
    assert given["recipe"].initial_weights == "body"
    train(*arguments, "--from-scratch")
    assert given["recipe"].initial_weights is None
    assert train(*arguments, "--from", "body", "--from-scratch").exit_code == 2


def test_quick_is_small_whatever_the_recipe(given: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path, alpha=0.5, epochs=40)
    train("--data", "d", "-o", "o", "--recipe", path, "--quick")
    quick = given["recipe"]
    assert quick.alpha == 0.5 and quick.epochs == 2
    assert (quick.composition.n_train, quick.composition.n_validation) == (2000, 400)
    train("--data", "d", "-o", "o", "--quick", "--epochs", 1, "--segments", 500)
    assert given["recipe"].epochs == 1 and given["recipe"].composition.n_train == 500


@pytest.mark.parametrize("name", ["light_cnn", "light_cnn_small", "inception_v1"])
def test_shipped_recipes_can_be_repeated(name: str, given: dict[str, Any]) -> None:
    folder = open_model(name).path
    taught = [
        word for t in open_model(name).recipe.get("teachers", ()) for word in ("--teacher", t)
    ]
    recipe = folder / "recipe.json"
    train("--data", "d", "-o", "o", "--recipe", recipe, "--from", "body", *taught)
    assert given["spec"] == open_model(name).spec
    assert given["recipe"].architecture == open_model(name).architecture


def test_no_workers_are_refused() -> None:
    assert train("--data", ".", "-o", "new", "--workers", 0).exit_code == 2


def test_help_has_examples() -> None:
    assert "Examples:" in train("--help").output
