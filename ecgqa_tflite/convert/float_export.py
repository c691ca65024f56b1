# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A float network behind the same int8 ends: for devices with float arithmetic, and to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ecgqa_tflite.convert.requantise import int8_threshold
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.quantize.converter import INPUT_NAME, OUTPUT_NAME, float_tflite
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT
from ecgqa_tflite.tflite.adapt import Adapted, ending_in_probabilities
from ecgqa_tflite.tflite.flatbuffer import pack, unpack
from ecgqa_tflite.tflite.image_codes import codes_of
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.scheme import FLOAT32, described, scheme


def float_network(network: Any, input_range: tuple[float, float] = (0.0, 1.0)) -> bytes:
    """The network as a ``.tflite`` that computes in float32 between the contract's int8 ends.

    The int8 image holds all that the uint8 image does and is scaled first; the scores are rounded
    to 1/256 last. So front end, runners, threshold and golden vectors are those of an int8 network;
    what lies between is what was trained.

    Parameters
    ----------
    network
        Keras model from (n, rows, cols, channels) in ``input_range`` to (n, classes).
    input_range
        What black and white are to the network.

    Raises
    ------
    ConversionError
        TensorFlow can't convert it, one of its ends isn't one float32 tensor, or its scores are
        neither probabilities nor logits.
    """
    return with_int8_ends(float_tflite(network), network.name, input_range).tflite


def with_int8_ends(
    tflite: bytes, name: str, input_range: tuple[float, float] = (0.0, 1.0)
) -> Adapted:
    """Put DEQUANTIZE before a float ``.tflite`` and QUANTIZE after it; see :func:`float_network`.

    Scores that are logits get their softmax first.
    """
    graph = read_tflite(tflite, name)
    if scheme(graph) != FLOAT32:
        raise ConversionError(
            f"{name}: is {described(graph)}; --quantize none takes what nothing is quantised in"
        )
    adapted = ending_in_probabilities(tflite, name)
    tflite = adapted.tflite
    graph = read_tflite(tflite, name)
    ends = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    if len(ends) != 2 or any(t.dtype != "float32" for t in ends):
        raise ConversionError(f"{name}: needs one float32 image in and float32 scores out")
    model = unpack(tflite)
    subgraph = model.subgraphs[0]
    (start,), (end,) = list(subgraph.inputs), list(subgraph.outputs)
    image = _int8_end(subgraph, start, INPUT_NAME, *codes_of(input_range))
    scores = _int8_end(subgraph, end, OUTPUT_NAME, SCORE_SCALE, SCORE_ZERO_POINT)
    kinds = schema.BuiltinOperator
    subgraph.operators = [
        _operator(model, kinds.DEQUANTIZE, image, start),
        *subgraph.operators,
        _operator(model, kinds.QUANTIZE, end, scores),
    ]
    subgraph.inputs, subgraph.outputs = [image], [scores]
    for signature in model.signatureDefs or []:
        signature.inputs[0].tensorIndex = image
        signature.outputs[0].tensorIndex = scores
    return Adapted(pack(model), adapted.changes)


def _int8_end(subgraph: Any, like: int, name: str, scale: float, zero_point: int) -> int:
    """Append an int8 tensor of another's shape, which hands its name over; the tensor's number."""
    float_end = subgraph.tensors[like]
    t, quantisation = schema.TensorT(), schema.QuantizationParametersT()
    quantisation.scale, quantisation.zeroPoint = [scale], [zero_point]
    t.name, t.shape, t.type = name, float_end.shape, schema.TensorType.INT8
    t.shapeSignature, t.quantization = float_end.shapeSignature, quantisation
    float_end.name = f"{name}_float"
    subgraph.tensors.append(t)
    return len(subgraph.tensors) - 1


def _operator(model: Any, kind: int, x: int, y: int) -> Any:
    """An operator without options, and its code."""
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [x], [y]
    return operator


def unquantised(model: ModelFolder, out: str | Path) -> ModelFolder:
    """Write a model folder whose ``.tflite`` computes in float32; see :func:`float_network`.

    Raises
    ------
    ModelError
        The model has no float weights.
    ConversionError
        See :func:`float_network`.
    """
    _ = model.weights_path  # said before any work
    from ecgqa_tflite.evaluation.card import write_card  # which imports this package
    from ecgqa_tflite.networks import load_model

    written = model.with_network(
        out,
        float_network(load_model(model.path)),
        int8_threshold(model.threshold),
        {"quantisation": {"method": "none"}},
    )
    return write_card(written)
