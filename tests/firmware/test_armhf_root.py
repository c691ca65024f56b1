# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``assess`` on a 32-bit Raspberry Pi's user land, which has no LiteRT, under QEMU."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from armhf_root import ARMHF, CPU, VARIABLE
from click.testing import CliRunner
from conftest import missing
from test_aarch64_root import put

from ecgqa_tflite import cli
from ecgqa_tflite.boards.aarch64_root import PYTHON, Root

pytestmark = pytest.mark.apart

WORDS = "import platform, struct; print(platform.machine(), 8 * struct.calcsize('P'))"
UNMET = """
import importlib.metadata as m
from packaging.requirements import Requirement
for r in map(Requirement, m.requires("ecgqa-tflite")):
    if r.marker is None or r.marker.evaluate({"extra": ""}):
        if not r.specifier.contains(m.version(r.name)):
            print(r, m.version(r.name))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Made anew, or the folder that the environment names."""
    if os.environ.get(VARIABLE):
        return Root(Path(os.environ[VARIABLE]).resolve(), CPU)
    reason = ARMHF.missing()
    if reason is not None:
        missing(reason)
    made = Root(tmp_path_factory.mktemp("armhf") / "root", CPU)
    ARMHF.make(made.path)
    entered = made.run(PYTHON, "-c", WORDS)
    if entered.returncode and os.geteuid() != 0:
        pytest.skip(f"only root may enter another root here: {entered.stderr.strip()[:200]}")
    assert entered.stdout == "armv7l 32\n", entered.stderr
    return made


def test_it_has_what_pip_would_ask_for_and_no_litert(root: Root) -> None:
    done = root.run(PYTHON, "-c", UNMET)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr
    assert root.run(PYTHON, "-c", "import ai_edge_litert").returncode != 0


def assessed(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["records"][0]["leads"][0]["decisions"]
    return found


@pytest.mark.parametrize("model", ["light_cnn", "light_cnn_small"])
def test_assess_decides_as_a_device_does(
    root: Root, model: str, demo_record: Path, tmp_path: Path
) -> None:
    record = f"{put(root, demo_record.parent)}/{demo_record.name}"
    options = ("--model", model, "--json", "/tmp/a.json", "--overwrite")
    done = root.run("/usr/bin/ecgqa", "assess", record, *options)
    assert done.returncode == 0, done.stderr
    here = tmp_path / "here.json"
    options = ("--model", model, "--json", str(here), "--kernels", "reference")
    run = CliRunner().invoke(cli.main, ["assess", str(demo_record), *options])
    assert run.exit_code == 0, run.output
    there = assessed(Path(f"{root.path}/tmp/a.json").read_text())
    assert there == assessed(here.read_text())  # scores too
    assert {d["quality"] for d in there} == {"high", "low"}


def test_what_the_engine_can_t_run_is_one_line(root: Root, demo_record: Path) -> None:
    record = f"{put(root, demo_record.parent)}/{demo_record.name}"
    done = root.run("/usr/bin/ecgqa", "assess", record, "--model", "inception_v1")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "engine can't run it (operator" in done.stderr and "ai-edge-litert" in done.stderr
