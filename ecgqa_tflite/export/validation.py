"""A bundle proven again, on whatever machine it lies: also on an emulated Cortex-M."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ecgqa_tflite.benchmark import boards
from ecgqa_tflite.errors import SelfTestError
from ecgqa_tflite.export.proof import C_FLAGS, Proof, prove
from ecgqa_tflite.export.targets import find_target
from ecgqa_tflite.model_folder import MANIFEST, read_json

BOARD = "mps2-an386"
"""A Cortex-M4 with memory enough for every golden vector."""
STACK_BYTES = 1 << 16
TIMEOUT_S = 600


@dataclass(frozen=True)
class Validation:
    """What was shown; ``board_output`` is None where there is no emulator or no firmware."""

    target: str
    files: int
    proof: Proof
    board_output: tuple[str, ...] | None


def validate_bundle(folder: str | Path, *, emulate: bool = True) -> Validation:
    """Prove a bundle from its folder alone: hashes, golden vectors, its C, QEMU.

    Raises
    ------
    ModelError
        A file is missing or differs from its hash.
    SelfTestError
        A golden vector doesn't come out; the message names the stage.
    """
    folder = Path(folder)
    proof = prove(folder)
    manifest = read_json(folder / MANIFEST)
    name = manifest["target"]["name"]
    output = None
    if emulate and find_target(name).firmware and emulator_installed():
        output = selftest_on_board(folder)
    return Validation(name, len(manifest["files"]), proof, output)


def emulator_installed() -> bool:
    """Whether the board's compiler and emulator are there."""
    board = boards.boards()[BOARD]
    return all(shutil.which(tool) for tool in (board.compiler, board.emulator[0]))


def selftest_on_board(folder: Path) -> tuple[str, ...]:
    """Compile the bundle's self-test for a Cortex-M4, run it under QEMU, return its lines.

    Sources and headers are the bundle's; start-up and console come from this package.

    Raises
    ------
    SelfTestError
        It does not pass.
    ToolError
        It does not compile or link.
    """
    board = boards.boards()[BOARD]
    platform = boards.boards_dir()
    console = resources.files("ecgqa_tflite.export") / "board_files" / "printf.c"
    with tempfile.TemporaryDirectory() as scratch, resources.as_file(console) as printf:
        elf = Path(scratch) / f"{BOARD}.elf"
        ours = [*sorted((folder / "firmware_bridge/src").glob("*.c"))]
        ours += [*sorted((folder / "model").glob("*.c")), folder / "selftest.c"]
        system = [platform / name for name in ("startup.c", "semihosting.c", "print.c")]
        objects: list[str] = []
        for source in [*ours, *system, printf]:
            out = Path(scratch) / f"{len(objects)}.o"
            language = C_FLAGS if source in ours else boards.SYSTEM_FLAGS
            renamed = ["-Dmain=board_main"] if source.name == "selftest.c" else []
            boards.tool(
                board.compiler,
                *(*board.flags, *language, *renamed, "-O2"),
                *("-ffunction-sections", "-fdata-sections"),
                *(f"-I{folder / 'firmware_bridge/include'}", f"-I{folder / 'model'}"),
                *(f"-I{platform}", "-c", str(source), "-o", str(out)),
            )
            objects.append(str(out))
        boards.tool(
            board.compiler,
            *(*board.flags, "-Wl,--gc-sections", "-nostartfiles", f"-L{platform}"),
            *("-T", str(board.linker_script), f"-Wl,--defsym=ld_stack_bytes={STACK_BYTES}"),
            *(*objects, "-o", str(elf)),
        )
        done = boards.run(boards.Image(board, elf, {}), timeout_s=TIMEOUT_S)
    lines = tuple(line for line in done.output.splitlines() if line.strip())
    if done.status:
        word = lines[-1] if lines else f"exit code {done.status}"
        raise SelfTestError(f"the bundle's C self-test fails on an emulated {board.core}: {word}")
    return lines
