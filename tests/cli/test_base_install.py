# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The base install, from a wheel in an environment of its own: no TensorFlow, no tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

from ecgqa_tflite.model_folder import ModelFolder

ABSENT = ("tensorflow", "tf_keras", "tflite_micro", "ethosu", "sklearn", "pywt")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of a virtual environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("base")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(REPO)]
    subprocess.run(build, check=True, env=tools, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "--no-compile", str(wheel)], check=True
    )
    return python.parent


def run(program: Path, *arguments: object, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=clean,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_assess_and_bench(
    environment: Path, demo_record: Path, small_model: ModelFolder, tmp_path: Path
) -> None:
    script = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
    assert run(environment / "python", "-c", script, *ABSENT, cwd=tmp_path).strip() == ""
    out = tmp_path / "decisions.json"
    run(environment / "ecgqa", "assess", demo_record, "--json", out, cwd=tmp_path)
    assert json.loads(out.read_text())["n_segments"] == 18
    report = tmp_path / "report"
    text = run(
        environment / "ecgqa", "bench", small_model.path, "--target", "host", "--target", "tflm",
        "--quick", "-o", report, cwd=tmp_path,
    )  # fmt: skip
    assert "tflm: tflite-micro is not installed" in text and "segments/s" in text
    rows = json.loads((report / "report.json").read_text())["rows"]
    assert len(rows) >= 3 and {r["kind"] for r in rows} == {"measured"}
