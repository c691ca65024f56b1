# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A 64-bit Arm under Linux, emulated: the firmware's C and LiteRT's wheel, by instructions."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.results import Kind, Row, exact
from ecgqa_tflite.boards import aarch64_root, boards
from ecgqa_tflite.devices import _counted
from ecgqa_tflite.devices._device import Device
from ecgqa_tflite.devices._litert import NO_PROFILER
from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.frontend.native import NativeFrontEnd

BOARD = "aarch64"
LITERT = "LiteRT, XNNPACK, QEMU"


def variants() -> list[str]:
    """Our C, and LiteRT's wheel."""
    return [_counted.OURS, LITERT]


def measure(job: Job) -> Row:
    """Exact counts: by stage, or of LiteRT's network."""
    if job.variant == LITERT:
        return _litert(job)
    with tempfile.TemporaryDirectory() as scratch:
        return _counted.measure(
            job,
            boards.boards()[BOARD],
            Path(scratch),
            notes=["RAM without the stack"],
            no_layers="no counter to read in user land",
        )


def _litert(job: Job) -> Row:
    """LiteRT's aarch64 wheel, the network alone."""
    root = aarch64_root.find()
    spec = job.model.spec
    image = colormap.image(
        NativeFrontEnd(spec, job.fs_hz).index_maps(job.segments[:1], threads=1), spec.colormap
    )
    count, _ = root.network_instructions(job.model.tflite_path.read_bytes(), image)
    return job.row(
        Kind.EMULATED,
        "instructions",
        stages={"network": exact([count])},
        total=None,
        no_layers=NO_PROFILER,
        notes=(
            f"the network alone on a {aarch64_root.CPU}, one thread: the difference of two runs, "
            f"Python's calls included",
        ),
    )


DEVICES = (
    Device(
        "aarch64",
        bench=Bench(6, variants, measure, partial(_counted.missing, BOARD), _counted.TAKES_S),
    ),
)
