"""Targets ``cortex-m4|m7|m33|m55`` and ``aarch64``: exact instructions of the firmware's C."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ecgqa_tflite.benchmark import board_log, boards, qemu_cortex_m
from ecgqa_tflite.benchmark.results import Kind, Row, exact
from ecgqa_tflite.benchmark.target import Job

BOARDS = {
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
    "aarch64": "aarch64",
}

SEGMENTS = 3
"""Emulated: an instruction of a board takes some nanoseconds here."""


def missing(target: str) -> str | None:
    """Compiler or emulator."""
    board = boards.boards()[BOARDS[target]]
    needed = (board.compiler, board.emulator[0], "gcc")
    absent = [name for name in needed if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed: make setup-firmware" if absent else None


def variants(target: str) -> list[str]:
    """One."""
    return ["C, gcc -O2, QEMU"]


def measure(job: Job) -> Row:
    """Exact counts by stage, and on a Cortex-M by layer."""
    board, device = boards.boards()[BOARDS[job.target]], job.device()
    chosen = job.segments[:: max(1, len(job.segments) // SEGMENTS)][:SEGMENTS]
    with tempfile.TemporaryDirectory() as scratch:
        figures = qemu_cortex_m.measure(device, chosen, board, Path(scratch) / "exact")
        layers: dict[str, float] = {}
        if board.bare:
            log, _ = board_log.run_on(board, device, chosen[-1:], Path(scratch) / "layers")
            layers = log.layers
    split = {
        "cwt": [s["cwt"] for s in figures.segments],
        "network": [s["network"] + s["other"] for s in figures.segments],
        "decision": [s["glue"] for s in figures.segments],
    }
    notes = [
        f"{figures.core}, exact; the image is made inside the network, row by row",
        f"{figures.per_mac:.3f} instructions a multiply-accumulate",
    ]
    if layers:
        notes.append("layers: one segment, by SysTick, to 0.1 %")
    if not board.bare:
        notes.append("RAM without the stack; LiteRT's aarch64 wheel is not run")
    return Row(
        target=job.target,
        variant=job.variant,
        model=job.model.name,
        kind=Kind.EMULATED,
        unit="instructions",
        stages={name: exact(counts) for name, counts in split.items()},
        total=exact([sum(s.values()) for s in figures.segments]),
        layers=layers,
        ram_bytes=figures.ram_bytes,
        flash_bytes=figures.code_bytes + figures.tables_bytes + figures.network_bytes,
        notes=tuple(notes),
    )
