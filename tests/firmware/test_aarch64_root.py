# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The base install on a Raspberry Pi's user land, under QEMU: ``assess`` and ``bench``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from aarch64_root import AARCH64
from conftest import missing

from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.boards import aarch64_root
from ecgqa_tflite.boards.aarch64_root import Root
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import Quality
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Made anew, or the folder that the environment names."""
    if os.environ.get(aarch64_root.VARIABLE):
        return aarch64_root.find()
    reason = AARCH64.missing()
    if reason is not None:
        missing(reason)
    made = Root(tmp_path_factory.mktemp("aarch64") / "root")
    AARCH64.make(made.path)
    entered = made.run(aarch64_root.PYTHON, "-c", "import platform; print(platform.machine())")
    if entered.returncode and os.geteuid() != 0:
        pytest.skip(f"only root may enter another root here: {entered.stderr.strip()[:200]}")
    assert entered.stdout == "aarch64\n", entered.stderr
    return made


def put(root: Root, source: Path) -> str:
    """Copy a folder into the root; its path from inside."""
    inside = f"/tmp/{source.name}"
    shutil.copytree(source, f"{root.path}{inside}", dirs_exist_ok=True)
    return inside


def test_assess_decides_as_here(root: Root, demo_record: Path) -> None:
    from click.testing import CliRunner

    from ecgqa_tflite import cli

    folder = put(root, demo_record.parent)
    record = f"{folder}/{demo_record.name}"
    done = root.run("/usr/bin/ecgqa", "assess", record, "--json", "/tmp/a.json", "--overwrite")
    assert done.returncode == 0, done.stderr
    here = demo_record.parent / "here.json"
    assert CliRunner().invoke(cli.main, ["assess", str(demo_record), "--json", str(here)]).exit_code == 0  # noqa: E501  # fmt: skip
    texts = (Path(f"{root.path}/tmp/a.json").read_text(), here.read_text())
    there, wanted = (json.loads(text)["records"][0]["leads"][0]["decisions"] for text in texts)
    assert [d["quality"] for d in there] == [d["quality"] for d in wanted]
    assert root.run(aarch64_root.PYTHON, "-c", "import tensorflow").returncode != 0


def test_bench_on_the_pi_says_that_it_is_emulated(root: Root, small_model: ModelFolder) -> None:
    model = put(root, small_model.path)
    done = root.run(
        "/usr/bin/ecgqa", "bench", model, "--target", "raspberry-pi", "--quick",
        "-o", "/tmp/report", "--overwrite",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(Path(f"{root.path}/tmp/report/report.json").read_text())
    assert {r["target"] for r in report["rows"]} == {"raspberry-pi"} and not report["missing"]
    assert report["machine"]["architecture"] == "aarch64"
    assert report["machine"]["emulated"] is True
    assert "an emulated machine" in report["noise"][0] and "an emulated machine" in done.stdout


def test_litert_s_instructions_and_scores(root: Root, small_model: ModelFolder) -> None:
    spec = small_model.spec
    segments, fs_hz, _ = inputs.load(None, spec, 1)
    image = colormap.image(NativeFrontEnd(spec, fs_hz).index_maps(segments), spec.colormap)
    tflite = small_model.tflite_path.read_bytes()
    count, scores = root.network_instructions(tflite, image)
    here = Int8Network(tflite).scores(to_int8(image))[0]
    assert np.abs(np.array(scores) - here)[Quality.HIGH] <= 1  # XNNPACK's kernels differ by core
    assert 1e4 < count < 1e9


def test_no_root_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(aarch64_root.VARIABLE, raising=False)
    with pytest.raises(ToolError, match="make aarch64-root"):
        aarch64_root.find()
    monkeypatch.setenv(aarch64_root.VARIABLE, str(tmp_path))
    with pytest.raises(ToolError, match="none that make"):
        aarch64_root.find()
