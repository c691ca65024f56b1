# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks: the seed's Table 1 line by line, counts, sizes, loading."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from conftest import require_module

from ecgqa_tflite.errors import ArgumentError, ModelError

require_module("tensorflow")

from ecgqa_tflite.networks import (  # noqa: E402 (TensorFlow may be missing)
    InceptionV1,
    LightCNN,
    build,
    inception_v1,
    light_cnn,
    load_model,
    preprocess,
)

TABLE_1 = {
    "conv_1": ((45, 45, 128), 18_944),
    "relu_1": ((45, 45, 128), 0),
    "mp_1": ((22, 22, 128), 0),
    "conv_2": ((10, 10, 128), 262_272),
    "relu_2": ((10, 10, 128), 0),
    "mp_2": ((9, 9, 128), 0),
    "conv_3": ((7, 7, 256), 295_168),
    "relu_3": ((7, 7, 256), 0),
    "mp_3": ((6, 6, 256), 0),
    "fc": ((70,), 645_190),
    "softmax": ((70,), 0),
}


def test_light_cnn_is_the_seeds_table_1() -> None:
    model = LightCNN(classes=70)
    assert model.input_shape == (None, 227, 227, 3)
    for name, (shape, parameters) in TABLE_1.items():
        layer = model.get_layer(name)
        assert layer.output_shape == (None, *shape), name
        assert layer.count_params() == parameters, name
    assert model.count_params() == 1_221_574
    assert sum(layer.count_params() > 0 for layer in model.layers) == 4


def test_light_cnn_of_two_classes() -> None:
    model = LightCNN()
    assert model.count_params() == 594_818
    assert model.output_shape == (None, 2)


@pytest.mark.parametrize(
    ("alpha", "widths"),
    [(1.0, (128, 128, 256)), (0.5, (64, 64, 128)), (0.25, (32, 32, 64)), (0.125, (16, 16, 32)),
     (0.1, (16, 16, 24)), (0.01, (8, 8, 8))],
)  # fmt: skip
def test_alpha_scales_to_multiples_of_8(alpha: float, widths: tuple[int, ...]) -> None:
    model = LightCNN(alpha=alpha)
    assert tuple(model.get_layer(f"conv_{i}").filters for i in (1, 2, 3)) == widths


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("pixels", "kernel", "mp_3"), [(227, 7, 6), (127, 7, 1), (126, 5, 5), (113, 5, 4), (77, 5, 1)]
)
def test_light_cnn_of_other_sizes(channels: int, pixels: int, kernel: int, mp_3: int) -> None:
    model = LightCNN((pixels, pixels, channels), alpha=0.125)
    assert model.get_layer("conv_1").kernel_size == (kernel, kernel)
    assert model.get_layer("mp_3").output_shape[1:3] == (mp_3, mp_3)


def test_the_small_network_has_about_ten_thousand_parameters() -> None:
    assert LightCNN((113, 113, 1), alpha=0.125).count_params() == 10_194


@pytest.mark.parametrize("arguments", [
    {"input_shape": (76, 227, 3)}, {"input_shape": (227, 8, 1)}, {"input_shape": (227, 227, 0)},
    {"classes": 1}, {"alpha": 0.0}, {"alpha": -1.0}, {"alpha": float("nan")},
])  # fmt: skip
def test_light_cnn_refuses(arguments: dict[str, object]) -> None:
    with pytest.raises(ArgumentError) as caught:
        LightCNN(**arguments)
    assert "\n" not in str(caught.value)


def test_inception_v1_counts() -> None:
    model = InceptionV1()
    assert model.count_params() == 5_997_442
    assert model.get_layer("inception_5b_output").output_shape == (None, 7, 7, 1024)
    convolutions = [layer for layer in model.layers if layer.name.endswith("_bn")]
    channels = sum(layer.output_shape[-1] for layer in convolutions)
    assert (len(convolutions), channels) == (57, 7_280)
    # With a bias instead of batch normalisation's four numbers a channel, and 1,000 classes:
    with_biases = model.count_params() - 3 * channels
    assert with_biases == 5_975_602
    assert with_biases + (1024 + 1) * (1000 - 2) == 6_998_552
    # ... the numbers that the module's docstring explains the paper's 6.7 million with.
    for number in ("5,973,552", "5,975,602", "5,997,442", "6,998,552", "6.7 million"):
        assert number in (inception_v1.__doc__ or "")


@pytest.mark.parametrize("shape", [(227, 227, 3), (113, 113, 1), (32, 32, 1)])
def test_inception_v1_of_other_sizes(shape: tuple[int, int, int]) -> None:
    model = InceptionV1(shape, classes=70)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 70)


def test_inception_v1_refuses_a_tiny_image() -> None:
    with pytest.raises(ArgumentError, match="32 x 32"):
        InceptionV1((31, 227, 3))


def test_preprocess_is_named_in_each_and_scales_to_one() -> None:
    assert light_cnn.preprocess is inception_v1.preprocess is preprocess
    out = preprocess(np.arange(256, dtype=np.uint8))
    assert out.dtype == np.float32
    assert out[0] == 0 and out[255] == 1
    assert np.array_equal(np.rint(out * 255).astype(np.uint8), np.arange(256))


def test_outputs_are_probabilities() -> None:
    p = tiny_model.network()(preprocess(tiny_model.images(3)), training=False).numpy()
    assert p.shape == (3, 2)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)


def test_build_by_name() -> None:
    model = build("light_cnn", input_shape=[113, 113, 1], classes=2, alpha=0.125)
    assert model.count_params() == 10_194
    with pytest.raises(ModelError, match="no architecture 'lenet'"):
        build("lenet")
    with pytest.raises(ModelError, match="does not take"):
        build("light_cnn", depth=3)
    with pytest.raises(ArgumentError):
        build("light_cnn", input_shape=[8, 8, 1])


def test_weights_come_back(tmp_path: Path) -> None:
    folder = tiny_model.folder(tmp_path)
    expected = tiny_model.network().get_weights()
    for model in (
        load_model(folder.path),
        load_model(str(folder.path)),
        LightCNN((113, 113, 1), alpha=0.125, weights=folder.weights_path),
        LightCNN((113, 113, 1), alpha=0.125, weights=str(folder.path)),
    ):
        for a, b in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such weights"):
        LightCNN(weights=tmp_path / "none.weights.h5")
    with pytest.raises(ModelError, match="no such model"):
        LightCNN(weights="none_such")
    garbage = tmp_path / "garbage.weights.h5"
    garbage.write_bytes(b"not HDF5")
    with pytest.raises(ModelError, match="not weights of"):
        LightCNN(weights=garbage)
    other = tmp_path / "other.weights.h5"
    LightCNN((113, 113, 1), alpha=0.25).save_weights(other)
    with pytest.raises(ModelError, match="not weights of light_cnn") as caught:
        LightCNN((113, 113, 1), alpha=0.125, weights=other)
    assert "\n" not in str(caught.value)


def run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


def test_importing_tensorflow_first_fails_clearly() -> None:
    done = run("import tensorflow, ecgqa_tflite.networks")
    assert done.returncode != 0
    assert "TF_USE_LEGACY_KERAS=1" in done.stderr.splitlines()[-1]


def test_the_switch_is_set_for_whoever_imports_networks_first() -> None:
    done = run(
        "import ecgqa_tflite.networks, tensorflow as tf; "
        "assert 'tf_keras' in tf.keras.Model.__module__, tf.keras.Model"
    )
    assert done.returncode == 0, done.stderr
