"""A ``.tflite`` as the row-streaming engine's layers: shapes, packed weights, requantisation.

What comes out mirrors ``ecgqa_nn_layer_t`` (``firmware_bridge/include/ecgqa/nn.h``) without the
plan. The arithmetic is that of TensorFlow Lite's reference kernels; a network that the engine can't
run to the same bytes is refused with the operator, its index and what to do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.tflite.numbers import SOFTMAX_UNIT, softmax_real
from ecgqa_tflite.tflite.read import Graph, Operator, Tensor

KINDS = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "MEAN",
    "FULLY_CONNECTED",
)
"""In the order of ``ecgqa_nn_kind_t``."""

OTHERS = ("RESHAPE", "SOFTMAX")
MAX_CHUNK = 512
"""``ECGQA_NN_MAX_CHUNK``."""
MAX_SIDE = 4096
"""Rows, columns or channels: the C counts them in 16 bits."""
WEIGHTS_TAIL = 32
"""``ECGQA_NN_WEIGHTS_TAIL``."""
EVEN_BIAS = 128
"""Added to the even channel of a pair of packed weights."""
SHORT_RUN = 128
"""Kernel rows shorter than this are gathered into one run, where one chunk holds all of them."""

_CONVERT = "convert it with ecgqa-convert"
_OTHERWISE = "export it for TensorFlow Lite Micro instead (--target tflm)"


@dataclass(frozen=True)
class Shape:
    """rows x cols x channels of a feature map."""

    rows: int
    cols: int
    channels: int

    @property
    def row_bytes(self) -> int:
        """int8 bytes of a row."""
        return self.cols * self.channels

    def __str__(self) -> str:
        return f"{self.rows} x {self.cols} x {self.channels}"


@dataclass(frozen=True)
class Window:
    """A sliding window; ``rows == 0``: there is none."""

    rows: int = 0
    cols: int = 0
    stride_rows: int = 0
    stride_cols: int = 0
    pad_top: int = 0
    pad_left: int = 0

    def reach(self, out: int) -> int:
        """Input rows that ``out`` output rows span, those of the padding above left out."""
        return (out - 1) * self.stride_rows + self.rows - self.pad_top

    def reach_cols(self, out: int) -> int:
        """As :meth:`reach`, of columns."""
        return (out - 1) * self.stride_cols + self.cols - self.pad_left


@dataclass(frozen=True)
class Layer:
    """One layer with the max pooling that follows it.

    ``in_``, ``out`` (before the pooling) and ``pooled`` leave out rows and columns that nothing
    later needs. ``output`` is the tensor of the ``.tflite`` that the pooled output is. Arrays are
    as the C has them.
    """

    kind: str
    operators: tuple[int, ...]
    output: int
    in_: Shape
    out: Shape
    pooled: Shape
    kernel: Window
    pool: Window
    in_zero_point: int
    out_zero_point: int
    act_min: int
    act_max: int
    from_index: bool = False
    gather: bool = False
    runs: int = 0
    run_len: int = 0
    weights: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8), repr=False)
    bias: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32), repr=False)
    multiplier_q31: NDArray[np.int32] = field(
        default_factory=lambda: np.zeros(0, np.int32), repr=False
    )
    shift: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8), repr=False)

    @property
    def accumulates(self) -> bool:
        """Takes rows into accumulators that stay: FULLY_CONNECTED, MEAN."""
        return self.kind in ("FULLY_CONNECTED", "MEAN")

    @property
    def packed(self) -> bool:
        """Has weights in packed pairs."""
        return self.kind in ("CONV_2D", "FULLY_CONNECTED")

    @property
    def in_row_bytes(self) -> int:
        """Bytes of an input row as the engine keeps it."""
        return self.in_.cols if self.from_index else self.in_.row_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        pixels = self.out.rows * self.out.cols
        taps = self.kernel.rows * self.kernel.cols
        return {
            "CONV_2D": pixels * self.out.channels * taps * self.in_.channels,
            "DEPTHWISE_CONV_2D": pixels * self.out.channels * taps,
            "FULLY_CONNECTED": self.in_.rows * self.in_.row_bytes * self.out.channels,
        }.get(self.kind, 0)

    def uses_row(self, row: int) -> bool:
        """Whether an input row is used: all are, unless the stride is above the kernel."""
        if self.accumulates:
            return True
        k = self.kernel
        position = (row + k.pad_top) % k.stride_rows
        return position < k.rows and row < k.reach(self.out.rows)

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights, bias and requantisation."""
        return sum(a.nbytes for a in (self.weights, self.bias, self.multiplier_q31, self.shift))


@dataclass(frozen=True)
class Softmax:
    """``ecgqa_nn_softmax_t``."""

    multiplier_q31: int
    left_shift: int
    diff_min: int


@dataclass(frozen=True)
class Network:
    """A chain of layers from the index map to the scores."""

    layers: tuple[Layer, ...]
    softmax: Softmax | None
    image: Shape
    classes: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    def kept_rows(self, index: int) -> list[int]:
        """Rows of a layer's pooled output that the engine keeps, and so can show."""
        rows = range(self.layers[index].pooled.rows)
        following = self.layers[index + 1 : index + 2]
        return [r for r in rows if all(layer.uses_row(r) for layer in following)]


def read_network(graph: Graph) -> Network:
    """The engine's layers of a full-int8 graph.

    Raises
    ------
    ConversionError
        An operator, a branch or a number that the engine can't run to the same bytes.
    """
    chain = _chain(graph)
    layers: list[Layer] = []
    softmax = None
    for position, op in enumerate(chain):
        if softmax is not None:
            raise _refusal(op, "follows SOFTMAX, which must be last")
        x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        if op.name == "RESHAPE":
            if x.elements != y.elements:
                raise _refusal(op, f"reshapes {x.shape} to {y.shape}")
        elif op.name == "SOFTMAX":
            if position == 0 or not layers or layers[-1].pooled.rows * layers[-1].pooled.cols != 1:
                raise _refusal(op, "must follow a layer with one value a class")
            softmax = _softmax(op, x, y)
        elif op.name == "MAX_POOL_2D" and layers and _mergeable(layers[-1]):
            _same_shape(op, x, layers[-1].out)
            layers[-1] = _merge_pool(layers[-1], op, x, y)
        else:
            layers.append(_layer(op, graph, layers[-1].pooled if layers else None))
    if not layers:
        raise ConversionError("the network has no layer that computes anything")
    image = _shape4(chain[0], graph.tensors[graph.inputs[0]])
    first = layers[0]
    layers[0] = replace(first, from_index=first.kind == "CONV_2D")
    layers = [_with_runs(layer) for layer in _trimmed(layers)]
    last = layers[-1].pooled
    if last.rows * last.cols != 1:
        raise ConversionError(f"the last layer gives {last}; it must give one value a class")
    return Network(tuple(layers), softmax, image, last.channels)


# ---- the chain -------------------------------------------------------------------------------


def _refusal(op: Operator, why: str, remedy: str = _OTHERWISE) -> ConversionError:
    return ConversionError(f"operator {op.index} ({op.name}) {why}: {remedy}")


def _chain(graph: Graph) -> list[Operator]:
    """The operators in order, each taking the output of the one before."""
    if not graph.operators:
        raise ConversionError("the network has no operators")
    at = graph.inputs[0]
    for op in graph.operators:
        if op.name not in KINDS + OTHERS:
            raise _refusal(op, f"is not one that the engine runs ({', '.join(KINDS + OTHERS)})")
        if not op.inputs or op.inputs[0] != at or len(op.outputs) != 1:
            raise _refusal(
                op, "does not take the output of the operator before it; branches are not run"
            )
        for i in op.inputs[1:]:
            if i >= 0 and graph.tensors[i].data is None:
                raise _refusal(op, "has weights that are not constant")
        for i in (op.inputs[0], op.outputs[0]):
            t = graph.tensors[i]
            if t.dtype != "int8" or t.quant_scale.size != 1 or t.dynamic:
                raise _refusal(
                    op,
                    f"works on {t.dtype} {t.shape}; every activation must be int8 of a fixed "
                    f"shape, quantised per tensor",
                    _CONVERT,
                )
            if t.shape and t.shape[0] != 1:
                raise _refusal(op, f"works on a batch of {t.shape[0]}", "convert it for batch 1")
        at = op.outputs[0]
    if tuple(graph.outputs) != (at,):
        raise ConversionError("the network's output is not its last operator's")
    return list(graph.operators)


def _shape4(op: Operator, t: Tensor) -> Shape:
    if len(t.shape) != 4:
        raise _refusal(op, f"takes {t.shape}; needs (1, rows, cols, channels)")
    if not all(0 < n <= MAX_SIDE for n in t.shape[1:]):
        raise _refusal(op, f"takes {t.shape}; the engine's maps have 1 to {MAX_SIDE} a side")
    return Shape(*t.shape[1:])


def _same_shape(op: Operator, x: Tensor, before: Shape) -> None:
    """What a layer takes is laid out as what the one before made."""
    if _shape4(op, x) != before:
        raise _refusal(op, f"takes {x.shape[1:]} where {before} come")


def _zero_point(t: Tensor) -> int:
    return int(t.zero_point[0])


def _scale(t: Tensor) -> float:
    return float(t.quant_scale[0])


def _activation(op: Operator, y: Tensor) -> tuple[int, int]:
    """act_min, act_max of the fused activation, as CalculateActivationRangeQuantized has them."""
    fused = op.options.get("fused_activation_function", "NONE")
    limits = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0)}
    if fused not in limits:
        raise _refusal(op, f"has the fused activation {fused}; the engine has RELU and RELU6")
    low, high = limits[fused]

    def quantised(value: float) -> int:
        # float32 division, rounded half away from zero, as TfLiteRound does
        with np.errstate(over="ignore"):  # beyond 255 steps all is the same
            steps = np.float32(value) / np.float32(_scale(y))
        return _zero_point(y) + math.floor(min(float(steps), 255.0) + 0.5)

    act_min = -128 if low is None else max(-128, quantised(low))
    act_max = 127 if high is None else min(127, quantised(high))
    return act_min, act_max


def _same_quantisation(op: Operator, x: Tensor, y: Tensor) -> None:
    if _scale(x) != _scale(y) or _zero_point(x) != _zero_point(y):
        raise _refusal(op, "has another quantisation at its output than at its input", _CONVERT)


# ---- layers ----------------------------------------------------------------------------------


def _layer(op: Operator, graph: Graph, before: Shape | None) -> Layer:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if op.name not in ("MAX_POOL_2D", "AVERAGE_POOL_2D") and (
        len(op.inputs) < 2 or op.inputs[1] < 0
    ):
        raise _refusal(op, "has no weights or axes")
    if op.name == "FULLY_CONNECTED":
        return _fully_connected(op, graph, before)
    if before is not None:
        _same_shape(op, x, before)
    if op.name == "MEAN":
        return _mean(op, graph)
    if op.name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        _same_quantisation(op, x, y)
        kernel = _window(
            op,
            _shape4(op, x),
            _shape4(op, y),
            op.options["filter_height"],
            op.options["filter_width"],
        )
        return _new(op, graph, kernel, _shape4(op, y))
    filter_ = graph.tensors[op.inputs[1]]
    shape = _shape4(op, y)
    if op.options["dilation_h_factor"] != 1 or op.options["dilation_w_factor"] != 1:
        raise _refusal(op, "is dilated")
    if filter_.dtype != "int8" or filter_.data is None or np.any(filter_.zero_point != 0):
        raise _refusal(op, "has weights that are not int8 with zero point 0")
    kernel = _window(op, _shape4(op, x), shape, filter_.shape[1], filter_.shape[2])
    layer = _new(op, graph, kernel, shape)
    if op.name == "CONV_2D":
        if filter_.shape[3] != layer.in_.channels:
            raise _refusal(op, "is a grouped convolution")
        weights = filter_.data.reshape(shape.channels, -1)
    else:
        weights = filter_.data.reshape(-1, shape.channels).T
    return _with_constants(layer, op, graph, weights)


def _new(op: Operator, graph: Graph, kernel: Window, out: Shape, in_: Shape | None = None) -> Layer:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    act_min, act_max = _activation(op, y)
    return Layer(
        kind=op.name,
        operators=(op.index,),
        output=y.index,
        in_=_shape4(op, x) if in_ is None else in_,
        out=out,
        pooled=out,
        kernel=kernel,
        pool=Window(),
        in_zero_point=_zero_point(x),
        out_zero_point=_zero_point(y),
        act_min=act_min,
        act_max=act_max,
    )


def _window(op: Operator, in_: Shape, out: Shape, rows: int, cols: int) -> Window:
    stride_rows, stride_cols = op.options["stride_h"], op.options["stride_w"]
    if max(rows, cols, stride_rows, stride_cols) > 255:
        raise _refusal(op, "has a window above 255 pixels")
    pads = [0, 0]
    if op.options["padding"] == "SAME":
        for axis, (n, k, s, m) in enumerate(
            ((in_.rows, rows, stride_rows, out.rows), (in_.cols, cols, stride_cols, out.cols))
        ):
            pads[axis] = max((m - 1) * s + k - n, 0) // 2
    return Window(rows, cols, stride_rows, stride_cols, *pads)


def _fully_connected(op: Operator, graph: Graph, before: Shape | None) -> Layer:
    filter_ = graph.tensors[op.inputs[1]]
    if before is None:
        raise _refusal(op, "is the first layer")
    if filter_.dtype != "int8" or filter_.data is None or np.any(filter_.zero_point != 0):
        raise _refusal(op, "has weights that are not int8 with zero point 0")
    if op.options.get("weights_format", 0) != 0:
        raise _refusal(op, "has shuffled weights")
    if len(filter_.shape) != 2:
        raise _refusal(op, f"has weights of shape {filter_.shape}")
    classes, inputs = filter_.shape
    if not 0 < classes <= MAX_SIDE:
        raise _refusal(op, f"has {classes} outputs")
    if inputs != before.rows * before.row_bytes:
        raise _refusal(op, f"takes {inputs} values where {before} come")
    layer = _new(op, graph, Window(1, 1, 1, 1), Shape(1, 1, classes), before)
    return _with_constants(layer, op, graph, filter_.data)


def _mean(op: Operator, graph: Graph) -> Layer:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    in_ = _shape4(op, x)
    axes = graph.tensors[op.inputs[1]].data
    if axes is None or sorted(int(a) % 4 for a in np.asarray(axes).reshape(-1)) != [1, 2]:
        raise _refusal(op, "is not over rows and columns")
    count = in_.rows * in_.cols
    multiplier, shift = quantise_multiplier(_scale(x) / _scale(y))
    if not -31 < shift < 31:
        raise _refusal(op, "has scales that are too far apart")
    # The division by count goes into the multiplier, as QuantizedMeanOrSum does it.
    by = min(count.bit_length() - 1, 32, 31 + shift)
    multiplier = (multiplier << by) // count
    shift -= by
    _check_requantisation(op, np.array([multiplier]), np.array([shift]), 1 << 29)
    channels = in_.channels
    even = channels + channels % 2
    layer = _new(op, graph, Window(1, 1, 1, 1), Shape(1, 1, channels), in_)
    return replace(
        layer,
        bias=np.full(even, -count * layer.in_zero_point, np.int32),
        multiplier_q31=np.full(even, multiplier, np.int32),
        shift=np.full(even, shift, np.int8),
    )


def quantise_multiplier(real: float) -> tuple[int, int]:
    """(multiplier_q31, shift) of a positive real: multiplier_q31 * 2^(shift - 31), in [2^30, 2^31).

    TensorFlow Lite's QuantizeMultiplier.
    """
    mantissa, exponent = math.frexp(real)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier //= 2
        exponent += 1
    return multiplier, exponent


def quantise_multiplier_once(real: float) -> tuple[int, int]:
    """(multiplier_q31, shift) for FULLY_CONNECTED, which LiteRT's reference kernel rounds once.

    That kernel multiplies by ``real`` in double precision, halves away from zero. Both functions
    are steps, the same ones where they step at the same accumulators. The nearest multiplier may
    miss a step by one accumulator; of those beside it the one that misses fewest is taken: none
    where ``real`` is above 1e-4 (tests/firmware/test_fully_connected.py).
    """
    nearest, shift = quantise_multiplier(real)
    step = np.floor((np.arange(-256, 256) + 0.5) / real)
    acc = (step[:, None] + np.arange(-1, 3)).astype(np.int64)
    acc = acc[np.abs(acc) < 1 << 30]
    wanted = np.copysign(np.floor(np.abs(acc * real) + 0.5), acc)

    def missed(multiplier: int) -> int:
        product = acc * multiplier
        rounded = (product + (1 << (30 - shift)) + (product >> 63)) >> (31 - shift)
        return int(np.count_nonzero(rounded != wanted))

    near = (m for by in (0, 1, -1, 2, -2) if 1 << 30 <= (m := nearest + by) < 1 << 31)
    return min(near, key=missed), shift


def _check_requantisation(
    op: Operator, multiplier: NDArray[np.int64], shift: NDArray[np.int64], least: int = 1 << 30
) -> None:
    if np.any(multiplier < least) or np.any(multiplier >= 1 << 31):
        raise _refusal(op, "has a multiplier outside [2^30, 2^31)")
    if np.any(shift > 0) or np.any(shift < -30):
        raise _refusal(
            op,
            f"has requantisation shifts of {int(shift.min())} to {int(shift.max())}; the engine "
            f"takes -30 to 0",
        )


def _with_constants(layer: Layer, op: Operator, graph: Graph, weights: NDArray[np.int8]) -> Layer:
    """Bias, multipliers and checked accumulators; weights (channels, K) are packed later."""
    x, filter_ = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    y = graph.tensors[op.outputs[0]]
    channels = layer.out.channels
    wide = weights.astype(np.int64)
    bias = np.zeros(channels, np.int64)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        tensor = graph.tensors[op.inputs[2]]
        if tensor.dtype != "int32" or tensor.data is None or tensor.data.size != channels:
            raise _refusal(op, "has a bias that is not one int32 a channel")
        bias = tensor.data.reshape(-1).astype(np.int64)
    if filter_.quant_scale.size not in (1, channels):
        raise _refusal(op, f"has {filter_.quant_scale.size} scales for {channels} channels")

    zero_point = layer.in_zero_point
    positive, negative = wide.clip(min=0).sum(1), wide.clip(max=0).sum(1)
    low, high = -128 - zero_point, 127 - zero_point
    largest = bias + positive * high + negative * low
    smallest = bias + positive * low + negative * high
    folded = bias - zero_point * wide.sum(1)
    # While a sum is under way the zero point's part is ahead of its products.
    reach = np.abs(folded) + 256 * np.abs(wide).sum(1)
    if max(largest.max(), -smallest.min()) >= 1 << 30 or reach.max() >= 1 << 31:
        raise _refusal(
            op,
            "can reach accumulators of 2^30",
            "retrain it with smaller weights, or " + _OTHERWISE,
        )

    real = _scale(x) * filter_.quant_scale.astype(np.float64) / _scale(y)
    real = np.broadcast_to(real, channels)
    multiplier, shift = np.array([quantise_multiplier(float(r)) for r in real], np.int64).T
    _check_requantisation(op, multiplier, shift)
    if layer.kind == "FULLY_CONNECTED":
        multiplier = np.array([quantise_multiplier_once(float(r))[0] for r in real], np.int64)
    odd = channels % 2
    return replace(
        layer,
        weights=np.ascontiguousarray(weights).view(np.uint8),
        bias=np.pad(folded, (0, odd)).astype(np.int32),
        multiplier_q31=np.pad(multiplier, (0, odd), constant_values=1 << 30).astype(np.int32),
        shift=np.pad(shift, (0, odd)).astype(np.int8),
    )


def _mergeable(layer: Layer) -> bool:
    return layer.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and layer.pool.rows == 0


def _merge_pool(layer: Layer, op: Operator, x: Tensor, y: Tensor) -> Layer:
    """Max pooling into the layer before: the clamp of a maximum is the maximum of clamps."""
    _same_quantisation(op, x, y)
    pooled = _shape4(op, y)
    pool = _window(op, layer.out, pooled, op.options["filter_height"], op.options["filter_width"])
    act_min, act_max = _activation(op, y)
    return replace(
        layer,
        operators=(*layer.operators, op.index),
        output=y.index,
        pool=pool,
        pooled=pooled,
        act_min=max(layer.act_min, act_min),
        act_max=min(layer.act_max, act_max),
    )


def _softmax(op: Operator, x: Tensor, y: Tensor) -> Softmax:
    if _scale(y) != 1 / 256 or _zero_point(y) != -128:
        raise _refusal(op, "has an output that is not scale 1/256, zero point -128")
    real = softmax_real(float(op.options.get("beta", 1.0)), _scale(x))
    multiplier, shift = (0, -1) if real is None else quantise_multiplier(real)
    if not 0 <= shift <= 30:
        raise _refusal(op, f"has logits of scale {_scale(x):g}, outside the fixed-point range")
    radius = math.floor(31 * SOFTMAX_UNIT / (1 << shift))
    return Softmax(multiplier, shift, -radius)


# ---- shapes and packing ----------------------------------------------------------------------


def _trimmed(layers: list[Layer]) -> list[Layer]:
    """Leave out rows and columns at the end that no later layer uses."""
    done: list[Layer] = []
    needed: Shape | None = None
    for i in range(len(layers) - 1, -1, -1):
        layer = layers[i]
        pooled = layer.pooled if needed is None else needed
        out = pooled
        if layer.pool.rows:
            out = Shape(
                min(layer.out.rows, layer.pool.reach(pooled.rows)),
                min(layer.out.cols, layer.pool.reach_cols(pooled.cols)),
                layer.out.channels,
            )
        in_ = layer.in_
        if not layer.accumulates and i > 0:
            in_ = Shape(
                min(in_.rows, layer.kernel.reach(out.rows)),
                min(in_.cols, layer.kernel.reach_cols(out.cols)),
                in_.channels,
            )
        done.append(replace(layer, in_=in_, out=out, pooled=pooled))
        needed = in_
    return done[::-1]


def _with_runs(layer: Layer) -> Layer:
    """Cut K into runs and pack the weights."""
    if not layer.packed:
        if layer.kind == "DEPTHWISE_CONV_2D":
            weights = layer.weights.reshape(layer.out.channels, -1).T
            layer = replace(layer, weights=np.ascontiguousarray(weights))
        padded = layer.kind == "DEPTHWISE_CONV_2D" and (
            _is_padded(layer) or layer.out.channels != layer.in_.channels
        )
        return replace(layer, gather=padded)
    if layer.kind == "FULLY_CONNECTED":
        runs, run_len, gather = layer.in_.rows, layer.in_.row_bytes, False
    else:
        runs, run_len = layer.kernel.rows, layer.kernel.cols * layer.in_.channels
        short = runs > 1 and run_len < SHORT_RUN and runs * run_len <= MAX_CHUNK
        gather = layer.from_index or _is_padded(layer) or run_len % 2 == 1 or short
        if gather:
            runs, run_len = 1, runs * run_len
    if run_len > 0xFFFF:
        raise ConversionError(f"layer of operator {layer.operators[0]}: {run_len} inputs a row")
    weights = pack(layer.weights.reshape(layer.out.channels, runs, run_len).view(np.int8))
    return replace(layer, runs=runs, run_len=run_len, gather=gather, weights=weights)


def _is_padded(layer: Layer) -> bool:
    k = layer.kernel
    return bool(
        k.pad_top
        or k.pad_left
        or k.reach(layer.out.rows) > layer.in_.rows
        or k.reach_cols(layer.out.cols) > layer.in_.cols
    )


def pack(weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights (channels, runs, run_len) to pairs: uint8 (pairs, runs, run_len to even, 2).

    The even channel plus 128, then the odd one; the DSP kernel takes each pair of bytes as one
    int16, 256 * odd + even, and so does two channels with one multiplication.
    """
    channels, runs, run_len = weights.shape
    padded = np.zeros((channels + channels % 2, runs, run_len + run_len % 2), np.int16)
    padded[:channels, :, :run_len] = weights
    padded[0::2] += EVEN_BIAS
    pairs = padded.reshape(-1, 2, *padded.shape[1:]).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pairs.astype(np.uint8))
