# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model costs: size, work, memory of a device, time on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark import inputs, worker
from ecgqa_tflite.benchmark.job import Job
from ecgqa_tflite.benchmark.protocol import FULL, QUICK, Timing, pinned, take_times
from ecgqa_tflite.devices import BENCHES
from ecgqa_tflite.evaluation.footprint import ARENA, ENGINE, footprint
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import FrontEnd

VARIANT = "XNNPACK, 1 thread"
RAM_KINDS = {
    ENGINE: "row-streaming engine: whole workspace, planned",
    ARENA: "TFLM arena, host-measured, and the front end's workspace",
}


def size(model: ModelFolder) -> dict[str, Any]:
    """Multiply-accumulates, bytes, and RAM on a device, by :func:`footprint`.

    ``ram_kind`` says whose RAM it is; ``ram_bytes`` is None where it can't be told here.
    """
    found = footprint(model)
    return {
        "macs": found["macs"],
        "tflite_bytes": model.tflite_path.stat().st_size,
        "ram_bytes": found["ram_bytes"],
        "ram_kind": RAM_KINDS[found["runtime"]],
    }


def times_ms(model: ModelFolder, quick: bool = False) -> dict[str, Any]:
    """Time of a segment on one thread of this machine, LiteRT with XNNPACK, ms.

    Returns
    -------
    dict
        ``cwt`` (to the coloured image), ``int8`` and ``float`` (the network alone), each with
        ``median`` and the ``low`` and ``high`` of the loops' medians; ``noise``: what speaks
        against them.
    """
    segments, fs_hz, _ = inputs.load(None, model.spec)
    job = Job("host", VARIANT, model, segments, fs_hz, QUICK if quick else FULL)
    row = worker.measure_apart(BENCHES[job.target], job)
    cwt, colours = row.stages["cwt"], row.stages["image"]
    float_time = _time_float(model, quick)
    return {
        "cwt": {
            key: getattr(cwt, name) + getattr(colours, name)
            for key, name in (("median", "p50"), ("low", "low"), ("high", "high"))
        },
        "int8": _plain(row.stages["network"]),
        "float": _plain(float_time),
        "noise": [*row.noise, *(f"float: {phrase}" for phrase in float_time.noise())],
    }


def method_ms(
    method: Callable[[NDArray[np.int16], float], object], spec: FrontEnd, quick: bool = False
) -> dict[str, Any]:
    """Time of a method that takes segments as they are, ms per segment, one at a time.

    Parameters
    ----------
    method
        Takes int16 (n, segment_len) and their sampling rate, Hz.
    """
    segments, fs_hz, _ = inputs.load(None, spec)
    with pinned(1):
        timing = take_times(
            [lambda i: method(segments[i : i + 1], fs_hz)],
            len(segments),
            QUICK if quick else FULL,
        )[0]
    return {"path": _plain(timing), "noise": timing.noise()}


def _plain(timing: Timing) -> dict[str, float]:
    return {"median": timing.p50, "low": timing.low, "high": timing.high}


def _time_float(model: ModelFolder, quick: bool) -> Timing:
    """Time of the float network, from image to scores."""
    from ai_edge_litert.interpreter import Interpreter

    from ecgqa_tflite.networks import load_model
    from ecgqa_tflite.quantize.converter import float_tflite

    content = float_tflite(load_model(model.path))
    segments, fs_hz, _ = inputs.load(None, model.spec)
    maps = NativeFrontEnd(model.spec, fs_hz).index_maps(segments)
    images = image(maps, model.spec.colormap).astype(np.float32) / np.float32(255)
    with pinned(1):
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        index = interpreter.get_input_details()[0]["index"]

        def network(i: int) -> None:
            interpreter.set_tensor(index, images[i : i + 1])
            interpreter.invoke()

        return take_times([network], len(images), QUICK if quick else FULL)[0]
