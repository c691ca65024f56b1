"""Networks of the user's own, with the spec that they were trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_model
from click.testing import CliRunner, Result

from ecgqa_tflite.cli import main
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.export import export_bundle
from ecgqa_tflite.export.gate import MEASURED
from ecgqa_tflite.model_folder import MANIFEST, open_model
from ecgqa_tflite.quantize.measure import measured
from ecgqa_tflite.quantize.own_model import own_model
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
    refused(convert(tflite, *with_spec, "--validate", recordings), "no labels that are understood")
    assert not out.exists()


# ---- the gate, with labels ------------------------------------------------------------------

OFF = [word for name in ("bacc-drop", "se-drop", "low-called-high", "flipped", "ties")
       for word in ("--gate", f"{name}=off")]  # fmt: skip
LIMITED = ("bacc_drop", "se_drop", "low_called_high", "flipped")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of a user's, labelled by lead; what the labels say is of no matter."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = ["record,lead,quality"]
    for seed in range(4):
        recording = simulate(30, 500.0, seed=seed, name=f"v{seed}")
        write_wfdb(recording, folder)
        quality = "bad" if seed % 2 else "good"
        rows += [f"v{seed},{lead},{quality}" for lead in recording.lead_names]
    (folder / "LEADS.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("kind", ["h5", "saved_model"])
def test_a_keras_model_on_labelled_recordings(
    spec: Path, recordings: Path, labelled: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / ("own.h5" if kind == "h5" else "own")
    tiny_model.network().save(str(path))
    given = (path, "--spec", spec, "--calibrate", recordings, "--validate", labelled)
    done = convert(*given, "-o", tmp_path / "out", *OFF)
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    figures = manifest["gate"]["figures"]
    assert manifest["gate"]["measured_on"] == labelled.name
    assert all(figures[name] is not None for name in (*LIMITED, "ties"))
    flips = manifest["metrics"]["gate"]["flips"]
    assert len(flips["segments"]) == min(flips["flipped"], 12)
    # Another network under the same name: its float form decides differently, and it is refused.
    # The limits are such that nothing else refuses it.
    network = tiny_model.network()
    last = network.layers[-1] if network.layers[-1].weights else network.layers[-2]
    before = last.get_weights()
    try:
        last.set_weights([array[..., ::-1] for array in before])
        tflite = tmp_path / "own.tflite"
        tflite.write_bytes((tmp_path / "out" / "own.tflite").read_bytes())
        if kind == "h5":
            network.save(str(path))
            model = own_model(tflite, spec, tmp_path / "folder")
            found = measured(model, labelled, MEASURED, own=path).metrics[MEASURED]
            assert found["flips"]["share"] > 0.5
            with pytest.raises(ConversionError, match="decisions that differ"):
                export_bundle(replace(model, metrics={MEASURED: found}), tmp_path / "other")
            assert not (tmp_path / "other").exists()
    finally:
        last.set_weights(before)


def test_an_int8_tflite_on_labelled_recordings(spec: Path, labelled: Path, tmp_path: Path) -> None:
    """It has no float form: int8's own figures are measured, what it lost is not."""
    path = tmp_path / "own.tflite"
    path.write_bytes(tiny_model.tflite())
    done = convert(path, "--spec", spec, "--validate", labelled, "-o", tmp_path / "out", *OFF)
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    figures = manifest["gate"]["figures"]
    assert figures["ties"] is not None and not any(figures[name] for name in LIMITED)
    assert manifest["metrics"]["gate"]["bacc"]["value"] is not None
    report = (tmp_path / "out/report.html").read_text()
    assert "not measured" in report and f"{labelled.name} (for the gate)" in report
