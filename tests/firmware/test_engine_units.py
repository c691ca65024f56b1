# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The engine's calls under cmocka, and random networks against the definition on every kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from targets import usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.resources import firmware_bridge_dir

pytestmark = pytest.mark.slow

SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ON_BOARDS = [
    ("microbit", ("-O2",)),
    ("microbit", ("-Os",)),
    ("microbit", ("-O0",)),
    ("virt", ("-O2",)),
    ("mps2-an386", ("-O0",)),
    ("mps2-an386", ("-O2",)),
    ("mps2-an386", ("-Os",)),
    ("mps2-an500", ("-O2",)),
    ("mps2-an505", ("-O3",)),
    ("mps3-an547", ("-O2",)),
    ("mps3-an547", ("-Os",)),
    ("armhf", ("-O2",)),
    ("aarch64", ("-O2",)),
]


def engine() -> list[Path]:
    folder = firmware_bridge_dir()
    sources = [*sorted((folder / "src").glob("nn*.c")), folder / "src" / "seal.c"]
    return [*sources, folder / "tests" / "nn_random.c"]


def engine_program(board: boards.Board, out: Path, *flags: str) -> Path:
    """``test_nn.c`` with the engine; objects of the library are ``src-*.o`` in ``out``."""
    folder = firmware_bridge_dir()
    objects = boards.compile_sources(board, engine(), out, flags=flags)
    program = out / "test_nn"
    boards.tool(
        board.compiler,
        *("-std=gnu11", "-Wall", "-Wextra", "-Werror", *flags, f"-I{folder / 'include'}"),
        *(str(folder / "tests" / "test_nn.c"), *map(str, objects.values())),
        *("-lcmocka", "-o", str(program)),
    )
    return program


@pytest.mark.parametrize("name", ["host-gcc", "host-clang"])
def test_calls(name: str, tmp_path: Path) -> None:
    boards.tool(str(engine_program(usable(name), tmp_path, *SANITIZERS)), timeout_s=300)


@pytest.mark.parametrize(("name", "flags"), ON_BOARDS, ids=[f"{n} {f[0]}" for n, f in ON_BOARDS])
def test_random_networks(name: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    program = firmware_bridge_dir() / "tests" / "nn_random_program.c"
    image = boards.build(usable(name), [*engine(), program], tmp_path, flags=flags)
    done = boards.run(image, ["200"])
    assert done.status == 0, done.output


@pytest.mark.parametrize(("name", "flags"), ON_BOARDS, ids=[f"{n} {f[0]}" for n, f in ON_BOARDS])
def test_kernels_on_random_inputs(name: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    folder = firmware_bridge_dir()
    program = folder / "tests" / "kernels_program.c"
    sources = [*sorted((folder / "src").glob("nn_kernels*.c")), folder / "src" / "nn_softmax.c"]
    sources.append(folder / "src" / "nn_layers.c")
    image = boards.build(usable(name), [*sources, program], tmp_path, flags=flags)
    done = boards.run(image, ["5000"])
    assert done.status == 0, done.output
