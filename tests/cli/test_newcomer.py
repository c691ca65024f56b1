# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""From an installed package to a Cortex-M image of the shipped model: the README's commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from conftest import REPO, require_tool


def commands() -> list[list[str]]:
    """Words of each line of the README's block that ends in ``make -C ... image``."""
    blocks = re.findall(r"```console\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    (block,) = (b for b in blocks if re.search(r"make -C \S+ image", b))
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]


def test_the_readmes_way_to_an_image(tmp_path: Path) -> None:
    require_tool("arm-none-eabi-gcc")
    install, *rest = commands()
    assert install[:2] == ["pip", "install"] and len(rest) == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in rest:
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    (image,) = tmp_path.rglob("*.elf")
    told = subprocess.run(
        ["arm-none-eabi-nm", str(image)], capture_output=True, text=True, check=True
    ).stdout
    assert "ecgqa_classify" in told and "light_cnn_tflite" in told
