# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A first convolution's stride in the image's layout: the same scores, sooner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_model
from ai_edge_litert.interpreter import Interpreter

from ecgqa_tflite.errors import ConversionError, ModelError
from ecgqa_tflite.frontend.native import folded
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.tflite.space_to_depth import foldable_stride, is_faster, rewrite


def by_numpy(images: np.ndarray, block: int, rows: int, cols: int, fill: int) -> np.ndarray:
    n, r, c, channels = images.shape
    whole = np.full((n, rows * block, cols * block, channels), fill, np.int8)
    r, c = min(r, rows * block), min(c, cols * block)
    whole[:, :r, :c] = images[:, :r, :c]
    split = whole.reshape(n, rows, block, cols, block, channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, cols, block * block * channels)


@pytest.mark.parametrize("channels", [1, 2, 3, 16, 40])
@pytest.mark.parametrize("block", [1, 2, 3, 5])
@pytest.mark.parametrize(("r", "c"), [(1, 1), (5, 4), (23, 31), (40, 17)])
def test_blocks_to_pixels(r: int, c: int, block: int, channels: int) -> None:
    rng = np.random.default_rng(r + c + block + channels)
    images = rng.integers(-128, 128, (3, r, c, channels)).astype(np.int8)
    for rows, cols in [(-(-r // block), -(-c // block)), (1, 1), (r // block + 2, c // block + 3)]:
        for fill in (-128, 0):
            found = folded(images, block, rows, cols, fill)
            assert np.array_equal(found, by_numpy(images, block, rows, cols, fill))


def scores_of(tflite: bytes, images: np.ndarray) -> np.ndarray:
    """By XNNPACK, the network as it is."""
    interpreter = Interpreter(model_content=tflite, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (got,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(got["index"])[0])
    return np.array(found)


@pytest.mark.parametrize("name", ["light_cnn_small", "light_cnn", "tiny"])
def test_scores_are_those_of_the_network_as_it_is(name: str) -> None:
    tflite = tiny_model.tflite() if name == "tiny" else open_model(name).tflite_path.read_bytes()
    assert is_faster(read_tflite(tflite))
    network = Int8Network(tflite)
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (40, *network.input_shape)).astype(np.int8)
    images[:20] //= rng.integers(1, 100, (20, 1, 1, 1), dtype=np.int8)  # darker ones
    images[10:30, :, 40:80] = -128
    expected = scores_of(tflite, images)
    assert len(np.unique(expected[:, 1])) > 4
    assert np.array_equal(network.scores(images), expected)


def test_a_kernel_that_grows_too_much_is_left_alone() -> None:
    """Stride 5 under a kernel of 1 x 1: 25 times the products."""
    graph = read_tflite(Path(__file__).parents[2].joinpath("models/light_cnn/light_cnn.tflite").read_bytes())  # noqa: E501  # fmt: skip
    kernel = graph.tensors[graph.operators[0].inputs[1]]
    assert foldable_stride(graph) == 5 and is_faster(graph)
    object.__setattr__(kernel, "shape", (kernel.shape[0], 1, 1, 3))
    assert not is_faster(graph)


def test_damage_where_only_the_rewriting_looks_is_told_in_one_line() -> None:
    """A word of the root table, which holds where metadata are."""
    whole = tiny_model.tflite()
    refused = 0
    for at in range(28, 64, 4):
        tflite = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]
        try:
            read_tflite(tflite)
        except ModelError:
            continue
        with pytest.raises(ConversionError, match=r"damaged"):
            rewrite(tflite)
        with pytest.raises(ModelError, match="LiteRT refuses it"):
            Int8Network(tflite)
        refused += 1
    assert refused
