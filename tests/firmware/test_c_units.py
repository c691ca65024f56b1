"""cmocka tests of the library under sanitizers, and the lines of src/ that they reach: all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_device
from conftest import require_tool
from targets import usable
from test_engine_units import engine_program

from ecgqa_tflite.boards import boards
from ecgqa_tflite.resources import firmware_bridge_dir

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TEST_FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g")


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
    flags = ("--coverage", "-O0")
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
