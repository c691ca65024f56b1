"""``ecgqa train`` as a user types it; the training itself is in ``unit/test_training.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ecgqa_tflite.cli import train as train_module
from ecgqa_tflite.training import run
from ecgqa_tflite.training.recipe import Recipe


def train(*arguments: object) -> Result:
    return CliRunner().invoke(train_module.command, [str(a) for a in arguments])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--data", "nowhere", "-o", "new"], "ecgqa data get"),
        (["--data", ".", "-o", "new"], "ecgqa data get challenge-2011"),
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


def test_help_has_examples() -> None:
    assert "Examples:" in train("--help").output
