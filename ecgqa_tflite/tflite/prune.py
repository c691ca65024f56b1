# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Channels that never change, taken out of a ``.tflite``: the same scores from fewer products.

A channel that holds one value c adds (c - zero point) times its weights to each sum of a layer
that reads it: a constant, which goes into that layer's bias. Where the layer pads, a window at the
edge has fewer taps in the image, and the padding adds nothing; so there c must be the zero point,
of which nothing is added either. Most such channels are a ReLU's that is never above 0, which is
the zero point. int32 sums stay equal, and so is every bit after them, on every segment on which the
channels hold what they held. On others the network is another one.

What makes a channel and nothing else goes with it: its filter, bias and scale, and its place in
pooling, depthwise convolution, mean and flattening on the way. A tensor that an operator reads that
is none of these (a branch's concatenation, an addition) keeps all channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.tflite.census import Layer, layer_of
from ecgqa_tflite.tflite.flatbuffer import add_buffer, pack, set_buffer, unpack
from ecgqa_tflite.tflite.identity import ENTRY
from ecgqa_tflite.tflite.ranges import Range
from ecgqa_tflite.tflite.read import Graph, Operator, read_tflite

MIXING = ("CONV_2D", "FULLY_CONNECTED")
"""Operators whose outputs are each a sum over all input channels."""
CHANNELWISE = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "RELU", "RELU6", "QUANTIZE")
"""Operators whose output channels are each made of the input channel of the same number."""
DEPTHWISE = "DEPTHWISE_CONV_2D"

_Kept = dict[int, NDArray[np.bool_]]
"""By tensor: which channels stay, (channels,)."""


@dataclass(frozen=True)
class Change:
    """What became of a layer that has weights."""

    before: Layer
    after: Layer

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, before and after in each."""
        return {
            "operator": self.before.operator,
            "output": self.before.output,
            "channels": [self.before.shape[-1], self.after.shape[-1]],
            "macs": [self.before.macs, self.after.macs],
            "constant_bytes": [self.before.constant_bytes, self.after.constant_bytes],
        }


@dataclass(frozen=True)
class Pruned:
    """A smaller network.

    Attributes
    ----------
    changes
        Layers that have weights, in order.
    """

    tflite: bytes
    changes: tuple[Change, ...]

    @property
    def removed(self) -> int:
        """Channels that were taken out."""
        return sum(c.before.shape[-1] - c.after.shape[-1] for c in self.changes)


def prune(tflite: bytes, ranges: Mapping[int, Range], source: str = "model") -> Pruned:
    """Take out what never changes.

    Parameters
    ----------
    ranges
        What channels held, by tensor: :func:`~ecgqa_tflite.tflite.ranges.channel_ranges`.
    source
        What to call the file in messages.

    Returns
    -------
    Pruned
        Without the identity that the file may have carried, which is another network's.

    Raises
    ------
    ModelError
        A damaged file.
    ConversionError
        A bias with what goes into it passes 32 bits.
    """
    graph = read_tflite(tflite, source)
    kept = _kept(graph, ranges)
    model = unpack(tflite)
    for index, stay in kept.items():
        if not stay.all():
            _reshape(model, index, _narrowed(graph, index, stay))
    for op in graph.operators:
        if op.name in (*MIXING, DEPTHWISE):
            _cut_weights(model, graph, op, kept, ranges, source)
        elif op.name == "RESHAPE":
            _cut_shape(model, graph, op, kept)
    entries = model.metadata or []
    model.metadata = [e for e in entries if e.name not in (ENTRY, ENTRY.encode())]
    smaller = pack(model)
    after = read_tflite(smaller, source)
    changes = tuple(
        Change(layer_of(graph, a), layer_of(after, b))
        for a, b in zip(graph.operators, after.operators, strict=True)
        if a.name in (*MIXING, DEPTHWISE)
    )
    return Pruned(smaller, changes)


# ---- which channels stay ---------------------------------------------------------------------


def _kept(graph: Graph, ranges: Mapping[int, Range]) -> _Kept:
    """Of each tensor that is computed, what stays: the least that every operator can live with."""
    kept: _Kept = {
        i: np.zeros(graph.tensors[i].shape[-1:] or 1, bool)
        for i in {*graph.inputs, *(i for op in graph.operators for i in op.outputs)}
    }
    sources = {}
    for i in (*graph.inputs, *graph.outputs):
        kept[i][:] = True
    for op in graph.operators:
        if (source := _source(graph, op)) is not None:
            sources[op.index] = source
        elif _mixes(graph, op):
            kept[op.inputs[0]] |= _needed(graph, op, ranges.get(op.inputs[0]))
        else:
            for i in (*op.inputs, *op.outputs):
                if i in kept:
                    kept[i][:] = True
    _propagate(kept, graph, sources)
    for stay in kept.values():
        stay[:1] |= not stay.any()  # of a tensor something must be left
    _propagate(kept, graph, sources)
    return kept


def _propagate(kept: _Kept, graph: Graph, sources: Mapping[int, NDArray[np.intp]]) -> None:
    """Let channels stay that others are made of, and those that are made of what stays."""
    while True:  # once from the scores back does for a chain
        before = sum(int(stay.sum()) for stay in kept.values())
        for op in reversed([op for op in graph.operators if op.index in sources]):
            x, y, source = op.inputs[0], op.outputs[0], sources[op.index]
            kept[x][source[kept[y]]] = True
            kept[y] |= kept[x][source]
        if sum(int(stay.sum()) for stay in kept.values()) == before:
            return


def _source(graph: Graph, op: Operator) -> NDArray[np.intp] | None:
    """The input channel that each output channel is made of; None where it is made of several."""
    if not _is_plain(graph, op):
        return None
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    outputs = np.arange(y.shape[-1])
    if op.name == "RESHAPE":  # pixels lie one after another
        return None if y.shape[-1] % x.shape[-1] else outputs % x.shape[-1]
    if op.name == DEPTHWISE:
        return outputs // (y.shape[-1] // x.shape[-1]) if _weighted(graph, op) else None
    if op.name == "MEAN":
        axes = np.array(graph.tensors[op.inputs[1]].data if len(op.inputs) > 1 else -1)
        if np.any(axes % len(x.shape) == len(x.shape) - 1):
            return None
    return outputs if op.name in CHANNELWISE and x.shape[-1] == y.shape[-1] else None


def _is_plain(graph: Graph, op: Operator) -> bool:
    """Whether an operator works on int8, one in and one out, with constants of its own."""
    if not op.inputs or len(op.outputs) != 1 or op.inputs[0] < 0:
        return False
    ends = [graph.tensors[i] for i in (op.inputs[0], op.outputs[0])]
    rest = [i for i in op.inputs[1:] if i >= 0]
    own = all(sum(i in other.inputs for other in graph.operators) == 1 for i in rest)
    return (
        all(t.dtype == "int8" and len(t.shape) > 1 and t.elements for t in ends)
        and all(graph.tensors[i].data is not None for i in rest)
        and (own or op.name == "MEAN")  # whose axes stay what they are
    )


def _mixes(graph: Graph, op: Operator) -> bool:
    """Whether each output channel is a sum over all input channels, weights as we know them."""
    return op.name in MIXING and _is_plain(graph, op) and _weighted(graph, op)


def _weighted(graph: Graph, op: Operator) -> bool:
    """Whether weights and bias are laid out as this toolkit's converter lays them out."""
    constants = [graph.tensors[i] for i in op.inputs[1:] if i >= 0]
    if [t.dtype for t in constants] not in (["int8"], ["int8", "int32"]):
        return False
    x, y, weights = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], constants[0]
    along = y if op.name == DEPTHWISE else x
    whole = bool(weights.shape) and weights.shape[-1] == along.shape[-1]  # no groups
    flat = op.name != "FULLY_CONNECTED" or x.elements == x.shape[-1]
    return whole and flat and not weights.zero_point.any()


def _needed(graph: Graph, op: Operator, seen: Range | None) -> NDArray[np.bool_]:
    """Input channels that change, or are constants that the bias can't stand for."""
    x = graph.tensors[op.inputs[0]]
    if seen is None:
        return np.ones(x.shape[-1], bool)
    nothing = seen.low == x.zero_point[0]
    foldable = len(op.inputs) > 2 and op.inputs[2] >= 0 and not _pads(graph, op)
    return np.asarray(~(seen.steady & (nothing | foldable)))


def _pads(graph: Graph, op: Operator) -> bool:
    """Whether a window of the operator reaches beyond its input."""
    if op.name == "FULLY_CONNECTED" or op.options["padding"] == "VALID":
        return False
    x, w, y = (graph.tensors[i].shape for i in (*op.inputs[:2], *op.outputs))
    return any(
        (y[axis] - 1) * op.options[f"stride_{d}"]
        + (w[axis] - 1) * op.options[f"dilation_{d}_factor"]
        + 1
        > x[axis]
        for axis, d in ((1, "h"), (2, "w"))
    )


# ---- rewriting -------------------------------------------------------------------------------


def _narrowed(graph: Graph, index: int, stay: NDArray[np.bool_]) -> tuple[int, ...]:
    return (*graph.tensors[index].shape[:-1], int(stay.sum()))


def _reshape(model: Any, index: int, shape: tuple[int, ...]) -> None:
    tensor = model.subgraphs[0].tensors[index]
    tensor.shape = np.array(shape, np.int32)
    tensor.shapeSignature = None


def _set_constant(model: Any, index: int, data: NDArray[Any]) -> None:
    """New elements for a constant, in a buffer of its own where others use the old one."""
    _reshape(model, index, data.shape)
    tensor = model.subgraphs[0].tensors[index]
    raw = data.astype(data.dtype.newbyteorder("<")).tobytes()
    if sum(t.buffer == tensor.buffer for t in model.subgraphs[0].tensors) > 1:
        tensor.buffer = add_buffer(model, raw)
    else:
        set_buffer(model, tensor.buffer, raw)


def _cut_scales(model: Any, index: int, stay: NDArray[np.bool_]) -> None:
    """Of a constant that is quantised per channel."""
    q = model.subgraphs[0].tensors[index].quantization
    if q is None or q.scale is None or len(q.scale) != stay.size:
        return
    for name in ("scale", "zeroPoint", "min", "max"):
        values = getattr(q, name)
        if values is not None and len(values) == stay.size:
            setattr(q, name, np.asarray(values)[stay])


def _cut_weights(
    model: Any,
    graph: Graph,
    op: Operator,
    kept: _Kept,
    ranges: Mapping[int, Range],
    source: str,
) -> None:
    """Filters, biases and scales of channels that stay; what the others added joins the bias."""
    x, y = op.inputs[0], op.outputs[0]
    taken, given = kept[x], kept[y]
    if taken.all() and given.all():
        return
    weights = graph.tensors[op.inputs[1]].data
    assert weights is not None  # by the rule
    mixes = op.name in MIXING
    cut = weights[given][..., taken] if mixes else weights[..., given]
    bias_at = op.inputs[2] if len(op.inputs) > 2 else -1
    if bias_at >= 0:
        bias = np.asarray(graph.tensors[bias_at].data, np.int64)
        if mixes and not taken.all():
            held = ranges[x].low.astype(np.int64) - int(graph.tensors[x].zero_point[0])
            sums = weights.astype(np.int64).reshape(len(weights), -1, weights.shape[-1]).sum(axis=1)
            bias = bias + sums[:, ~taken] @ held[~taken]
        if np.any(np.abs(bias) > np.iinfo(np.int32).max):
            raise ConversionError(
                f"{source}: operator {op.index} ({op.name}): its bias with what the removed "
                f"channels add passes 32 bits; leave --prune out"
            )
        _set_constant(model, bias_at, bias[given].astype(np.int32))
        _cut_scales(model, bias_at, given)
    _set_constant(model, op.inputs[1], np.ascontiguousarray(cut))
    _cut_scales(model, op.inputs[1], given)


def _cut_shape(model: Any, graph: Graph, op: Operator, kept: _Kept) -> None:
    """The shape that a RESHAPE is told."""
    y = op.outputs[0]
    if kept[y].all():
        return
    shape = _narrowed(graph, y, kept[y])
    if len(op.inputs) > 1 and op.inputs[1] >= 0:
        said = np.array(graph.tensors[op.inputs[1]].data)
        _set_constant(model, op.inputs[1], np.where(said < 0, said, np.array(shape, said.dtype)))
    options = model.subgraphs[0].operators[op.index].builtinOptions
    if options is not None and options.newShape is not None:
        options.newShape = np.array(shape, np.int32)
