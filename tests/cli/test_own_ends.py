# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of the user's with more than two classes, or of another range of the image."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
from click.testing import CliRunner, Result
from conftest import missing, require_module, require_tool
from labelled_recordings import write_labelled

from ecgqa_tflite.cli import main
from ecgqa_tflite.convert.own_model import own_model
from ecgqa_tflite.convert.quantisation import Quantisation
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.output import MANIFEST
from ecgqa_tflite.segments import BY_REASON
from ecgqa_tflite.tflite.image_codes import codes_of, stands_for
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

CLASSES = ["clean", "noise only", "some | noise"]
OFF = ("--gate", "flipped=off", "--gate", "ties=off")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("recordings"), 6)


def spec_with(tmp_path: Path, **network: Any) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(tiny_model.SPEC.to_dict() | {"network": network}))
    return path


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["convert", *(str(a) for a in arguments)])


def keras_3(classes: int) -> Any:
    """A small network of Keras 3 whose scores of blobs spread."""
    require_module("tensorflow")
    import ecgqa_tflite.networks  # noqa: F401  TensorFlow first

    require_module("keras")
    keras = importlib.import_module("keras")
    if not keras.__version__.startswith("3."):
        missing("Keras 3 is not installed: pip install -e '.[train,dev]'")
    keras.utils.set_random_seed(3)
    network = keras.Sequential([
        keras.Input(tiny_model.SPEC.image_shape),
        keras.layers.Conv2D(8, 5, strides=4, activation="relu"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(classes, activation="softmax"),
    ])  # fmt: skip
    kernel, _ = network.layers[-1].get_weights()
    network.layers[-1].set_weights([8 * kernel, np.linspace(-0.3, 0.4, classes)])
    return network


@pytest.mark.requirement("IN-2")
def test_three_classes_from_keras_3_to_decisions_in_c(recordings: Path, tmp_path: Path) -> None:
    for tool in ("cc", "make"):
        require_tool(tool)
    network, path, out = keras_3(3), tmp_path / "net.keras", tmp_path / "out"
    network.save(str(path))
    spec = spec_with(tmp_path, classes=CLASSES, high="clean")
    given = (path, "--spec", spec, "--threshold", 0.25, "--calibrate", recordings, "-o", out)
    done = convert(*given, "--validate", recordings, *OFF, "--gate", "bacc-drop=off",
                   "--gate", "se-drop=off", "--gate", "low-called-high=off")  # fmt: skip
    assert done.exit_code == 0, done.output
    told = done.output.replace("\n", " ")
    assert "Changed: scores 0 and 1 changed places: high quality is class 1" in told
    assert "Its C self-test, compiled with" in told

    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["model"]["arguments"] == {
        "classes": 3, "class_names": ["noise only", "clean", "some | noise"],
        "input_shape": list(tiny_model.SPEC.image_shape),
    }  # fmt: skip
    assert manifest["spec"] == tiny_model.SPEC.to_dict()
    assert manifest["quantisation"]["output"]["shape"] == [1, 3]
    header = (out / "model/ecgqa_identity.h").read_text()
    assert '#define ECGQA_CLASS_1 "clean"' in header
    assert "scores are of 0 *noise only*, 1 *clean*" in (out / "README.md").read_text()
    assert "0 noise only, 1 clean, 2 some | noise" in (out / "report.html").read_text()

    # P(high) is the float network's share of "clean", and the same golden segments decide by it.
    golden = Golden.from_npz(out / manifest["golden"]["file"])
    images = image(golden.index_maps, tiny_model.SPEC.colormap)
    p = np.asarray(network(images / 255.0, training=False))
    assert np.abs((golden.scores[:, 1].astype(float) + 128) / 256 - p[:, 0]).max() < 0.06
    assert np.abs((golden.scores[:, 0].astype(float) + 128) / 256 - p[:, 1]).max() < 0.06
    golden.samples.astype("<i2").tofile(tmp_path / "mine.s16")
    made = subprocess.run(
        ["make", "-C", str(out), "CC=cc", "example", f"SAMPLES={tmp_path / 'mine.s16'}"],
        capture_output=True, text=True,
    )  # fmt: skip
    decided = re.findall(r"^segment \d+: (high|low), (?:score )?(.+)$", made.stdout, re.M)
    words = BY_REASON[golden.reasons]
    scores = golden.scores[:, 1]
    assert decided == [
        ("high" if word == "ok" and score >= -64 else "low", str(score) if word == "ok" else word)
        for word, score in zip(words, scores, strict=True)
    ]
    assert len({quality for quality, _ in decided}) == 2
    # A bundle is a model: what is made of it is it.
    again = convert("-o", tmp_path / "again", "--from-manifest", out / MANIFEST)
    assert again.exit_code == 0, again.output
    assert (
        "0 noise only, 1 clean"
        in CliRunner().invoke(main, ["inspect", str(out / "net.tflite")]).output
    )


@pytest.mark.parametrize("target", ["tflm", "raspberry-pi"])
def test_three_classes_for_other_targets(target: str, recordings: Path, tmp_path: Path) -> None:
    if target == "tflm":
        require_module("tflite_micro")
    keras_3(3).save(str(tmp_path / "net.h5"))
    spec = spec_with(tmp_path, classes=CLASSES, high="some | noise")
    given = (tmp_path / "net.h5", "--spec", spec, "--calibrate", recordings)
    done = convert(*given, "-o", tmp_path / "out", "--target", target, *OFF)
    assert done.exit_code == 0, done.output
    assert open_model(tmp_path / "out").class_names == ("clean", "some | noise", "noise only")


def test_classes_that_are_not_named_are_refused_before_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("calibrated")

    monkeypatch.setattr(sys.modules[own_model.__module__], "calibration_from_folder", never)
    keras_3(3).save(str(tmp_path / "net.keras"))
    given = (tmp_path / "net.keras", "--calibrate", tmp_path, "-o", tmp_path / "out", "--spec")
    for spec, word in (
        ({}, '"network": {"classes": ["low", "medium", "high"], "high": "high"}'),
        ({"classes": ["low", "high"]}, "names 2 classes"),
        ({"classes": CLASSES}, "say which is high quality"),
    ):
        done = convert(*given, spec_with(tmp_path, **spec))
        assert done.exit_code == 1 and word in done.output, done.output
        assert len(done.output.strip().splitlines()) == 1
    qat = convert(*given[:1], "--spec", spec_with(tmp_path, classes=CLASSES, high="clean"),
                  "--quantize", "qat", "--data", tmp_path, "-o", tmp_path / "out")  # fmt: skip
    assert qat.exit_code == 2 or qat.exit_code == 1
    assert "trains low against high" in qat.output


@pytest.mark.parametrize("wanted", [(-1, 1), (0, 255)])
@pytest.mark.parametrize("quantize", ["ptq", "none"])
def test_the_range_that_a_network_was_trained_on(
    wanted: tuple[int, int], quantize: str, recordings: Path, tmp_path: Path
) -> None:
    """The same network, its first layer's weights as another range of the image has them."""
    require_module("tensorflow")
    from ecgqa_tflite.networks._keras import keras

    black, white = wanted
    plain = tiny_model.network()
    other = keras.models.clone_model(plain)
    kernel, bias, *rest = plain.get_weights()
    kernel = kernel / (white - black)
    other.set_weights([kernel, bias - black * kernel.sum(axis=(0, 1, 2)), *rest])
    made = {}
    for name, network, said in (
        ("plain", plain, {}), ("other", other, {"input_range": list(wanted)}),
    ):  # fmt: skip
        network.save(str(tmp_path / f"{name}.h5"))
        made[name], calibration = own_model(
            tmp_path / f"{name}.h5", spec_with(tmp_path, **said), tmp_path / f"of_{name}",
            quantisation=Quantisation(quantize, recordings if quantize == "ptq" else None),
        )  # fmt: skip
    networks = {name: Int8Network(model.tflite_path) for name, model in made.items()}
    graph = networks["other"].graph
    x = graph.tensors[graph.inputs[0]]
    scale, zero_point = codes_of((float(black), float(white)))
    assert stands_for(x) == f"[{black}, {white}]"
    assert (x.quant_scale[0], int(x.zero_point[0])) == (np.float32(scale), zero_point)
    images = to_int8(tiny_model.images(16))
    one, two = (net.scores(images)[:, 1].astype(int) for net in networks.values())
    assert np.ptp(one) > 8 and np.abs(one - two).max() <= 3
    if calibration is not None:
        assert made["other"].metrics["calibration"]["flipped"] <= 1
        assert (
            min(layer["snr_db"] or 99 for layer in made["other"].metrics["calibration"]["layers"])
            > 15
        )
    # Given [0, 1] without a word, it decides otherwise.
    wrong, _ = own_model(
        tmp_path / "other.h5", spec_with(tmp_path), tmp_path / "wrong",
        quantisation=Quantisation(quantize, recordings if quantize == "ptq" else None),
    )  # fmt: skip
    assert np.abs(Int8Network(wrong.tflite_path).scores(images)[:, 1] - one).max() > 8


def test_a_tflite_whose_scale_says_another_range(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(tiny_model.tflite())
    given = (tmp_path / "a.tflite", "-o", tmp_path / "out", "--spec")
    done = convert(*given, spec_with(tmp_path, input_range=[-1, 1]))
    assert done.exit_code == 1 and "codes stand for [0, 1]" in done.output
    assert convert(*given, spec_with(tmp_path, input_range=[0, 1])).exit_code == 0


def test_high_from_one_half_on_where_nobody_says(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(tiny_model.tflite())
    made, _ = own_model(tmp_path / "a.tflite", spec_with(tmp_path), tmp_path / "m")
    assert (made.threshold, made.threshold_int8) == (0.5, 0)
