# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The C check takes every plan that the planner makes: one rule, whatever the image's size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ecgqa_tflite.engine import planner
from ecgqa_tflite.engine.chain import trimmed
from ecgqa_tflite.engine.layers import Layer, LayerOperator, Network, Shape, Window
from ecgqa_tflite.engine.native import NativeModel
from ecgqa_tflite.engine.operators import (
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    max_pool_2d,
    mean,
)
from ecgqa_tflite.engine.planner import Plan, plan_network
from ecgqa_tflite.frontend.colormap import lut


@dataclass(frozen=True)
class Slide:
    """A window as Keras has it; ``channels`` 0: as many as come in."""

    kind: LayerOperator
    size: int
    stride: int
    same: bool = False
    channels: int = 0

    def out(self, n: int) -> tuple[int, int]:
        """(size, padding before) of an axis of ``n``."""
        if not self.same:
            return (n - self.size) // self.stride + 1, 0
        out = -(-n // self.stride)
        return out, max((out - 1) * self.stride + self.size - n, 0) // 2

    def window(self, in_: Shape) -> tuple[Window, Shape]:
        (rows, top), (cols, left) = self.out(in_.rows), self.out(in_.cols)
        window = Window(self.size, self.size, self.stride, self.stride, top, left)
        return window, Shape(rows, cols, self.channels or in_.channels)


def conv(size: int, stride: int, *, same: bool = False, channels: int = 4) -> Slide:
    return Slide(conv_2d.OPERATOR, size, stride, same, channels)


def depthwise(size: int, stride: int, *, same: bool = False) -> Slide:
    return Slide(depthwise_conv_2d.OPERATOR, size, stride, same)


def pool(size: int, stride: int, *, same: bool = False) -> Slide:
    return Slide(max_pool_2d.OPERATOR, size, stride, same)


def network(image: Shape, slides: tuple[Slide, ...], head: LayerOperator) -> Network:
    """The layers that such a file gives, with weights of zeros."""
    layers: list[Layer] = []
    in_ = image
    for slide in slides:
        window, out = slide.window(in_)
        if slide.kind is max_pool_2d.OPERATOR and layers and layers[-1].kind.convolves:
            layers[-1] = replace(layers[-1], pool=window, pooled=out)
        else:
            layers.append(_layer(slide.kind, in_, out, window))
        in_ = out
    end = Shape(1, 1, in_.channels if head is mean.OPERATOR else 2)
    layers.append(_layer(head, in_, end, Window(1, 1, 1, 1)))
    layers[0] = replace(layers[0], from_index=layers[0].kind.colours)
    packed = tuple(layer.kind.packing(layer) for layer in trimmed(layers))
    return Network(packed, None, image, packed[-1].pooled.channels)


def _layer(kind: LayerOperator, in_: Shape, out: Shape, kernel: Window) -> Layer:
    taps = kernel.rows * kernel.cols * (in_.channels if kind.packed else 1)
    if kind.accumulates:
        taps = in_.rows * in_.row_bytes
    weights = np.zeros(out.channels * taps, np.uint8)
    channels = 0 if kind is max_pool_2d.OPERATOR else out.channels + out.channels % 2
    return Layer(
        kind=kind, operators=(0,), output=0, in_=in_, out=out, pooled=out, kernel=kernel,
        pool=Window(), in_zero_point=0, out_zero_point=0, act_min=-128, act_max=127, taps=taps,
        weights=weights, bias=np.zeros(channels, np.int32),
        multiplier_q31=np.full(channels, 1 << 30, np.int32), shift=np.zeros(channels, np.int8),
    )  # fmt: skip


DENSE = fully_connected.OPERATOR
REST = (pool(3, 2), conv(4, 2), pool(2, 1), conv(3, 1), pool(2, 1))
LIGHT = (conv(7, 5), *REST), range(127, 513)
LIGHT_BELOW_127 = (conv(5, 3), *REST), range(77, 127)
STEMS = {
    "3x3 stride 2, pool 2": (conv(3, 2), pool(2, 2), conv(3, 1)),
    "3x3 stride 2 same, pool 2": (conv(3, 2, same=True), pool(2, 2), conv(3, 2, same=True)),
    "3x3, pool 2": (conv(3, 1), pool(2, 2), conv(3, 1), pool(2, 2)),
    "5x5 stride 3, pool 2": (conv(5, 3), pool(2, 2), conv(3, 1)),
    "7x7 stride 2 same, pool 3 same": (conv(7, 2, same=True), pool(3, 2, same=True), conv(3, 1)),
    "7x7 stride 4, pool 3": (conv(7, 4), pool(3, 2), conv(1, 1)),
    "1x1 stride 3, pool 2": (conv(1, 3), pool(2, 2), conv(1, 1)),
    "pool first": (pool(2, 2), conv(3, 2), pool(3, 2)),
    "pool apart": (pool(3, 3), depthwise(3, 2), pool(2, 2)),
    "depthwise": (conv(3, 2, same=True), depthwise(3, 1, same=True), conv(1, 1), pool(2, 2)),
    "kernels above the map": (
        *(conv(3, 2, same=True), pool(2, 2), conv(3, 2, same=True)),
        *(conv(7, 1, same=True), conv(7, 2, same=True), conv(7, 2, same=True)),
        *(conv(7, 2, same=True), conv(7, 1, same=True)),
    ),
}


@pytest.fixture(autouse=True)
def first_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes are what is checked; a plan that is a little larger will do."""
    monkeypatch.setattr(planner, "TRIES", 0)


def is_valid(plan: Plan) -> bool:
    return NativeModel(plan, lut("grey")).is_valid


def refused(slides: tuple[Slide, ...], head: LayerOperator, sizes: range) -> list[int]:
    plans = ((n, plan_network(network(Shape(n, n, 1), slides, head))) for n in sizes)
    return [n for n, plan in plans if not is_valid(plan)]


@pytest.mark.parametrize("stem", STEMS)
def test_every_size_of_common_stems(stem: str) -> None:
    sizes = range(28, 225)
    assert refused(STEMS[stem], DENSE, sizes) == []
    assert refused(STEMS[stem], mean.OPERATOR, range(28, 225, 7)) == []


@pytest.mark.parametrize(("slides", "sizes"), [LIGHT, LIGHT_BELOW_127])
def test_every_size_of_our_own_networks(slides: tuple[Slide, ...], sizes: range) -> None:
    assert refused(slides, DENSE, sizes) == []


def test_the_check_is_not_one_that_takes_all() -> None:
    plan = plan_network(network(Shape(48, 48, 1), STEMS["3x3 stride 2, pool 2"], DENSE))
    for change in ({"window_rows": 2}, {"window_at": plan.workspace_bytes}, {"channel_block": 3}):
        layers = (replace(plan.layers[0], **change), *plan.layers[1:])
        assert not is_valid(replace(plan, layers=layers))
