"""Coral's Edge TPU: which operators its compiler maps, by its documented constraints.

Constraints: "TensorFlow models on the Edge TPU" (coral.ai/docs/edgetpu/models-intro), model
requirements and supported operations. The compiler maps operators up to the first that it can't;
the rest runs on the CPU.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.tflite import Graph, Operator

COMPILER = "edgetpu_compiler"
CACHE_BYTES = 8 << 20
"""Edge TPU's memory, which caches parameters: beyond it they come over USB or PCIe each time."""
SOFTMAX_MOST = 16_000
TIMEOUT_S = 600


def _no_activation(graph: Graph, op: Operator) -> str | None:
    fused = op.options.get("fused_activation_function", "NONE")
    return None if fused == "NONE" else f"has {fused} fused, which this operator must not"


def _equal_dilation(graph: Graph, op: Operator) -> str | None:
    o = op.options
    if o["dilation_h_factor"] != o["dilation_w_factor"]:
        return "its dilation differs in rows and columns"
    return None


def _no_dilation(graph: Graph, op: Operator) -> str | None:
    o = op.options
    return None if o["dilation_h_factor"] == o["dilation_w_factor"] == 1 else "is dilated"


def _one_row_out(graph: Graph, op: Operator) -> str | None:
    shape = graph.tensors[op.outputs[0]].shape
    return None if sum(n > 1 for n in shape) <= 1 else f"its output {shape} is not one-dimensional"


def _short_row(graph: Graph, op: Operator) -> str | None:
    x = graph.tensors[op.inputs[0]]
    if sum(n > 1 for n in x.shape) > 1 or x.elements > SOFTMAX_MOST:
        return f"its input {x.shape} is not one-dimensional or above {SOFTMAX_MOST:,} elements"
    return None


def _rows_and_cols_only(graph: Graph, op: Operator) -> str | None:
    axes = graph.tensors[op.inputs[1]].data
    n = len(graph.tensors[op.inputs[0]].shape)
    if axes is None or n != 4 or {int(a) % n for a in axes.reshape(-1)} - {1, 2}:
        return "reduces other axes than rows and columns"
    return None


def _no_batch_padding(graph: Graph, op: Operator) -> str | None:
    amounts = graph.tensors[op.inputs[1]].data
    return None if amounts is not None and not amounts[0].any() else "pads the batch"


def _joins_activations(graph: Graph, op: Operator) -> str | None:
    if any(graph.tensors[i].data is not None for i in op.inputs):
        return "joins a constant"
    return _no_activation(graph, op)


def _free(graph: Graph, op: Operator) -> str | None:
    return None


SUPPORTED: dict[str, Callable[[Graph, Operator], str | None]] = {
    "ADD": _free,
    "AVERAGE_POOL_2D": _no_activation,
    "CONCATENATION": _joins_activations,
    "CONV_2D": _equal_dilation,
    "DEPTHWISE_CONV_2D": _no_dilation,
    "EXPAND_DIMS": _free,
    "FULLY_CONNECTED": _one_row_out,
    "L2_NORMALIZATION": _free,
    "LOGISTIC": _free,
    "MAXIMUM": _free,
    "MAX_POOL_2D": _no_activation,
    "MEAN": _rows_and_cols_only,
    "MINIMUM": _free,
    "MUL": _free,
    "PACK": _free,
    "PAD": _no_batch_padding,
    "QUANTIZE": _free,
    "RELU": _free,
    "RELU6": _free,
    "RELU_N1_TO_1": _free,
    "RESHAPE": _free,
    "RESIZE_BILINEAR": _free,
    "RESIZE_NEAREST_NEIGHBOR": _free,
    "SLICE": _free,
    "SOFTMAX": _short_row,
    "SPACE_TO_DEPTH": _free,
    "SPLIT": _free,
    "SQUEEZE": _free,
    "STRIDED_SLICE": _free,
    "SUB": _free,
    "SUM": _rows_and_cols_only,
    "TANH": _free,
    "TRANSPOSE": _free,
    "TRANSPOSE_CONV": _free,
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
        "source": "documented constraints, not the compiler's word",
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
