# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa experiment`` as a user types it; its runs are in ``integration/test_experiment.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import require_module

from ecgqa_tflite.cli import experiment as module
from ecgqa_tflite.cli import main
from ecgqa_tflite.experiment.external import ExternalTest
from ecgqa_tflite.experiment.run import Session
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.training.recipe import Recipe


def experiment(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["experiment", *map(str, arguments)])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    require_module("tensorflow")
    for i in range(4):
        write_wfdb(simulate(11, 250.0, seed=i, name=f"A{i}"), tmp_path / "test")
    (tmp_path / "test" / "REFERENCE.csv").write_text("A0,N\nA1,~\nA2,O\nA3,~\n")
    (tmp_path / "broken.json").write_text("{}")
    (tmp_path / "good.json").write_text(json.dumps(Recipe().to_dict()))
    return tmp_path


BASIC = ("--data", ".", "--test", "test", "-o", "out")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["table2", "--data", ".", "--test", "nowhere", "-o", "out"], "nowhere is not a folder"),
        (["table2", *BASIC, "--only", "lightcnn"], "there are: light_scratch"),
        (["table2", *BASIC, "--only", "light_pretrained"], "--pretrained-light"),
        (["table2", *BASIC, "--seeds", "1-x"], "--seeds 1-x"),
        (["table2", *BASIC, "--repeats", "0"], "at least 1"),
        (["table2", *BASIC, "--recipe", "none.json"], "none.json"),
        (["table2", *BASIC, "--recipe", "broken.json"], "format"),
        (["table2", *BASIC, "--recipe", "lightcnn=broken.json"], "format"),
        (["table2", *BASIC, "--recipe", "lightcnn=good.json"], "no such row"),
        (["table2", *BASIC, "--adjudicated", "none.csv"], "none.csv"),
        (["table2", *BASIC, "--pretrained-light", "nowhere"], "no such model"),
        (["table2", *BASIC], "ecgqa data get"),
        (["ablations", *BASIC], "ecgqa data get"),
        (["report", "nowhere"], "no finished run"),
    ],
)
def test_what_is_wrong_is_one_line(here: Path, given: list[str], says: str) -> None:
    done = experiment(*given, *([] if given[0] == "report" else ["--cache", "cache"]))
    assert done.exit_code == 1, done.output
    assert says in done.stderr
    assert len([x for x in done.stderr.splitlines() if x.startswith("Error")]) == 1
    assert not list(here.rglob("runs/*"))


def test_options_reach_the_session(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class StopError(Exception):
        pass

    def stop(session: Session, only: Any) -> None:
        seen.update(session=session, only=only)
        raise StopError

    monkeypatch.setattr(module, "run", stop)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here))
    (here / "r.json").write_text(json.dumps(Recipe(epochs=9).to_dict()))
    (here / "i.json").write_text(json.dumps(Recipe(epochs=5).to_dict()))
    done = experiment(
        "table2", *BASIC, "--seeds", "2-4,7", "--recipe", "r.json",
        "--recipe", "inception_v1=i.json", "--preset", "seed", "--colormap", "grey",
        "--only", "light_scratch", "--only", "inception_v1", "--float-sample", 7,
    )  # fmt: skip
    assert isinstance(done.exception, StopError), done.output
    session: Session = seen["session"]
    light, inception = session.experiment.rows
    assert light.seeds == inception.seeds == (2, 3, 4, 7)
    assert (light.recipe.epochs, inception.recipe.epochs) == (9, 5)
    assert inception.recipe.architecture == "inception_v1"
    assert light.spec.f_max_hz == 108.5 and light.spec.channels == 1
    assert seen["only"] == ("light_scratch", "inception_v1") and session.float_sample == 7
    assert session.cache == here / "ecgqa" and isinstance(session.test, ExternalTest)
    assert len(session.test) == 8

    experiment("ablations", *BASIC, "--quick")
    assert seen["session"].experiment.name == "ablations" and seen["session"].experiment.quick


@pytest.mark.parametrize("name", ["table2", "ablations", "report"])
def test_help_has_examples(name: str) -> None:
    assert "Examples:" in experiment(name, "--help").output
