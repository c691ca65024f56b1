# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Compilers and cores beside gcc on x86: what compiles, and what is refused instead of wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tiny_device
from conftest import require_tool

from ecgqa_tflite.resources import firmware_bridge_dir

INCLUDE = f"-I{firmware_bridge_dir() / 'include'}"
HEADERS = ("cwt", "ecgqa", "nn", "status")


def compiled(*arguments: str) -> str:
    """What the compiler says; empty where it is content."""
    require_tool(arguments[0])
    done = subprocess.run([*arguments], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("standard", ["c++98", "c++11", "c++20"])
def test_headers_are_c_plus_plus(tmp_path: Path, standard: str) -> None:
    tiny_device.write(tiny_device.device("chain"), tmp_path)
    source = tmp_path / "t.cpp"
    names = [f"ecgqa/{h}.h" for h in HEADERS]
    names += ["ecgqa_bundle.h", "ecgqa_cwt_tables.h"]
    source.write_text("".join(f'#include "{name}"\n' for name in names))
    flags = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only")
    assert not compiled("g++", f"-std={standard}", *flags, INCLUDE, f"-I{tmp_path}", str(source))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-U__BYTE_ORDER__", "-D__BYTE_ORDER__=4321"), "little-endian"),
        (("-U__BYTE_ORDER__", "-D__ARM_BIG_ENDIAN"), "little-endian"),
        (("-U__INT_MAX__", "-D__INT_MAX__=32767"), "int of 32 bits"),
    ],
)
@pytest.mark.parametrize("header", [*HEADERS, "fixed"])
def test_a_core_that_would_be_wrong_is_refused(
    tmp_path: Path, header: str, flags: tuple[str, ...], said: str
) -> None:
    source = tmp_path / "t.c"
    source.write_text(f'#include "ecgqa/{header}.h"\n')
    assert said in compiled("gcc", "-std=c99", "-fsyntax-only", *flags, INCLUDE, str(source))


def test_without_gnu_builtins(tmp_path: Path) -> None:
    # As with a compiler that has none: to call one would not link.
    source = tmp_path / "t.c"
    source.write_text(
        '#include "ecgqa/fixed.h"\n'
        "int main(void)\n{\n    unsigned i;\n    if (ecgqa_bit_length(0u) != 0u) { return 1; }\n"
        "    for (i = 0u; i < 32u; ++i) {\n"
        "        if (ecgqa_bit_length(UINT32_C(1) << i) != i + 1u ||\n"
        "            ecgqa_bit_length(UINT32_MAX >> i) != 32u - i) { return 1; }\n    }\n"
        "    return 0;\n}\n"
    )
    library = [str(p) for p in sorted((firmware_bridge_dir() / "src").glob("*.c"))]
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-D__builtin_clz=no_such_builtin")
    program = str(tmp_path / "t")
    build = ("gcc", *flags, "-DECGQA_PORTABLE", INCLUDE, str(source), *library, "-o", program)
    assert not compiled(*build)
    assert subprocess.run([program]).returncode == 0
