# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro: its resolver as C++, and its arena, found by search with the real thing.

The PyPI package ``tflite-micro`` is TFLM itself, compiled for x86-64. It is C++ that ends the
process where it fails hard, so it runs in one of its own.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError, ToolError
from ecgqa_tflite.tflite.read import Graph

GRANULE = 16
"""The arena's alignment: sizes between multiples of it are one size, bytes."""
SPARE_BYTES = 1024
"""Part of the margin that is for the interpreter's own structures, whatever the network."""
TIMEOUT_S = 600
LOGIT_SLACK = 1
"""Steps that a logit of TFLM may differ from LiteRT's reference kernel: in FULLY_CONNECTED TFLM
rounds twice (times a multiplier, then over a power of two), LiteRT once, in double precision."""

METHODS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEQUANTIZE": "AddDequantize",
    "FULLY_CONNECTED": "AddFullyConnected",
    "LEAKY_RELU": "AddLeakyRelu",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "QUANTIZE": "AddQuantize",
    "RELU": "AddRelu",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "SOFTMAX": "AddSoftmax",
    "SPACE_TO_DEPTH": "AddSpaceToDepth",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "SUM": "AddSum",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
    "ethos-u": "AddEthosU",
}
"""``MicroMutableOpResolver``'s method for an operator."""


def resolver_methods(operators: list[str], source: str = "model") -> list[str]:
    """Methods that register exactly these operators, each once, in order of first use.

    Raises
    ------
    ConversionError
        An operator that TFLM has no method for here.
    """
    unknown = [op for op in operators if op not in METHODS]
    if unknown:
        raise ConversionError(
            f"{source}: TensorFlow Lite Micro's resolver has no method for {unknown[0]} here; "
            f"replace the layer"
        )
    return list(dict.fromkeys(METHODS[op] for op in operators))


@dataclass(frozen=True)
class Arena:
    """An arena's size and where it comes from.

    Attributes
    ----------
    least_bytes
        Least that allocates and invokes, on this host.
    margin_bytes
        What is added: a 16-bit copy of the largest kernel's patches, which CMSIS-NN keeps as
        scratch and the portable kernels don't, and 1 KiB.
    version
        Of the package ``tflite-micro`` that measured it.
    """

    least_bytes: int
    margin_bytes: int
    version: str

    @property
    def bytes(self) -> int:
        """What the constant says."""
        return -(-(self.least_bytes + self.margin_bytes) // GRANULE) * GRANULE

    @property
    def how(self) -> str:
        """One line: how the figure was found."""
        return (
            f"host-measured: {self.least_bytes} bytes is the least with which tflite-micro "
            f"{self.version} (x86-64, portable kernels) allocates and invokes, by search; margin "
            f"{self.margin_bytes}"
        )


def margin_bytes(graph: Graph) -> int:
    """Spare bytes: see :class:`Arena`."""
    patches = [
        graph.tensors[op.inputs[1]].elements // graph.tensors[op.inputs[1]].shape[0]
        for op in graph.operators
        if op.name == "CONV_2D"
    ]
    # Two pixels' patches as int16.
    return SPARE_BYTES + 4 * max(patches, default=0)


def find_arena(tflite: bytes, graph: Graph) -> Arena:
    """Search the least arena with which TFLM allocates and invokes.

    Raises
    ------
    ToolError
        ``tflite-micro`` isn't installed or can't run the network at all.
    """
    answer = _in_tflm(tflite, None, None)
    return Arena(answer["least"], margin_bytes(graph), metadata.version("tflite-micro"))


def tflm_scores(tflite: bytes, images: NDArray[np.int8], arena_bytes: int) -> NDArray[np.int8]:
    """Scores of int8 images (n, rows, cols, channels) by TFLM with this arena: int8 (n, classes).

    Raises
    ------
    ToolError
        ``tflite-micro`` isn't installed, or the arena is too small.
    """
    answer = _in_tflm(tflite, images, arena_bytes)
    return np.array(answer["scores"], np.int8)


def score_slack(graph: Graph) -> int:
    """Most that TFLM's int8 scores may differ from LiteRT's, from :data:`LOGIT_SLACK`.

    A softmax of two classes is steepest at a half, where it gains a quarter of what the distance of
    the logits gains; both logits may be off, in opposite directions, and the score is rounded.
    """
    if all(op.name != "FULLY_CONNECTED" for op in graph.operators):
        return 0
    last = graph.operators[-1]
    if last.name != "SOFTMAX":
        return LOGIT_SLACK
    logits, scores = graph.tensors[last.inputs[0]], graph.tensors[last.outputs[0]]
    distance = 2 * LOGIT_SLACK * float(logits.quant_scale[0])
    return math.floor(distance / 4 / float(scores.quant_scale[0])) + 1


def installed() -> bool:
    """Whether TFLM can be run here."""
    return importlib.util.find_spec("tflite_micro") is not None


def _in_tflm(tflite: bytes, images: NDArray[np.int8] | None, arena: int | None) -> dict[str, int]:
    if not installed():
        raise ToolError("TensorFlow Lite Micro is needed: pip install '.[tflm]' (x86-64 Linux)")
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "model.tflite").write_bytes(tflite)
        if images is not None:
            np.save(Path(scratch) / "images.npy", images)
        command = [
            sys.executable,
            "-P",
            "-m",
            f"{__package__}.tflm_process",
            scratch,
            str(arena or 0),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"tflite-micro did not finish in {TIMEOUT_S} s") from error
        answer = Path(scratch) / "answer.json"
        if done.returncode or not answer.is_file():
            said = [line for line in done.stderr.splitlines() if line.strip()]
            word = said[-1] if said else f"exit code {done.returncode}"
            raise ToolError(f"tflite-micro can't run the network ({word.strip()[:200]})")
        loaded: dict[str, int] = json.loads(answer.read_text())
        return loaded
