# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""LiteRT where it runs, and ``assess`` end to end: the rows of ``host`` and of a Raspberry Pi."""

from __future__ import annotations

import re
import time

from ecgqa_tflite.benchmark.job import Job
from ecgqa_tflite.benchmark.path import time_assess, time_path
from ecgqa_tflite.benchmark.protocol import cores, pinned
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.tflite.run import Int8Network

REFERENCE = "reference kernels, 1 thread"
_XNNPACK = re.compile(r"XNNPACK, (\d+) thread")
_WHOLE = re.compile(r"assess, (\d+) thread")

NO_PROFILER = "ai-edge-litert's interpreter binds no profiler"


def variants() -> list[str]:
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
