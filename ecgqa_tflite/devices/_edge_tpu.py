# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Coral's Edge TPU: which operators its compiler maps, by its documented constraints.

The constraints are those of Coral's page "TensorFlow models on the Edge TPU" (coral.ai, docs,
edgetpu/models-intro): its model requirements and its table of supported operations with their known
limitations, which Axis repeats for ARTPEC-7 ("Supported ops", "Optimization tips"); the cache is
that of the page "Edge TPU Compiler". Rows from SLICE on were read in an earlier edition of the
table. RSQRT, SQUARED_DIFFERENCE, SUM, TRANSPOSE and TRANSPOSE_CONV were in neither and are listed
from memory, SUM with what the table says of other reductions; no network of this toolkit has them.

The page requires 8-bit quantisation, sizes and parameters that are constant at compile time, and
at most three dimensions. It names no limit on a convolution's stride, so conv 1 stays as it is.
The compiler maps operators up to the first that it can't; the rest runs on the CPU.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.tflite.read import Graph, Operator

COMPILER = "edgetpu_compiler"
CACHE_BYTES = 8 << 20
"""Edge TPU's memory, roughly, for parameters beside the executable: the rest comes over USB or
PCIe each time."""
SOFTMAX_MOST = 16_000
"""Elements of a softmax's input, at most."""
Z_MULTIPLE = 4
"""What the channels that MEAN reduces must be a multiple of."""
TIMEOUT_S = 600


def _no_activation(graph: Graph, op: Operator) -> str | None:
    fused = op.options.get("fused_activation_function", "NONE")
    return None if fused == "NONE" else f"has {fused} fused, which this operator must not"


def _convolution(graph: Graph, op: Operator) -> str | None:
    o = op.options
    if o["dilation_h_factor"] != o["dilation_w_factor"]:
        return "its dilation differs in rows and columns"
    return _constant_parameters(graph, op)


def _constant_parameters(graph: Graph, op: Operator) -> str | None:
    if any(i >= 0 and graph.tensors[i].data is None for i in op.inputs[1:]):
        return "its weights or biases are not constants"
    return None


def _fully_connected(graph: Graph, op: Operator) -> str | None:
    if op.options.get("weights_format", 0) != 0:
        return "its weights are not in the default format"
    shape = graph.tensors[op.outputs[0]].shape
    if sum(n > 1 for n in shape) > 1:
        return f"its output {shape} is not one-dimensional"
    return _constant_parameters(graph, op)


def _short_row(graph: Graph, op: Operator) -> str | None:
    x = graph.tensors[op.inputs[0]]
    if sum(n > 1 for n in x.shape) > 1 or x.elements > SOFTMAX_MOST:
        return f"its input {x.shape} is not one-dimensional or above {SOFTMAX_MOST:,} elements"
    return None


def _reduced_axes(graph: Graph, op: Operator) -> set[int] | None:
    """Axes from the front; None where they are not constant."""
    axes = graph.tensors[op.inputs[1]].data
    n = len(graph.tensors[op.inputs[0]].shape)
    return None if axes is None else {int(a) % n for a in axes.reshape(-1)}


def _keeps_batch(graph: Graph, op: Operator) -> str | None:
    axes = _reduced_axes(graph, op)
    return "reduces the batch" if axes is None or 0 in axes else None


def _mean(graph: Graph, op: Operator) -> str | None:
    axes = _reduced_axes(graph, op)
    shape = graph.tensors[op.inputs[0]].shape
    if axes is not None and len(shape) - 1 in axes and shape[-1] % Z_MULTIPLE:
        return f"reduces {shape[-1]} channels, no multiple of {Z_MULTIPLE}"
    return _keeps_batch(graph, op)


def _no_batch_padding(graph: Graph, op: Operator) -> str | None:
    amounts = graph.tensors[op.inputs[1]].data
    return None if amounts is not None and not amounts[0].any() else "pads the batch"


def _no_batch_packing(graph: Graph, op: Operator) -> str | None:
    n = len(graph.tensors[op.outputs[0]].shape)
    return "packs along the batch" if n and op.options["axis"] % n == 0 else None


def _no_batch_splitting(graph: Graph, op: Operator) -> str | None:
    axis = graph.tensors[op.inputs[0]].data
    n = len(graph.tensors[op.inputs[1]].shape)
    if axis is None or int(axis.reshape(-1)[0]) % max(n, 1) == 0:
        return "splits the batch"
    return None


def _concatenation(graph: Graph, op: Operator) -> str | None:
    constants = [x for i in op.inputs if (x := graph.tensors[i].data) is not None]
    if constants and (len(op.inputs) != 2 or any(x.any() for x in constants)):
        return "joins a constant that is not all zeros, or more than one tensor with it"
    return _no_activation(graph, op)


def _one_slope_a_channel(graph: Graph, op: Operator) -> str | None:
    shape = graph.tensors[op.inputs[1]].shape
    return f"its slopes {shape} differ within a channel" if any(n > 1 for n in shape[:-1]) else None


def _leading_ones_only(graph: Graph, op: Operator) -> str | None:
    shape = graph.tensors[op.inputs[0]].shape
    n = len(shape)
    first = next((i for i, size in enumerate(shape) if size > 1), n)
    squeezed = {int(a) % n for a in op.options.get("squeeze_dims") or ()}
    squeezed = squeezed or {i for i, size in enumerate(shape) if size == 1}
    return "squeezes others than leading dimensions" if any(i > first for i in squeezed) else None


def _unit_strides(graph: Graph, op: Operator) -> str | None:
    strides = graph.tensors[op.inputs[3]].data if len(op.inputs) > 3 else None
    masks = any(op.options.get(mask) for mask in ("ellipsis_mask", "new_axis_mask"))
    if strides is None or (strides != 1).any() or masks:
        return "its strides are not all 1, or it has an ellipsis or a new axis"
    return None


def _free(graph: Graph, op: Operator) -> str | None:
    return None


SUPPORTED: dict[str, Callable[[Graph, Operator], str | None]] = {
    "ADD": _free,
    "AVERAGE_POOL_2D": _no_activation,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "EXPAND_DIMS": _free,
    "FULLY_CONNECTED": _fully_connected,
    "L2_NORMALIZATION": _free,
    "LOGISTIC": _free,
    "MAXIMUM": _free,
    "MAX_POOL_2D": _no_activation,
    "MEAN": _mean,
    "MINIMUM": _free,
    "MUL": _free,
    "PACK": _no_batch_packing,
    "PAD": _no_batch_padding,
    "PRELU": _one_slope_a_channel,
    "QUANTIZE": _free,
    "REDUCE_MAX": _keeps_batch,
    "REDUCE_MIN": _keeps_batch,
    "RELU": _free,
    "RELU6": _free,
    "RELU_N1_TO_1": _free,
    "RESHAPE": _free,
    "RESIZE_BILINEAR": _free,
    "RESIZE_NEAREST_NEIGHBOR": _free,
    "RSQRT": _free,
    "SLICE": _free,
    "SOFTMAX": _short_row,
    "SPACE_TO_DEPTH": _free,
    "SPLIT": _no_batch_splitting,
    "SQUARED_DIFFERENCE": _free,
    "SQUEEZE": _leading_ones_only,
    "STRIDED_SLICE": _unit_strides,
    "SUB": _free,
    "SUM": _keeps_batch,
    "TANH": _free,
    "TRANSPOSE": _free,
    "TRANSPOSE_CONV": _free,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _free,
}
"""Operators that the compiler maps, and the condition on each: None, or why not."""


def check(graph: Graph, constant_bytes: int) -> dict[str, Any]:
    """Which operators should be mapped, and why the others aren't; plain types for JSON."""
    operators = []
    mapped = True
    for op in graph.operators:
        if op.name in SUPPORTED:
            reason = SUPPORTED[op.name](graph, op) or _three_dimensions(graph, op)
        else:
            reason = "is not supported"
        if reason is None and not mapped:
            reason = "follows one that is not mapped"
        mapped = mapped and reason is None
        operators.append({"operator": op.name, "mapped": reason is None, "why_not": reason})
    return {
        "source": "constraints of coral.ai/docs/edgetpu/models-intro, not the compiler's word",
        "operators": operators,
        "mapped": sum(bool(op["mapped"]) for op in operators),
        "parameters_bytes": constant_bytes,
        "parameters_fit_cache": constant_bytes <= CACHE_BYTES,
    }


def _three_dimensions(graph: Graph, op: Operator) -> str | None:
    """Only the three innermost dimensions of an activation may exceed 1."""
    for i in (*op.inputs, *op.outputs):
        t = graph.tensors[i] if i >= 0 else None
        if t is not None and t.data is None and any(n > 1 for n in t.shape[:-3]):
            return f"tensor {t.name!r} of shape {t.shape} has more than three dimensions"
    return None


def compile_if_installed(tflite: bytes, name: str) -> tuple[bytes, str] | None:
    """The compiled file and the compiler's version; None where it isn't installed.

    Raises
    ------
    ConversionError
        The compiler fails.
    """
    program = shutil.which(COMPILER)
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{name}.tflite"
        source.write_bytes(tflite)
        try:
            done = subprocess.run(
                [program, "-o", scratch, str(source)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            stated = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConversionError(f"{name}: {COMPILER} fails ({error})") from error
        out = Path(scratch) / f"{name}_edgetpu.tflite"
        if done.returncode or not out.is_file():
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            word = said[-1].strip()[:200] if said else f"exit code {done.returncode}"
            raise ConversionError(f"{name}: {COMPILER} refuses it ({word})")
        return out.read_bytes(), (stated.stdout.strip().splitlines() or ["unknown"])[0]
