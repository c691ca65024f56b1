# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The network as generated C: ``const ecgqa_nn_model_t`` with its layers, weights and plan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine.c_source import array, preamble
from ecgqa_tflite.engine.layers import Shape, Window
from ecgqa_tflite.engine.packing import WEIGHTS_TAIL
from ecgqa_tflite.engine.planner import LayerPlan, Plan
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.tflite.read import network_digest, read_tflite

NN_FORMAT = 2
"""``ECGQA_NN_FORMAT``; a test holds it against the header."""


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
    lut_s8 = (lut.astype(np.int16) - 128).astype(np.int8)
    text += array(f"{name}_lut_s8", lut_s8) + "\n"
    for i, layer in enumerate(plan.layers, start=1):
        for key, values in _constants(layer).items():
            text += array(f"{name}_{i}_{key}", values) + "\n"
    rows = ",\n".join(_layer(layer, f"{name}_{i}") for i, layer in enumerate(plan.layers, start=1))
    text += f"static const ecgqa_nn_layer_t {name}_layers[{len(plan.layers)}] = {{\n{rows}\n}};\n\n"
    softmax = plan.network.softmax
    if softmax is not None:
        text += (
            f"static const ecgqa_nn_softmax_t {name}_softmax = "
            f"{{{softmax.multiplier_q31}, {softmax.left_shift}, {softmax.diff_min}}};\n\n"
        )
    cells = {
        "format": NN_FORMAT,
        "n_layers": len(plan.layers),
        "rows": image.rows,
        "cols": image.cols,
        "channels": image.channels,
        "classes": plan.network.classes,
        "spec_hash": f"UINT64_C(0x{spec_hash:016x})",
        "model_id": f"UINT64_C(0x{model_id:016x})",
        "lut_s8": f"{name}_lut_s8",
        "layers": f"{name}_layers",
        "softmax": f"&{name}_softmax" if softmax is not None else "NULL",
        "progress_at": plan.progress_at,
        "logits_at": plan.logits_at,
        "scores_at": plan.scores_at,
        "idle_at": plan.idle_at,
        "idle_bytes": plan.idle_bytes,
        "workspace_bytes": plan.workspace_bytes,
    }
    body = "\n".join(f"    {value}, /* {key} */" for key, value in cells.items())
    # extern first: a const object of C++ is else seen by its own file alone.
    return (
        f'{text}#ifdef __cplusplus\nextern "C"\n#else\nextern\n#endif\n'
        f"const ecgqa_nn_model_t {name};\n"
        f"const ecgqa_nn_model_t {name} = {{\n{body}\n}};\n"
    )


def _constants(plan: LayerPlan) -> dict[str, NDArray[Any]]:
    layer = plan.layer
    constants: dict[str, NDArray[Any]] = {}
    if layer.kind.packed:
        # As words, so that the array is aligned in every dialect of C; little-endian cores.
        tail = np.zeros(WEIGHTS_TAIL, np.uint8)
        constants["weights"] = np.concatenate([layer.weights.reshape(-1), tail]).view("<u4")
    elif layer.weights.size:
        constants["weights"] = layer.weights.view(np.int8)
    for key in ("bias", "multiplier_q31", "shift"):
        if (values := getattr(layer, key)).size:
            constants[key] = values
    return constants


def _shape(shape: Shape) -> str:
    return f"{{{shape.rows}, {shape.cols}, {shape.channels}}}"


def _window(w: Window) -> str:
    return f"{{{w.rows}, {w.cols}, {w.stride_rows}, {w.stride_cols}, {w.pad_top}, {w.pad_left}}}"


def _layer(plan: LayerPlan, name: str) -> str:
    layer = plan.layer
    constants = _constants(plan)
    pointers = [
        f"{name}_{key}" if key in constants else "NULL"
        for key in ("weights", "bias", "multiplier_q31", "shift")
    ]
    cells = [
        ("kind", str(layer.kind.number)),
        ("in_zero_point", str(layer.in_zero_point)),
        ("out_zero_point", str(layer.out_zero_point)),
        ("act_min", str(layer.act_min)),
        ("act_max", str(layer.act_max)),
        ("from_index", str(int(layer.from_index))),
        ("gather", str(int(layer.gather))),
        ("reserved", "0"),
        ("in", _shape(layer.in_)),
        ("out", _shape(layer.out)),
        ("pooled", _shape(layer.pooled)),
        ("kernel", _window(layer.kernel)),
        ("pool", _window(layer.pool)),
        ("weights", pointers[0]),
        ("bias", pointers[1]),
        ("multiplier_q31", pointers[2]),
        ("shift", pointers[3]),
        ("runs", str(layer.runs)),
        ("run_len", str(layer.run_len)),
        ("chunk_len", str(plan.chunk_len)),
        ("patch_bytes", str(plan.patch_bytes)),
        ("chunks", str(plan.chunks)),
        ("chunks_a_step", str(plan.chunks_a_step)),
        ("channel_block", str(plan.channel_block)),
        ("blocks_a_step", str(plan.blocks_a_step)),
        ("window_rows", str(plan.window_rows)),
        ("carry_rows", str(plan.carry_rows)),
        ("window_at", str(plan.window_at)),
        ("carry_at", str(plan.carry_at)),
        ("accumulators_at", str(plan.accumulators_at)),
        ("gather_at", str(plan.gather_at)),
        ("patch_at", str(plan.patch_at)),
    ]
    body = "\n".join(f"        {value}, /* {key} */" for key, value in cells)
    return f"    {{ /* {layer.kind} */\n{body}\n    }}"
