# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What several operators check and refuse, in one voice: the operator, why, what to do instead."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine.layers import Chain, Layer, LayerOperator, Shape, Window
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.tflite.read import Graph, Operator, Tensor

MAX_SIDE = 4096
"""Rows, columns or channels: the C counts them in 16 bits."""

CONVERT = "quantise it anew, with TensorFlow's converter of today"
OTHERWISE = "export it for TensorFlow Lite Micro instead (--target tflm)"


def refusal(op: Operator, why: str, remedy: str = OTHERWISE) -> ConversionError:
    """What to raise where an operator can't be run."""
    return ConversionError(f"operator {op.index} ({op.name}) {why}: {remedy}")


def shape4(op: Operator, t: Tensor) -> Shape:
    """Rows x cols x channels of a feature map."""
    if len(t.shape) != 4:
        raise refusal(op, f"takes {t.shape}; needs (1, rows, cols, channels)")
    if not all(0 < n <= MAX_SIDE for n in t.shape[1:]):
        raise refusal(op, f"takes {t.shape}; the engine's maps have 1 to {MAX_SIDE} a side")
    return Shape(*t.shape[1:])


def require_shape(op: Operator, x: Tensor, before: Shape | None) -> None:
    """What a layer takes is laid out as what the one before made."""
    if before is not None and shape4(op, x) != before:
        raise refusal(op, f"takes {x.shape[1:]} where {before} come")


def zero_point(t: Tensor) -> int:
    """Of an activation, which has one."""
    return int(t.zero_point[0])


def scale(t: Tensor) -> float:
    """quant_scale of an activation, which has one."""
    return float(t.quant_scale[0])


def activation(op: Operator, y: Tensor) -> tuple[int, int]:
    """act_min, act_max of the fused activation, as CalculateActivationRangeQuantized has them."""
    fused = op.options.get("fused_activation_function", "NONE")
    limits = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0)}
    if fused not in limits:
        raise refusal(op, f"has the fused activation {fused}; the engine has RELU and RELU6")
    low, high = limits[fused]

    def quantised(value: float) -> int:
        # float32 division, rounded half away from zero, as TfLiteRound does
        with np.errstate(over="ignore"):  # beyond 255 steps all is the same
            steps = np.float32(value) / np.float32(scale(y))
        return zero_point(y) + math.floor(min(float(steps), 255.0) + 0.5)

    act_min = -128 if low is None else max(-128, quantised(low))
    act_max = 127 if high is None else min(127, quantised(high))
    return act_min, act_max


def require_same_quantisation(op: Operator, x: Tensor, y: Tensor) -> None:
    """Pooling moves values, it does not requantise them."""
    if scale(x) != scale(y) or zero_point(x) != zero_point(y):
        raise refusal(op, "has another quantisation at its output than at its input", CONVERT)


def operand(op: Operator, graph: Graph) -> Tensor:
    """The second input: weights or axes."""
    if len(op.inputs) < 2 or op.inputs[1] < 0:
        raise refusal(op, "has no weights or axes")
    return graph.tensors[op.inputs[1]]


def int8_weights(op: Operator, graph: Graph) -> tuple[Tensor, NDArray[np.int8]]:
    """The tensor of the weights, and they themselves."""
    t = operand(op, graph)
    if t.dtype != "int8" or t.data is None or np.any(t.zero_point != 0):
        raise refusal(op, "has weights that are not int8 with zero point 0")
    return t, t.data


def new_layer(
    kind: LayerOperator, op: Operator, graph: Graph, kernel: Window, out: Shape, in_: Shape
) -> Layer:
    """A layer without constants."""
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    act_min, act_max = activation(op, y)
    return Layer(
        kind=kind,
        operators=(op.index,),
        output=y.index,
        in_=in_,
        out=out,
        pooled=out,
        kernel=kernel,
        pool=Window(),
        in_zero_point=zero_point(x),
        out_zero_point=zero_point(y),
        act_min=act_min,
        act_max=act_max,
    )


def sliding_window(op: Operator, in_: Shape, out: Shape, rows: int, cols: int) -> Window:
    """The window with its stride, and the padding that comes with it."""
    stride_rows, stride_cols = op.options["stride_h"], op.options["stride_w"]
    if max(rows, cols, stride_rows, stride_cols) > 255:
        raise refusal(op, "has a window above 255 pixels")
    pads = [0, 0]
    if op.options["padding"] == "SAME":
        for axis, (n, k, s, m) in enumerate(
            ((in_.rows, rows, stride_rows, out.rows), (in_.cols, cols, stride_cols, out.cols))
        ):
            pads[axis] = max((m - 1) * s + k - n, 0) // 2
    return Window(rows, cols, stride_rows, stride_cols, *pads)


def convolution(kind: LayerOperator, op: Operator, chain: Chain) -> Layer:
    """The layer of an operator that slides weights, without them."""
    graph = chain.graph
    filter_ = operand(op, graph)
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    require_shape(op, x, chain.end)
    in_, out = shape4(op, x), shape4(op, y)
    if op.options["dilation_h_factor"] != 1 or op.options["dilation_w_factor"] != 1:
        raise refusal(op, "is dilated")
    kernel = sliding_window(op, in_, out, filter_.shape[1], filter_.shape[2])
    return new_layer(kind, op, graph, kernel, out, in_)


def pooling(kind: LayerOperator, op: Operator, chain: Chain) -> Layer:
    """The layer of an operator that pools."""
    x, y = chain.graph.tensors[op.inputs[0]], chain.graph.tensors[op.outputs[0]]
    require_shape(op, x, chain.end)
    require_same_quantisation(op, x, y)
    in_, out = shape4(op, x), shape4(op, y)
    return new_layer(kind, op, chain.graph, pooling_window(op, in_, out), out, in_)


def pooling_window(op: Operator, in_: Shape, out: Shape) -> Window:
    """The window of an operator that pools."""
    return sliding_window(op, in_, out, op.options["filter_height"], op.options["filter_width"])
