# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A wheel leaves the large float weights out: the model works, and says so to who wants them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ecgqa_tflite import model_folder
from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.model_folder import ModelFolder, open_model


def test_shipped_without_weights(
    small_model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "models"
    shutil.copytree(small_model.path, shipped / small_model.name)
    monkeypatch.setattr(model_folder, "models_dir", lambda: shipped)
    assert open_model(small_model.name).weights_path.is_file()
    (shipped / small_model.name / f"{small_model.name}.weights.h5").unlink()
    model = open_model(small_model.name)
    assert model.tflite_path.is_file()
    with pytest.raises(ModelError, match=f"models/{small_model.name} of a clone"):
        _ = model.weights_path
    (shipped / small_model.name / f"{small_model.name}.tflite").unlink()
    with pytest.raises(ModelError, match=r"\.tflite: is missing"):
        open_model(small_model.name)


def test_a_trained_model_that_lost_its_weights_is_refused(
    small_model: ModelFolder, tmp_path: Path
) -> None:
    mine = Path(shutil.copytree(small_model.path, tmp_path / small_model.name))
    (mine / f"{small_model.name}.weights.h5").unlink()
    with pytest.raises(ModelError, match=r"weights\.h5: is missing"):
        open_model(mine)
