# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The C library of the firmware, compiled for this machine."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from ecgqa_tflite.benchmark import board_log
from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.protocol import pinned
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.boards import boards
from ecgqa_tflite.devices._device import Device

BOARD = "host-gcc"
FLAGS = ("-O3", "-march=native")


def missing() -> str | None:
    """A compiler."""
    compiler = boards.boards()[BOARD].compiler
    return None if shutil.which(compiler) else f"{compiler} is not installed"


def variants() -> list[str]:
    """One."""
    return [f"C, gcc {' '.join(FLAGS)}, 1 thread"]


def measure(job: Job) -> Row:
    """The board's own program, timed by this machine's clock."""
    device = job.device()
    with tempfile.TemporaryDirectory() as scratch, pinned(1):
        log, _ = board_log.run_on(
            boards.boards()[BOARD],
            device,
            job.segments,
            Path(scratch),
            loops=job.protocol.loops,
            min_s=int(job.protocol.loops * job.protocol.loop_s),
            flags=FLAGS,
        )
    row = log.row(job.target, job.variant, job.model.name)
    return replace(
        row,
        layers=board_log.named(row.layers, device),
        notes=(*row.notes, "the clock is read at each slice of work", "layers: the last segment"),
    )


DEVICES = (Device("engine", bench=Bench(3, variants, measure, missing)),)
