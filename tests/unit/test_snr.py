# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Signal to quantisation noise, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_model

from ecgqa_tflite.quantize.snr import layer_snr_db, worst_layers
from ecgqa_tflite.tflite.flatbuffer import pack, unpack


def test_a_sound_network_has_little_noise_and_a_disturbed_layer_is_named() -> None:
    network, images = tiny_model.network(), tiny_model.images(4, seed=3)
    sound = layer_snr_db(network, tiny_model.tflite(), images)
    assert [x["operator"] for x in sound] == [
        *["CONV_2D", "MAX_POOL_2D"] * 3, "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    assert all(x["snr_db"] > 20 for x in sound)
    model = unpack(tiny_model.tflite())
    second = [op for op in model.subgraphs[0].operators if len(op.inputs) == 3][1]
    weights = model.buffers[model.subgraphs[0].tensors[second.inputs[1]].buffer]
    noise = np.random.default_rng(0).integers(-60, 60, len(weights.data))
    changed = (np.asarray(weights.data).view(np.int8) + noise).clip(-127, 127)
    weights.data = changed.astype(np.int8).view(np.uint8)
    disturbed = layer_snr_db(network, pack(model), images)
    assert disturbed[:2] == sound[:2]
    assert disturbed[2]["snr_db"] < sound[2]["snr_db"] - 10


def test_the_worst_come_first() -> None:
    layers = [{"operator": str(x), "snr_db": x} for x in (40.0, None, 10.0, 30.0, 20.0)]
    assert [x["snr_db"] for x in worst_layers(layers)] == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("n", [0, 2])
def test_few_layers(n: int) -> None:
    assert len(worst_layers([{"snr_db": 1.0}] * n)) == n
