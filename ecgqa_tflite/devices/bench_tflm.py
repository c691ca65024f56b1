"""Target ``tflm``: TensorFlow Lite Micro's host package, the reference kernels of a firmware."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.protocol import pinned
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.devices.bench_litert import time_path
from ecgqa_tflite.devices.job import Job
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.tflm import find_arena, installed


def missing(target: str) -> str | None:
    """The package has wheels for x86-64 Linux only."""
    if not installed():
        return "tflite-micro is not installed (pip install tflite-micro; x86-64 Linux only)"
    return None


def variants(target: str) -> list[str]:
    """It has one thread and one set of kernels."""
    return ["TFLM host, 1 thread"]


def measure(job: Job) -> Row:
    """In a process that has run nothing else."""
    from tflite_micro import runtime

    data = job.model.tflite_path.read_bytes()
    with pinned(1):
        started = time.perf_counter()
        interpreter = runtime.Interpreter.from_bytes(data)
        load_ms = (time.perf_counter() - started) * 1e3

        def scores(image: NDArray[np.int8]) -> NDArray[np.int8]:
            interpreter.set_input(image, 0)
            interpreter.invoke()
            return np.asarray(interpreter.get_output(0))

        times = time_path(job, scores)
    notes = ["flash is the .tflite, without TFLM's code"]
    arena: int | None = None
    try:
        arena = find_arena(data, read_tflite(data)).least_bytes
        notes.append("RAM is the least arena that works")
    except ToolError as error:
        notes.append(f"no least arena: {error}")
    return job.timed(
        times,
        load_ms=load_ms,
        ram_bytes=arena,
        flash_bytes=len(data),
        no_layers="the package tflite-micro binds no profiler",
        notes=tuple(notes),
    )
