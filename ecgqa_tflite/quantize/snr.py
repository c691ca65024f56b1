# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What int8 costs each layer: signal to quantisation noise between the float network and it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.tflite.adapt import ending_in_probabilities
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network

IMAGES = 16
"""Images that the ratio is taken over: the first ones of the calibration."""


def layer_snr_db(
    network: Any,
    tflite: bytes,
    images: NDArray[np.uint8],
    input_range: tuple[float, float] = (0.0, 1.0),
) -> list[dict[str, Any]]:
    """Signal-to-noise ratio of each operator's output, int8 against float.

    The float network is converted as it is, so that both have the same operators, and each runs
    from the image on: noise adds up along the way, as it does on the device.

    Parameters
    ----------
    network
        The float tf_keras network.
    tflite
        Its full-int8 form.
    images
        uint8, (n, rows, cols, channels).
    input_range
        What black and white are to the network.

    Returns
    -------
    list of dict
        In order of execution: ``operator``, ``output`` (its name), ``snr_db`` (None where int8
        is exact or the float output is all zeros).

    Raises
    ------
    ConversionError
        The two have different operators.
    """
    from ecgqa_tflite.networks import preprocess
    from ecgqa_tflite.quantize.converter import float_tflite

    plain = ending_in_probabilities(float_tflite(network)).tflite
    graph, int8 = read_tflite(plain, "float network"), Int8Network(tflite)
    if [op.name for op in graph.operators] != [op.name for op in int8.graph.operators]:
        raise ConversionError("the float and the int8 network have different operators")
    interpreter = _keeping(plain)
    signal = np.zeros(len(graph.operators))
    noise = np.zeros(len(graph.operators))
    for one in images[:IMAGES]:
        interpreter.set_tensor(graph.inputs[0], preprocess(one[None], input_range))
        interpreter.invoke()
        quantised = int8.tensors(to_int8(one))
        for i, (a, b) in enumerate(zip(graph.operators, int8.graph.operators, strict=True)):
            expected = np.asarray(interpreter.get_tensor(a.outputs[0]), np.float64)
            t = int8.graph.tensors[b.outputs[0]]
            q = quantised[t.index].astype(np.float64)
            got = t.quant_scale[0] * (q - t.zero_point[0])
            signal[i] += float(np.sum(expected**2))
            noise[i] += float(np.sum((expected - got.reshape(expected.shape)) ** 2))
    return [
        {
            "operator": op.name,
            "output": int8.graph.tensors[op.outputs[0]].name,
            "snr_db": round(10 * float(np.log10(s / n)), 2) if s > 0 and n > 0 else None,
        }
        for op, s, n in zip(int8.graph.operators, signal, noise, strict=True)
    ]


def worst_layers(layers: list[dict[str, Any]], n: int = 3) -> list[dict[str, Any]]:
    """The ``n`` of least signal-to-noise ratio, worst first."""
    measured = [layer for layer in layers if layer["snr_db"] is not None]
    return sorted(measured, key=lambda layer: float(layer["snr_db"]))[:n]


def _keeping(tflite: bytes) -> Any:
    """A LiteRT interpreter that keeps every tensor, by the reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=tflite,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    return interpreter
