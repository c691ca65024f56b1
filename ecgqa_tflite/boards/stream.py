# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A stream of two leads on an emulated board: samples in packets, a context per lead.

Instructions are exact and repeatable; they are not cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.device_source import Device, device_sources, golden
from ecgqa_tflite.engine.golden import golden_samples
from ecgqa_tflite.errors import SelfTestError
from ecgqa_tflite.resources import firmware_bridge_dir

LEADS = 2
"""Contexts of ``tests/stream_program.c``."""

START, PUSHED, DECIDED = "mark_stream", "mark_classify", "mark_classified"
"""Marks: behind the self-test, before and behind each decision."""
LEAST_RATE = 10e6
"""Instructions that this machine is trusted to emulate in a second, for the time limit."""
DENSE_DECISION = 250e6
"""Instructions of a decision that no model of ours reaches, for the time limit."""


@dataclass(frozen=True)
class Decided:
    """A decision as the board printed it.

    Attributes
    ----------
    segment
        Its number in its lead.
    reason
        ``ecgqa_reason_t``; 0 where the network was asked.
    instructions
        Of ``ecgqa_classify``.
    """

    lead: int
    segment: int
    score_s8: int
    quality: int
    reason: int
    instructions: int


@dataclass(frozen=True)
class Stream:
    """What the board made of a stream.

    Attributes
    ----------
    decisions
        In the order in which they were made.
    push_instructions
        Of the library on taking samples, all of them together.
    ram_bytes
        Contexts and workspaces of all leads, and the stack.
    """

    decisions: tuple[Decided, ...]
    push_instructions: int
    ram_bytes: int


def run(device: Device, frames: NDArray[np.int16], board: boards.Board, out: Path) -> Stream:
    """Build the program for a board and let it decide a stream.

    Parameters
    ----------
    frames
        int16 (n, :data:`LEADS`), ``MISSING_S16`` where a sample never came.
    out
        Folder for generated and built files.

    Raises
    ------
    ToolError
        A compiler or emulator is missing, or two leads do not fit the board.
    SelfTestError
        The program failed on the board.
    """
    generated = out / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    fs_hz = device.tables.segment_len / device.spec.segment_s
    _, samples = golden_samples(device.spec, fs_hz)
    for name, text in device_sources(device, golden(device, samples[0])).items():
        (generated / name).write_text(text)
    recording = out / "frames.bin"
    recording.write_bytes(frames.astype("<i2").tobytes())
    program = firmware_bridge_dir() / "tests" / "stream_program.c"
    sources = [*boards.library_sources(), program, *sorted(generated.glob("*.c"))]
    image = boards.build(board, sources, out, include=[generated])
    n_decisions = LEADS * len(frames) // device.hop_len
    done = boards.run(
        image,
        [str(recording)],
        marks=(START, PUSHED, DECIDED),
        timeout_s=120 + n_decisions * DENSE_DECISION / LEAST_RATE,
    )
    if done.status != 0:
        raise SelfTestError(f"{board.name}: the stream's program failed: {done.output.strip()}")
    return _read(device, image, done)


def _read(device: Device, image: boards.Image, done: boards.Run) -> Stream:
    lines = [line.split() for line in done.output.splitlines()]
    said = [[int(word) for word in line[1:]] for line in lines if line[:1] == ["decision"]]
    context_bytes = next(int(line[1]) for line in lines if line[:1] == ["context"])
    costs = [stage.total for stage in done.stages if stage.mark == DECIDED]
    library = frozenset(boards.library_sources())
    ours = {name for name, source in image.source_of().items() if source in library}
    pushes = [
        count
        for stage in done.stages
        if stage.mark == PUSHED
        for name, count in stage.by_function.items()
        if name in ours
    ]
    stack_bytes = max((line[5] for line in said), default=0)
    return Stream(
        decisions=tuple(
            Decided(lead, segment, score_s8, quality, reason, cost)
            for (lead, segment, score_s8, quality, reason, _), cost in zip(said, costs, strict=True)
        ),
        push_instructions=sum(pushes),
        ram_bytes=LEADS * (device.workspace_bytes + context_bytes) + stack_bytes,
    )
