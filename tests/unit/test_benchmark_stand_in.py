"""InceptionV1 with random weights, to compare times with."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import require_module

from ecgqa_tflite.benchmark import stand_in
from ecgqa_tflite.export.tflm import find_arena
from ecgqa_tflite.litert import Int8Network
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite import read_tflite


def test_it_is_a_model_folder_that_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_module("tensorflow")
    spec = FrontEnd.preset("wearable", rows=64, cols=64, colormap="grey")
    made = stand_in.kept(spec, tmp_path / "new")
    assert stand_in.is_random(made) and made.architecture == "inception_v1"
    require_module("tflite_micro")  # which crashes on InceptionV1 where an arena is too small
    data = made.tflite_path.read_bytes()
    assert find_arena(data, read_tflite(data)).least_bytes > 100_000
    assert Int8Network(made.tflite_path).input_shape == (64, 64, 1)
    assert "never trained" in (made.path / "MODEL_CARD.md").read_text()
    monkeypatch.setattr(stand_in, "write", lambda *_, **__: pytest.fail("it is kept"))
    assert stand_in.kept(spec, tmp_path / "new").path == made.path


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert stand_in.main([]) == 2 and "usage" in capsys.readouterr().err
    assert stand_in.main(["no_such_model", "x"]) == 1
    assert "no such model" in capsys.readouterr().err
