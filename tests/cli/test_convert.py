# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa-convert`` as a user types it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import tiny_model
from click.testing import CliRunner, Result
from conftest import require_tool

from ecgqa_tflite.bundle import proof
from ecgqa_tflite.cli.convert import command
from ecgqa_tflite.model_folder import open_model, seal
from ecgqa_tflite.output import MANIFEST
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.tflite.read import network_digest, read_tflite

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.folder(tmp_path_factory.mktemp("models")).path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated recordings of two rates, one in a subfolder, and a broken one."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, fs_hz, seed in (("a", 250.0, 1), ("b", 360.0, 2), ("more/c", 257.0, 3)):
        recording = simulate(30, fs_hz, seed=seed, name=Path(name).name)
        write_wfdb(recording, folder / Path(name).parent)
    (folder / "broken.hea").write_text("broken 1 250 2500\nnone.dat 16 200 12 0 0 0 0 I\n")
    return folder


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_convert_and_prove(model: Path, tmp_path: Path) -> None:
    require_tool("cc")
    done = convert(model, "-o", tmp_path / "bundle")
    assert done.exit_code == 0, done.output
    for word in ("tiny.tflite", "CONV_2D x 3", "1/255", tiny_model.SPEC.short_hash, "Proven: 12",
                 "C self-test, compiled with", "bit for bit"):  # fmt: skip
        assert word in done.output
    shipped = open_model(tmp_path / "bundle").tflite_path.read_bytes()
    assert network_digest(read_tflite(shipped)) == network_digest(read_tflite(tiny_model.tflite()))


def test_without_a_compiler_it_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "find_c_compiler", lambda: None)
    done = convert(model, "-o", tmp_path / "bundle")
    assert done.exit_code == 0, done.output
    assert "C self-test was not run: no C compiler" in done.output


def test_no_tensorflow_is_needed(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from ecgqa_tflite.cli.convert import command\n"
        "command([sys.argv[1], '-o', sys.argv[2]], standalone_mode=False)\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    arguments = [sys.executable, "-c", code, str(model), str(tmp_path / "bundle")]
    subprocess.run(arguments, check=True, capture_output=True)


def test_calibrating_on_the_users_recordings(model: Path, recordings: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = convert(model, "-o", tmp_path / name, "--calibrate", recordings)
        assert done.exit_code == 0, done.output
        assert "Quantised on 18 segments" in done.output
        assert "1 recordings skipped; the first: broken" in done.output
    assert files(tmp_path / "one") == files(tmp_path / "two")
    manifest = json.loads((tmp_path / "one" / MANIFEST).read_text())
    ids = manifest["calibration"]["ids"]
    assert len(ids) == 18 and {i.split("/ECG")[0] for i in ids} == {"a", "b", "more/c"}
    assert manifest["metrics"]["external"] == {}
    assert "int8" not in manifest["metrics"]["validation"]
    assert manifest["metrics"]["calibration"]["segments"] == 18
    layers = manifest["metrics"]["calibration"]["layers"]
    assert [layer["operator"] for layer in layers][:2] == ["CONV_2D", "MAX_POOL_2D"]
    assert "most quantisation noise" in done.output
    assert "Quantisation noise" in (tmp_path / "one/report.html").read_text()
    assert (tmp_path / "one/tiny.tflite").read_bytes() != tiny_model.tflite()
    card = (tmp_path / "one/MODEL_CARD.md").read_text()
    assert "ranges were calibrated on 18 of the user's\nsegments" in card
    assert "| int8 |" not in card  # the old network's figures are not this one's


def test_draw_takes_its_share_of_each(recordings: Path) -> None:
    from ecgqa_tflite.convert.requantise import calibration_from_folder

    drawn = calibration_from_folder(recordings, tiny_model.SPEC, n=6, seed=4)
    assert drawn.images.shape == (6, 113, 113, 1)
    assert len(set(drawn.ids)) == 6 and list(drawn.ids) == sorted(drawn.ids)
    assert {i.split("/ECG")[0] for i in drawn.ids} == {"a", "b", "more/c"}
    other = calibration_from_folder(recordings, tiny_model.SPEC, n=6, seed=5)
    assert other.ids != drawn.ids


def refused(done: Result, *words: str) -> None:
    """Exit code 1 and one line that holds ``words``."""
    assert done.exit_code == 1, done.output
    assert len(done.output.strip().splitlines()) == 1, done.output
    assert done.output.startswith("Error: ")
    for word in words:
        assert word in done.output


def test_refusals_are_one_line_and_leave_nothing(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    refused(convert("none_such", "-o", out), "no such model")
    refused(convert(tmp_path, "-o", out), "no model here")
    refused(convert(model, "-o", out, "--fs-hz", 257), "257", "resample")
    refused(convert(model, "-o", out, "--fs-hz", 60), "too low")
    (tmp_path / "empty").mkdir()
    refused(convert(model, "-o", out, "--calibrate", tmp_path / "empty"), "no WFDB recordings")
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    content = (broken / "tiny.tflite").read_bytes()
    (broken / "tiny.tflite").write_bytes(content[:-100])
    refused(convert(broken, "-o", out), "tiny.tflite", "SHA-256")
    seal(broken)
    refused(convert(broken, "-o", out), "tiny.tflite", "damaged")
    (broken / "tiny.tflite").write_bytes(content)
    spec = json.loads((broken / "spec.json").read_text())
    (broken / "spec.json").write_text(json.dumps(spec | {"f_min_hz": 0.5}))
    seal(broken)
    refused(convert(broken, "-o", out), "trained with spec", tiny_model.SPEC.short_hash)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken", "empty"]


def test_an_existing_output(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "mine").write_text("keep")
    refused(convert(model, "-o", out), "exists already", "--overwrite")
    refused(convert(model, "-o", out, "--overwrite"), "mine", "has not written")
    assert (out / "mine").read_text() == "keep"
    (out / "mine").unlink()
    assert convert(model, "-o", out, "--overwrite").exit_code == 0
    assert (out / MANIFEST).is_file()
    assert convert(model, "-o", out, "--overwrite").exit_code == 0  # its own files


def test_an_output_that_holds_an_input(
    model: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--overwrite replaces a bundle; it must not take the model, recordings or where one is."""
    folder = Path(shutil.copytree(model, tmp_path / "models/tiny"))
    before = files(tmp_path)
    for out in (folder, tmp_path / "models", tmp_path / "models/../models"):
        refused(convert(folder, "-o", out, "--overwrite"), "name another output")
    given = ("--calibrate", recordings, "--overwrite")
    refused(convert(folder, "-o", recordings, *given), "name another output")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    refused(convert(folder, "-o", ".", "--overwrite"), "name another output")
    assert files(tmp_path) == before


@pytest.mark.parametrize("at", ["copying", "writing"])
def test_a_full_disk(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*_: object, **__: object) -> None:
        if at == "writing":
            raise full
        raise shutil.Error([("a", "b", f"{full}: 'a' -> 'b'"), ("c", "d", str(full))])

    monkeypatch.setattr("ecgqa_tflite.bundle.request.shutil.copytree", fail)
    refused(convert(model, "-o", tmp_path / "bundle"), "No space left on device")
    assert not list(tmp_path.iterdir())


def test_an_output_that_can_not_be_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before any work; a file is never replaced by a folder."""
    (tmp_path / "file").write_text("mine")
    refused(convert(model, "-o", tmp_path / "file"), "exists already")
    refused(convert(model, "-o", tmp_path / "file", "--overwrite"), "is a file")
    refused(convert(model, "-o", tmp_path / "file/bundle"), "nothing can be written in")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(convert(model, "-o", tmp_path / "link"), "exists already")
    assert convert(model, "-o", tmp_path / "link", "--overwrite").exit_code == 0
    assert (tmp_path / "link" / MANIFEST).is_file() and not (tmp_path / "nowhere").exists()
    monkeypatch.setattr("ecgqa_tflite.output.os.access", lambda *_: False)  # root may write all
    refused(convert(model, "-o", tmp_path / "bundle"), "nothing can be written in")


@pytest.mark.parametrize("rate", ["0", "-250", "nan", "inf"])
def test_a_rate_that_is_none(model: Path, tmp_path: Path, rate: str) -> None:
    refused(convert(model, "-o", tmp_path / "bundle", "--fs-hz", rate), "sampling rate")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a b", "ü ' \" $HOME;#%41", "[bold]x[/bold]", "-x"])
def test_odd_names_of_folders(model: Path, tmp_path: Path, name: str) -> None:
    """The bundle is proven and its self-test made from where it lies."""
    out = tmp_path / name
    done = convert(model, f"--out={out}")
    assert done.exit_code == 0, done.output
    for target in ("selftest", "image"):
        require_tool("arm-none-eabi-gcc")
        made = subprocess.run(
            ["make", "-C", str(out), target], capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout + made.stderr


def test_interrupted_it_leaves_nothing(model: Path, tmp_path: Path) -> None:
    """Ctrl-C at several moments of a conversion."""
    for seconds in (2.0, 4.0, 6.0):
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ecgqa-convert")), str(model), "-o",
             str(tmp_path / "bundle")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        left = {path.name for path in tmp_path.iterdir()}
        assert left <= {"bundle"} and (left or process.returncode), "neither whole nor refused"
        if left:  # done before the signal, or as it came
            held = files(tmp_path / "bundle")
            del held["SHA256SUMS"]
            listed = json.loads(held.pop("manifest.json"))["files"]
            assert listed == {name: sha256(content).hexdigest() for name, content in held.items()}
            shutil.rmtree(tmp_path / "bundle")


def test_usage() -> None:
    assert convert("--help").exit_code == 0
    assert "Examples:" in convert("--help").output
    assert convert("light_cnn").exit_code == 2
