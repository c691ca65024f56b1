# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa validate``, ``--verify``, ``--from-manifest`` and the gate, as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from click.testing import CliRunner, Result
from conftest import require_tool

from ecgqa_tflite.bundle import validation
from ecgqa_tflite.cli import main
from ecgqa_tflite.model_folder import open_model, seal, sha256_of
from ecgqa_tflite.output import MANIFEST
from ecgqa_tflite.quantize.flips import MOST
from ecgqa_tflite.recording.simulator import Heart, simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.tflite.flatbuffer import pack, unpack

pytestmark = pytest.mark.slow


def ecgqa(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def refused(done: Result, *words: str) -> None:
    assert done.exit_code == 1, done.output
    assert len(done.output.strip().splitlines()) == 1, done.output
    for word in words:
        assert word in done.output


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.folder(tmp_path_factory.mktemp("models")).path


@pytest.fixture(scope="module")
def bundle(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_tool("cc")
    out = tmp_path_factory.mktemp("bundles") / "bundle"
    done = ecgqa("convert", model, "-o", out, "--verify", "--ram", 20000, "--fs-hz", 360)
    assert done.exit_code == 0, done.output
    assert "the same bytes in every file" in done.output
    assert "RAM, bytes" in done.output
    return out


def test_a_whole_bundle(bundle: Path) -> None:
    done = ecgqa("validate", bundle, "--no-emulator")
    assert done.exit_code == 0, done.output
    assert "12 golden segments" in done.output and "whole path: 12 decisions" in done.output
    assert "QEMU" not in done.output


def test_on_an_emulated_core(bundle: Path) -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        require_tool(tool)
    done = ecgqa("validate", bundle)
    assert done.exit_code == 0, done.output
    emulated = done.output.partition("QEMU's mps2-an386")[2]
    assert "12 segments of 113 rows, bit for bit" in emulated and "12 decisions" in emulated


def test_without_an_emulator(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "emulator_installed", lambda: False)
    done = ecgqa("validate", bundle)
    assert done.exit_code == 0 and "not emulated" in done.output


def test_a_damaged_bundle(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    with (copy / "model/ecgqa_model.c").open("a") as file:
        file.write(" ")
    refused(ecgqa("validate", copy), "ecgqa_model.c", "SHA-256")
    refused(ecgqa("validate", tmp_path / "none"), "no such model")
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["files"]["model/ecgqa_model.c"] = sha256_of(copy / "model/ecgqa_model.c")
    manifest["model_id"] = "0" * 16
    (copy / MANIFEST).write_text(json.dumps(manifest))
    refused(ecgqa("validate", copy), "the manifest")


@pytest.mark.parametrize(
    "entry",
    ["golden", "golden.file", "target", "target.name", "quantisation", "quantisation.weights",
     "fs_hz", "model_id"],
)  # fmt: skip
@pytest.mark.parametrize("instead", [None, [1]])
def test_a_manifest_that_says_too_little(
    bundle: Path, tmp_path: Path, entry: str, instead: object
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    manifest = json.loads((copy / MANIFEST).read_text())
    *above, last = entry.split(".")
    part = manifest[above[0]] if above else manifest
    del part[last]
    if instead is not None:
        part[last] = instead
    (copy / MANIFEST).write_text(json.dumps(manifest))
    refused(ecgqa("validate", copy, "--no-emulator"), MANIFEST, f"its {entry.partition('.')[0]}")


def test_a_bundle_whose_network_would_end_the_process(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    changed = unpack((copy / "tiny.tflite").read_bytes())
    changed.subgraphs[0].operators[-1].builtinOptions.beta = -np.inf
    (copy / "tiny.tflite").write_bytes(pack(changed))
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["files"]["tiny.tflite"] = sha256_of(copy / "tiny.tflite")
    (copy / MANIFEST).write_text(json.dumps(manifest))
    refused(ecgqa("validate", copy, "--no-emulator"), "tiny.tflite", "beta -inf")
    refused(ecgqa("convert", copy, "-o", tmp_path / "out"), "tiny.tflite", "beta -inf")


def test_from_its_manifest(bundle: Path, model: Path, tmp_path: Path) -> None:
    manifest = bundle / MANIFEST
    for name, given in (("one", []), ("two", [model])):
        done = ecgqa("convert", *given, "-o", tmp_path / name, "--from-manifest", manifest)
        assert done.exit_code == 0, done.output
        assert "The same bytes as" in done.output
        assert (tmp_path / name / MANIFEST).read_bytes() == manifest.read_bytes()
    both = ecgqa("convert", "-o", tmp_path / "x", "--from-manifest", manifest, "--fs-hz", 250)
    assert both.exit_code == 2 and "--from-manifest says" in both.output
    assert ecgqa("convert", "-o", tmp_path / "x").exit_code == 2


def test_a_collecting_one_from_its_manifest(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    done = ecgqa("convert", model, "-o", out, "--collect", "--hop", 0.7)
    assert done.exit_code == 0, done.output
    assert "collects meanwhile, a segment every 175" in " ".join(done.output.split())
    done = ecgqa("convert", "-o", tmp_path / "again", "--from-manifest", out / MANIFEST)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "again" / MANIFEST).read_bytes() == (out / MANIFEST).read_bytes()
    both = ecgqa("convert", "-o", tmp_path / "x", "--from-manifest", out / MANIFEST, "--collect")
    assert both.exit_code == 2 and "--from-manifest says" in both.output


def test_a_bundle_that_can_not_be_redone(bundle: Path, tmp_path: Path) -> None:
    other = tiny_model.folder(tmp_path, threshold_int8=3)
    done = ecgqa("convert", other.path, "-o", tmp_path / "x", "--from-manifest", bundle / MANIFEST)
    refused(done, "not the same bytes")
    (tmp_path / "manifest.json").write_text("{}")
    done = ecgqa("convert", "-o", tmp_path / "x", "--from-manifest", tmp_path / "manifest.json")
    refused(done, "does not say how its bundle was made")
    assert not (tmp_path / "x").exists()


# ---- the gate -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four simulated recordings with challenge-2017's labels; what they say is of no matter."""
    folder = tmp_path_factory.mktemp("labelled")
    for i, name in enumerate(("A0", "A1", "A2", "A3")):
        write_wfdb(simulate(30, 300.0, Heart(50 + 20 * i), seed=i, name=name), folder)
    (folder / "REFERENCE.csv").write_text("A0,N\nA1,~\nA2,N\nA3,~\n")
    return folder


def test_measured_on_a_labelled_folder(model: Path, labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    done = ecgqa("convert", model, "-o", out, "--validate", labelled, "--gate", "ties=off",
                 "--gate", "flipped=0.2", "--gate", "bacc-drop=0.2", "--gate", "se-drop=0.3",
                 "--gate", "low-called-high=0.3")  # fmt: skip
    assert done.exit_code == 0, done.output
    gate = json.loads((out / MANIFEST).read_text())["gate"]
    assert gate["measured_on"] != "validation" and gate["limits"]["flipped"] == 0.2
    assert all(gate["figures"][name] is not None for name in ("bacc_drop", "flipped", "ties"))


def test_disturbed_weights_are_refused_and_leave_nothing(
    model: Path, labelled: Path, tmp_path: Path
) -> None:
    """The int8 network no longer is the float one: measuring tells, and nothing is written."""
    folder = Path(shutil.copytree(model, tmp_path / "disturbed"))
    changed = unpack((folder / "tiny.tflite").read_bytes())
    graph = changed.subgraphs[0]
    _, weights, bias = graph.operators[-2].inputs  # the last layer's two classes change places
    for index in (weights, bias):
        buffer = changed.buffers[graph.tensors[index].buffer]
        buffer.data = np.roll(np.asarray(buffer.data), len(buffer.data) // 2)
    (folder / "tiny.tflite").write_bytes(pack(changed))
    seal(folder)
    assert open_model(folder)
    done = ecgqa("convert", folder, "-o", tmp_path / "out", "--validate", labelled)
    refused(done, "the gate is not passed on", "float and int8", "farthest apart: A")
    assert not (tmp_path / "out").exists()
    # Without limits it is written, and the report shows what flipped; redone, the same bytes.
    out = tmp_path / "shown"
    off = [word for name in ("bacc-drop", "se-drop", "low-called-high", "flipped", "ties")
           for word in ("--gate", f"{name}=off")]  # fmt: skip
    done = ecgqa("convert", folder, "-o", out, "--validate", labelled, *off)
    assert done.exit_code == 0, done.output
    report = (out / "report.html").read_text()
    kept = json.loads((out / MANIFEST).read_text())["metrics"]["gate"]["flips"]["segments"]
    assert len(kept) == MOST and all(x["label"] in (0, 1) for x in kept)
    assert report.count("<polyline") == 12 + MOST
    assert all(x["id"] in report for x in kept) and "label: low" in report
    done = ecgqa("convert", "-o", tmp_path / "again", "--from-manifest", out / MANIFEST)
    assert done.exit_code == 0, done.output


def test_wrong_limits(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(ecgqa("convert", model, "-o", out, "--gate", "luck=1"), "limits are bacc_drop")
    refused(ecgqa("convert", model, "-o", out, "--ram", 100), "RAM", "at most 100")
    refused(ecgqa("convert", model, "-o", out, "--flash", 100), "flash", "at most 100")
    done = ecgqa("convert", model, "-o", out, "--ram", 100, "--target", "raspberry-pi")
    refused(done, "runs Linux")
    assert not out.exists()
