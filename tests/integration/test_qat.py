# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Training with quantisation, float export and their comparison, on networks of a few weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
from conftest import require_module
from labelled_recordings import write_labelled
from synthetic_leads import write_training_sets

from ecgqa_tflite.bundle.export import export_bundle
from ecgqa_tflite.datasets.balanced import Composition, build
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.engine.planner import plan_tflite
from ecgqa_tflite.errors import ConversionError, DatasetError, ModelError
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network, check_int8_contract
from ecgqa_tflite.training.recipe import Recipe

require_module("tensorflow_model_optimization")

from ecgqa_tflite.convert import qat, retrain  # noqa: E402
from ecgqa_tflite.convert.float_export import float_network, unquantised  # noqa: E402
from ecgqa_tflite.networks._keras import keras  # noqa: E402 (may be missing)

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

layers = keras.layers
SPEC = FrontEnd.preset("wearable", rows=16, cols=16, colormap="grey")
RECIPE = replace(qat.qat_recipe(Recipe(batch=16)), epochs=2)


def maps(n: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Index maps (n, 16, 16) and their classes: the upper half is dark in class 1."""
    quality = (np.arange(n) % 2).astype(np.uint8)
    found = np.random.default_rng(0).integers(0, 256, (n, 16, 16), dtype=np.uint8)
    found[quality == 1, :8] //= 2
    return found, quality


def images(n: int = 8) -> np.ndarray:
    return maps(n)[0][..., None]


def network(*body: Any) -> Any:
    """A network of ``body`` between an image of 16 x 16 and its scores."""
    image = x = layers.Input((16, 16, 1), name="image")
    for layer in body:
        x = layer(x)
    return keras.Model(image, x, name="small")


def head() -> list[Any]:
    return [layers.Flatten(), layers.Dense(2), layers.Softmax()]


def conv(activation: str | None = "relu") -> Any:
    return layers.Conv2D(8, 3, activation=activation)


def branches() -> Any:
    """As InceptionV1: batch normalisation, branches side by side, global average."""

    def block(x: Any, channels: int, size: int) -> Any:
        x = layers.Conv2D(channels, size, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    image = layers.Input((16, 16, 1), name="image")
    x = block(image, 8, 3)
    pooled = layers.MaxPooling2D(3, 1, padding="same")(x)
    x = layers.Concatenate()([block(x, 8, 1), block(block(x, 4, 1), 8, 3), block(pooled, 8, 1)])
    x = layers.Dropout(0.4)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Softmax()(layers.Dense(2)(x)), name="branches")


def trained(model: Any, work: Path, recipe: Recipe = RECIPE) -> bytes:
    return qat.quantise_qat(model, *maps(), images(), SPEC, recipe, work)


# ---- what comes out -----------------------------------------------------------------------------


def test_before_any_step_it_is_what_ptq_makes() -> None:
    """Ranges start where the images put them, not at tfmot's +-6."""
    model = tiny_model.network()
    calibration, others = tiny_model.images(16), to_int8(tiny_model.images(8, seed=5))
    mine = qat.qat_tflite(qat.fake_quantised(model, calibration))
    ptq = quantise_ptq(model, calibration)
    assert census(mine).operators == census(ptq).operators
    scores = [Int8Network(t).scores(others).astype(int) for t in (mine, ptq)]
    assert np.abs(scores[0] - scores[1]).max() <= 2
    assert len(np.unique(scores[1])) > 4


def test_light_cnn_is_the_engines_bit_for_bit(tmp_path: Path) -> None:
    """The contract, the exporter's limits, and the compiled C against LiteRT's kernels."""
    quality = (np.arange(32) % 2).astype(np.uint8)
    index_maps = tiny_model.images(32)[..., 0]
    model, before = tiny_model.network(), tiny_model.network().get_weights()
    tflite = qat.quantise_qat(
        model, index_maps, quality, tiny_model.images(8), tiny_model.SPEC, RECIPE, tmp_path / "w"
    )
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    graph = read_tflite(tflite)
    check_int8_contract(graph)
    assert [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)] == ["image", "scores"]
    assert census(tflite).operators == census(tiny_model.tflite()).operators
    plan = plan_tflite(tflite, row_scratch_bytes=1000)
    for layer in plan.network.layers:
        assert (layer.multiplier_q31 >= 1 << 30).all() and (layer.shift <= 0).all()
    made = tiny_model.folder(tmp_path / "models", tflite=tflite)
    bundle = export_bundle(made, tmp_path / "bundle")
    assert bundle.proof.distinct_scores > 1 and "refused" not in bundle.manifest["engine"]


def test_batch_normalisation_folds_and_branches_share_a_scale(tmp_path: Path) -> None:
    assert census(trained(branches(), tmp_path)).operators == {
        "CONV_2D": 5, "MAX_POOL_2D": 1, "CONCATENATION": 1, "MEAN": 1, "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }  # fmt: skip


def test_a_dead_channel_has_a_scale(tmp_path: Path) -> None:
    model = network(conv(), *head())
    weights = model.get_weights()
    weights[0][..., 3] = 0
    model.set_weights(weights)
    graph = read_tflite(trained(model, tmp_path))
    assert all((t.quant_scale > 0).all() for t in graph.tensors)


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if done == 4:
            raise KilledError

    model = network(conv(), *head())
    whole = trained(model, tmp_path / "whole")
    with pytest.raises(KilledError):
        qat.quantise_qat(model, *maps(), images(), SPEC, RECIPE, tmp_path / "cut", kill)
    told: list[tuple[str, int]] = []
    again = qat.quantise_qat(
        model,
        *maps(),
        images(),
        SPEC,
        RECIPE,
        tmp_path / "cut",
        lambda w, d, t: told.append((w, d)),
    )
    first, *steps = told
    assert first[0].startswith("going on from epoch ")
    assert [done for _, done in steps] == [4, 5, 6] and again == whole


# ---- networks of a user's -----------------------------------------------------------------------


def test_a_softmax_inside_the_last_layer_comes_out_of_it() -> None:
    x = images() / np.float32(255)
    for model in (
        network(conv(), layers.Flatten(), layers.Dense(2, activation="softmax")),
        network(conv(), layers.Flatten(), layers.Dense(2), layers.Activation("softmax")),
        keras.Sequential([layers.Input((16, 16, 1)), conv(), *head()]),
    ):
        mine = qat.ending_in_logits(model)
        assert isinstance(mine.layers[-1], layers.Softmax)
        assert np.allclose(mine(x), model(x), atol=1e-6)


def subclassed() -> Any:
    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    return Own(name="own")


@pytest.mark.parametrize(
    ("model", "message"),
    [(lambda: network(layers.BatchNormalization(), conv(), *head()), "BatchNormalization.*not sup"),
     (lambda: network(layers.Rescaling(2.0), conv(), *head()), "Rescaling.*not supported"),
     (lambda: network(layers.SeparableConv2D(8, 3), *head()), "was split"),
     (lambda: network(network(conv()), *head()), "inside another"),
     (lambda: network(conv("elu"), *head()), "Only some Keras activations"),
     (lambda: network(conv(), layers.Flatten(), layers.Dense(2, activation="sigmoid")), "needs a"),
     (subclassed, "neither a functional nor a sequential")],
)  # fmt: skip
def test_what_cant_be_trained_says_so(model: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        qat.fake_quantised(model(), images())
    assert "\n" not in str(caught.value) and "class '" not in str(caught.value)


# ---- a model folder and recordings --------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("labelled"))


def test_requantise(labelled: Path, tmp_path: Path) -> None:
    model = tiny_model.folder(tmp_path / "models", recipe={})
    made = retrain.requantise_qat(model, labelled, tmp_path / "tiny", tmp_path / "cache")
    assert made.weights_path.read_bytes() == model.weights_path.read_bytes()
    assert made.tflite_path.read_bytes() != model.tflite_path.read_bytes()
    assert made.metrics["external"] == {}
    quantisation = made.metrics["quantisation"]
    assert quantisation["recipe"]["epochs"] == 1
    assert quantisation["data"]["set"] == labelled.name
    assert sum(part["groups"] for part in quantisation["data"]["segments"].values()) == 16
    validation = made.metrics["validation"]
    assert sum(part["groups"] for part in validation["segments"].values()) == 4
    assert validation["flips"]["share"] <= 0.05
    assert not set(made.calibration_ids) & {"synthetic/0"}
    assert not any((tmp_path / "cache" / "runs").glob("*"))
    again = retrain.requantise_qat(model, labelled, tmp_path / "again", tmp_path / "cache")
    assert again.tflite_path.read_bytes() == made.tflite_path.read_bytes()


def test_training_and_validation_share_no_record(labelled: Path, tmp_path: Path) -> None:
    sets = retrain.training_data(labelled, SPEC, Recipe(), tmp_path)
    train, validation = groups(sets.train), groups(sets.validation)
    assert train and validation and not train & validation
    assert len(sets.maps) == len(sets.train) >= len(sets.calibration_ids)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public sets as ``ecgqa train`` takes them; the last record is a copy of the first."""
    root = tmp_path_factory.mktemp("public")
    write_training_sets(root)
    folder = root / "challenge-2011"
    header = (folder / "0.hea").read_text()
    (folder / "99.hea").write_text(header.replace("0 2", "99 2", 1))  # its signal stays in 0.dat
    with (folder / "LEADS.csv").open("a") as file:
        file.write("99,I,good\n99,II,bad\n")
    return root


def groups(segments: LabelledSet) -> set[str]:
    return set(segments.group.tolist())


SMALL = Composition(n_train=48, n_validation=16, validation_share=0.35, seed=1)


def test_it_holds_out_what_the_float_training_did(public: Path, tmp_path: Path) -> None:
    """By the composition's seed, and the names of copies too, which are read once."""
    recipe = Recipe(seed=7, composition=SMALL)
    float_sets = build(public, SPEC, SMALL, tmp_path)
    sets = retrain.training_data(public / "challenge-2011", SPEC, recipe, tmp_path)
    assert groups(sets.train) and groups(sets.validation)
    assert not groups(sets.validation) & groups(float_sets.train)
    assert not groups(sets.train) & groups(float_sets.validation)


def test_it_never_validates_on_what_the_float_network_saw(
    public: Path, labelled: Path, tmp_path: Path
) -> None:
    """Known from the segments that calibrated it; a part of a set is held out otherwise."""
    recipe = Recipe(composition=SMALL)
    folder = public / "challenge-2011"
    held_out = sorted(groups(retrain.training_data(folder, SPEC, recipe, tmp_path).validation))
    for data in (folder, public):
        with pytest.raises(DatasetError, match=f"{held_out[0]}.*trained") as caught:
            retrain.training_data(
                data, SPEC, recipe, tmp_path, seen=[f"{held_out[0]}/I@5.00+em/0/train@3.20#1"]
            )
        assert "\n" not in str(caught.value)
    part = [f"challenge-2011/{name}/I@0.00" for name in (0, 1000)]
    with pytest.raises(DatasetError, match="is a part of what the float network was trained on"):
        retrain.training_data(folder, SPEC, Recipe(), tmp_path, seen=part)
    noise_alone = ["noise/white#train.0", "noise/em/1/train@3.20#train.1", "synthetic/0"]
    retrain.training_data(public, SPEC, recipe, tmp_path, seen=noise_alone)
    model = tiny_model.folder(
        tmp_path / "models",
        recipe=recipe.to_dict(),
        calibration_ids=[f"challenge-2011/{i}/I@0.00" for i in range(20)],
    )
    with pytest.raises(DatasetError, match="trained"):
        retrain.requantise_qat(model, labelled, tmp_path / "out", tmp_path / "cache")


def test_a_checkpoint_is_of_one_set_of_labels(labelled: Path, tmp_path: Path) -> None:
    sets = retrain.training_data(labelled, SPEC, Recipe(), tmp_path)
    other = tuple(replace(part, quality=1 - part.quality) for part in sets.train.parts)
    assert replace(sets, train=LabelledSet(other)).digest() != sets.digest()
    assert replace(sets, train=LabelledSet(sets.train.parts)).digest() == sets.digest()


def test_the_external_test_trains_nothing(tmp_path: Path) -> None:
    write_labelled(tmp_path, records=2)
    (tmp_path / "LEADS.csv").unlink()
    (tmp_path / "REFERENCE.csv").write_text("0,N\n1,~\n")
    with pytest.raises(DatasetError, match="external test, on which nothing trains"):
        retrain.training_data(tmp_path, SPEC, Recipe(), tmp_path)


def test_too_few_recordings_to_validate(tmp_path: Path) -> None:
    write_labelled(tmp_path, records=2)
    with pytest.raises(DatasetError, match="too few recordings"):
        retrain.training_data(tmp_path, SPEC, Recipe(), tmp_path)


# ---- float --------------------------------------------------------------------------------------


def test_float_between_int8_ends_is_the_float_network() -> None:
    model = tiny_model.network()
    tflite = float_network(model)
    assert float_network(model) == tflite
    check_int8_contract(read_tflite(tflite))
    x = tiny_model.images(16, seed=3)
    p = np.asarray(model(x / np.float32(255)))
    scores = Int8Network(tflite).scores(to_int8(x))
    assert np.abs(np.minimum(256 * p - 128, 127) - scores).max() < 0.51
    with pytest.raises(ConversionError, match="not full int8"):
        census(tflite)
    assert census(tflite, may_be_float=True).macs == census(tiny_model.tflite()).macs


def test_a_float_bundle_is_proven_and_for_those_that_run_it(tmp_path: Path) -> None:
    made = unquantised(tiny_model.folder(tmp_path / "models"), tmp_path / "float" / "tiny")
    assert "int8" not in made.metrics["validation"]
    bundle = export_bundle(made, tmp_path / "pi", target="raspberry-pi")
    assert bundle.manifest["quantisation"]["weights"] == "float32"
    assert any("within 1/256" in line for line in bundle.proof.target_output)
    for target in ("cortex-m", "coral"):
        with pytest.raises(ConversionError, match="not full int8"):
            export_bundle(made, tmp_path / "no", target=target)
    with pytest.raises(ModelError, match="no float weights"):
        unquantised(open_model(tmp_path / "pi"), tmp_path / "no")
    assert not (tmp_path / "no").exists()
