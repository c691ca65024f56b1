# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Channels that never change are taken out, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks_by_hand import Builder
from numpy.typing import NDArray

from ecgqa_tflite.engine.chain import read_network
from ecgqa_tflite.engine.planner import plan_tflite
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.flatbuffer import pack, set_buffer, unpack
from ecgqa_tflite.tflite.identity import read_identity, with_identity
from ecgqa_tflite.tflite.prune import Pruned, prune
from ecgqa_tflite.tflite.ranges import Ranges, channel_ranges
from ecgqa_tflite.tflite.read import network_digest, read_tflite
from ecgqa_tflite.tflite.run import Int8Network

SIDE = 20


@dataclass(frozen=True)
class Stage:
    """A convolution, and what follows it; ``dead`` and ``constant`` are some of its channels."""

    channels: int = 5
    size: int = 3
    stride: int = 1
    padding: str = "valid"
    activation: str = "relu"
    then: str = "none"
    dead: tuple[int, ...] = ()
    constant: tuple[int, ...] = ()


THEN: dict[str, Callable[[Builder], Builder]] = {
    "none": lambda x: x,
    "max": lambda x: x.pool("MAX", 2),
    "max_same": lambda x: x.pool("MAX", 3, 2, "same"),
    "average_same": lambda x: x.pool("AVERAGE", 2, 1, "same"),
    "depthwise": lambda x: x.depthwise(3),
    "depthwise_2": lambda x: x.depthwise(2, 2, activation="none"),
}
STAGE = st.builds(
    Stage,
    channels=st.integers(2, 7),
    size=st.sampled_from((1, 2, 3)),
    stride=st.sampled_from((1, 2)),
    padding=st.sampled_from(("valid", "same")),
    activation=st.sampled_from(("relu", "relu6", "none")),
    then=st.sampled_from(sorted(THEN)),
    dead=st.lists(st.integers(0, 6), max_size=4).map(tuple),
    constant=st.lists(st.integers(0, 6), max_size=2).map(tuple),
)
CHOSEN = (
    Stage(6, 3, 2, dead=(0, 4), constant=(2,)),
    Stage(8, 3, padding="same", then="max", dead=(1, 2, 7), constant=(5,)),
)


def network(stages: Sequence[Stage], head: str = "flatten", seed: int = 13) -> bytes:
    """An int8 network with channels that are known to be dead or constant."""
    x = Builder(SIDE, SIDE, 2, seed)
    for s in stages:
        if x.shape[1] < 4:  # too small for what follows
            break
        x.conv(
            s.channels, s.size, s.stride, s.padding, s.activation, dead=s.dead, constant=s.constant
        )
        THEN[s.then](x)
    return (x.flatten() if head == "flatten" else x.mean()).scores()


def pictures(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """(n, SIDE, SIDE, 2), from 0 to 255."""
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 2)).astype(np.uint8)


def ranges_of(tflite: bytes, images: NDArray[np.uint8]) -> Ranges:
    return channel_ranges(tflite, lambda at: to_int8(images[at]), len(images), threads=2)


def pruned(tflite: bytes, images: NDArray[np.uint8]) -> Pruned:
    return prune(tflite, ranges_of(tflite, images).of)


def values(tflite: bytes, image: NDArray[np.uint8]) -> list[NDArray[Any]]:
    """Each operator's output, in order."""
    network = Int8Network(tflite)
    found = network.tensors(to_int8(image))
    return [found[op.outputs[0]] for op in network.graph.operators]


def left(tflite: bytes) -> list[int]:
    """Output channels of each convolution."""
    return [x.shape[-1] for x in census(tflite).layers if x.operator == "CONV_2D"]


def test_what_is_dead_goes_and_scores_stay() -> None:
    tflite, images = network(CHOSEN), pictures(24, seed=3)
    before = ranges_of(tflite, images)
    after = prune(tflite, before.of)
    # Into the padded layer a constant can't be folded, into the fully connected one it can.
    assert left(tflite) == [6, 8] and left(after.tflite) == [4, 4]
    scores = ranges_of(after.tflite, images).scores
    assert np.array_equal(scores, before.scores) and len(set(scores.tolist())) > 4
    assert after.removed == 6
    for change, said in zip(after.changes, [x.to_dict() for x in after.changes], strict=True):
        assert said["macs"] == [change.before.macs, change.after.macs]
        assert change.after.macs < change.before.macs
        assert change.after.constant_bytes < change.before.constant_bytes
    assert len(after.tflite) < len(tflite)
    assert [x.after for x in after.changes] == [
        x for x in census(after.tflite).layers if x.constant_bytes and x.macs
    ]


@pytest.mark.thorough
@given(st.lists(STAGE, min_size=1, max_size=3), st.sampled_from(("flatten", "mean")))
@settings(max_examples=40, deadline=None)
def test_every_bit_stays(stages: list[Stage], head: str) -> None:
    """Of every tensor, in the channels that are left, on the images that were seen."""
    tflite, images = network(stages, head), pictures(6, seed=5)
    after = pruned(tflite, images)
    for image in images:
        for whole, part in zip(values(tflite, image), values(after.tflite, image), strict=True):
            rest = iter(np.moveaxis(whole, -1, 0))
            for channel in np.moveaxis(part, -1, 0):  # in the old order
                assert any(np.array_equal(channel, old) for old in rest)
        assert np.array_equal(values(tflite, image)[-1], values(after.tflite, image)[-1])
    again = pruned(after.tflite, images)
    assert again.removed == 0 and network_of(again) == network_of(after)


def network_of(result: Pruned) -> str:
    return network_digest(read_tflite(result.tflite))


def test_a_constant_is_folded_where_nothing_is_padded() -> None:
    one = Stage(4, 3, constant=(1,))
    images = pictures(6, seed=2)
    for padding, channels in (("valid", 3), ("same", 4)):
        tflite = network((one, Stage(3, 3, padding=padding)))
        assert left(pruned(tflite, images).tflite) == [channels, 3]
    # A window of one pixel has no padding, whatever it is called.
    assert left(pruned(network((one, Stage(3, 1, padding="same"))), images).tflite) == [3, 3]


def test_a_segment_that_wakes_a_channel_is_another_matter() -> None:
    """What is seen decides: dark images wake little, and a bright one is decided otherwise."""
    tflite = network((Stage(6), Stage(6, stride=2)))
    dark, bright = np.zeros((3, SIDE, SIDE, 2), np.uint8), pictures(8)
    after = pruned(tflite, dark)
    assert after.removed > 0
    first, second = Int8Network(tflite), Int8Network(after.tflite)
    assert np.array_equal(first.scores(to_int8(dark)), second.scores(to_int8(dark)))
    assert not np.array_equal(first.scores(to_int8(bright)), second.scores(to_int8(bright)))


def test_nothing_is_left_without_a_channel() -> None:
    tflite = network((Stage(3, dead=(0, 1, 2)), Stage(4)))
    images = pictures(4)
    after = pruned(tflite, images)
    assert left(after.tflite)[0] == 1
    assert np.array_equal(values(tflite, images[0])[-1], values(after.tflite, images[0])[-1])


def test_the_engine_runs_it_and_sorts_what_is_left() -> None:
    """Its order is of the channels that are left."""
    tflite, images = network(CHOSEN), pictures(6)
    seen = ranges_of(tflite, images)
    after = prune(tflite, seen.of).tflite
    graph = read_tflite(after)
    activity = {t.index: np.arange(t.shape[-1], 0, -1) for t in graph.tensors if len(t.shape) == 4}
    sorted_ = read_network(graph, activity)
    assert [x.out.channels for x in sorted_.layers] == [4, 4, 2]
    whole = plan_tflite(tflite)
    assert plan_tflite(after, activity=activity).workspace_bytes < whole.workspace_bytes


def test_an_operator_that_is_not_known_keeps_all_channels() -> None:
    x = Builder(SIDE, SIDE, 2, seed=13)
    x.conv(4, 3, dead=(1,)).conv(4, 3, padding="same", dead=(1, 2)).add(back=1)
    tflite, images = x.conv(3, 3, dead=(0,)).flatten().scores(), pictures(4)
    after = pruned(tflite, images)
    # Channel 1 of the sum is dead, but the sum needs what it is made of.
    assert left(tflite) == [4, 4, 3] and left(after.tflite)[:2] == [4, 4]
    assert left(after.tflite)[2] < 3
    assert np.array_equal(values(tflite, images[0])[-1], values(after.tflite, images[0])[-1])


def test_a_bias_that_would_overflow_is_refused() -> None:
    tflite, images = network((Stage(4, 3, constant=(1,)), Stage(3))), pictures(4)
    seen = ranges_of(tflite, images)
    graph, model = read_tflite(tflite), unpack(tflite)
    second = [op for op in graph.operators if op.name == "CONV_2D"][1]
    weights = np.array(graph.tensors[second.inputs[1]].data)
    most = np.where(weights[..., 1].sum(axis=(1, 2)) > 0, 2**31 - 1, -(2**31 - 1))
    bias = model.subgraphs[0].tensors[second.inputs[2]]
    set_buffer(model, bias.buffer, most.astype("<i4").tobytes())
    with pytest.raises(ConversionError, match="passes 32 bits"):
        prune(pack(model), seen.of)


def test_the_old_identity_goes() -> None:
    tflite, images = network(CHOSEN), pictures(4)
    named = with_identity(tflite, {"name": "whole", "model_id": "0" * 16})
    assert read_identity(pruned(named, images).tflite) is None
