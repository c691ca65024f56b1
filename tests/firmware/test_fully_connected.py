# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED's rounding: LiteRT's reference kernel, TFLM's, the engine's.

LiteRT's reference kernel multiplies the accumulator by input_scale * weight_scale / output_scale in
double precision and rounds once, halves away from zero. TFLM multiplies by a 31-bit multiplier,
rounds, divides by a power of two and rounds again, as all convolutions do.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from conftest import require_module
from numpy.typing import NDArray
from targets import usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.operators.fully_connected import quantise_multiplier_once
from ecgqa_tflite.engine.requantisation import quantise_multiplier
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite import tflm

INPUT_SCALE, OUTPUT_SCALE = 0.25, 1.0
WEIGHT_SCALES = (0.25, 0.2193)
"""The first makes 1 / 16 of them: halves are met exactly."""
WEIGHTS = np.array([[127, 1], [127, 1]], np.int8)
ACCUMULATORS = np.arange(-2000, 2001)
ARENA_BYTES = 1 << 16


def _tflite() -> bytes:
    """A FULLY_CONNECTED alone: int8 (1, 2) to (1, 2)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: tuple[int, ...], buffer: int, *scale: float) -> object:
        t, q = schema.TensorT(), schema.QuantizationParametersT()
        t.name, t.shape, t.buffer = name, list(shape), buffer
        t.type = schema.TensorType.INT32 if name == "bias" else schema.TensorType.INT8
        q.scale, q.zeroPoint = np.array(scale, np.float32), np.zeros(len(scale), np.int64)
        t.quantization = q
        return t

    model, graph, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT()
    operator = schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT() for _ in range(3)]
    model.buffers[1].data = WEIGHTS.reshape(-1).view(np.uint8)
    model.buffers[2].data = np.zeros(8, np.uint8)
    graph.tensors = [
        tensor("input", (1, 2), 0, INPUT_SCALE),
        tensor("weights", WEIGHTS.shape, 1, *WEIGHT_SCALES),
        tensor("bias", (2,), 2, *(INPUT_SCALE * s for s in WEIGHT_SCALES)),
        tensor("output", (1, 2), 0, OUTPUT_SCALE),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [operator]
    operator.inputs, operator.outputs, operator.opcodeIndex = [0, 1, 2], [3], 0
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _inputs() -> NDArray[np.int8]:
    """What makes each of :data:`ACCUMULATORS`: int8 (n, 2)."""
    high = np.round(ACCUMULATORS / 127).astype(int)
    return np.stack([high, ACCUMULATORS - 127 * high], axis=1).astype(np.int8)


def _real(channel: int) -> float:
    return INPUT_SCALE * float(np.float32(WEIGHT_SCALES[channel])) / OUTPUT_SCALE


def _in_double(acc: NDArray[np.int64], real: float) -> NDArray[np.float64]:
    """LiteRT's requantisation, not yet clamped."""
    rounded: NDArray[np.float64] = np.copysign(np.floor(np.abs(acc * real) + 0.5), acc)
    return rounded


def _twice(acc: NDArray[np.int64], multiplier: int, shift: int) -> NDArray[np.int64]:
    """TFLM's requantisation, not yet clamped: MultiplyByQuantizedMultiplier."""
    high = (acc * multiplier + (1 << 30)) >> 31
    rounded: NDArray[np.int64] = np.sign(high) * ((np.abs(high) + ((1 << -shift) >> 1)) >> -shift)
    return rounded


def test_litert_rounds_once_and_tflm_twice() -> None:
    require_module("tflite_micro")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    tflite, inputs = _tflite(), _inputs()
    interpreter = Interpreter(
        model_content=tflite, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    litert = np.empty(inputs.shape, np.int8)
    for i, row in enumerate(inputs):
        interpreter.set_tensor(0, row[None])
        interpreter.invoke()
        litert[i] = interpreter.get_tensor(3)[0]
    micro = tflm.tflm_scores(tflite, inputs, ARENA_BYTES)
    for channel in (0, 1):
        real = _real(channel)
        once = np.clip(_in_double(ACCUMULATORS, real), -128, 127)
        twice = np.clip(_twice(ACCUMULATORS, *quantise_multiplier(real)), -128, 127)
        np.testing.assert_array_equal(litert[:, channel], once)
        np.testing.assert_array_equal(micro[:, channel], twice)
        assert np.abs(once - twice).max() == 1
        assert 100 < np.count_nonzero(once != twice) < 150  # of 4,001


@pytest.mark.parametrize("flags", [(), ("-DECGQA_PORTABLE",)], ids=["", "portable"])
def test_the_engine_rounds_as_litert_does(flags: tuple[str, ...], tmp_path: Path) -> None:
    board = usable("host-gcc")
    source = tmp_path / "once.c"
    source.write_text(
        '#include "nn_requant.h"\n'
        "int8_t once(int32_t acc, int32_t multiplier, int8_t shift);\n"
        "int8_t once(int32_t acc, int32_t multiplier, int8_t shift)\n"
        "{\n    const ecgqa_nn_requant_t requant = {&multiplier, &shift, 0, -128, 127};\n"
        "    return ecgqa_nn_requantise_once(acc, 0, &requant);\n}\n"
    )
    library = tmp_path / "once.so"
    folders = [f"-I{firmware_bridge_dir() / name}" for name in ("include", "src")]
    boards.tool(
        board.compiler, "-O1", "-shared", "-fPIC", *flags, *folders, str(source), "-o", str(library)
    )
    once = ctypes.CDLL(str(library)).once
    once.restype, once.argtypes = ctypes.c_int8, (ctypes.c_int32, ctypes.c_int32, ctypes.c_int8)
    for channel in (0, 1):
        expected = np.clip(_in_double(ACCUMULATORS, _real(channel)), -128, 127)
        constants = quantise_multiplier_once(_real(channel))
        assert [once(int(acc), *constants) for acc in ACCUMULATORS] == expected.tolist()


def _missed(real: float, multiplier: int, shift: int) -> int:
    """Accumulators, of those around each step, that the engine's formula rounds otherwise."""
    steps = np.floor((np.arange(-255, 255) + 0.5) / real).astype(np.int64)
    acc = np.concatenate([steps - 1, steps, steps + 1, steps + 2])
    product = acc * multiplier
    once = (product + (1 << (30 - shift)) + (product >> 63)) >> (31 - shift)
    return int(np.count_nonzero(once != _in_double(acc, real)))


def test_the_multiplier_beside_the_nearest_is_taken_where_it_rounds_better() -> None:
    rng = np.random.default_rng(0)
    nearest, taken = 0, 0
    for real in np.exp(rng.uniform(np.log(1e-6), np.log(0.1), 1500)):
        missed = _missed(real, *quantise_multiplier_once(real))
        assert missed <= (0 if real > 1e-4 else 30)
        nearest += _missed(real, *quantise_multiplier(real)) > 0
        taken += missed > 0
    assert taken < nearest
