# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole path on QEMU's Cortex-M boards: RAM, flash and instructions, by stage.

Instructions are exact and repeatable; they are not cycles. ``ecgqa bench size`` prints the table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.device_source import Device, device_sources, golden, plan_device
from ecgqa_tflite.engine.golden import golden_samples
from ecgqa_tflite.errors import ArgumentError, SelfTestError
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.resources import firmware_bridge_dir

CORES = ("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")
"""One board of each core: M4, M7, M33, M55."""
PORTABLE_CORES = ("mps2-an386", "mps3-an547")
"""Boards on which the portable kernels, the definition of the others, are measured beside them."""

STAGES = ("cwt", "network", "glue", "other")
"""By source file; ``other`` is the C library's memcpy and its like."""

MARKS = ("mark_classify", "mark_classified")
FS_HZ = 250.0


@dataclass(frozen=True)
class Figures:
    """What one model costs on one board.

    Attributes
    ----------
    workspace_bytes, context_bytes, stack_bytes
        RAM; the stack is painted, of ``ecgqa_classify`` and what it calls.
    code_bytes, tables_bytes, network_bytes
        Flash: the library's code and constants, the front end's tables, the network's constants.
    instructions
        Of a decision, median over the segments.
    by_stage
        The same, by stage: mean over the segments.
    macs
        Multiply-accumulates of the network.
    segments
        By stage, an entry per segment.
    """

    board: str
    core: str
    workspace_bytes: int
    context_bytes: int
    stack_bytes: int
    code_bytes: int
    tables_bytes: int
    network_bytes: int
    instructions: int
    by_stage: Mapping[str, int]
    macs: int
    segments: tuple[Mapping[str, int], ...]

    @property
    def ram_bytes(self) -> int:
        """Everything: workspace (the input segment is in it), context, stack."""
        return self.workspace_bytes + self.context_bytes + self.stack_bytes

    @property
    def per_mac(self) -> float:
        """Instructions of the network per multiply-accumulate, the C library's counted with it."""
        return (self.by_stage["network"] + self.by_stage["other"]) / self.macs


FRONT_END = ("cwt", "cwt_dsp", "fft", "condition", "lost")
"""Sources of the front end."""


def _stage_of(source: Path) -> str:
    if source.parent != firmware_bridge_dir() / "src":
        return "other"
    if source.stem.startswith("nn"):
        return "network"
    return "cwt" if source.stem in FRONT_END else "glue"


def measure(
    device: Device,
    segments: NDArray[np.int16],
    board: boards.Board,
    out: Path,
    *,
    flags: Sequence[str] = boards.OPTIMISE,
) -> Figures:
    """Build the whole path for a board, run the segments, read off what they cost.

    Parameters
    ----------
    segments
        int16 (n, segment_len), none constant; the first is the golden one of the self-test.
    out
        Folder for generated and built files.

    Raises
    ------
    ToolError
        A compiler or emulator is missing, or the bundle does not fit the board.
    SelfTestError
        The bundle's self-test failed on the board.
    """
    image, run = run_path(device, segments, board, out, flags=flags)
    return _figures(device, image, run)


def run_path(
    device: Device,
    segments: NDArray[np.int16],
    board: boards.Board,
    out: Path,
    *,
    how: str = "whole",
    marks: Sequence[str] = MARKS,
    flags: Sequence[str] = boards.OPTIMISE,
) -> tuple[boards.Image, boards.Run]:
    """As :func:`measure`, without the reading: what was built and what it said.

    Parameters
    ----------
    how
        ``whole``: ``ecgqa_classify``, between ``mark_classify`` and ``mark_classified``;
        ``slices``: ``ecgqa_classify_step``, each between ``mark_start`` and ``mark_end``.
    marks
        Where to count.
    """
    generated = out / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    sources = device_sources(device, golden(device, segments[0]))
    for name, text in sources.items():
        (generated / name).write_text(text)
    recording = out / "segments.bin"
    recording.write_bytes(segments.astype("<i2").tobytes())
    program = firmware_bridge_dir() / "tests" / "path_program.c"
    image = boards.build(
        board,
        [*boards.library_sources(), program, *sorted(generated.glob("*.c"))],
        out,
        include=[generated],
        flags=flags,
    )
    run = boards.run(image, [str(recording), how], marks=marks)
    if run.status != 0:
        raise SelfTestError(f"{board.name}: the board program failed: {run.output.strip()}")
    return image, run


def _figures(device: Device, image: boards.Image, run: boards.Run) -> Figures:
    source_of = image.source_of()
    decided = [s for s in run.stages if s.mark == MARKS[1]]
    segments = [_by_stage(stage.by_function, source_of) for stage in decided]
    flash = _flash(image, source_of)
    said = [line.split() for line in run.output.splitlines()]
    return Figures(
        board=image.board.name,
        core=image.board.core,
        workspace_bytes=device.workspace_bytes,
        context_bytes=next(int(words[1]) for words in said if words[0] == "context"),
        stack_bytes=max(int(words[1]) for words in said if words[0] == "stack"),
        code_bytes=flash["code"],
        tables_bytes=flash["tables"],
        network_bytes=flash["network"],
        instructions=round(median(s.total for s in decided)),
        by_stage={name: sum(s[name] for s in segments) // len(decided) for name in STAGES},
        macs=device.plan.network.macs,
        segments=tuple(segments),
    )


def _by_stage(counts: Mapping[str, int], source_of: Mapping[str, Path]) -> dict[str, int]:
    """Instructions by stage, of those by function."""
    stages = dict.fromkeys(STAGES, 0)
    for name, count in counts.items():
        stages[_stage_of(source_of[name]) if name in source_of else "other"] += count
    return stages


def _flash(image: boards.Image, source_of: Mapping[str, Path]) -> dict[str, int]:
    """Bytes of the library's code and constants, and of the two generated sources."""
    generated = {"ecgqa_cwt_tables.c": "tables", "ecgqa_model.c": "network"}
    flash = {"code": 0, "tables": 0, "network": 0}
    for symbol in image.symbols():
        source = source_of.get(symbol.name)
        if source is None or symbol.kind not in "tTrRwW":
            continue
        if source.name in generated:
            flash[generated[source.name]] += symbol.size
        elif _stage_of(source) != "other":
            flash["code"] += symbol.size
    return flash


def table(figures: Sequence[Figures]) -> str:
    """The figures as text: bytes, a row per board, then millions of instructions."""
    lines = [
        f"{'bytes':<20} {'RAM':>7} = {'work':>7} + {'ctx':>4} + {'stack':>5} "
        f"{'code':>7} {'tables':>7} {'network':>9}"
    ]
    lines += [
        f"{f.core:<20} {f.ram_bytes:>7,} = {f.workspace_bytes:>7,} + {f.context_bytes:>4} + "
        f"{f.stack_bytes:>5,} {f.code_bytes:>7,} {f.tables_bytes:>7,} {f.network_bytes:>9,}"
        for f in figures
    ]
    lines += [
        "",
        f"{'M instructions':<20} {'decision':>9} = {'cwt':>6} + {'network':>7} + {'glue':>5} + "
        f"{'other':>5} {'a MAC':>7}",
    ]
    for f in figures:
        parts = zip(STAGES, (6, 7, 5, 5), strict=True)
        split = " + ".join(f"{f.by_stage[name] / 1e6:>{width}.2f}" for name, width in parts)
        lines.append(f"{f.core:<20} {f.instructions / 1e6:>9.2f} = {split} {f.per_mac:>7.3f}")
    return "\n".join(lines) + "\n"


def sizes(model: ModelFolder, board_names: Sequence[str] = ()) -> tuple[list[Figures], int]:
    """A model's figures at :data:`FS_HZ`, and its multiply-accumulates.

    Parameters
    ----------
    board_names
        Of ``boards.json``; none: :data:`CORES`, and the portable kernels beside them on
        :data:`PORTABLE_CORES`.

    Raises
    ------
    ArgumentError
        There is no such board.
    ConversionError
        The engine can't run the model.
    ToolError, SelfTestError
        As :func:`measure`.
    """
    for name in board_names:
        if name not in boards.boards():
            raise ArgumentError(f"no board {name!r}; there are {', '.join(boards.boards())}")
    built = tables.build(model.spec, FS_HZ)
    device = plan_device(model.spec, built, model.tflite_path.read_bytes(), model.threshold_int8)
    _, samples = golden_samples(model.spec, FS_HZ)
    segments = samples[np.ptp(samples, axis=1) > 0]
    wanted = [(name, "") for name in board_names or CORES]
    wanted += [(name, "portable") for name in PORTABLE_CORES if not board_names]
    figures = []
    for name, kernels in wanted:
        flags = (*boards.OPTIMISE, "-DECGQA_PORTABLE") if kernels else boards.OPTIMISE
        with tempfile.TemporaryDirectory() as scratch:
            one = measure(device, segments, boards.boards()[name], Path(scratch), flags=flags)
        figures.append(replace(one, core=f"{one.core} {kernels}".strip()))
    return figures, device.plan.network.macs
