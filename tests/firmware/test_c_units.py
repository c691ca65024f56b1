# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""cmocka tests of the library under sanitizers, and the lines of src/ that they reach: all."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import tiny_device
from conftest import require_tool
from targets import usable
from test_engine_units import engine, engine_program

from ecgqa_tflite.boards import boards
from ecgqa_tflite.resources import firmware_bridge_dir

pytestmark = pytest.mark.slow

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TEST_FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g")

CHECKED = ("-DECGQA_CHECKED", f"-I{firmware_bridge_dir() / 'host'}")
"""The operators of fixed.h look at their arguments."""


def _program(board: boards.Board, network: str, out: Path, *flags: str) -> Path:
    """``test_library.c`` with the library and one of the tiny bundles."""
    generated = tiny_device.write(tiny_device.device(network), out / "generated")
    include = [generated[0].parent]
    sources = [*boards.library_sources(), *generated]
    objects = boards.compile_sources(board, sources, out, include=include, flags=("-O1", *flags))
    folders = [f"-I{p}" for p in (firmware_bridge_dir() / "include", *include)]
    program = out / "test_library"
    boards.tool(
        board.compiler,
        *(*TEST_FLAGS, *flags, *folders, str(firmware_bridge_dir() / "tests" / "test_library.c")),
        *(*map(str, objects.values()), "-lcmocka", "-o", str(program)),
    )
    return program


@pytest.mark.parametrize("network", tiny_device.NETWORKS)
@pytest.mark.parametrize("compiler", ["host-gcc", "host-clang"])
def test_library(compiler: str, network: str, tmp_path: Path) -> None:
    board = usable(compiler)
    boards.tool(str(_program(board, network, tmp_path, *SANITIZERS)))


def test_every_line_is_reached(tmp_path: Path) -> None:
    board = usable("host-gcc")
    require_tool("gcov")
    hits: dict[tuple[str, int], int] = {}
    # not -O0: fast.h would have what is inlined compiled away, and its lines with it
    flags = ("--coverage", "-Og", "-fno-inline")
    programs = {
        name: _program(board, name, tmp_path / name, *flags) for name in tiny_device.NETWORKS
    }
    programs["engine"] = engine_program(board, tmp_path / "engine", *flags)
    for name, program in programs.items():
        out = tmp_path / name
        boards.tool(str(program))
        for notes in out.glob("src-*.gcno"):
            report = json.loads(boards.tool("gcov", "--json-format", "--stdout", str(notes)))
            for file in report["files"]:
                if Path(file["file"]).parent.name not in ("src", "ecgqa"):
                    continue
                for line in file["lines"]:
                    key = (Path(file["file"]).name, line["line_number"])
                    hits[key] = hits.get(key, 0) + line["count"]
    missed = sorted(key for key, count in hits.items() if count == 0)
    assert len(hits) > 1000
    assert not missed, f"lines no test reaches: {missed}"


@pytest.mark.parametrize("network", tiny_device.NETWORKS)
def test_no_operator_is_asked_too_much_by_the_library(network: str, tmp_path: Path) -> None:
    boards.tool(str(_program(usable("host-gcc"), network, tmp_path, *CHECKED)))


def test_no_operator_is_asked_too_much_by_random_networks(tmp_path: Path) -> None:
    sources = [*engine(), firmware_bridge_dir() / "tests" / "nn_random_program.c"]
    image = boards.build(usable("host-gcc"), sources, tmp_path, flags=("-O1", *CHECKED))
    done = boards.run(image, ["200"])
    assert done.status == 0, done.output


@pytest.mark.parametrize(
    "name", ["mul_q31", "mul_q31_round", "shr_round", "shr_away", "shl", "abs", "dot8_s16"]
)
def test_an_operator_that_is_asked_too_much_tells_where(name: str, tmp_path: Path) -> None:
    source = firmware_bridge_dir() / "tests" / "overflow_program.c"
    program, include = tmp_path / "overflow", f"-I{firmware_bridge_dir() / 'include'}"
    board = usable("host-gcc")
    boards.tool(board.compiler, *TEST_FLAGS, *CHECKED, include, str(source), "-o", str(program))
    done = subprocess.run([program, name], capture_output=True, text=True, check=False)
    (line,) = (
        number
        for number, text in enumerate(source.read_text().splitlines(), 1)
        if f"= ecgqa_{name}(" in text
    )
    assert done.returncode < 0
    assert f"overflow_program.c:{line}: ecgqa_{name}: " in done.stderr


def test_every_operator_has_a_checked_twin() -> None:
    operator = r"^static inline \w+ (ecgqa_\w+)\("
    folder = firmware_bridge_dir()
    plain = re.findall(operator, (folder / "include/ecgqa/fixed.h").read_text(), re.M)
    checked = (folder / "host" / "fixed_checked.h").read_text()
    twins = re.findall(r"^ECGQA_TWIN_\d\(\w+, (\w+),", checked, re.M)
    assert sorted(twins) == sorted(set(plain) - {"ecgqa_load_s16x2"})
    assert sorted(re.findall(r"^#define (ecgqa_\w+)\(", checked, re.M)) == sorted(twins)
