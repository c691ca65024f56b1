"""Target ``host`` and ``raspberry-pi``: LiteRT where it runs, and ``assess`` end to end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import assess
from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.benchmark.protocol import (
    BOARD,
    Protocol,
    Timing,
    cores,
    pinned,
    take_times,
    timing,
)
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.devices.job import Job
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import Quality
from ecgqa_tflite.tflite.run import Int8Network

REFERENCE = "reference kernels, 1 thread"
_XNNPACK = re.compile(r"XNNPACK, (\d+) thread")
_WHOLE = re.compile(r"assess, (\d+) thread")

NO_PROFILER = "ai-edge-litert's interpreter binds no profiler"


def missing(target: str) -> str | None:
    """Only a Raspberry Pi is one."""
    if target == "raspberry-pi":
        try:
            board = Path(BOARD).read_text(errors="replace")
        except OSError:
            board = ""
        if "Raspberry Pi" not in board:
            return "this machine is no Raspberry Pi: run the same command on one (pip install .)"
    return None


def variants(target: str) -> list[str]:
    """XNNPACK and the whole of ``assess`` on 1, 2, 4 .. threads; the reference kernels on one."""
    counts = sorted({*(2**i for i in range(7) if 2**i < cores()), cores()})
    words = [f"{n} thread{'s' if n > 1 else ''}" for n in counts]
    return [*(f"XNNPACK, {w}" for w in words), REFERENCE, *(f"assess, {w}" for w in words)]


def measure(job: Job) -> Row:
    """One configuration, in a process that has run nothing else."""
    if match := _WHOLE.match(job.variant):
        threads = int(match[1])
        with pinned(threads):
            total = time_assess(job.model, job.protocol, threads)
        n = job.protocol.recording_segments
        return job.timed(
            [total],
            segments_per_s=1e3 / total.p50,
            notes=(f"wall time of {n} segments in one recording: cutting and start included",),
        )
    match = _XNNPACK.match(job.variant)
    threads = int(match[1]) if match else 1
    with pinned(threads):
        started = time.perf_counter()
        network = Int8Network(
            job.model.tflite_path, threads=threads, reference_kernels=match is None
        )
        load_ms = (time.perf_counter() - started) * 1e3
        times = time_path(job, network.scores, one_thread=threads == 1)
    return job.timed(times, load_ms=load_ms, no_layers=NO_PROFILER)


def time_path(
    job: Job, scores: Callable[[NDArray[np.int8]], NDArray[np.int8]], *, one_thread: bool = True
) -> list[Timing]:
    """Times of the four stages on this machine, and of their sum.

    Parameters
    ----------
    scores
        The network: int8 (1, rows, cols, channels) to int8 (1, classes).
    """
    front_end = NativeFrontEnd(job.model.spec, job.fs_hz)
    colormap, threshold = job.model.spec.colormap, job.model.threshold_int8
    state: dict[str, NDArray[np.generic]] = {}

    def cwt(i: int) -> None:
        state["map"] = front_end.index_maps(job.segments[i : i + 1], threads=1)

    def image(_: int) -> None:
        state["image"] = image_s8(state["map"], colormap)  # type: ignore[arg-type]

    def network(_: int) -> None:
        state["scores"] = scores(state["image"])  # type: ignore[arg-type]

    def decision(_: int) -> tuple[bool, float]:
        score = int(state["scores"][0, Quality.HIGH])
        return score >= threshold, probability(score)

    calls = [cwt, image, network, decision]
    return take_times(calls, len(job.segments), job.protocol, one_thread=one_thread)


def time_assess(model: ModelFolder, protocol: Protocol, threads: int) -> Timing:
    """Time of ``assess``, ms a segment: its start, cutting and decisions included."""
    recording = inputs.simulated(protocol.recording_segments * model.spec.segment_s)
    assess(inputs.simulated(5 * model.spec.segment_s), model, threads=threads)  # warm-up
    taken = []  # assess works in threads of its own: stolen time can't be told from waiting
    for _ in range(protocol.loops):
        times: list[float] = []
        started = time.perf_counter()
        while not times or time.perf_counter() - started < protocol.loop_s:
            begun = time.perf_counter()
            n = len(assess(recording, model, threads=threads))
            times.append((time.perf_counter() - begun) * 1e3 / n)
        taken.append(np.array(times))
    return timing(taken)
