# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation: what comes out, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tiny_model
from conftest import require_module

from ecgqa_tflite.errors import ConversionError, ModelError
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.tflite.census import census, layer_of
from ecgqa_tflite.tflite.image_codes import INPUT_SCALE
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network

require_module("tensorflow")

from ecgqa_tflite.networks import InceptionV1, LightCNN  # noqa: E402 (may be missing)
from ecgqa_tflite.networks._keras import keras, tf  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

layers = keras.layers


def small(*body: Any, shape: tuple[int, int, int] = (16, 16, 1)) -> Any:
    """A network of ``body`` between an image and two scores."""
    image = x = layers.Input(shape=shape, name="image")
    for layer in body:
        x = layer(x)
    x = layers.Softmax()(layers.Dense(2)(layers.Flatten()(x)))
    return keras.Model(image, x, name="small")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_the_same_network_and_images_give_the_same_bytes() -> None:
    first = tiny_model.tflite()
    # Other graphs built in between must not show in the names.
    LightCNN((113, 113, 1), alpha=0.125)
    copy = LightCNN((113, 113, 1), alpha=0.125, name="tiny")
    copy.set_weights(tiny_model.network().get_weights())
    assert quantise_ptq(copy, tiny_model.images(16)) == first


def test_census_of_light_cnn() -> None:
    counted = census(tiny_model.tflite())
    assert counted.operators == {
        "CONV_2D": 3, "MAX_POOL_2D": 3, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1,
    }  # fmt: skip
    by_hand = 37 * 37 * 25 * 16 + 8 * 8 * 16 * 16 * 16 + 5 * 5 * 9 * 16 * 32 + 512 * 2
    assert counted.macs == by_hand
    assert counted.file_bytes == len(tiny_model.tflite())
    assert counted.to_dict()["layers"][0]["shape"] == [1, 37, 37, 16]


@pytest.mark.parametrize("inputs", [lambda x, w: (x,), lambda x, w: (x, -1)])
def test_an_operator_that_lacks_its_weights_is_counted(inputs: Any) -> None:
    """What reading lets through must not stop ``ecgqa inspect``."""
    graph = read_tflite(tiny_model.tflite())
    dense = next(op for op in graph.operators if op.name == "FULLY_CONNECTED")
    assert layer_of(graph, dense).macs > 0
    assert layer_of(graph, replace(dense, inputs=inputs(*dense.inputs[:2]))).macs == 0


def test_batch_normalisation_folds_away() -> None:
    """InceptionV1 on a small image: no operator of it is left over, none is float."""
    model = InceptionV1((32, 32, 1))
    counted = census(quantise_ptq(model, noise(2, 32, 32, 1)))
    assert counted.operators == {
        "CONV_2D": 57, "MAX_POOL_2D": 13, "CONCATENATION": 9, "MEAN": 1, "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("low", "high"), [(0, 255), (1, 254), (100, 120)])
def test_the_input_scale_is_exact_whatever_the_images(low: int, high: int) -> None:
    images = noise(3, 16, 16, 1) % (high - low) + low
    before = images.copy()
    tflite = quantise_ptq(small(layers.Conv2D(8, 3)), images.astype(np.uint8))
    x = read_tflite(tflite).tensors[0]
    assert (x.quant_scale[0], x.zero_point[0]) == (INPUT_SCALE, -128)
    assert np.array_equal(images, before)
    Int8Network(tflite).scores(to_int8(images.astype(np.uint8)))


@pytest.mark.parametrize(
    ("images", "message"),
    [(np.zeros((0, 16, 16, 1), np.uint8), "no calibration images"),
     (np.zeros((4, 16, 16, 1), np.uint8), "every calibration pixel is 0"),
     (np.full((4, 16, 16, 1), 255, np.uint8), "every calibration pixel is 255"),
     (np.zeros((4, 16, 16, 3), np.uint8), "the network takes uint8"),
     (np.zeros((4, 16, 16, 1), np.float32), "calibration images are float32")],
)  # fmt: skip
def test_calibration_images_that_calibrate_nothing(images: np.ndarray, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        quantise_ptq(small(layers.Conv2D(8, 3)), images)


def test_a_float_island_is_refused() -> None:
    """Local response normalisation, the seed's GoogLeNet's, has no int8 kernel."""
    lrn = layers.Lambda(tf.nn.local_response_normalization)
    with pytest.raises(ConversionError, match="LOCAL_RESPONSE_NORM") as caught:
        quantise_ptq(small(layers.Conv2D(8, 3), lrn), noise(2, 16, 16, 1))
    assert "\n" not in str(caught.value)


def test_an_operator_that_tflite_lacks_is_refused() -> None:
    odd = layers.Lambda(lambda x: tf.raw_ops.Digamma(x=x + 1.0))
    with pytest.raises(ConversionError) as caught:
        quantise_ptq(small(layers.Conv2D(8, 3), odd), noise(2, 16, 16, 1))
    assert "\n" not in str(caught.value)


def test_a_dynamic_image_is_refused() -> None:
    image = layers.Input(shape=(None, None, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(image))
    model = keras.Model(image, layers.Softmax()(layers.Dense(2)(x)))
    with pytest.raises(ConversionError, match="fixed size"):
        quantise_ptq(model, noise(2, 16, 16, 1))


def test_two_inputs_are_refused() -> None:
    a, b = layers.Input(shape=(16, 16, 1)), layers.Input(shape=(16, 16, 1))
    model = keras.Model([a, b], layers.Dense(2)(layers.Flatten()(layers.Add()([a, b]))))
    with pytest.raises(ConversionError, match="several inputs"):
        quantise_ptq(model, noise(2, 16, 16, 1))


def plain(batch: int | None) -> bytes:
    """A float .tflite, as a user may have it."""
    model = small(layers.Conv2D(8, 3))
    spec = tf.TensorSpec((batch, 16, 16, 1), tf.float32, name="image")
    f = tf.function(lambda image: {"scores": model(image)}, input_signature=[spec])
    return bytes(
        tf.lite.TFLiteConverter.from_concrete_functions(
            [f.get_concrete_function()], model
        ).convert()
    )


def test_census_refuses_a_float_file_and_names_the_operator() -> None:
    with pytest.raises(ConversionError, match=r"operator 0 \(CONV_2D\) works on float32"):
        census(plain(1))
    with pytest.raises(ModelError, match="takes float32 and answers float32"):
        Int8Network(plain(1))


def dynamic_int8() -> bytes:
    model = small(layers.Conv2D(8, 3))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [image[None] / np.float32(255)] for image in noise(4, 16, 16, 1)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def test_a_dynamic_batch_is_refused() -> None:
    with pytest.raises(ConversionError, match="dynamic shape"):
        census(dynamic_int8())


def test_census_of_a_damaged_file() -> None:
    with pytest.raises(ModelError, match="damaged"):
        census(tiny_model.tflite()[:1000])
