# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The board's side: a program that reports what a segment costs, and the report read.

``firmware_bridge/bench/ecgqa_bench.c`` runs the protocol on a part and writes the report to a UART;
under QEMU and on a host the same program runs from here.
"""

from __future__ import annotations

import itertools
import os
import re
import select
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.protocol import Timing, timing
from ecgqa_tflite.benchmark.results import Kind, Row, exact
from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.c_source import array
from ecgqa_tflite.engine.device_source import Device, device_sources
from ecgqa_tflite.errors import FormatError, SelfTestError, ToolError
from ecgqa_tflite.resources import firmware_bridge_dir

LOG_FORMAT = 1
"""``ECGQA_BENCH_FORMAT``; a test holds it against the header."""

INSTRUCTIONS_A_TICK = {
    "microbit": 62.5,
    "mps2-an386": 40,
    "mps2-an500": 40,
    "mps2-an505": 50,
    "mps3-an547": 31.25,
    "virt": 1,
}
"""Nanoseconds of a board's SysTick clock under QEMU: with ``-icount shift=0``, instructions. A
RISC-V counts them itself."""

COUNTING = ("-icount", "shift=0,sleep=off", "-rtc", "clock=vm")

STAGES = ("cwt", "network", "decision")

DENSE = "FULLY_CONNECTED"

_NUMBERS = r"-?\d+( -?\d+)*"
COUNTED = dict.fromkeys(("segment", "first", "softmax", "loop"), _NUMBERS) | {"layer": r"\d+ -?\d+"}
"""Lines of a report that hold numbers alone."""


@dataclass(frozen=True)
class BoardLog:
    """A report, parsed.

    Attributes
    ----------
    unit, unit_per_s
        Of all costs; units per second, 0 where no time can be told.
    spec, model
        Hashes, hexadecimal.
    first
        The first segment's stages.
    loops
        Stages of each segment, float64 (segments, 3) a loop.
    scores
        int8 scores of the segments of the last loop.
    layers
        Cost of each layer in the last segment; the last is ``softmax``.
    """

    unit: str
    unit_per_s: int
    spec: str
    model: str
    workspace_bytes: int
    context_bytes: int
    first: NDArray[np.float64]
    loops: tuple[NDArray[np.float64], ...]
    scores: tuple[int, ...]
    layers: dict[str, float]

    def row(self, target: str, variant: str, model: str) -> Row:
        """As a row of a report: ms where the clock is known, else the log's own unit."""
        counted = self.unit == "instructions"
        factor = 1e3 / self.unit_per_s if self.unit_per_s else 1.0
        with_total = [np.column_stack([x, x.sum(axis=1)]) * factor for x in self.loops]
        first = np.append(self.first, self.first.sum()) * factor
        times: list[Timing] = []
        for i in range(len(STAGES) + 1):
            loops = [x[:, i] for x in with_total]
            times.append(
                replace(exact(list(loops[-1])), first=float(first[i]))
                if counted
                else timing(loops, first_ms=float(first[i]))
            )
        notes = ["the image is made inside the network, row by row"]
        if counted:
            notes.append("counted on the board under QEMU: to the nearest 60 or so a slice")
        return Row(
            target=target,
            variant=variant,
            model=model,
            kind=Kind.EMULATED if counted else Kind.MEASURED,
            unit="ms" if self.unit_per_s else self.unit,
            stages=dict(zip(STAGES, times, strict=False)),
            total=times[-1],
            layers={name: cost * factor for name, cost in self.layers.items()},
            ram_bytes=self.workspace_bytes + self.context_bytes,
            notes=(*notes, "RAM without the stack"),
            noise=() if counted else tuple(times[-1].noise()),
        )


def parse(text: str) -> BoardLog:
    """Read a report out of a log that may hold other lines before and after.

    Raises
    ------
    FormatError
        There is no report, it is cut off or of another format, or the board failed.
    """
    rows = _rows(text)
    values = {word: rest for word, rest in rows if word not in COUNTED}
    needed = {"unit", "unit_per_s", "spec", "model", "workspace", "context", "end"}
    if missing := needed - values.keys():
        raise FormatError(f"the log is cut off: it lacks {', '.join(sorted(missing))}")
    costs = [(word, list(map(int, rest.split()))) for word, rest in rows if word in COUNTED]
    (first, *_) = *_of(costs, "first"), []
    layers = {f"layer {i}": float(cost) for i, cost in _of(costs, "layer")}
    for cells in _of(costs, "softmax"):
        layers["softmax"] = float(cells[0])
    loops = _loops(costs)
    widths = set(map(len, [first[1:], *itertools.chain(*loops)]))
    if not layers or not loops or not loops[-1] or widths != {len(STAGES) + 1}:
        raise FormatError(f"the board ended without figures: {values['end']}")
    return BoardLog(
        unit=values["unit"],
        unit_per_s=int(values["unit_per_s"]),
        spec=values["spec"],
        model=values["model"],
        workspace_bytes=int(values["workspace"]),
        context_bytes=int(values["context"]),
        first=np.array(first[1:-1], float),
        loops=tuple(np.array(loop, float)[:, :-1] for loop in loops),
        scores=tuple(cells[-1] for cells in loops[-1]),
        layers=layers,
    )


def _rows(text: str) -> list[tuple[str, str]]:
    """Lines of the log's last report, each as its first word and the rest, to its end."""
    lines = [line.strip() for line in text.splitlines()]
    starts = [i for i, line in enumerate(lines) if line.startswith("ecgqa-bench ")]
    if not starts:
        raise FormatError("no report of ecgqa_bench in this log (a line 'ecgqa-bench 1' begins it)")
    if lines[starts[-1]] != f"ecgqa-bench {LOG_FORMAT}":
        raise FormatError(f"a log of another format ({lines[starts[-1]]!r}): rebuild the firmware")
    rows = []
    for line in lines[starts[-1] + 1 :]:
        word, _, rest = line.partition(" ")
        if word in COUNTED and not re.fullmatch(COUNTED[word], rest):
            raise FormatError(f"a garbled line in the log: {line[:60]!r}; log it again")
        rows.append((word, rest))
        if word == "end":
            break
    return rows


def _of(costs: Iterable[tuple[str, list[int]]], wanted: str) -> list[list[int]]:
    """Numbers of each line of one kind."""
    return [cells for word, cells in costs if word == wanted]


def _loops(costs: Iterable[tuple[str, list[int]]]) -> list[list[list[int]]]:
    """Segments of each loop: their stages and score."""
    loops: list[list[list[int]]] = []
    for word, cells in costs:
        if word == "loop":
            loops.append([])
        elif word == "segment" and loops:
            loops[-1].append(cells[1:])
    return loops


def named(layers: Mapping[str, float], device: Device) -> dict[str, float]:
    """Costs by layer of a :class:`BoardLog`, with what each layer is."""
    names = {}
    for i, layer in enumerate(device.plan.network.layers):
        kernel = f" {layer.kernel.rows} x {layer.kernel.cols}" if layer.kind.name != DENSE else ""
        pool = f", max pool {layer.pool.rows} x {layer.pool.cols}" if layer.pool.rows else ""
        names[f"layer {i}"] = f"{i}: {layer.kind}{kernel} to {layer.out}{pool}"
    return {names.get(name, name): cost for name, cost in layers.items()}


def write_program(device: Device, segments: NDArray[np.int16], folder: Path) -> list[Path]:
    """Write the generated half of the board's program: bundle, tables, segments; the C files."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = device_sources(device, None)
    sources["ecgqa_bench_segments.c"] = (
        "#include <stdint.h>\n\nextern const int16_t ecgqa_bench_segments[];\n"
        "extern const uint32_t ecgqa_bench_n_segments;\n"
        + array("ecgqa_bench_segments", segments, static=False)
        + f"const uint32_t ecgqa_bench_n_segments = {len(segments)}u;\n"
    )
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="ascii")
    return sorted(folder.glob("*.c"))


def export_program(device: Device, segments: NDArray[np.int16], folder: Path) -> None:
    """Write all that a board's bench program is made of, its start-up code apart.

    Parameters
    ----------
    folder
        An existing folder, empty.
    """
    bridge = firmware_bridge_dir()
    write_program(device, segments, folder / "model")
    for name in ("include/ecgqa", "src"):
        target = folder / "firmware_bridge" / name
        target.mkdir(parents=True)
        for source in sorted((bridge / name).glob("*.[ch]")):
            shutil.copyfile(source, target / source.name)
    bench = folder / "firmware_bridge" / "bench"
    bench.mkdir()
    for name in ("ecgqa_bench.h", "ecgqa_bench.c"):
        shutil.copyfile(bridge / "bench" / name, bench / name)
    for name in ("main.c", "README.md"):
        shutil.copyfile(bridge / "bench" / "example" / name, folder / name)


def run_on(
    board: boards.Board,
    device: Device,
    segments: NDArray[np.int16],
    out: Path,
    *,
    loops: int = 1,
    min_s: int = 0,
    flags: Sequence[str] = boards.OPTIMISE,
    timeout_s: float = 300,
) -> tuple[BoardLog, boards.Image]:
    """Build the board's program and run it: natively, or under QEMU counting instructions.

    Raises
    ------
    ToolError
        A compiler or emulator is missing, or the program did not end in time.
    SelfTestError
        The program failed on the board.
    """
    bench = firmware_bridge_dir() / "bench"
    ticks = INSTRUCTIONS_A_TICK.get(board.name)
    if board.bare:
        if ticks is None:
            raise ToolError(f"{board.name}: its counter is not known")
        board = replace(board, emulator=(*board.emulator, *COUNTING))
        flags = (*flags, f"-DECGQA_BENCH_INSTRUCTIONS_A_TICK_Q8={round(256 * ticks)}")
    generated = write_program(device, segments, out / "generated")
    image = boards.build(
        board,
        [*boards.library_sources(), *sorted(bench.glob("*.c")), *generated],
        out,
        include=[bench, out / "generated"],
        flags=flags,
    )
    run = boards.run(image, [str(loops), str(min_s)], timeout_s=timeout_s)
    if run.status != 0:
        raise SelfTestError(f"{board.name}: the bench program failed: {run.output.strip()[-300:]}")
    return parse(run.output), image


def read_serial(port: str, *, baud: int = 115200, timeout_s: float = 120.0) -> str:
    """What a board writes to a serial port, until its report's end.

    Raises
    ------
    ToolError
        The port can't be opened or set, or no report ended in time.
    """
    try:
        import termios
    except ImportError:
        raise ToolError("no serial ports on this system: log to a file, give --log FILE") from None
    try:
        handle = os.open(port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise ToolError(f"{port}: can't be opened ({error.strerror})") from error
    try:
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise ToolError(f"{port}: {baud} baud is not a rate of this system")
        try:
            mode = termios.tcgetattr(handle)
            mode[0] = mode[1] = mode[3] = 0  # raw: nothing is translated, nothing echoed
            mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            mode[4] = mode[5] = speed
            termios.tcsetattr(handle, termios.TCSANOW, mode)
        except termios.error as error:
            raise ToolError(f"{port}: is not a serial port ({error.args[-1]})") from error
        got, until = b"", time.monotonic() + timeout_s
        while time.monotonic() < until:
            if select.select([handle], [], [], 0.2)[0]:
                got += os.read(handle, 4096)
                if re.search(rb"ecgqa-bench .*\nend [^\n]*\n", got, re.DOTALL):
                    return got.decode("ascii", "replace").replace("\r", "")
        raise ToolError(f"{port}: no whole report in {timeout_s:g} s; reset the board")
    finally:
        os.close(handle)
