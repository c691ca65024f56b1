# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A board with a Coral Edge TPU, through LiteRT's delegate."""

from __future__ import annotations

import ctypes
import shutil
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.path import time_path
from ecgqa_tflite.benchmark.protocol import pinned
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.devices import _edge_tpu as edge_tpu
from ecgqa_tflite.devices import _linux
from ecgqa_tflite.devices._device import BundleKind, Device, Parts, Prepared
from ecgqa_tflite.errors import ModelError, ToolError
from ecgqa_tflite.tflite.census import census

LIBRARY = "libedgetpu.so.1"


def prepare(parts: Parts) -> Prepared:
    """The check against the documented constraints, and the compiled file where it can be had."""
    name = parts.model.name
    checked = edge_tpu.check(parts.graph, census(parts.tflite, name).constant_bytes)
    compiled = edge_tpu.compile_if_installed(parts.tflite, name)
    files: dict[str, bytes | str] = {}
    manifest: dict[str, Any] = {"name": "coral", "check": checked, "compiled": None}
    if compiled is not None:
        tflite, version = compiled
        manifest["compiled"] = f"{name}_edgetpu.tflite"
        manifest["versions"] = {edge_tpu.COMPILER: version}
        files[manifest["compiled"]] = tflite
    table = "\n".join(
        f"| {op['operator']} | {'Edge TPU' if op['mapped'] else 'CPU: ' + op['why_not']} |"
        for op in checked["operators"]
    )
    words = {
        "coral": True,
        "mapped": f"{checked['mapped']} of {len(checked['operators'])}",
        "mapping": table,
        "parameters_bytes": f"{checked['parameters_bytes']:,}",
        "fits": "fit" if checked["parameters_fit_cache"] else "do not fit",
    }
    return _linux.prepared(parts, manifest, words, files)


def missing_compiler() -> str | None:
    """What a bundle is compiled with; it is made without, too."""
    if shutil.which(edge_tpu.COMPILER) is None:
        return f"{edge_tpu.COMPILER} (coral.ai/docs/edgetpu/compiler): without it, CPU only"
    return None


def missing() -> str | None:
    """Its library, or the device itself."""
    try:
        ctypes.CDLL(LIBRARY)
        _delegate()
    except OSError:
        return f"{LIBRARY} is not installed (Coral's own package repository has it)"
    except (ValueError, RuntimeError):
        return f"{LIBRARY} finds no Edge TPU: is it plugged in, may this user open it?"
    return None


def _delegate() -> Any:
    from ai_edge_litert.interpreter import load_delegate

    return load_delegate(LIBRARY)


def variants() -> list[str]:
    """One."""
    return ["Edge TPU"]


def measure(job: Job) -> Row:
    """``<name>_edgetpu.tflite`` beside the model's folder files, made by Coral's compiler."""
    compiled = job.model.path / f"{job.model.name}_edgetpu.tflite"
    if not compiled.is_file():
        raise ModelError(
            f"{compiled}: is missing; compile {job.model.tflite_path.name} with edgetpu_compiler"
        )
    from ai_edge_litert.interpreter import Interpreter

    with pinned(1):
        started = time.perf_counter()
        try:
            interpreter = Interpreter(str(compiled), experimental_delegates=[_delegate()])
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise ToolError(f"the Edge TPU refuses {compiled.name}: {error}") from error
        load_ms = (time.perf_counter() - started) * 1e3
        given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

        def scores(image: NDArray[np.int8]) -> NDArray[np.int8]:
            interpreter.set_tensor(given["index"], image)
            interpreter.invoke()
            return np.asarray(interpreter.get_tensor(made["index"]))

        times = time_path(job, scores, one_thread=False)
    return job.timed(
        times,
        load_ms=load_ms,
        no_layers="an Edge TPU runs the network as one operator",
        notes=("the first inference sends the weights to the Edge TPU",),
    )


DEVICES = (
    Device(
        "coral",
        BundleKind(
            place=3,
            summary="Coral Edge TPU through LiteRT; the CPU where there is none",
            bundle="check of every operator against the documented constraints; compiled where "
            "possible",
            proof="as raspberry-pi, on the CPU",
            firmware=False,
            templates="linux",
            prepare=prepare,
            prove=_linux.prove,
            missing=missing_compiler,
            files=(*_linux.RUNNER, "(NAME_edgetpu.tflite)"),
        ),
        Bench(4, variants, measure, missing),
    ),
)
