# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa-convert --quantize`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_model
from click.testing import CliRunner, Result
from conftest import require_module
from labelled_recordings import write_labelled

from ecgqa_tflite.cli.convert import command
from ecgqa_tflite.output import MANIFEST

pytestmark = pytest.mark.thorough

require_module("tensorflow_model_optimization")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.folder(tmp_path_factory.mktemp("models"), recipe={}).path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Keras network of the user's, and its spec."""
    folder = tmp_path_factory.mktemp("own")
    tiny_model.network().save(str(folder / "own.h5"))
    (folder / "spec.json").write_text(tiny_model.SPEC.to_json())
    return folder / "own.h5", folder / "spec.json"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def manifest(folder: Path) -> dict:
    return json.loads((folder / MANIFEST).read_text())


def test_qat_passes_the_gate_on_records_held_out(
    model: Path, labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = convert(model, "-o", out, "--quantize", "qat", "--data", labelled, "--gate", "ties=1",
                   "--gate", "flipped=0.1", "--gate", "low-called-high=0.1", "--gate",
                   "bacc-drop=0.1", "--gate", "se-drop=0.1")  # fmt: skip
    assert done.exit_code == 0, done.output
    made = manifest(out)
    assert made["gate"]["measured_on"] == "validation"
    assert made["gate"]["figures"]["flipped"] is not None
    assert made["metrics"]["quantisation"]["method"] == "qat"
    assert made["engine"]["workspace_bytes"] < 20_000
    assert "trained on with quantisation" in (out / "MODEL_CARD.md").read_text()


def test_qat_of_a_users_network(own: tuple[Path, Path], labelled: Path, tmp_path: Path) -> None:
    path, spec = own
    done = convert(path, "--spec", spec, "-o", tmp_path / "out", "--quantize", "qat",
                   "--data", labelled, "--gate", "ties=1", "--gate", "flipped=0.1",
                   "--gate", "low-called-high=0.1", "--gate", "se-drop=0.1",
                   "--gate", "bacc-drop=0.1")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert manifest(tmp_path / "out")["gate"]["measured_on"] == "validation"


def test_none_is_float(model: Path, own: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "pi"
    done = convert(model, "-o", out, "--quantize", "none", "--target", "raspberry-pi", "--verify")
    assert done.exit_code == 0, done.output
    assert "within 1/256" in done.output and "scores within a step" in done.output
    assert "float32 between int8 ends" in (out / "README.md").read_text()
    assert manifest(out)["gate"]["figures"]["flipped"] is None
    again = convert("-o", tmp_path / "again", "--from-manifest", out / MANIFEST)
    assert again.exit_code == 0, again.output
    path, spec = own
    done = convert(path, "--spec", spec, "-o", tmp_path / "own", "--quantize", "none",
                   "--target", "raspberry-pi")  # fmt: skip
    assert done.exit_code == 0, done.output


def test_refusals(model: Path, own: tuple[Path, Path], labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for target in ("cortex-m", "tflm", "coral", "ethos-u55-128"):
        done = convert(model, "-o", out, "--quantize", "none", "--target", target)
        assert done.exit_code == 1 and len(done.output.strip().splitlines()) == 1
        assert f"{target} runs int8 networks only" in done.output
        assert "raspberry-pi" in done.output
    (tmp_path / "a.tflite").write_bytes(tiny_model.tflite())
    done = convert(tmp_path / "a.tflite", "--spec", own[1], "-o", out, "--quantize", "qat",
                   "--data", labelled)  # fmt: skip
    assert done.exit_code == 1 and "quantised already" in done.output
    for given in (
        ("--quantize", "qat"),
        ("--data", labelled),
        ("--quantize", "qat", "--data", labelled, "--calibrate", labelled),
        ("--quantize", "none", "--calibrate", labelled),
        ("--quantize", "four-bit"),
    ):
        assert convert(model, "-o", out, *given).exit_code == 2
    assert not out.exists()
