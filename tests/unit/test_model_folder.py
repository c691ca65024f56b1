# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Model folders: written whole, refused when anything in them is off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_model

from ecgqa_tflite.errors import EcgqaError, ModelError, OutputExistsError, SpecMismatchError
from ecgqa_tflite.model_folder import ModelFolder, open_model, seal
from ecgqa_tflite.output import SUMS
from ecgqa_tflite.spec import FrontEnd


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return tiny_model.folder(tmp_path_factory.mktemp("models"))


@pytest.fixture
def copy(written: ModelFolder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written.path, tmp_path / "tiny"))


def test_what_was_written_comes_back(written: ModelFolder) -> None:
    model = open_model(written.path)
    assert model == written
    assert (model.name, model.architecture, model.labels) == ("tiny", "light_cnn", ("low", "high"))
    assert model.spec == tiny_model.SPEC
    assert (model.threshold, model.threshold_int8) == (0.5, 0)
    assert model.calibration_ids == ("synthetic/0", "synthetic/1")
    assert model.tflite_path.read_bytes() == tiny_model.tflite()
    assert model.arguments == tiny_model.ARGUMENTS
    assert sorted(p.name for p in model.path.iterdir()) == [
        "MODEL_CARD.md", "SHA256SUMS", "calibration.json", "metrics.json", "model.json",
        "recipe.json", "spec.json", "tiny.tflite", "tiny.weights.h5",
    ]  # fmt: skip


def test_an_existing_folder_stays(written: ModelFolder) -> None:
    before = (written.path / SUMS).read_bytes()
    with pytest.raises(OutputExistsError):
        tiny_model.folder(written.path.parent)
    assert (written.path / SUMS).read_bytes() == before


@pytest.mark.parametrize("changes", [
    {"name": "Tiny Model"}, {"threshold_int8": 200}, {"threshold": float("inf")},
    {"arguments": {"input_shape": [227, 227, 3]}}, {"metrics": {"bacc": float("nan")}},
])  # fmt: skip
def test_nothing_is_left_of_a_model_that_makes_no_sense(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(EcgqaError):
        tiny_model.folder(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_tflite_says_how_to_get_one(tmp_path: Path) -> None:
    model = tiny_model.folder(tmp_path, tflite=None)
    with pytest.raises(ModelError, match="--calibrate"):
        _ = model.tflite_path


@pytest.mark.parametrize("name", ["none_such", "../etc", "/no/such/folder", ""])
def test_no_such_model(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no"):
        open_model(name)


def test_every_file_is_checked(copy: Path) -> None:
    for path in sorted(copy.iterdir()):
        good = path.read_bytes()
        path.write_bytes(good[:9] + bytes([good[9] ^ 1]) + good[10:])
        with pytest.raises(ModelError):
            open_model(copy)
        path.unlink()
        with pytest.raises(ModelError):
            open_model(copy)
        path.write_bytes(good)
    open_model(copy)


def resealed(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file and make the sums fit again."""
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))
    seal(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 2), ("format", None), ("name", "../x"), ("name", 3), ("architecture", None),
     ("arguments", []), ("arguments", {"input_shape": [1, 2, 3]}), ("threshold", "0.5"),
     ("threshold", True), ("threshold_int8", 0.5), ("threshold_int8", 128), ("weights", "x.h5"),
     ("tflite", "../tiny.tflite"), ("tflite", 7), ("licence", None), ("spec_hash", 1)],
)  # fmt: skip
def test_a_description_that_makes_no_sense(copy: Path, key: str, value: object) -> None:
    resealed(copy, "model.json", lambda data: data.update({key: value}))
    with pytest.raises(ModelError) as caught:
        open_model(copy)
    assert "\n" not in str(caught.value) and str(copy) in str(caught.value)


def test_another_spec_is_refused(copy: Path) -> None:
    other = FrontEnd.preset("wearable", rows=113, cols=113, colormap="grey", f_min_hz=0.7)
    (copy / "spec.json").write_text(other.to_json())
    seal(copy)
    with pytest.raises(SpecMismatchError, match=other.short_hash):
        open_model(copy)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}', "\x00"])
@pytest.mark.parametrize("name", ["model.json", "spec.json", "calibration.json"])
def test_json_that_is_none(copy: Path, name: str, text: str) -> None:
    (copy / name).write_text(text)
    seal(copy)
    if (name, text) == ("calibration.json", '{"format": 99}'):
        return
    with pytest.raises(ModelError):
        open_model(copy)


@pytest.mark.parametrize("line", ["", "nonsense", f"{'0' * 64}  ../../outside", f"{'0' * 63}  x"])
def test_damaged_sums(copy: Path, line: str) -> None:
    (copy / SUMS).write_text(line + "\n" if line else "")
    with pytest.raises(ModelError):
        open_model(copy)
