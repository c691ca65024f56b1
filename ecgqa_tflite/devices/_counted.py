# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact instructions of the firmware's C on an emulated core: rows of microcontrollers, aarch64."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark import board_log
from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.results import Kind, Row, exact
from ecgqa_tflite.boards import boards
from ecgqa_tflite.boards import count as qemu_cortex_m
from ecgqa_tflite.devices._device import Device

OURS = "C, gcc -O2, QEMU"
SEGMENTS = 3
"""Emulated: an instruction of a board takes some nanoseconds here."""
TAKES_S = 10
"""About, for :class:`ecgqa_tflite.benchmark.job.Bench`."""


def missing(board_name: str) -> str | None:
    """Compiler or emulator."""
    board = boards.boards()[board_name]
    needed = (board.compiler, board.emulator[0], "gcc")
    absent = [name for name in needed if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed: make setup-firmware" if absent else None


def chosen(job: Job) -> NDArray[np.int16]:
    """Those of the job's segments that are run, int16 (:data:`SEGMENTS`, segment_len)."""
    return job.segments[:: max(1, len(job.segments) // SEGMENTS)][:SEGMENTS]


def measure(
    job: Job, board: boards.Board, scratch: Path, notes: Sequence[str] = (), **more: Any
) -> Row:
    """Exact counts by stage.

    Parameters
    ----------
    scratch
        Folder for generated and built files.
    notes, more
        Further notes, and other attributes of :class:`~ecgqa_tflite.benchmark.results.Row`.
    """
    figures = qemu_cortex_m.measure(job.device(), chosen(job), board, scratch)
    split = {
        "cwt": [s["cwt"] for s in figures.segments],
        "network": [s["network"] + s["other"] for s in figures.segments],
        "decision": [s["glue"] for s in figures.segments],
    }
    return job.row(
        Kind.EMULATED,
        "instructions",
        stages={name: exact(counts) for name, counts in split.items()},
        total=exact([sum(s.values()) for s in figures.segments]),
        ram_bytes=figures.ram_bytes,
        flash_bytes=figures.code_bytes + figures.tables_bytes + figures.network_bytes,
        notes=(
            f"{figures.core}, exact; the image is made inside the network, row by row",
            f"{figures.per_mac:.3f} instructions per multiply-accumulate",
            *notes,
        ),
        **more,
    )


def cores(board_of: Mapping[str, str], place: int) -> tuple[Device, ...]:
    """Devices that bench counts on, without bundles of their own: a board of each core by name."""
    return tuple(
        Device(
            core,
            bench=Bench(
                place,
                lambda: [OURS],
                partial(_measure_core, board_name=board),
                partial(missing, board),
                TAKES_S,
            ),
        )
        for core, board in board_of.items()
    )


def _measure_core(job: Job, board_name: str) -> Row:
    """Exact counts by stage and by layer."""
    board, device = boards.boards()[board_name], job.device()
    with tempfile.TemporaryDirectory() as scratch:
        log, _ = board_log.run_on(board, device, chosen(job)[-1:], Path(scratch) / "layers")
        return measure(
            job,
            board,
            Path(scratch) / "exact",
            notes=["layers: one segment, by the board's counter, to 0.1 %"],
            layers=board_log.named(log.layers, device),
        )
