"""Networks of the user's own, with the spec that they were trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_model
from click.testing import CliRunner, Result

from ecgqa_tflite.cli import main
from ecgqa_tflite.model_folder import MANIFEST, open_model
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "spec.json"
    path.write_text(tiny_model.SPEC.to_json())
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for seed in range(3):
        write_wfdb(simulate(30, 250.0, seed=seed, name=f"r{seed}"), folder)
    return folder


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["convert", *(str(a) for a in arguments)])


def refused(done: Result, *words: str) -> None:
    assert done.exit_code == 1, done.output
    assert len(done.output.strip().splitlines()) == 1, done.output
    for word in words:
        assert word in done.output


def test_an_int8_tflite(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "My Net-2.tflite"
    path.write_bytes(tiny_model.tflite())
    done = convert(path, "--spec", spec, "--threshold", 0.75, "-o", tmp_path / "out", "--verify")
    assert done.exit_code == 0, done.output
    opened = open_model(tmp_path / "out")
    assert (opened.name, opened.threshold_int8, opened.architecture) == ("my_net_2", 64, "own")
    gate = json.loads((tmp_path / "out" / MANIFEST).read_text())["gate"]
    assert gate["measured_on"] is None and gate["figures"]["flash_bytes"] > 0


@pytest.mark.parametrize("kind", ["h5", "saved_model"])
def test_a_keras_model(spec: Path, recordings: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("own.h5" if kind == "h5" else "own")
    tiny_model.network().save(str(path))
    done = convert(path, "--spec", spec, "--calibrate", recordings, "-o", tmp_path / "out",
                   "--gate", "flipped=0.2")  # fmt: skip
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["gate"]["measured_on"] == "the calibration segments"
    assert len(manifest["calibration"]["ids"]) == 18
    assert manifest["engine"]["workspace_bytes"] < 20_000


def test_refusals(spec: Path, recordings: Path, tmp_path: Path) -> None:
    out, tflite = tmp_path / "out", tmp_path / "a.tflite"
    tflite.write_bytes(tiny_model.tflite())
    (tmp_path / "bad.h5").write_text("nothing")
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "other.json").write_text(
        tiny_model.SPEC.to_json().replace('"rows": 113', '"rows": 112')
    )
    with_spec = ("--spec", spec, "-o", out)
    refused(convert(tmp_path / "none.tflite", *with_spec), "can't be read")
    refused(convert(tflite, *with_spec, "--calibrate", recordings), "quantised already")
    refused(convert(tflite, "--spec", tmp_path / "bad.json", "-o", out), "bad.json", "spec")
    refused(convert(tflite, "--spec", tmp_path / "other.json", "-o", out), "its spec makes")
    refused(convert(tmp_path / "bad.h5", *with_spec), "--calibrate")
    refused(convert(tmp_path / "bad.h5", *with_spec, "--calibrate", recordings), "can't load")
    refused(convert(recordings, *with_spec, "--calibrate", recordings), "is no .tflite")
    refused(convert(tmp_path / "none.h5", *with_spec, "--calibrate", recordings), "no such file")
    assert convert(tflite, "-o", out, "--threshold", 0.5).exit_code == 2
    assert convert(tflite, *with_spec, "--validate", recordings).exit_code == 2
    assert not out.exists()
