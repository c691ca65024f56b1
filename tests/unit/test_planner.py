# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The plan of the engine's memory, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tiny_model

from ecgqa_tflite.engine import nn_source, operators, packing, planner
from ecgqa_tflite.engine.chain import read_network
from ecgqa_tflite.engine.layers import Layer, LayerOperator, Network, Shape, Softmax, Window
from ecgqa_tflite.engine.memory_map import memory_map_svg
from ecgqa_tflite.engine.operators import OPERATORS, conv_2d, fully_connected
from ecgqa_tflite.engine.planner import Plan, memory_map, plan_network, plan_tflite
from ecgqa_tflite.engine.requantisation import quantise_multiplier
from ecgqa_tflite.errors import ArgumentError, ConversionError
from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.read import Graph, Operator, read_tflite

LIGHT_BYTES = 22_800
"""Workspace of the two-class Light-CNN; a prototype had 24,208 with its stack."""


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_tflite(tiny_model.tflite())


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_tflite(tiny_model.tflite())


def conv(in_: Shape, out: Shape, kernel: int, stride: int, pool: Window, pooled: Shape) -> Layer:
    runs, gather = (1, True) if in_.channels == 3 else (kernel, False)
    return Layer(
        kind=conv_2d.OPERATOR, operators=(0,), output=0, in_=in_, out=out, pooled=pooled,
        kernel=Window(kernel, kernel, stride, stride), pool=pool, in_zero_point=0,
        out_zero_point=0, act_min=-128, act_max=127, from_index=gather, gather=gather, runs=runs,
        run_len=kernel * kernel * in_.channels // runs, taps=kernel * kernel * in_.channels,
    )  # fmt: skip


def light() -> Network:
    """Shapes of the seed's Light-CNN with two classes; no weights."""
    shapes = [Shape(227, 227, 3), Shape(22, 22, 128), Shape(9, 9, 128), Shape(6, 6, 256)]
    pool_1, pool_2 = Window(3, 3, 2, 2), Window(2, 2, 1, 1)
    body = (
        conv(shapes[0], Shape(45, 45, 128), 7, 5, pool_1, shapes[1]),
        conv(shapes[1], Shape(10, 10, 128), 4, 2, pool_2, shapes[2]),
        conv(shapes[2], Shape(7, 7, 256), 3, 1, pool_2, shapes[3]),
        Layer(
            kind=fully_connected.OPERATOR, operators=(0,), output=0, in_=shapes[3],
            out=Shape(1, 1, 2), pooled=Shape(1, 1, 2), kernel=Window(1, 1, 1, 1), pool=Window(),
            in_zero_point=0, out_zero_point=0, act_min=-128, act_max=127, runs=6, run_len=6 * 256,
            taps=36 * 256,
        ),
    )  # fmt: skip
    return Network(body, Softmax(1 << 30, 10, -100), shapes[0], 2)


def assert_sound(plan: Plan) -> None:
    """No two parts share a byte while both live; all lie inside; words are aligned."""
    parts = []
    for at, buffer in plan.placed:
        assert at % buffer.align == 0
        start = at
        for part in buffer.parts:
            parts.append((start, start + part.bytes, part.phases, buffer.name))
            start += part.bytes
        assert start <= plan.workspace_bytes
    for i, (a_from, a_to, a_phases, a) in enumerate(parts):
        for b_from, b_to, b_phases, b in parts[i + 1 :]:
            assert a_to <= b_from or b_to <= a_from or not a_phases & b_phases, (a, b)


def test_light_cnn_fits_in_what_was_promised() -> None:
    plan = plan_network(light())
    assert_sound(plan)
    assert plan.network.macs == 78_785_920
    assert plan.workspace_bytes == LIGHT_BYTES
    # No plan with these buffers can be smaller than what lives at once.
    assert LIGHT_BYTES - max(map(plan.live_bytes, range(5))) < planner.ALIGN


def test_scratch_of_the_row_maker_shares_the_layers_bytes() -> None:
    for scratch in (1, 1000, 3116, 4800):
        plan = plan_network(light(), scratch)
        assert_sound(plan)
        assert (plan.idle_at, plan.idle_bytes) == (0, scratch)
    assert plan_network(light(), 3116).workspace_bytes <= LIGHT_BYTES + 64
    large = plan_network(light(), 100_000)
    assert_sound(large)
    assert large.workspace_bytes > 100_000
    with pytest.raises(ArgumentError):
        plan_network(light(), -1)


def test_the_plan_of_a_file(plan: Plan) -> None:
    assert_sound(plan)
    assert [p.layer.kind.name for p in plan.layers] == ["CONV_2D"] * 3 + ["FULLY_CONNECTED"]
    assert [p.layer.pooled.rows for p in plan.layers] == [18, 7, 4, 1]
    assert plan.placed == plan_tflite(tiny_model.tflite()).placed


def test_the_map_shows_every_part(plan: Plan) -> None:
    text = memory_map(plan)
    assert f"workspace {plan.workspace_bytes:,} bytes" in text
    for _, buffer in plan.placed:
        assert buffer.name in text
    for phase in range(len(plan.phases)):
        assert f"{plan.live_bytes(phase):,} bytes live" in text


def test_the_picture_shows_every_part(plan: Plan) -> None:
    picture = ElementTree.fromstring(memory_map_svg(plan))
    titles = [t.text for t in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == sum(len(buffer.parts) for _, buffer in plan.placed)
    for (at, buffer), wanted in ((p, p[1].parts[0]) for p in plan.placed):
        assert any(
            t and t.startswith(buffer.name) and t.endswith(f"{wanted.bytes:,} bytes at {at:,}")
            for t in titles
        )
    assert memory_map_svg(plan) == memory_map_svg(plan)


def test_packed_pairs() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (5, 2, 7)).astype(np.int8)
    packed = packing.pack(weights)
    assert packed.dtype == np.uint8 and packed.shape == (3, 2, 8, 2)
    assert np.array_equal(packed[:, :, :7, 0].astype(int) - 128, weights[0::2])
    assert np.array_equal(packed[:2, :, :7, 1].view(np.int8), weights[1::2])
    assert not packed[2, :, :, 1].any() and not packed[:, :, 7, 1].any()
    assert (packed[:, :, 7, 0] == 128).all()


def test_channels_by_activity(graph: Graph) -> None:
    plain = read_network(graph)
    rng = np.random.default_rng(0)
    counts = {layer.output: rng.integers(0, 3, layer.out.channels) for layer in plain.layers}
    ordered = read_network(graph, counts)
    assert not ordered.layers[-1].order and not ordered.layers[2].order
    before = np.arange(plain.layers[0].in_.channels)
    for a, b in zip(plain.layers[:3], ordered.layers[:3], strict=True):
        order = np.array(b.order or range(a.out.channels))
        if b.order:
            assert np.all(np.diff(counts[a.output][order]) <= 0)
            assert sorted(order) == list(range(a.out.channels))
        assert np.array_equal(b.bias[: a.out.channels], a.bias[order])
        taps = unpacked(a).reshape(a.out.channels, -1, before.size)
        assert np.array_equal(unpacked(b).reshape(taps.shape), taps[order][:, :, before])
        before = order


def unpacked(layer: Layer) -> np.ndarray:
    """Weights of the output channels, (channels, K)."""
    pairs = layer.weights[:, :, : layer.run_len]
    both = np.stack([(pairs[..., 0] ^ 128).view(np.int8), pairs[..., 1].view(np.int8)], axis=1)
    return both.reshape(-1, layer.runs * layer.run_len)[: layer.out.channels]


@pytest.mark.parametrize("real", [1e-9, 0.3, 0.5, 0.999999999999, 1.0, 3.7, 2.0**20])
def test_multiplier(real: float) -> None:
    multiplier, shift = quantise_multiplier(real)
    assert 1 << 30 <= multiplier < 1 << 31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(real, rel=2**-30)


def test_numbers_are_the_headers() -> None:
    header = (firmware_bridge_dir() / "include" / "ecgqa" / "nn.h").read_text()
    kernels = (firmware_bridge_dir() / "src" / "nn_kernels.h").read_text()

    def value(macro: str, header: str = header) -> int:
        match = re.search(rf"#define {macro} (\d+)u?(?: /\*.*)?\n", header)
        assert match
        return int(match[1])

    assert value("ECGQA_NN_FORMAT") == nn_source.NN_FORMAT
    assert value("ECGQA_NN_ALIGN") == planner.ALIGN
    assert value("ECGQA_NN_MAX_CHUNK") == packing.MAX_CHUNK
    assert value("ECGQA_NN_MIN_PATCH") == packing.MIN_PATCH
    assert value("ECGQA_NN_WEIGHTS_TAIL") == packing.WEIGHTS_TAIL
    assert value("ECGQA_NN_PROGRESS_BYTES") == planner.PROGRESS_BYTES
    assert value("ECGQA_NN_FEW", kernels) == planner.FEW
    rows = re.findall(r"^    X\((\w+), \w+, ([01]), (\w+), [01]\)", header, re.M)
    kinds = [kind for kind in OPERATORS.values() if isinstance(kind, LayerOperator)]
    assert [(kind.number, kind.name) for kind in kinds] == list(enumerate(r[0] for r in rows))
    assert [(kind.accumulates, kind.packed) for kind in kinds] == [
        (accumulates == "1", weights == "packed") for _, accumulates, weights in rows
    ]


def test_one_file_per_operator() -> None:
    """A file in the folder is all that it takes to be listed."""
    files = {path.stem.upper() for path in Path(operators.__file__).parent.glob("[!_]*.py")}
    assert files == set(OPERATORS)


def test_generated_c(plan: Plan) -> None:
    def source(**changed: Any) -> str:
        given = {"lut": colormap.lut("grey"), "spec_hash": 1, "model_id": 2} | changed
        return nn_source.nn_source(plan, "tiny", **given)

    assert source() == source()
    assert f"#if ECGQA_NN_FORMAT != {nn_source.NN_FORMAT}" in source()
    assert f"    {plan.workspace_bytes}, /* workspace_bytes */" in source()
    with pytest.raises(ArgumentError, match="colour"):
        source(lut=colormap.lut("jet"))


# ---- refusals --------------------------------------------------------------------------------


def with_operator(graph: Graph, index: int, **changes: Any) -> Graph:
    operators = list(graph.operators)
    operators[index] = replace(operators[index], **changes)
    return replace(graph, operators=tuple(operators))


def with_options(graph: Graph, index: int, **options: Any) -> Graph:
    return with_operator(graph, index, options=graph.operators[index].options | options)


def with_tensor(graph: Graph, index: int, **changes: Any) -> Graph:
    tensors = list(graph.tensors)
    tensors[index] = replace(tensors[index], **changes)
    return replace(graph, tensors=tuple(tensors))


def refused(graph: Graph, message: str) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        read_network(graph)
    assert "\n" not in str(caught.value)


CONV_2, POOL_2, RESHAPE, DENSE, SOFTMAX = 2, 3, 6, 7, 8


def inputs(graph: Graph, index: int) -> tuple[int, ...]:
    return graph.operators[index].inputs


@pytest.mark.parametrize("name", ["LOGISTIC", "ADD", "CONCATENATION", "QUANTIZE", "PAD"])
def test_an_operator_outside_the_set(graph: Graph, name: str) -> None:
    refused(with_operator(graph, POOL_2, name=name), rf"operator 3 \({name}\).*--target tflm")


def test_a_branch(graph: Graph) -> None:
    earlier = graph.operators[0].outputs[0]
    branched = with_operator(graph, CONV_2, inputs=(earlier, *inputs(graph, CONV_2)[1:]))
    refused(branched, r"operator 2 \(CONV_2D\).*branch")


def test_an_output_in_the_middle(graph: Graph) -> None:
    refused(replace(graph, outputs=graph.operators[0].outputs), "last operator")


def test_no_operators(graph: Graph) -> None:
    refused(replace(graph, operators=()), "no operators")


def test_nothing_that_computes(graph: Graph) -> None:
    only: Operator = replace(
        graph.operators[RESHAPE], inputs=graph.inputs, outputs=graph.operators[0].inputs[:1]
    )
    refused(replace(graph, operators=(only,), outputs=only.outputs), "no layer")


def test_weights_that_are_computed(graph: Graph) -> None:
    refused(with_tensor(graph, inputs(graph, CONV_2)[1], data=None), "operator 2.*not constant")


def test_weights_with_a_zero_point(graph: Graph) -> None:
    for op in (CONV_2, DENSE):
        filter_ = inputs(graph, op)[1]
        shifted = graph.tensors[filter_].zero_point + 3
        refused(with_tensor(graph, filter_, zero_point=shifted), f"operator {op} .*zero point 0")


def test_an_activation_that_is_float(graph: Graph) -> None:
    refused(with_tensor(graph, inputs(graph, CONV_2)[0], dtype="float32"), "operator 1.*float32")


def test_a_batch(graph: Graph) -> None:
    x = graph.inputs[0]
    refused(with_tensor(graph, x, shape=(2, *graph.tensors[x].shape[1:])), "batch of 2")


def test_weights_that_are_missing(graph: Graph) -> None:
    for op in (CONV_2, DENSE):
        refused(
            with_operator(graph, op, inputs=inputs(graph, op)[:1]), f"operator {op} .*no weights"
        )


def test_a_reshape_between_maps(graph: Graph) -> None:
    x = inputs(graph, CONV_2)[0]
    _, rows, cols, channels = graph.tensors[x].shape
    new = len(graph.tensors)
    tensor = replace(graph.tensors[x], index=new, shape=(1, rows // 2, cols * 2, channels))
    reshape = replace(graph.operators[RESHAPE], index=99, inputs=(x,), outputs=(new,))
    conv_2 = replace(graph.operators[CONV_2], inputs=(new, *inputs(graph, CONV_2)[1:]))
    operators = (*graph.operators[:CONV_2], reshape, conv_2, *graph.operators[CONV_2 + 1 :])
    changed = replace(graph, tensors=(*graph.tensors, tensor), operators=operators)
    refused(changed, r"operator 2 .*where 18 x 18 x 16 come")


def test_a_map_too_large(graph: Graph) -> None:
    refused(with_tensor(graph, graph.inputs[0], shape=(1, 113, 5000, 1)), "operator 0.*4096")


def test_dense_weights_of_another_shape(graph: Graph) -> None:
    filter_ = inputs(graph, DENSE)[1]
    data = graph.tensors[filter_].data
    assert data is not None
    refused(with_tensor(graph, filter_, shape=(2, 2, data.size // 4)), "operator 7.*shape")
    refused(with_tensor(graph, filter_, shape=(2, 7)), "operator 7.*takes 7")


def test_too_many_channels_to_gather() -> None:
    wide = conv(Shape(9, 9, 1001), Shape(9, 9, 8), 3, 1, Window(), Shape(9, 9, 8))
    wide = replace(wide, gather=True, runs=1, run_len=9009, kernel=Window(3, 3, 1, 1, 1, 1))
    with pytest.raises(ConversionError, match="gathers at once"):
        plan_network(Network((wide,), None, Shape(9, 9, 1001), 8))


def test_dilation(graph: Graph) -> None:
    refused(with_options(graph, CONV_2, dilation_h_factor=2), "operator 2.*dilated")


def test_another_activation(graph: Graph) -> None:
    refused(with_options(graph, CONV_2, fused_activation_function="TANH"), "operator 2.*TANH")


def test_pooling_that_requantises(graph: Graph) -> None:
    y = graph.operators[POOL_2].outputs[0]
    scale = graph.tensors[y].quant_scale * np.float32(2)
    refused(with_tensor(graph, y, quant_scale=scale), "operator 3.*quantisation")


def test_a_huge_window(graph: Graph) -> None:
    refused(with_options(graph, POOL_2, filter_height=300), "operator 3.*255")


def test_a_requantisation_that_multiplies(graph: Graph) -> None:
    y = graph.operators[DENSE].outputs[0]
    tiny = np.array([1e-9], np.float32)
    refused(with_tensor(graph, y, quant_scale=tiny), "operator 7.*shift")


def test_accumulators_that_overflow(graph: Graph) -> None:
    bias = inputs(graph, CONV_2)[2]
    # not 2^30, which always gives the largest output and is taken as that value
    huge = np.full(graph.tensors[bias].shape, (1 << 31) - 1, np.int32)
    refused(with_tensor(graph, bias, data=huge), r"operator 2.*2\^30")


def test_softmax_in_the_middle(graph: Graph) -> None:
    x, y = graph.operators[SOFTMAX].inputs[0], graph.operators[SOFTMAX].outputs[0]
    operators = (*graph.operators[:SOFTMAX], graph.operators[SOFTMAX],
                 replace(graph.operators[RESHAPE], index=9, inputs=(y,), outputs=(x,)))  # fmt: skip
    refused(replace(graph, operators=operators, outputs=(x,)), r"operator 9 \(RESHAPE\).*last")
    refused(with_operator(graph, 0, name="SOFTMAX"), "operator 0.*must follow")


def test_softmax_of_another_scale(graph: Graph) -> None:
    x, y = graph.operators[SOFTMAX].inputs[0], graph.operators[SOFTMAX].outputs[0]
    refused(with_tensor(graph, y, quant_scale=np.array([0.5], np.float32)), "operator 8.*1/256")
    refused(with_tensor(graph, x, quant_scale=np.array([40], np.float32)), "operator 8.*range")
