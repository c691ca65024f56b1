# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Times of the whole path on this machine, stage by stage or as ``assess`` goes it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import assess
from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.benchmark.job import Job
from ecgqa_tflite.benchmark.protocol import Protocol, Timing, take_times, timing
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import Quality


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
    """Time of ``assess``, ms per segment: its start, cutting and decisions included."""
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
