# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""From an installed package to a Cortex-M image of the shipped model: the README's commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO, require_tool

from ecgqa_tflite.recording.simulator import simulate_demo


def commands() -> list[str]:
    """Lines of the README's block that makes an image."""
    blocks = re.findall(r"```console\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    (block,) = (b for b in blocks if re.search(r"make -C \S+ image", b))
    return [line.removeprefix("$ ") for line in block.splitlines()]


def test_the_readmes_way_to_an_image(tmp_path: Path) -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        require_tool(tool)
    install, *rest = commands()
    assert install.startswith("pip install ") and len(rest) == 3
    demo = simulate_demo().signal_mv[:, 0]
    np.rint(np.nan_to_num(demo) * 200).astype("<i2").tofile(tmp_path / "mine.s16")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in rest:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=os.environ | {"PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert ": high" in done.stderr and ": low" in done.stderr  # QEMU's console: the decisions
    image = tmp_path / "build/bundle/build/selftest.elf"
    told = subprocess.run(
        ["arm-none-eabi-nm", str(image)], capture_output=True, text=True, check=True
    ).stdout
    assert "ecgqa_classify" in told and "light_cnn_small" in told


def test_the_readmes_program(demo_record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    assert "data/mitdb/104" in program
    exec(program.replace("data/mitdb/104", str(demo_record)), {})
    assert re.fullmatch(r"\d+ of 18 segments can be trusted\n", capsys.readouterr().out)
