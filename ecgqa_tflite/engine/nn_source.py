# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The network as generated C: ``const ecgqa_nn_model_t`` with its layers, weights and plan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine import c_struct
from ecgqa_tflite.engine.c_source import array, preamble
from ecgqa_tflite.engine.c_struct import Number
from ecgqa_tflite.engine.layers import Shape, Softmax, Window
from ecgqa_tflite.engine.packing import WEIGHTS_TAIL
from ecgqa_tflite.engine.planner import LayerPlan, Plan
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.tflite.read import network_digest, read_tflite

NN_FORMAT = 3
"""``ECGQA_NN_FORMAT``; a test holds it against the header."""
LAYER_POINTERS = ("weights", "bias", "multiplier_q31", "shift")
"""Of ``ecgqa_nn_layer_t``, in order."""


def model_id(tflite: bytes) -> int:
    """First 8 bytes of the network's digest, as ``ecgqa_nn_model_t.model_id``."""
    return int(network_digest(read_tflite(tflite))[:16], 16)


def nn_source(
    plan: Plan, name: str, *, lut: NDArray[np.uint8], spec_hash: int, model_id: int
) -> str:
    """The C file that defines ``const ecgqa_nn_model_t <name>``.

    Parameters
    ----------
    plan
        The network and its plan.
    name
        C identifier.
    lut
        Colour of each index, uint8 (256, channels): ``frontend.colormap.lut``.
    spec_hash, model_id
        First 8 bytes of the spec's SHA-256 and of the network's digest.

    Raises
    ------
    ArgumentError
        The LUT has another number of channels than the network's image.
    """
    image = plan.network.image
    if lut.shape != (256, image.channels):
        raise ArgumentError(
            f"colour LUT of shape {lut.shape} for a network that takes {image}: the spec's colour "
            f"map is not the one it was trained on"
        )
    text = preamble(
        f"Network: {image} image to {plan.network.classes} classes, {plan.network.macs:,} "
        f"multiply-accumulates.",
        spec_hash,
        "ecgqa/nn.h",
        "ECGQA_NN_FORMAT",
        NN_FORMAT,
    )
    text += array(f"{name}_lut_s8", to_int8(lut)) + "\n"
    for i, layer in enumerate(plan.layers, start=1):
        for key, values in constants(layer).items():
            text += array(f"{name}_{i}_{key}", values) + "\n"
    rows = ",\n".join(_layer(layer, f"{name}_{i}") for i, layer in enumerate(plan.layers, start=1))
    text += f"static const ecgqa_nn_layer_t {name}_layers[{len(plan.layers)}] = {{\n{rows}\n}};\n\n"
    softmax = plan.network.softmax
    if softmax is not None:
        text += (
            f"static const ecgqa_nn_softmax_t {name}_softmax = {{\n"
            f"{c_struct.body(softmax_numbers(softmax), {})}\n}};\n\n"
        )
    pointers = {
        "lut_s8": f"{name}_lut_s8",
        "layers": f"{name}_layers",
        "softmax": f"&{name}_softmax" if softmax is not None else "NULL",
    }
    body = c_struct.body(model_numbers(plan, spec_hash, model_id), pointers)
    # extern first: a const object of C++ is else seen by its own file alone.
    return (
        f'{text}#ifdef __cplusplus\nextern "C"\n#else\nextern\n#endif\n'
        f"const ecgqa_nn_model_t {name};\n"
        f"const ecgqa_nn_model_t {name} = {{\n{body}\n}};\n"
    )


def constants(plan: LayerPlan) -> dict[str, NDArray[Any]]:
    """What the pointers of ``ecgqa_nn_layer_t`` lead to, by name; left out where they are NULL."""
    layer = plan.layer
    found: dict[str, NDArray[Any]] = {}
    if layer.kind.packed:
        # As words, so that the array is aligned in every dialect of C; little-endian cores.
        tail = np.zeros(WEIGHTS_TAIL, np.uint8)
        found["weights"] = np.concatenate([layer.weights.reshape(-1), tail]).view("<u4")
    elif layer.weights.size:
        found["weights"] = layer.weights.view(np.int8)
    for key in LAYER_POINTERS[1:]:
        if (values := getattr(layer, key)).size:
            found[key] = values
    return found


def softmax_numbers(softmax: Softmax) -> list[Number]:
    """Of ``ecgqa_nn_softmax_t``, in order, without the digest."""
    return [
        Number("multiplier_q31", "i", (softmax.multiplier_q31,)),
        Number("left_shift", "I", (softmax.left_shift,)),
        Number("diff_min", "i", (softmax.diff_min,)),
    ]


def model_numbers(plan: Plan, spec_hash: int, model_id: int) -> list[Number]:
    """Of ``ecgqa_nn_model_t``, in order, without the digest."""
    image = plan.network.image
    return [
        Number("format", "H", (NN_FORMAT,)),
        Number("n_layers", "H", (len(plan.layers),)),
        Number("rows", "H", (image.rows,)),
        Number("cols", "H", (image.cols,)),
        Number("spec_hash", "Q", (spec_hash,)),
        Number("model_id", "Q", (model_id,)),
        *(
            Number(key, "I", (getattr(plan, key),))
            for key in (
                *("progress_at", "logits_at", "scores_at", "idle_at", "idle_bytes"),
                "workspace_bytes",
            )
        ),
        Number("channels", "H", (image.channels,)),
        Number("classes", "H", (plan.network.classes,)),
    ]


def _shape(name: str, shape: Shape) -> Number:
    return Number(name, "H", (shape.rows, shape.cols, shape.channels))


def _window(name: str, w: Window) -> Number:
    values = (w.rows, w.cols, w.stride_rows, w.stride_cols, w.pad_top, w.pad_left)
    return Number(name, "B", values)


def layer_numbers(plan: LayerPlan) -> list[Number]:
    """Of ``ecgqa_nn_layer_t``, in order, without the digest."""
    layer = plan.layer
    return [
        Number("kind", "B", (layer.kind.number,)),
        *(
            Number(key, "b", (getattr(layer, key),))
            for key in ("in_zero_point", "out_zero_point", "act_min", "act_max")
        ),
        Number("from_index", "B", (int(layer.from_index),)),
        Number("gather", "B", (int(layer.gather),)),
        _window("kernel", layer.kernel),
        _window("pool", layer.pool),
        Number("reserved", "B", (0, 0, 0)),
        _shape("in", layer.in_),
        _shape("out", layer.out),
        _shape("pooled", layer.pooled),
        *(Number(key, "H", (getattr(layer, key),)) for key in ("runs", "run_len")),
        *(
            Number(key, "H", (getattr(plan, key),))
            for key in (
                *("chunk_len", "patch_bytes", "chunks", "chunks_a_step", "channel_block"),
                *("blocks_a_step", "window_rows", "carry_rows"),
            )
        ),
        *(
            Number(key, "I", (getattr(plan, key),))
            for key in ("window_at", "carry_at", "accumulators_at", "gather_at", "patch_at")
        ),
    ]


def _layer(plan: LayerPlan, name: str) -> str:
    there = constants(plan)
    pointers = {key: f"{name}_{key}" if key in there else "NULL" for key in LAYER_POINTERS}
    body = c_struct.body(layer_numbers(plan), pointers, indent=" " * 8)
    return f"    {{ /* {plan.layer.kind} */\n{body}\n    }}"
