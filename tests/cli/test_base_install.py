# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The base install in an environment of its own, from sdist to wheel: no TensorFlow, no tools."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO, require_module

from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate, simulate_demo
from ecgqa_tflite.recording.wfdb_writer import write_wfdb

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

ABSENT = (
    "tensorflow", "tf_keras", "tflite_micro", "ethosu", "sklearn", "pywt", "pyarrow", "distributed",
)  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of a virtual environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("base")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [sys.executable, str(REPO / ".ci" / "wheels.py"), str(folder)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "--no-compile", str(wheel)], check=True
    )
    return python.parent


def run(program: Path, *arguments: object, cwd: Path, status: int = 0) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=clean,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout


def test_what_the_wheel_holds(environment: Path, tmp_path: Path) -> None:
    (wheel,) = environment.parents[1].glob("*.whl")
    assert re.search(r"-py3-none-manylinux_2_\d+_\w+\.|-py3-none-manylinux\w+\.", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    held = {
        "py.typed",
        "spec.schema.json",
        "frontend/_ecgqa.so",
        "models/light_cnn/light_cnn.weights.h5",
    }
    assert {f"ecgqa_tflite/{name}" for name in held} <= names
    assert "ecgqa_tflite/firmware_bridge/include/ecgqa/ecgqa.h" in names
    assert not [n for n in names if n.endswith("inception_v1.weights.h5") or "/docs/" in n]
    assert wheel.stat().st_size < 12e6
    script = (
        "from ecgqa_tflite import open_model\nfrom ecgqa_tflite.errors import ModelError\n"
        "model = open_model('inception_v1')\nassert model.tflite_path.is_file()\n"
        "try: model.weights_path\nexcept ModelError as error: print(error)"
    )
    said = run(environment / "python", "-c", script, cwd=tmp_path)
    assert "name the folder models/inception_v1 of a clone" in said and said.count("\n") == 1


def test_assess_and_bench(
    environment: Path, demo_record: Path, small_model: ModelFolder, tmp_path: Path
) -> None:
    script = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
    assert run(environment / "python", "-c", script, *ABSENT, cwd=tmp_path).strip() == ""
    out = tmp_path / "decisions.json"
    run(environment / "ecgqa", "assess", demo_record, "--json", out, cwd=tmp_path)
    assert json.loads(out.read_text())["records"][0]["leads"][0]["n_segments"] == 18
    archive = run(environment / "ecgqa", "bulk", demo_record, "-o", tmp_path / "out", cwd=tmp_path)
    assert "in 1 of 1 records" in archive
    report = tmp_path / "report"
    text = run(  # in a clone, whose sources shadow the package where Python looks there first
        environment / "ecgqa", "bench", small_model.path, "--target", "host", "--target", "tflm",
        "--quick", "-o", report, cwd=REPO, status=3,
    )  # fmt: skip
    assert "tflm: tflite-micro is not installed" in text and "segments/s" in text
    rows = json.loads((report / "report.json").read_text())["rows"]
    assert len(rows) >= 3 and {r["kind"] for r in rows} == {"measured"}


def readme_commands() -> list[str]:
    """Those of the README that a plain install runs without a download, a board or a vest."""
    blocks = re.findall(r"```console\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    later = r"make|pip|ecgqa (data|train|threshold|evaluate|bench) "  # other tests run these
    return [line for line in lines if not re.match(later, line)]


def test_the_readmes_commands_run(environment: Path, tmp_path: Path) -> None:
    require_module("edfio")
    import edfio

    demo = simulate_demo()
    counts = np.rint(np.nan_to_num(demo.signal_mv[:, 0]) * 200)
    counts.astype("<i2").tofile(tmp_path / "mine.s16")
    signal = edfio.EdfSignal(counts / 200, demo.fs_hz, label="ECG", physical_dimension="mV")
    edfio.Edf([signal]).write(tmp_path / "night.edf")
    (tmp_path / "nights").mkdir()
    shutil.copy(tmp_path / "night.edf", tmp_path / "nights")
    for folder, name in (("data/mitdb", "104"), ("archive/ward", "bed")):
        ecg = simulate(30, 250, seed=1)
        write_wfdb(Recording(name, ecg.signal_mv, 250, ("MLII",)), tmp_path / folder)
    commands = readme_commands()
    assert {line.split()[1] for line in commands if line.startswith("ecgqa ")} == {
        "assess", "bulk", "recommend", "stream",
    }  # fmt: skip
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean["PATH"] = f"{environment}{os.pathsep}{clean['PATH']}"
    for line in commands:
        done = subprocess.run(
            line, shell=True, capture_output=True, text=True, cwd=tmp_path, env=clean, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    for made in ("night.html", "build/light_cnn/manifest.json", "nights.csv", "out/index.html"):
        assert (tmp_path / made).is_file()
