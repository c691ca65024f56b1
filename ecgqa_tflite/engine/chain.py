# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A ``.tflite`` as the row-streaming engine's layers: shapes, packed weights, requantisation.

The arithmetic is that of TensorFlow Lite's reference kernels; a network that the engine can't run
to the same bytes is refused with the operator, its index and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine.layers import Chain, Layer, Network, Shape
from ecgqa_tflite.engine.legality import CONVERT, refusal, shape4
from ecgqa_tflite.engine.operators import OPERATORS
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.tflite.read import Graph, Operator, Tensor


def read_network(graph: Graph, activity: Mapping[int, NDArray[np.int64]] | None = None) -> Network:
    """The engine's layers of a full-int8 graph.

    Parameters
    ----------
    activity
        How often each channel is not at its least value, by tensor, (channels,). Convolutions that
        feed a convolution give their channels by it, most active first, so that the rest lies
        together and is skipped; None: in the graph's order.

    Raises
    ------
    ConversionError
        An operator, a branch or a number that the engine can't run to the same bytes.
    """
    _require_chain(graph)
    chain = Chain(graph)
    for op in graph.operators:
        if chain.softmax is not None:
            raise refusal(op, "follows SOFTMAX, which must be last")
        OPERATORS[op.name].add(op, chain)
    if not chain.layers:
        raise ConversionError("the network has no layer that computes anything")
    image = shape4(graph.operators[0], graph.tensors[graph.inputs[0]])
    first = chain.layers[0]
    # One colour a pixel takes no more room than its index: coloured once, as the row comes in.
    from_index = first.kind.colours and image.channels > 1
    chain.layers[0] = replace(first, from_index=from_index)
    layers = trimmed(chain.layers)
    for i in range(len(layers) - 1):
        if activity is not None and all(
            x.kind.packed and x.kind.convolves for x in layers[i : i + 2]
        ):
            order = np.argsort(-activity[layers[i].output], kind="stable")
            layers[i], layers[i + 1] = _reordered(layers[i], layers[i + 1], order)
    layers = [layer.kind.packing(layer) for layer in layers]
    last = layers[-1].pooled
    if last.rows * last.cols != 1:
        raise ConversionError(f"the last layer gives {last}; it must give one value per class")
    return Network(tuple(layers), chain.softmax, image, last.channels)


def _require_chain(graph: Graph) -> None:
    """The operators are known ones, in order, each taking the output of the one before."""
    if not graph.operators:
        raise ConversionError("the network has no operators")
    at = graph.inputs[0]
    for op in graph.operators:
        if op.name not in OPERATORS:
            raise refusal(op, f"is not one that the engine runs ({', '.join(OPERATORS)})")
        if not op.inputs or op.inputs[0] != at or len(op.outputs) != 1:
            raise refusal(
                op, "does not take the output of the operator before it; branches are not run"
            )
        for i in op.inputs[1:]:
            if i >= 0 and graph.tensors[i].data is None:
                raise refusal(op, "has weights that are not constant")
        for i in (op.inputs[0], op.outputs[0]):
            _require_activation(op, graph.tensors[i])
        at = op.outputs[0]
    if tuple(graph.outputs) != (at,):
        raise ConversionError("the network's output is not its last operator's")


def _require_activation(op: Operator, t: Tensor) -> None:
    if t.dtype != "int8" or t.quant_scale.size != 1 or t.dynamic:
        raise refusal(
            op,
            f"works on {t.dtype} {t.shape}; every activation must be int8 of a fixed shape, "
            f"quantised per tensor",
            CONVERT,
        )
    if t.shape and t.shape[0] != 1:
        raise refusal(op, f"works on a batch of {t.shape[0]}", "convert it for batch 1")


def _reordered(layer: Layer, following: Layer, order: NDArray[np.int64]) -> tuple[Layer, Layer]:
    """The layer with its output channels in an order, and the one after it, which takes them."""
    channels = layer.out.channels
    padded = np.append(order, np.arange(channels, layer.bias.size))
    taps = following.weights.reshape(following.out.channels, -1, channels)
    return (
        replace(
            layer,
            weights=layer.weights.reshape(channels, -1)[order],
            bias=layer.bias[padded],
            multiplier_q31=layer.multiplier_q31[padded],
            shift=layer.shift[padded],
            order=tuple(order.tolist()),
        ),
        replace(following, weights=np.ascontiguousarray(taps[:, :, order])),
    )


def trimmed(layers: list[Layer]) -> list[Layer]:
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
        if not layer.kind.accumulates and i > 0:
            in_ = Shape(
                min(in_.rows, layer.kernel.reach(out.rows)),
                min(in_.cols, layer.kernel.reach_cols(out.cols)),
                in_.channels,
            )
        done.append(replace(layer, in_=in_, out=out, pooled=pooled))
        needed = in_
    return done[::-1]
