# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``.tflite`` files as people have them: adapted to the same scores, or refused for what they are.

Each is made here, of the small network that the C library is tested with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ecgqa_tflite.engine.chain import read_network
from ecgqa_tflite.engine.planner import plan_tflite
from ecgqa_tflite.engine.runs import what_runs
from ecgqa_tflite.errors import ConversionError, ModelError
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.adapt import Adapted, adapt
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.flatbuffer import add_buffer, pack, set_buffer, unpack
from ecgqa_tflite.tflite.image_codes import INPUT_SCALE, stands_for
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network, check_int8_contract
from ecgqa_tflite.tflite.scheme import described, per_tensor, scheme

TFLITE = (firmware_bridge_dir() / "tests/tiny/chain.tflite").read_bytes()
TYPES = schema.TensorType


def images(n: int = 20) -> NDArray[np.int8]:
    """Noise in five rows, lower down in each."""
    noise = np.random.default_rng(0).integers(0, 256, (n, 18, 17, 1))
    rows, first = np.arange(18)[None, :, None, None], np.arange(n)[:, None, None, None]
    return (noise * (np.abs(rows - first) < 3) - 128).astype(np.int8)


def scores(tflite: bytes) -> NDArray[np.int8]:
    return Int8Network(tflite, reference_kernels=True).scores(images())


def edited(change: Callable[[Any, Any], None]) -> bytes:
    model = unpack(TFLITE)
    change(model, model.subgraphs[0])
    return pack(model)


def operator(model: Any, name: str, x: int, y: int, version: int = 1) -> Any:
    code, op = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = version
    model.operatorCodes.append(code)
    op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, [x], [y]
    return op


def end(graph: Any, like: int, kind: int, zero_point: int | None) -> int:
    t = copy.deepcopy(graph.tensors[like])
    t.type, t.name = kind, b"end"
    if zero_point is None:
        t.quantization = None
    else:
        t.quantization.zeroPoint = [zero_point]
    graph.tensors.append(t)
    return len(graph.tensors) - 1


def with_ends(kind: int, zero_point: int | None, after: str) -> bytes:
    """QUANTIZE before the network and ``after`` behind it, as the converter makes them."""

    def change(model: Any, graph: Any) -> None:
        (x,), (y,) = list(graph.inputs), list(graph.outputs)
        start, stop = end(graph, x, kind, zero_point), end(graph, y, kind, zero_point)
        first, last = operator(model, "QUANTIZE", start, x), operator(model, after, y, stop)
        graph.operators = [first, *graph.operators, last]
        graph.inputs, graph.outputs = [start], [stop]
        for signature in model.signatureDefs or []:
            signature.inputs[0].tensorIndex, signature.outputs[0].tensorIndex = start, stop

    return edited(change)


def open_batch(model: Any, graph: Any) -> None:
    for t in graph.tensors:
        if t.shape is not None and len(t.shape) in (2, 4) and model.buffers[t.buffer].data is None:
            t.shapeSignature = np.array([-1, *t.shape[1:]], np.int32)


def no_softmax(model: Any, graph: Any) -> None:
    last = graph.operators.pop()
    graph.outputs = list(last.inputs)
    model.signatureDefs = None


def one_logit(model: Any, graph: Any) -> None:
    """The last layer's second output alone."""
    no_softmax(model, graph)
    dense = graph.operators[-1]
    for place, size in ((1, 6), (2, 4)):
        t = graph.tensors[dense.inputs[place]]
        raw = np.asarray(model.buffers[t.buffer].data, np.uint8)
        t.buffer = add_buffer(model, raw[size:].tobytes())
        t.shape = [1, *t.shape[1:]]
        if t.quantization is not None and len(t.quantization.scale) > 1:
            t.quantization.scale = t.quantization.scale[1:]
            t.quantization.zeroPoint = t.quantization.zeroPoint[1:]
    graph.tensors[dense.outputs[0]].shape = [1, 1]


def one_sigmoid(model: Any, graph: Any) -> None:
    one_logit(model, graph)
    t = copy.deepcopy(graph.tensors[graph.outputs[0]])
    t.quantization.scale, t.quantization.zeroPoint = [1 / 256], [-128]
    graph.tensors.append(t)
    made = len(graph.tensors) - 1
    graph.operators.append(operator(model, "LOGISTIC", graph.outputs[0], made))
    graph.outputs = [made]


def rescaled(scale: float, zero_point: int) -> bytes:
    """With another scale of the input, and of what MAX_POOL_2D, which keeps it, gives."""

    def change(model: Any, graph: Any) -> None:
        for i in (graph.inputs[0], graph.operators[0].outputs[0]):
            graph.tensors[i].quantization.scale = [scale]
            graph.tensors[i].quantization.zeroPoint = [zero_point]

    return edited(change)


def accepted(tflite: bytes, *words: str) -> Adapted:
    made = adapt(tflite)
    assert len(made.changes) == len(words), made.changes
    for said, word in zip(made.changes, words, strict=True):
        assert word in said
    check_int8_contract(read_tflite(made.tflite))
    census(made.tflite)
    plan_tflite(made.tflite)
    assert adapt(made.tflite) == Adapted(made.tflite)  # nothing is left to do
    return made


def test_what_holds_already_keeps_its_bytes() -> None:
    assert accepted(TFLITE).tflite is TFLITE


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (edited(open_batch), ("batch was left open",)),
        (with_ends(TYPES.FLOAT32, None, "DEQUANTIZE"), ("float32 input", "float32 output")),
        (with_ends(TYPES.UINT8, 0, "QUANTIZE"), ("uint8 input", "uint8 output")),
        (edited(no_softmax), ("logits: one was added",)),
    ],
)
def test_the_scores_stay(made: bytes, words: tuple[str, ...]) -> None:
    assert np.array_equal(scores(accepted(made, *words).tflite), scores(TFLITE))


@pytest.mark.parametrize("change", [one_sigmoid, one_logit])
def test_one_score_becomes_two(change: Callable[[Any, Any], None]) -> None:
    made = accepted(edited(change), "the same probability").tflite
    before = Int8Network(edited(one_sigmoid), reference_kernels=True).scores(images())[:, 0]
    after = scores(made)
    assert len(np.unique(before)) > 2
    assert np.abs(after[:, 1].astype(int) - before).max() <= 1
    assert np.abs(after.astype(int).sum(1)).max() <= 1  # the two make 1


@pytest.mark.parametrize(
    ("scale", "zero_point", "stands"),
    [
        (1 / 255, -128, "[0, 1]"),
        (0.99999 / 255, -128, "[0, 1]"),
        (1.0015 / 255, -128, "[0, 1]"),
        (2 / 255, -1, "[-1, 1]"),
        (2 / 255, 0, "[-1, 1]"),
        (1.0, -128, "[0, 255]"),
        (1.003 / 255, -128, None),
        (0.9 / 255, -128, None),
        (1 / 255, -127, None),
        (1 / 255, 0, None),
        (2 / 255, -3, None),
        (0.02, -14, None),
    ],
)
def test_what_the_codes_of_the_input_stand_for(
    scale: float, zero_point: int, stands: str | None
) -> None:
    tflite = rescaled(scale, zero_point)
    graph = read_tflite(tflite)
    assert stands_for(graph.tensors[graph.inputs[0]]) == stands
    if stands is None:
        with pytest.raises(ModelError, match=r"codes stand for .*calibrate it on images"):
            check_int8_contract(graph)
        return
    exact = stands != "[0, 1]" or np.float32(scale) == INPUT_SCALE
    made = adapt(tflite)
    assert (made.changes == ()) == exact
    after = read_tflite(made.tflite)
    check_int8_contract(after)
    if not exact:
        assert after.tensors[after.inputs[0]].quant_scale[0] == INPUT_SCALE


def test_weights_per_tensor() -> None:
    def change(model: Any, graph: Any) -> None:
        for op in graph.operators:
            for i in list(op.inputs)[1:3]:
                q = graph.tensors[i].quantization
                if q is not None and q.scale is not None and len(q.scale) > 1:
                    q.scale, q.zeroPoint, q.quantizedDimension = [q.scale[0]], [0], 0

    tflite = edited(change)
    graph = read_tflite(tflite)
    assert len(per_tensor(graph)) == 4 and "4 convolutions per tensor" in described(graph)
    accepted(tflite)


def test_shapes_computed_of_the_batch() -> None:
    """As the converter writes Flatten of an open batch: the shape is arithmetic on SHAPE."""

    def change(model: Any, graph: Any) -> None:
        dense = graph.operators[-2]
        x = dense.inputs[0]
        for kind, shape in ((TYPES.INT32, [2]), (TYPES.INT8, [1, 6])):
            t = copy.deepcopy(graph.tensors[x])
            t.type, t.shape, t.name = kind, shape, b"made"
            if kind == TYPES.INT32:
                t.quantization = None
            graph.tensors.append(t)
        shape, flat = len(graph.tensors) - 2, len(graph.tensors) - 1
        reshape = operator(model, "RESHAPE", x, flat)
        reshape.inputs = [x, shape]
        dense.inputs = [flat, *list(dense.inputs)[1:]]
        graph.operators[-2:-2] = [operator(model, "SHAPE", x, shape), reshape]
        open_batch(model, graph)

    made = accepted(edited(change), "batch was left open").tflite
    assert "SHAPE" not in [op.name for op in read_tflite(made).operators]
    assert np.array_equal(scores(made), scores(TFLITE))


# ---- other schemes ---------------------------------------------------------------------------


def of_types(activations: int, weights: int) -> bytes:
    """The last dense layer alone, of other types; its numbers are of no matter."""

    def change(model: Any, graph: Any) -> None:
        op = graph.operators[-2]
        size = {TYPES.FLOAT32: 4, TYPES.FLOAT16: 2, TYPES.INT8: 1}[weights]
        w = graph.tensors[op.inputs[1]]
        set_buffer(model, w.buffer, bytes(12 * size))
        w.type = weights
        for i in (op.inputs[0], op.outputs[0]):
            graph.tensors[i].type = activations
            graph.tensors[i].quantization = None
        graph.operators, op.inputs = [op], list(op.inputs)[:2]
        graph.inputs, graph.outputs = [op.inputs[0]], list(op.outputs)
        model.signatureDefs = None

    return edited(change)


@pytest.mark.parametrize(
    ("activations", "weights", "name"),
    [
        (TYPES.FLOAT32, TYPES.FLOAT32, "float32"),
        (TYPES.FLOAT32, TYPES.INT8, "dynamic range"),
        (TYPES.FLOAT32, TYPES.FLOAT16, "float16"),
        (TYPES.INT16, TYPES.INT8, "int16x8"),
        (TYPES.UINT8, TYPES.INT8, "uint8"),
    ],
)
def test_each_scheme_has_its_name(activations: int, weights: int, name: str) -> None:
    tflite = of_types(activations, weights)
    assert scheme(read_tflite(tflite)) == name
    with pytest.raises(ConversionError, match=f"is {name} .*full int8"):
        adapt(tflite)
    said = what_runs(tflite)
    assert said["litert"].startswith(f"no: is {name}") and said["engine"] == "no"


def test_what_runs_a_file() -> None:
    said = what_runs(edited(open_batch))
    assert (
        said["litert"].startswith("yes, with a spec of 18 x 17 x 1") and "batch" in said["litert"]
    )
    assert said["engine"].startswith("yes, in ")


def test_what_is_not_read_is_not_damaged() -> None:
    def sparse(model: Any, graph: Any) -> None:
        graph.tensors[graph.operators[1].inputs[1]].sparsity = schema.SparsityParametersT()

    def int4(model: Any, graph: Any) -> None:
        graph.tensors[graph.operators[1].inputs[1]].type = TYPES.INT4

    def two(model: Any, graph: Any) -> None:
        model.subgraphs.append(copy.deepcopy(graph))

    for change, word in ((sparse, "sparse weights"), (int4, "INT4"), (two, "2 subgraphs")):
        with pytest.raises(ModelError, match=f"has .*{word}.*does not read") as caught:
            read_tflite(edited(change))
        assert "damaged" not in str(caught.value)


def test_state_is_shown_and_not_run() -> None:
    def change(model: Any, graph: Any) -> None:
        t = copy.deepcopy(graph.tensors[graph.operators[-2].inputs[0]])
        t.isVariable = True
        graph.tensors.append(t)

    tflite = edited(change)
    assert any(t.variable for t in read_tflite(tflite).tensors)
    with pytest.raises(ModelError, match="keeps state"):
        Int8Network(tflite)


# ---- channels that training left without weights ---------------------------------------------


@pytest.mark.parametrize("bias", [1 << 30, -(1 << 30), (1 << 31) - 1, 1 << 29, 777])
@pytest.mark.parametrize(("place", "channel"), [(1, 2), (3, 4), (6, 5), (8, 1)])
@pytest.mark.parametrize("real", [1e-11, 3e-10, 2.3e-8])
def test_a_dead_channel_is_a_constant(place: int, channel: int, bias: int, real: float) -> None:
    """TensorFlow's converter caps its bias at 2^30; the engine has the value itself."""
    model = unpack(TFLITE)
    graph = model.subgraphs[0]
    op = graph.operators[place]
    x, w, b = (graph.tensors[i] for i in list(op.inputs)[:3])
    y = graph.tensors[op.outputs[0]]
    axis = 3 if place == 3 else 0
    weights = np.array(model.buffers[w.buffer].data, np.uint8).view(np.int8).reshape(w.shape)
    np.moveaxis(weights, axis, 0)[channel] = 0
    set_buffer(model, w.buffer, weights.tobytes())
    biases = np.array(model.buffers[b.buffer].data, np.uint8).view("<i4").copy()
    biases[channel] = bias
    set_buffer(model, b.buffer, biases.tobytes())
    if len(w.quantization.scale) > 1:
        scales = np.array(w.quantization.scale, np.float32)
        scales[channel] = real * y.quantization.scale[0] / x.quantization.scale[0]
        w.quantization.scale = scales
    elif abs(bias) >= 1 << 30:
        return  # per tensor there is no scale of its own
    tflite = pack(model)
    layers = {i: layer for layer in read_network(read_tflite(tflite)).layers
              for i in layer.operators}  # fmt: skip
    layer = layers[place]
    shift, multiplier = int(layer.shift[channel]), int(layer.multiplier_q31[channel])
    high = (int(layer.bias[channel]) * multiplier + (1 << 30)) >> 31
    value = int(np.copysign(np.floor(abs(high) / 2.0**-shift + 0.5), high)) + layer.out_zero_point
    value = min(max(value, layer.act_min), layer.act_max)
    given = Int8Network(tflite).tensors(images(1)[0])[op.outputs[0]][..., channel]
    assert np.unique(given).tolist() == [value]
