# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The tutorials run as they stand, each in an empty folder; what they assert is the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO, require_module, require_tool

DOCS = REPO / "ecgqa_tflite" / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.py"))
NEEDS = {"archives": "pyarrow", "own": "tensorflow"}
"""Modules of an extra."""


@pytest.mark.thorough
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda p: p.stem)
def test_a_tutorial_runs(path: Path, tmp_path: Path) -> None:
    if path.stem in NEEDS:
        require_module(NEEDS[path.stem])
    if path.stem in ("bundle", "device"):
        require_tool("make")
        require_tool("cc")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "PYTHONOPTIMIZE": "",  # assertions count
    }
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, env=os.environ | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_every_guide_has_one_and_leads_to_it() -> None:
    guides = {path.stem: path.read_text() for path in (DOCS / "guides").glob("*.md")}
    assert sorted(guides) == [path.stem for path in TUTORIALS]
    for name, text in guides.items():
        assert f"](../tutorials/{name}.py)" in text
        assert "assert " in (DOCS / "tutorials" / f"{name}.py").read_text()
