# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What here runs a ``.tflite``, before a spec and a device are known."""

from __future__ import annotations

from ecgqa_tflite.engine.planner import plan_tflite
from ecgqa_tflite.errors import ConversionError, ModelError
from ecgqa_tflite.tflite.adapt import adapt
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.tflite.scheme import FLOAT32, described, scheme


def what_runs(tflite: bytes) -> dict[str, str]:
    """What runs a ``.tflite`` as a bundle has it, or why not, in words.

    Returns
    -------
    dict
        ``litert``: the targets that LiteRT's or TFLM's kernels serve; ``engine``: cortex-m's.

    Raises
    ------
    ModelError
        A damaged file, or one that is not read.
    """
    graph = read_tflite(tflite)
    try:
        if scheme(graph) == FLOAT32:
            raise ConversionError(
                f"is {described(graph)}: --quantize none for targets that run float (raspberry-pi)"
            )
        adapted = adapt(tflite)
        census(adapted.tflite)
        network = Int8Network(adapted.tflite)
    except (ConversionError, ModelError) as error:
        told = f"no: {str(error).removeprefix('model: ')}"
        return {"litert": told, "engine": "no"}
    rows, cols, channels = network.input_shape
    told = f"yes, with a spec of {rows} x {cols} x {channels}, by LiteRT and TFLM"
    if adapted.changes:
        told += f"; ecgqa-convert changes it: {'; '.join(adapted.changes)}"
    try:
        plan = plan_tflite(adapted.tflite)
    except ConversionError as error:
        return {"litert": told, "engine": f"no: {error}"}
    return {"litert": told, "engine": f"yes, in {plan.workspace_bytes:,} bytes of its own"}
