# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A share of a network's channels taken out, and what is left trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
from click.testing import CliRunner, Result
from conftest import require_module
from labelled_recordings import write_labelled

require_module("tensorflow_model_optimization")

from ecgqa_tflite.cli.convert import command  # noqa: E402
from ecgqa_tflite.convert.qat import ending_in_logits  # noqa: E402
from ecgqa_tflite.convert.retrain import TrainingData, recipe_of, training_data  # noqa: E402
from ecgqa_tflite.convert.thin import silenced, stages, thinned  # noqa: E402
from ecgqa_tflite.errors import ConversionError  # noqa: E402
from ecgqa_tflite.evaluation.figures import compare_decisions, reliability  # noqa: E402
from ecgqa_tflite.frontend.colormap import image_s8  # noqa: E402
from ecgqa_tflite.model_folder import ModelFolder, open_model  # noqa: E402
from ecgqa_tflite.networks import build, load_model, preprocess  # noqa: E402
from ecgqa_tflite.networks._keras import keras  # noqa: E402 (may be missing)
from ecgqa_tflite.networks.logits import logit_function  # noqa: E402
from ecgqa_tflite.output import MANIFEST  # noqa: E402
from ecgqa_tflite.tflite.run import high_scores  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

layers = keras.layers
OFF = [word for name in ("bacc-drop", "se-drop", "low-called-high", "flipped", "ties")
       for word in ("--gate", f"{name}=off")]  # fmt: skip


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return tiny_model.folder(tmp_path_factory.mktemp("models"), recipe={})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def outputs(network: Any, images: np.ndarray) -> list[np.ndarray]:
    """What each stage gives."""
    made = keras.Model(network.input, [stage.output.output for stage in stages(network)])
    return [np.asarray(y) for y in made(preprocess(images), training=False)]


def test_the_least_woken_go() -> None:
    network, images = tiny_model.network(), tiny_model.images(8)
    before = [y.mean(axis=(0, 1, 2)) for y in outputs(network, images)]
    twin = silenced(network, 0.5, images)
    first = outputs(twin, images)[0].mean(axis=(0, 1, 2))
    assert np.count_nonzero(first) <= len(first) // 2
    assert before[0][first == 0].max() <= before[0][first > 0].min()
    for stage, woken in zip(stages(twin), before, strict=True):
        kernel, bias = stage.convolution.get_weights()
        silent = ~kernel.any(axis=(0, 1, 2)) & (bias == 0)
        assert silent.sum() == len(woken) // 2
        assert woken[silent].max() <= woken[~silent].min()


def test_which_channels_can_go() -> None:
    def places(network: Any) -> list[str]:
        return [stage.output.name for stage in stages(network)]

    assert places(tiny_model.network()) == ["relu_1", "relu_2", "relu_3"]
    inception = build("inception_v1", input_shape=(32, 32, 1))
    assert "conv_1_relu" in places(inception) and "inception_3a_3x3_reduce_relu" in places(
        inception
    )
    assert "inception_3a_1x1_relu" not in places(inception)  # whose reader concatenates
    image = layers.Input((16, 16, 1))
    for activation in ("elu", "sigmoid", None):
        x = layers.Flatten()(layers.Conv2D(8, 3, activation=activation)(image))
        assert not places(keras.Model(image, layers.Dense(2, activation="softmax")(x)))
    x = layers.DepthwiseConv2D(3)(layers.Conv2D(8, 3, activation="relu")(image))
    assert not places(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))


@pytest.mark.parametrize("quantize", ["ptq", "qat"])
def test_half_goes_and_the_bundle_is_proven(
    model: ModelFolder, labelled: Path, tmp_path: Path, quantize: str
) -> None:
    out = tmp_path / "half"
    given = (model.path, "-o", out, "--prune", "0.5", "--data", labelled, "--quantize", quantize)
    done = convert(*given, *OFF)
    assert done.exit_code == 0, done.output
    told = done.output.replace("\n", " ")
    assert f"Pruned: 50% of each layer's channels, the rest trained on {labelled.name}" in told
    assert "Its C self-test, compiled with" in told
    manifest = json.loads((out / MANIFEST).read_text())
    found = manifest["metrics"]["pruning"]
    assert (found["method"], found["share"], found["of"]) == ("share", 0.5, "tiny")
    assert found["recipe"]["epochs"] >= 1 and found["data"]["set"] == labelled.name
    convolutions = [x["channels"] for x in found["layers"] if x["operator"] == "CONV_2D"]
    assert [had for had, _ in convolutions] == [16, 16, 32]
    assert all(0 < has <= had // 2 for had, has in convolutions)
    whole, small = (sum(layer["macs"][i] for layer in found["layers"]) for i in (0, 1))
    assert manifest["census"]["macs"] == small < 0.4 * whole
    card = (out / "MODEL_CARD.md").read_text()
    assert "Pruned: `tiny` without the 50% of each layer's channels" in card
    assert manifest["gate"]["measured_on"] == "validation"
    assert manifest["metrics"].get("quantisation", {}).get("method") == (
        "qat" if quantize == "qat" else None
    )


def test_the_folder_holds_what_was_trained_on(
    model: ModelFolder, labelled: Path, tmp_path: Path
) -> None:
    made = thinned(model, tmp_path / "a", 0.5, labelled, "ptq", tmp_path / "cache")
    before, after = load_model(model.path), load_model(made.path)
    for stage in stages(after):
        kernel, bias = stage.convolution.get_weights()
        silent = ~kernel.any(axis=(0, 1, 2))
        assert silent.sum() >= len(bias) // 2 and not bias[silent].any()  # training left them so
    kept = [layer.get_weights()[0] for layer in (before.layers[1], after.layers[1])]
    awake = kept[1].any(axis=(0, 1, 2))
    assert not np.array_equal(kept[0][..., awake], kept[1][..., awake])  # and moved the others
    assert made.tflite_path.stat().st_size < model.tflite_path.stat().st_size
    assert not any((tmp_path / "cache" / "runs").glob("*"))
    again = thinned(model, tmp_path / "b", 0.5, labelled, "ptq", tmp_path / "cache")
    assert again.tflite_path.read_bytes() == made.tflite_path.read_bytes()
    seen = model.calibration_ids
    sets = training_data(
        labelled, model.spec, recipe_of(model), tmp_path / "cache", 1, None, seen=seen
    )
    float_side_is_the_whole(model, made, sets)


def float_side_is_the_whole(model: ModelFolder, made: ModelFolder, sets: TrainingData) -> None:
    """Not what the pruned one says before it is quantised, which would hide pruning's cost."""

    def said(folder: ModelFolder) -> np.ndarray:
        network = ending_in_logits(load_model(folder.path))
        return 1 / (1 + np.exp(-logit_function(network, model.spec)(sets.validation_maps)))

    held, figures = sets.validation, made.metrics["validation"]
    whole, pruned = (reliability(held.quality, said(x), held.group) for x in (model, made))
    assert figures["float"]["reliability"] == whole != pruned
    images = image_s8(np.asarray(sets.validation_maps), model.spec.colormap)
    high = high_scores(made.tflite_path.read_bytes(), images.__getitem__, len(images))
    flips = compare_decisions(said(model) >= model.threshold, high >= made.threshold_int8)
    assert figures["flips"] == flips


def test_what_is_left_must_pass_the_gate(
    model: ModelFolder, labelled: Path, tmp_path: Path
) -> None:
    """A channel per layer scores many segments alike: refused, nothing written."""
    out = tmp_path / "out"
    done = convert(model.path, "-o", out, "--prune", "0.99", "--data", labelled,
                   *OFF, "--gate", "ties=0")  # fmt: skip
    assert done.exit_code == 1 and "the gate is not passed on validation" in done.output
    assert not out.exists()


def test_refusals(model: ModelFolder, labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    spec = tmp_path / "spec.json"
    spec.write_text(tiny_model.SPEC.to_json())
    for given, word in (
        (("--prune", "0.5"), "give --data"),
        (("--prune", "0.5", "--validate", labelled), "give --data"),
        (("--prune", "0.5", "--data", labelled, "--calibrate", labelled), "without --calibrate"),
        (("--prune", "0.5", "--data", labelled, "--spec", spec), "with --spec, prune dead"),
        (("--prune", "0.5", "--data", labelled, "--quantize", "none"), "leave --quantize none"),
        *(
            (("--prune", wrong, "--data", labelled), "a share of channels between 0 and 1")
            for wrong in ("0", "1", "-0.5", "nan", "half", "1e400")
        ),
    ):
        done = convert(model.path, "-o", out, *given)
        assert done.exit_code == 2 and word in done.output.replace("\n", " "), done.output
    image = layers.Input(tiny_model.SPEC.image_shape)
    x = layers.Flatten()(layers.Conv2D(8, 5, 4, activation="elu")(image))
    nothing = keras.Model(image, layers.Dense(2, activation="softmax")(x), name="elu")
    assert not list(stages(nothing))
    assert not out.exists()
    with pytest.raises(ConversionError, match="no convolution behind which"):
        _thin_nothing(model, nothing, labelled, tmp_path)


def _thin_nothing(model: ModelFolder, network: Any, labelled: Path, tmp_path: Path) -> None:
    import ecgqa_tflite.networks as networks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "load_model", lambda _: network)
        thinned(open_model(model.path), tmp_path / "o", 0.5, labelled, "ptq", tmp_path / "cache")
