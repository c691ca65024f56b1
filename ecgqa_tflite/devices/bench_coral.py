"""Target ``coral``: a Coral Edge TPU through LiteRT's delegate."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.protocol import pinned
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.devices.bench_litert import time_path
from ecgqa_tflite.devices.job import Job
from ecgqa_tflite.errors import ModelError, ToolError

LIBRARY = "libedgetpu.so.1"


def _delegate() -> Any:
    from ai_edge_litert.interpreter import load_delegate

    return load_delegate(LIBRARY)


def missing(target: str) -> str | None:
    """Its library, or the device itself."""
    try:
        ctypes.CDLL(LIBRARY)
        _delegate()
    except OSError:
        return f"{LIBRARY} is not installed (Coral's own package repository has it)"
    except (ValueError, RuntimeError):
        return f"{LIBRARY} finds no Edge TPU: is it plugged in, may this user open it?"
    return None


def variants(target: str) -> list[str]:
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
