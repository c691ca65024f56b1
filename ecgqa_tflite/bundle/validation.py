# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle proven again, on whatever machine it lies: also on an emulated Cortex-M."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ecgqa_tflite.boards import boards
from ecgqa_tflite.bundle.proof import Proof, prove
from ecgqa_tflite.devices import find_target
from ecgqa_tflite.errors import SelfTestError
from ecgqa_tflite.model_folder import read_json
from ecgqa_tflite.output import MANIFEST

BOARD = "mps2-an386"
"""A Cortex-M4 with memory enough for every golden vector."""
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
    """Whether the board's compiler and emulator are there, and make."""
    board = boards.boards()[BOARD]
    return all(shutil.which(tool) for tool in ("make", board.compiler, board.emulator[0]))


def selftest_on_board(folder: Path) -> tuple[str, ...]:
    """Make the bundle's image for a Cortex-M4, run it under QEMU, return its lines.

    All of it, start-up and Makefile too, is the bundle's own; a copy is built, by relative paths.

    Raises
    ------
    SelfTestError
        It does not pass.
    ToolError
        It does not compile or link.
    """
    board = boards.boards()[BOARD]
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "bundle"))
        boards.tool("make", "-C", str(copy), "image", "BUILD=image")
        elf = copy / "image/selftest.elf"
        done = boards.run(boards.Image(board, elf, {}), timeout_s=TIMEOUT_S)
    lines = tuple(line for line in done.output.splitlines() if line.strip())
    if done.status:
        word = lines[-1] if lines else f"exit code {done.status}"
        raise SelfTestError(f"the bundle's C self-test fails on an emulated {board.core}: {word}")
    return lines
