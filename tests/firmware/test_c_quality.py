# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What the library's objects hold, call and need of the stack."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from conftest import require_tool
from targets import usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.resources import firmware_bridge_dir

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

CORES = ("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")

COMPILERS = ("microbit", "virt", "mps2-an386", "mps3-an547", "host-gcc", "host-clang")
"""Each compiler with each set of kernels; other tests build for the other boards."""

FROM_THE_COMPILER = {
    *("memcpy", "memset", "memmove", "memcmp"),
    # Integer arithmetic of 64 bits, division and switch tables, which libgcc brings.
    *("__aeabi_lmul", "__aeabi_ldivmod", "__aeabi_uldivmod", "__aeabi_lasr", "__aeabi_llsl"),
    *("__aeabi_llsr", "__aeabi_idiv", "__aeabi_uidiv", "__aeabi_idivmod", "__aeabi_uidivmod"),
    *("__gnu_thumb1_case_uqi", "__gnu_thumb1_case_sqi", "__gnu_thumb1_case_uhi"),
    *("__gnu_thumb1_case_shi", "__gnu_thumb1_case_si"),
    *("__ashldi3", "__ashrdi3", "__lshrdi3", "__muldi3", "__divdi3", "__udivdi3"),
    *("__aeabi_memcpy", "__aeabi_memset", "__aeabi_memclr", "__aeabi_memmove"),
}
"""All that the library may ask of others: no float helper, no heap, no stdio among it."""

STACK_LIMIT_BYTES = 1024


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("flags", [("-O2",), ("-Os",), ("-O2", "-DECGQA_PORTABLE")], ids=" ".join)
@pytest.mark.requirement("MEM-1")
def test_no_float_heap_stdio_or_mutable_globals(
    name: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    board = usable(name)
    objects = boards.compile_sources(board, boards.library_sources(), tmp_path, flags=flags)
    defined: set[str] = set()
    wanted: set[str] = set()
    for made in objects.values():
        for symbol in boards.read_symbols(board, made):
            assert symbol.kind not in "bBdDcCsSgG" or not symbol.size or _is_relro(symbol), symbol
            defined.add(symbol.name)
        listing = boards.tool(board.tool_prefix + "nm", "-u", str(made))
        wanted |= {line.split()[-1] for line in listing.splitlines()}
    from_outside = wanted - defined - {"_GLOBAL_OFFSET_TABLE_"}
    assert from_outside <= FROM_THE_COMPILER


def _is_relro(symbol: boards.Symbol) -> bool:
    # Pointers to constants, which a host's loader relocates before they become read-only.
    return symbol.kind in "dD" and symbol.name.startswith("switch.table")


@dataclass
class Function:
    """A node of the compiler's call graph."""

    frame_bytes: int = 0
    bounded: bool = True
    calls: set[str] = field(default_factory=set)


def _call_graph(files: Iterable[Path]) -> dict[str, Function]:
    """Of ``-fcallgraph-info=su``; static functions carry their file's name."""
    graph: dict[str, Function] = {}
    node = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(?:(\d+) bytes \((\w+)[^"]*)?"')
    edge = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
    for file in files:
        for line in file.read_text().splitlines():
            if found := node.match(line):
                name, frame, kind = found.groups()
                function = graph.setdefault(name, Function())
                if frame is not None:
                    function.frame_bytes = int(frame)
                    function.bounded = kind == "static"
            elif found := edge.match(line):
                graph.setdefault(found[1], Function()).calls.add(found[2])
    return graph


def _depth(graph: dict[str, Function], name: str, above: tuple[str, ...] = ()) -> int:
    assert name not in above, f"recursion: {' > '.join((*above, name))}"
    function = graph.get(name, Function())
    assert function.bounded, f"{name}: its frame has no fixed size"
    below = [_depth(graph, called, (*above, name)) for called in function.calls]
    return function.frame_bytes + max(below, default=0)


@pytest.mark.parametrize("name", CORES)
@pytest.mark.requirement("MEM-2")
def test_stack_is_bounded_without_recursion(name: str, tmp_path: Path) -> None:
    board = usable(name)
    flags = (*boards.OPTIMISE, "-fcallgraph-info=su")
    boards.compile_sources(board, boards.library_sources(), tmp_path, flags=flags)
    graph = _call_graph(tmp_path.glob("*.ci"))
    for root in ("ecgqa_classify", "ecgqa_selftest", "ecgqa_push", "ecgqa_init"):
        assert graph[root].frame_bytes > 0
        assert _depth(graph, root) <= STACK_LIMIT_BYTES
    assert not any("__indirect_call" in f.calls for f in graph.values())


def _is_circular(calls: dict[str, set[str]]) -> bool:
    try:
        TopologicalSorter(calls).prepare()
    except CycleError:
        return True
    return False


def test_calls_between_files_go_one_way(tmp_path: Path) -> None:
    board = usable("host-gcc")
    objects = boards.compile_sources(board, boards.library_sources(), tmp_path, flags=("-O0",))
    defined, wanted = {}, {}
    for source, made in objects.items():
        defined |= {symbol.name: source.name for symbol in boards.read_symbols(board, made)}
        listing = boards.tool(board.tool_prefix + "nm", "-u", str(made))
        wanted[source.name] = {line.split()[-1] for line in listing.splitlines()}
    calls = {name: {defined[s] for s in w if s in defined} for name, w in wanted.items()}
    assert "nn_layers.c" in calls["nn.c"]
    assert not _is_circular(calls), calls
    assert _is_circular({**calls, "nn_layers.c": {*calls["nn_layers.c"], "nn.c"}})


def test_public_headers_are_cxx_too(tmp_path: Path) -> None:
    usable("host-gcc")
    require_tool("g++")
    for header in sorted((firmware_bridge_dir() / "include" / "ecgqa").glob("*.h")):
        source = tmp_path / "alone.cpp"
        source.write_text(f'#include "ecgqa/{header.name}"\n')
        include = f"-I{firmware_bridge_dir() / 'include'}"
        flags = ("-std=c++11", "-Wall", "-Wextra", "-Werror", include)
        boards.tool("g++", *flags, "-c", str(source), "-o", str(tmp_path / "alone.o"))


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("flags", [("-O0",), ("-O3",)], ids=" ".join)
def test_no_warning_on_any_compiler(name: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    boards.compile_sources(usable(name), boards.library_sources(), tmp_path, flags=flags)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
def test_no_warning_of_clang_for_arm(core: str, tmp_path: Path) -> None:
    usable("mps2-an386")  # newlib comes with its compiler
    flags = ("--target=arm-none-eabi", f"-mcpu={core}", "-mthumb")
    board = replace(usable("host-clang"), flags=(*flags, "-isystem", "/usr/include/newlib"))
    boards.compile_sources(board, boards.library_sources(), tmp_path)
