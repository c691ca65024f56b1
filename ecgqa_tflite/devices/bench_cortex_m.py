"""Targets ``cortex-m4|m7|m33|m55`` and ``aarch64``: exact instructions of the firmware's C."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ecgqa_tflite.benchmark import board_log
from ecgqa_tflite.benchmark.results import Kind, Row, exact
from ecgqa_tflite.boards import aarch64_root, boards
from ecgqa_tflite.boards import count as qemu_cortex_m
from ecgqa_tflite.devices.bench_litert import NO_PROFILER
from ecgqa_tflite.devices.job import Job
from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.frontend.native import NativeFrontEnd

BOARDS = {
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
    "aarch64": "aarch64",
}

OURS = "C, gcc -O2, QEMU"
LITERT = "LiteRT, XNNPACK, QEMU"

SEGMENTS = 3
"""Emulated: an instruction of a board takes some nanoseconds here."""


def missing(target: str) -> str | None:
    """Compiler or emulator."""
    board = boards.boards()[BOARDS[target]]
    needed = (board.compiler, board.emulator[0], "gcc")
    absent = [name for name in needed if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed: make setup-firmware" if absent else None


def variants(target: str) -> list[str]:
    """Our C; on aarch64 LiteRT's wheel too."""
    return [OURS, LITERT] if target == "aarch64" else [OURS]


def measure(job: Job) -> Row:
    """Exact counts by stage, and on a Cortex-M by layer."""
    if job.variant == LITERT:
        return _litert(job)
    board, device = boards.boards()[BOARDS[job.target]], job.device()
    chosen = job.segments[:: max(1, len(job.segments) // SEGMENTS)][:SEGMENTS]
    with tempfile.TemporaryDirectory() as scratch:
        figures = qemu_cortex_m.measure(device, chosen, board, Path(scratch) / "exact")
        layers: dict[str, float] = {}
        if board.bare:
            log, _ = board_log.run_on(board, device, chosen[-1:], Path(scratch) / "layers")
            layers = board_log.named(log.layers, device)
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
        notes.append("RAM without the stack")
    return Row(
        target=job.target,
        variant=job.variant,
        model=job.model.name,
        kind=Kind.EMULATED,
        unit="instructions",
        stages={name: exact(counts) for name, counts in split.items()},
        total=exact([sum(s.values()) for s in figures.segments]),
        layers=layers,
        no_layers="" if layers else "no counter to read in user land",
        ram_bytes=figures.ram_bytes,
        flash_bytes=figures.code_bytes + figures.tables_bytes + figures.network_bytes,
        notes=tuple(notes),
    )


def _litert(job: Job) -> Row:
    """LiteRT's aarch64 wheel, the network alone."""
    root = aarch64_root.find()
    spec = job.model.spec
    image = colormap.image(
        NativeFrontEnd(spec, job.fs_hz).index_maps(job.segments[:1], threads=1), spec.colormap
    )
    count, _ = root.network_instructions(job.model.tflite_path.read_bytes(), image)
    return Row(
        target=job.target,
        variant=job.variant,
        model=job.model.name,
        kind=Kind.EMULATED,
        unit="instructions",
        stages={"network": exact([count])},
        total=None,
        no_layers=NO_PROFILER,
        notes=(
            f"the network alone on a {aarch64_root.CPU}, one thread: the difference of two runs, "
            f"Python's calls included",
        ),
    )
