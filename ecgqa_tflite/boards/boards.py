# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Build a C program for a board and run it: natively, with qemu-user or under QEMU's boards.

The boards are listed in ``firmware_bridge/boards/boards.json``. A count is of instructions, exactly
repeatable; QEMU has no timing model, so it is never cycles or milliseconds.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.resources import firmware_bridge_dir

C_FLAGS = (
    *("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Wstrict-prototypes"),
    *("-Werror", "-ffunction-sections", "-fdata-sections"),
)
"""The language and the warnings that every source has to pass, on every compiler."""

MAX_TOLD = 20_000
"""Characters of a failed program's report that an error repeats."""

OPTIMISE = ("-O2",)
"""What figures are measured with."""

SYSTEM_FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
"""For ``boards/`` itself, which holds assembly, addresses and the host's C library."""


SECTIONS = (".text", ".rodata", ".data", ".bss", ".stack")
"""What ``sections.ld`` lays out."""


@dataclass(frozen=True)
class Board:
    """One line of ``boards.json``; ``bare`` boards have no operating system."""

    name: str
    core: str
    compiler: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]

    @property
    def linker_script(self) -> Path:
        """Where the board's memories are told; only ``bare`` boards have one."""
        return boards_dir() / f"{self.name}.ld"

    @property
    def bare(self) -> bool:
        """Whether the image starts from the reset vector."""
        return self.linker_script.is_file()

    @property
    def tool_prefix(self) -> str:
        """Of ``nm``, ``size`` and their like: ``arm-none-eabi-``, or nothing on the host."""
        return self.compiler.removesuffix("gcc") if self.emulator else ""


@dataclass(frozen=True)
class Image:
    """A linked program and the objects it was linked from."""

    board: Board
    elf: Path
    objects: Mapping[Path, Path]
    """Object file of each source."""

    def section_bytes(self) -> dict[str, int]:
        """Size of each section that a board's memory holds, bytes."""
        rows = tool(self.board.tool_prefix + "size", "-A", str(self.elf)).splitlines()
        cells = (row.split() for row in rows)
        return {c[0][1:]: int(c[1]) for c in cells if c and c[0] in SECTIONS}

    def symbols(self) -> list[Symbol]:
        """The program's symbols with a size, or of code, sorted by address."""
        return read_symbols(self.board, self.elf)

    def source_of(self) -> dict[str, Path]:
        """C file of each symbol; what the compiler's own libraries bring is left out."""
        return {
            symbol.name: source
            for source, built in self.objects.items()
            for symbol in read_symbols(self.board, built)
        }


@dataclass(frozen=True)
class Symbol:
    """A line of ``nm``: address and size in bytes, the type letter, the name."""

    address: int
    size: int
    kind: str
    name: str


@dataclass(frozen=True)
class Stage:
    """Instructions executed since the mark before (or the start), in all and by function."""

    mark: str
    total: int
    by_function: Mapping[str, int]


@dataclass(frozen=True)
class Run:
    """What a program left behind: its exit status, its text, its counts."""

    status: int
    output: str
    stages: tuple[Stage, ...] = field(default=())

    def instructions(self, begin: str, end: str, *, occurrence: int = 0) -> int:
        """Instructions from one arrival at mark ``begin`` to the next arrival at ``end``."""
        starts = [i for i, stage in enumerate(self.stages) if stage.mark == begin]
        first = starts[occurrence]
        last = next(i for i in range(first + 1, len(self.stages)) if self.stages[i].mark == end)
        return sum(stage.total for stage in self.stages[first + 1 : last + 1])


def boards_dir() -> Path:
    """Folder of start-up code, linker scripts and ``boards.json``."""
    return firmware_bridge_dir() / "boards"


@functools.cache
def boards() -> Mapping[str, Board]:
    """Every board by name."""
    listed = json.loads((boards_dir() / "boards.json").read_text())
    return {
        name: Board(name, row["core"], row["compiler"], tuple(row["flags"]), tuple(row["emulator"]))
        for name, row in listed.items()
    }


def tool(name: str, *arguments: str, timeout_s: float = 120) -> str:
    """Standard output of an outside program.

    Raises
    ------
    ToolError
        It is not installed, failed or did not end in time.
    """
    return _done(name, arguments, timeout_s).stdout


def tool_report(name: str, *arguments: str, timeout_s: float = 120) -> str:
    """As :func:`tool`, of a program that reports on standard error."""
    return _done(name, arguments, timeout_s).stderr


def _done(
    name: str, arguments: Sequence[str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    path = shutil.which(name)
    if path is None:
        raise ToolError(f"{name} is not installed; `make setup-firmware` installs it")
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} did not end within {timeout_s:g} s") from None
    if done.returncode != 0:
        told = (done.stderr.strip() or done.stdout.strip())[-MAX_TOLD:]
        raise ToolError(f"{name} failed: {' '.join(arguments)}\n{told}")
    return done


def read_symbols(board: Board, path: Path) -> list[Symbol]:
    """Defined symbols of an object or a program, by address; sizes are 0 where it tells none."""
    symbols = []
    for line in tool(board.tool_prefix + "nm", "-S", "--defined-only", str(path)).splitlines():
        cells = line.split()
        if len(cells) == 4:
            symbols.append(Symbol(int(cells[0], 16), int(cells[1], 16), cells[2], cells[3]))
        elif len(cells) == 3:
            symbols.append(Symbol(int(cells[0], 16), 0, cells[1], cells[2]))
    return sorted(symbols, key=lambda s: (s.address, s.name))


def compile_sources(
    board: Board,
    sources: Iterable[Path],
    out: Path,
    *,
    include: Iterable[Path] = (),
    flags: Sequence[str] = OPTIMISE,
) -> dict[Path, Path]:
    """Compile C files for a board into the folder ``out``; the object file of each.

    Parameters
    ----------
    include
        Folders of headers, next to ``firmware_bridge/include`` and ``boards``.
    flags
        Optimisation and definitions.

    Raises
    ------
    ToolError
        The compiler is missing or a file does not compile.
    """
    out.mkdir(parents=True, exist_ok=True)
    folders = [f"-I{p}" for p in (firmware_bridge_dir() / "include", boards_dir(), *include)]
    objects: dict[Path, Path] = {}
    for source in sources:
        language = SYSTEM_FLAGS if source.parent == boards_dir() else C_FLAGS
        target = out / f"{source.parent.name}-{source.stem}.o"
        tool(
            board.compiler,
            *(*board.flags, *language, *flags, *folders),
            *("-fstack-usage", "-g", "-c", str(source), "-o", str(target)),
        )
        objects[source] = target
    return objects


def library_sources() -> list[Path]:
    """Every C file of the library itself."""
    return sorted((firmware_bridge_dir() / "src").glob("*.c"))


def build(
    board: Board,
    sources: Iterable[Path],
    out: Path,
    *,
    include: Iterable[Path] = (),
    flags: Sequence[str] = OPTIMISE,
    stack_bytes: int | None = None,
    objects: Mapping[Path, Path] | None = None,
) -> Image:
    """Compile ``sources`` and the board's platform and link them, in the folder ``out``.

    Parameters
    ----------
    sources
        C files of the program; it defines ``board_main`` (``platform.h``).
    include, flags
        As :func:`compile_sources`.
    stack_bytes
        Size of the stack that a bare board's linker script lays out.
    objects
        What was compiled before, of the same board and flags.

    Raises
    ------
    ToolError
        The compiler is missing, or the program does not compile, link or fit.
    """
    system = ["startup.c", "semihosting.c"] if board.bare else ["posix.c"]
    platform = [boards_dir() / name for name in (*system, "print.c")]
    made = compile_sources(board, [*sources, *platform], out, include=include, flags=flags)
    linked = {**(objects or {}), **made}
    elf = out / f"{board.name}.elf"
    link = ["-Wl,--gc-sections"]
    if board.bare:
        # -L for INCLUDE; no start files: startup.c is the start. memcpy and the 64-bit helpers
        # come from newlib and libgcc.
        link += ["-nostartfiles", f"-L{boards_dir()}", "-T", str(board.linker_script)]
        if stack_bytes is not None:
            link += [f"-Wl,--defsym=ld_stack_bytes={stack_bytes}"]
    tool(board.compiler, *board.flags, *flags, *link, *map(str, linked.values()), "-o", str(elf))
    return Image(board, elf, linked)


@functools.cache
def count_plugin(folder: Path) -> Path:
    """The TCG plugin that counts instructions, built in a folder with this machine's compiler."""
    library = folder / "qemu_count.so"
    source = boards_dir() / "qemu_count.c"
    flags = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden")
    tool("gcc", *flags, str(source), "-o", str(library))
    return library


def run(
    image: Image,
    arguments: Sequence[str] = (),
    *,
    marks: Sequence[str] = (),
    timeout_s: float = 120,
) -> Run:
    """Run a program and, when ``marks`` are given, count instructions between them.

    Parameters
    ----------
    arguments
        For the program, without spaces or commas; paths are the host's own.
    marks
        Functions of the program at whose first instruction the count is written down. Not for
        boards without an emulator.

    Raises
    ------
    ToolError
        The emulator is missing or the program did not end in time; never because of its status.
    """
    board = image.board
    counts = image.elf.with_suffix(".counts")
    plugin: list[str] = []
    if marks:
        listing = image.elf.with_suffix(".symbols")
        listing.write_text(_symbol_listing(image, marks))
        library = count_plugin(image.elf.parent)
        plugin = ["-plugin", f"{library},symbols={listing},out={counts}"]
    if not board.emulator:
        command = [str(image.elf), *arguments]
    elif board.bare:
        told = ",".join(f"arg={a}" for a in (image.elf.name, *arguments))
        quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
        hosting = ["-semihosting-config", f"enable=on,target=native,{told}"]
        command = [*board.emulator, *quiet, *hosting, *plugin, "-kernel", str(image.elf)]
    else:
        command = [*board.emulator, *plugin, str(image.elf), *arguments]
    if shutil.which(command[0]) is None:
        raise ToolError(f"{command[0]} is not installed; `make setup-firmware` installs it")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{image.elf.name} on {board.name} did not end in {timeout_s:g} s"
        ) from None
    # Semihosting writes to stderr or stdout, as QEMU's version has it.
    stages = _read_counts(counts) if marks else ()
    return Run(done.returncode, done.stdout + done.stderr, stages)


def _symbol_listing(image: Image, marks: Sequence[str]) -> str:
    code = [s for s in image.symbols() if s.kind in "tTwW"]
    by_name = {s.name: s for s in code}
    missing = [m for m in marks if m not in by_name]
    if missing:
        raise ToolError(f"{image.elf.name} has no function {', '.join(missing)}")
    lines = [f"m {by_name[m].address & ~1:x} {m}" for m in marks]
    end = 0
    for s in code:
        start = s.address & ~1
        if s.size and start >= end:
            end = start + s.size
            lines.append(f"f {start:x} {end:x} {s.name}")
    return "\n".join(lines) + "\n"


def _read_counts(path: Path) -> tuple[Stage, ...]:
    stages: list[tuple[str, int, dict[str, int]]] = []
    for line in path.read_text().splitlines():
        kind, name, count = line.split()
        if kind == "mark":
            stages.append((name, int(count), {}))
        else:
            stages[-1][2][name] = int(count)
    before = [0, *(total for _, total, _ in stages)]
    return tuple(
        Stage(mark, total - before[i], functions)
        for i, (mark, total, functions) in enumerate(stages)
    )
