# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The guides' commands and programs run as they stand, in an empty folder, and print what they say.

A block with a title needs what the title names: it is not run, or only where that is there. Its
commands are parsed all the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import test_house
from conftest import REPO, require_module, require_tool

from ecgqa_tflite.cli import main

DOCS = REPO / "ecgqa_tflite" / "docs"
PAGES = ["index.md", *sorted(f"guides/{p.name}" for p in (DOCS / "guides").glob("*.md"))]
RUN_WITH = {"needs TensorFlow": "tensorflow"}
"""Titles of blocks that run where the module is there: all of CI has it."""


class Block(NamedTuple):
    """A fenced block: its language, its title and its lines."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    fenced = re.findall(
        r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', (DOCS / page).read_text(), re.S | re.M
    )
    return [Block(*found) for found in fenced]


def commands(block: Block) -> list[str]:
    return [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]


def program(block: Block, before: list[str]) -> list[str]:
    """What runs a block; a page's Python is one program, of which each block adds its output.

    One with a title is a program of its own.
    """
    if block.language == "console":
        return ["bash", "-euc", "\n".join(commands(block))]
    quiet = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n"
    earlier = "".join(f"    {line}\n" for text in before for line in text.splitlines())
    return [
        sys.executable,
        "-c",
        (quiet + earlier if before and not block.title else "") + block.text,
    ]


def runs(block: Block) -> bool:
    return block.language in ("console", "python") and block.title in ("", *RUN_WITH)


def mine(line: str) -> bool:
    """Whether a guide shows it run in this test: what it writes is this page's own."""
    return not re.search(r"\b(models/mine|data)\b", line)


@pytest.mark.thorough
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page: str, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    before: list[str] = []
    said, ran = None, 0
    for block in blocks(page):
        if block.language == "text":
            if said is not None:
                assert said == block.text, f"{page}: prints something else"
            continue
        said = None
        if not runs(block) or not all(map(mine, commands(block))):
            continue
        if block.title:
            require_module(RUN_WITH[block.title])
        if "make -C" in block.text:
            require_tool("make")
        if "emulate" in block.text:
            require_tool("arm-none-eabi-gcc")
            require_tool("qemu-system-arm")
        done = subprocess.run(
            program(block, before), cwd=tmp_path, env=env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{page}:\n{block.text}\n{done.stdout[-2000:]}{done.stderr}"
        said, ran = done.stdout, ran + 1
        if block.language == "python" and not block.title:
            before.append(block.text)
    assert ran, f"{page} shows nothing that runs"


def test_every_command_is_there() -> None:
    """Those that do not run here, too."""
    seen = 0
    for page in PAGES:
        for block in blocks(page):
            for line in commands(block):
                words = line.split()
                if words[0] in ("ecgqa", "ecgqa-convert"):
                    arguments = words[1:] if words[0] == "ecgqa" else ["convert", *words[1:]]
                    try:
                        test_house.parse(main, arguments, "ecgqa")
                    except click.UsageError as error:
                        pytest.fail(f"{page}: {line}: {error.format_message()}")
                    seen += 1
    assert seen > 15


def test_the_floor_plan_is_the_order() -> None:
    text = (DOCS / "architecture.md").read_text()
    plan = text.partition("| Rooms |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in plan.splitlines()[2:]]
    assert [set(row) for row in rows] == [set(line.split()) for line in test_house.ORDER]
