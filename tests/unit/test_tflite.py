# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading and running .tflite files, hostile ones too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgqa_tflite.engine.chain import read_network
from ecgqa_tflite.errors import ArgumentError, ConversionError, ModelError
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.flatbuffer import pack, unpack
from ecgqa_tflite.tflite.image_codes import INPUT_SCALE
from ecgqa_tflite.tflite.numbers import check_numbers
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny_model.tflite()


def test_the_graph(data: bytes) -> None:
    graph = read_tflite(data)
    assert [op.name for op in graph.operators] == [
        "CONV_2D", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D", "RESHAPE",
        "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (x.name, x.shape, x.dtype) == ("image", (1, 113, 113, 1), "int8")
    assert (y.name, y.shape, y.dtype) == ("scores", (1, 2), "int8")
    assert graph.signature == (("image",), ("scores",))
    assert x.quant_scale.tolist() == [INPUT_SCALE] and x.zero_point.tolist() == [-128]
    assert y.quant_scale.tolist() == [1 / 256] and y.zero_point.tolist() == [-128]
    conv = graph.operators[0]
    w = graph.tensors[conv.inputs[1]]
    assert w.shape == (16, 5, 5, 1) and w.data is not None and w.data.dtype == np.int8
    assert w.quant_scale.size == 16 and w.axis == 0
    assert conv.options["padding"] == "VALID" and conv.options["stride_h"] == 3
    assert conv.options["fused_activation_function"] == "RELU"


def test_int8_of_an_image() -> None:
    image = np.arange(256, dtype=np.uint8)
    out = to_int8(image)
    assert out.dtype == np.int8
    assert np.array_equal(out, image.astype(np.int16) - 128)


def test_scores(data: bytes) -> None:
    images = to_int8(tiny_model.images(5, seed=1))
    fast, reference = Int8Network(data), Int8Network(data, reference_kernels=True)
    assert fast.input_shape == (113, 113, 1) and fast.classes == 2
    a, b = fast.scores(images), reference.scores(images)
    assert a.shape == (5, 2) and a.dtype == np.int8
    assert np.abs(a.astype(int) - b).max() <= 1
    assert len(np.unique(b[:, 1])) > 1
    np.testing.assert_allclose(fast.probabilities(a).sum(1), 1, atol=1 / 128)
    assert np.array_equal(fast.scores(images[:0]), np.zeros((0, 2), np.int8))


def test_the_int8_network_follows_the_float_one(data: bytes) -> None:
    from ecgqa_tflite.networks import preprocess

    images = tiny_model.images(8, seed=2)
    network = Int8Network(data)
    p = network.probabilities(network.scores(to_int8(images)))
    expected = tiny_model.network()(preprocess(images), training=False).numpy()
    assert np.abs(p - expected).max() < 0.03


def test_intermediate_tensors(data: bytes) -> None:
    network = Int8Network(data)
    image = to_int8(tiny_model.images(1))[0]
    tensors = network.tensors(image)
    assert list(tensors) == [i for op in network.graph.operators for i in op.outputs]
    for i, array in tensors.items():
        assert array.shape == network.graph.tensors[i].shape
    reference = Int8Network(data, reference_kernels=True).scores(image[None])
    assert np.array_equal(tensors[network.graph.outputs[0]], reference)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 113, 113, 1), np.uint8), np.zeros((1, 113, 113, 3), np.int8),
     np.zeros((113, 113, 1), np.int8)],
)  # fmt: skip
def test_images_of_another_kind(data: bytes, images: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="takes int8"):
        Int8Network(data).scores(images)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be read"):
        Int8Network(tmp_path / "none.tflite")
    for content in (b"", b"TFL3", b"\x00" * 100, b"\x1c\x00\x00\x00TFL3" + b"\xff" * 100):
        with pytest.raises(ModelError, match=r"model"):
            Int8Network(content)


def test_threads_must_be_positive(data: bytes) -> None:
    with pytest.raises(ArgumentError):
        Int8Network(data, threads=0)


def try_out(damaged: bytes) -> None:
    """Either it runs, or one line says that it doesn't; a crash ends the test run."""
    try:
        network = Int8Network(damaged)
        network.scores(np.zeros((1, *network.input_shape), np.int8))
    except ModelError as error:
        assert "\n" not in str(error) and len(str(error)) < 500


def test_truncated_files(data: bytes) -> None:
    for length in [*range(0, 64), *np.linspace(64, len(data) - 1, 60, dtype=int)]:
        with pytest.raises(ModelError):
            read_tflite(data[:length])
            Int8Network(data[:length])


@settings(max_examples=300, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)),
                      min_size=1, max_size=4))  # fmt: skip
def test_flipped_bits(data: bytes, flips: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for place, bit in flips:
        damaged[int(place * len(data))] ^= 1 << bit
    try_out(bytes(damaged))


WORDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0")


@settings(max_examples=200, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(place=st.integers(0, 10**6), word=st.sampled_from(WORDS))
def test_overwritten_words(data: bytes, place: int, word: bytes) -> None:
    damaged = bytearray(data)
    place %= len(data) - 4
    damaged[place : place + 4] = word
    try_out(bytes(damaged))


# ---- numbers that are not numbers ------------------------------------------------------------


@pytest.fixture
def odd() -> Any:
    """Four operators: CONV_2D, RESHAPE, FULLY_CONNECTED, SOFTMAX; to be changed and packed."""
    return unpack((firmware_bridge_dir() / "tests/tiny/odd.tflite").read_bytes())


def rescale(tensor: Any, scale: float) -> None:
    """Of a tensor, or of its first channel."""
    tensor.quantization.scale = np.r_[np.float32(scale), tensor.quantization.scale[1:]]


def refused(model: Any, words: str) -> None:
    """By one line, and by the engine too, which others call without the check."""
    graph = read_tflite(pack(model))
    with pytest.raises(ModelError, match=rf"damaged .tflite \(operator .*{words}") as caught:
        check_numbers(graph)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConversionError):
        read_network(graph)


@pytest.mark.parametrize("beta", [-np.inf, np.inf, np.nan, -1.0, 0.0, 1e-30, 1e-6])
def test_a_softmax_with_an_absurd_beta(odd: Any, beta: float) -> None:
    """LiteRT's reference kernels abort the process over most of these."""
    odd.subgraphs[0].operators[3].builtinOptions.beta = beta
    refused(odd, "SOFTMAX: beta")


@pytest.mark.parametrize("scale", [1e-45, 2.8e-38, 1e30])
@pytest.mark.parametrize("operator", [0, 2])
def test_a_channel_with_an_absurd_scale(odd: Any, operator: int, scale: float) -> None:
    graph = odd.subgraphs[0]
    rescale(graph.tensors[graph.operators[operator].inputs[1]], scale)
    refused(odd, "requantisation by")


def test_a_channel_without_weights_may_have_any_scale(odd: Any) -> None:
    graph = odd.subgraphs[0]
    tensor = graph.tensors[graph.operators[2].inputs[1]]
    weights = np.array(odd.buffers[tensor.buffer].data, copy=True).reshape(2, -1)
    weights[0] = 0
    rescale(tensor, 1e-30)
    odd.buffers[tensor.buffer].data = weights.reshape(-1)
    check_numbers(read_tflite(pack(odd)))
    layer = read_network(read_tflite(pack(odd))).layers[-1]  # the engine has its value as a bias
    assert (layer.multiplier_q31[0], layer.shift[0]) == (1 << 30, 0)


def test_an_activation_with_an_absurd_scale(odd: Any) -> None:
    """RELU6 is clamped at more steps than there are."""
    graph = odd.subgraphs[0]
    graph.operators[0].builtinOptions.fusedActivationFunction = 3
    rescale(graph.tensors[graph.operators[0].outputs[0]], 1e-45)
    refused(odd, "requantisation by")


@pytest.mark.parametrize("place", [0, 2, 3])
def test_an_activation_without_a_scale(odd: Any, place: int) -> None:
    """LiteRT's reference softmax ends the process over logits that have none."""
    graph = odd.subgraphs[0]
    graph.tensors[graph.operators[place].inputs[0]].quantization = None
    refused(odd, "has no scale")


def test_sound_numbers_pass(data: bytes) -> None:
    check_numbers(read_tflite(data))


def test_a_dead_head_is_said_before_litert_aborts() -> None:
    """A head of zeros: its logits' range is nothing, their scale 7.8e-9."""
    graph = unpack(tiny_model.tflite())
    data = read_tflite(tiny_model.tflite())
    logits = data.operators[-1].inputs[0]
    graph.subgraphs[0].tensors[logits].quantization.scale = np.array([7.84e-9], np.float32)
    with pytest.raises(ModelError, match=r"every segment the same scores.*dead") as caught:
        Int8Network(bytes(pack(graph)), reference_kernels=True)
    assert "\n" not in str(caught.value)
