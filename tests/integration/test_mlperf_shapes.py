# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's visual wake words network, built and trained in Keras 3: to each target, proven.

Random weights don't do: their activations die on the way, and the gate refuses what decides
nothing. A few steps on beats and noise are enough.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import missing, require_module
from labelled_recordings import FS_HZ, write_labelled

from ecgqa_tflite.bundle.export import export_bundle
from ecgqa_tflite.bundle.gate import MEASURED
from ecgqa_tflite.convert.measure import measured
from ecgqa_tflite.convert.own_model import own_model
from ecgqa_tflite.convert.quantisation import Quantisation
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SPEC = FrontEnd.preset("wearable", rows=96, cols=96, colormap="jet")
STEPS, BATCH = 60, 16
TARGETS = {
    "cortex-m": (None, "decisions and every row of a segment, bit for bit"),
    "tflm": ("tflite_micro", "TensorFlow Lite Micro gives the same 12 scores"),
    "raspberry-pi": (None, "selftest:"),
    "ethos-u55-128": ("ethosu", "was compiled from"),
}
"""What each needs, and what its proof says."""


def keras_3() -> Any:
    require_module("tensorflow")
    import ecgqa_tflite.networks  # noqa: F401  TensorFlow first

    require_module("keras")
    keras = importlib.import_module("keras")
    if not keras.__version__.startswith("3."):
        missing("Keras 3 is not installed: pip install -e '.[train,dev]'")
    return keras


def segments(n: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images of noise and of beats by turns, and their classes."""
    rng, length = np.random.default_rng(0), SPEC.segment_len(FS_HZ)
    samples = []
    for i in range(n // 2):
        beats = simulate(5, FS_HZ, seed=100 + i, name="s").signal_mv[:length, 0]
        samples += [rng.normal(size=length), beats + 0.02 * rng.normal(size=length)]
    maps = NativeFrontEnd(SPEC, FS_HZ).index_maps(np.stack([quantise(x) for x in samples]))
    return image(maps, SPEC.colormap), np.arange(n) % 2


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV1 of width .25 for 96 x 96 x 3, saved by Keras 3."""
    keras = keras_3()
    keras.utils.set_random_seed(4)
    made = keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None, classes=2)
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # for so few steps
    made.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    images, truth = segments(160)
    made.fit(images / 255.0, truth, BATCH, epochs=STEPS * BATCH // len(images), verbose=0)
    path = tmp_path_factory.mktemp("vww") / "vww_96.keras"
    made.save(str(path))
    return path


@pytest.fixture(scope="module")
def model(network: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Calibrated and held against float, as ``ecgqa-convert --calibrate --validate`` does it."""
    folder = tmp_path_factory.mktemp("mine")
    labelled, spec = write_labelled(folder / "labelled", 20), folder / "spec.json"
    spec.write_text(SPEC.to_json())
    made, _ = own_model(network, spec, folder, quantisation=Quantisation(calibrate=labelled))
    return measured(made, labelled, MEASURED, own=network)


@pytest.mark.parametrize("target", TARGETS)
def test_mobilenet_v1_of_a_quarter(target: str, model: ModelFolder, tmp_path: Path) -> None:
    needs, proof = TARGETS[target]
    if needs:
        require_module(needs)
    bundle = export_bundle(model, tmp_path / "out", target=target)
    assert bundle.gate.measured_on == "labelled"
    figures = bundle.gate.to_dict()["figures"]
    assert all(figures[name] is not None for name in ("bacc_drop", "flipped", "ties"))
    assert model.metrics[MEASURED]["bacc"]["value"] > 0.9  # or the gate says little
    assert bundle.census.operators["DEPTHWISE_CONV_2D"] == 13
    assert bundle.proof.distinct_scores > 2  # how soon it saturates depends on the processor
    assert proof in " ".join((*bundle.proof.c_output, *bundle.proof.target_output))
