# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The board's side of ``ecgqa bench``: its report, its scores, its counts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import require_tool
from segments_for_boards import FS_HZ
from targets import usable

from ecgqa_tflite.benchmark import board_log, inputs
from ecgqa_tflite.boards import boards
from ecgqa_tflite.boards import count as qemu_cortex_m
from ecgqa_tflite.cli import main
from ecgqa_tflite.engine.device_source import Device, plan_device
from ecgqa_tflite.frontend import colormap, tables
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


@pytest.fixture(scope="module")
def device(small_model: ModelFolder) -> Device:
    built = tables.build(small_model.spec, FS_HZ)
    return plan_device(small_model.spec, built, small_model.tflite_path.read_bytes(), 0)


@pytest.fixture(scope="module")
def segments(small_model: ModelFolder) -> np.ndarray:
    return inputs.load(None, small_model.spec, 3)[0]


def expected(device: Device, segments: np.ndarray) -> tuple[int, ...]:
    maps = NativeFrontEnd(device.spec, FS_HZ).index_maps(segments)
    images = to_int8(colormap.image(maps, device.spec.colormap))
    return tuple(int(s) for s in Int8Network(device.tflite, reference_kernels=True).scores(images)[:, 1])  # noqa: E501  # fmt: skip


def test_one_number_of_the_format() -> None:
    header = (firmware_bridge_dir() / "bench" / "ecgqa_bench.h").read_text()
    assert re.findall(r"#define ECGQA_BENCH_FORMAT (\d+)", header) == [str(board_log.LOG_FORMAT)]


def test_on_a_host_in_ns(device: Device, segments: np.ndarray, tmp_path: Path) -> None:
    log, _ = board_log.run_on(usable("host-gcc"), device, segments, tmp_path, loops=3)
    assert log.scores == expected(device, segments)
    assert (log.unit, log.unit_per_s) == ("ns", 10**9)
    assert [x.shape for x in log.loops] == [(3, 3)] * 3
    assert log.workspace_bytes == device.workspace_bytes
    assert len(log.layers) == len(device.plan.network.layers) + 1
    assert sum(log.layers.values()) == pytest.approx(log.loops[-1][-1, 1])
    row = log.row("engine", "C", "tiny")
    assert row.unit == "ms" and row.total is not None and 0.05 < row.total.p50 < 1000


def test_least_seconds_are_kept(device: Device, segments: np.ndarray, tmp_path: Path) -> None:
    log, _ = board_log.run_on(usable("host-gcc"), device, segments, tmp_path, loops=1, min_s=1)
    assert len(log.loops) > 1
    assert sum(float(x.sum()) for x in log.loops) >= 1e9


@pytest.mark.parametrize("name", board_log.INSTRUCTIONS_A_TICK)
def test_counts_are_the_plugin_s(
    name: str, device: Device, segments: np.ndarray, tmp_path: Path
) -> None:
    board = usable(name)
    log, _ = board_log.run_on(board, device, segments, tmp_path / "log")
    assert log.scores == expected(device, segments) and log.unit == "instructions"
    figures = qemu_cortex_m.measure(device, segments, board, tmp_path / "exact")
    counted = log.loops[0].sum(axis=1)
    exact = np.array([sum(s.values()) for s in figures.segments])
    # ecgqa_work, slice by slice, has a counter to read and no ecgqa_classify around it
    np.testing.assert_allclose(counted, exact, rtol=0.03)


def test_counts_repeat_exactly(device: Device, segments: np.ndarray, tmp_path: Path) -> None:
    board = usable("mps2-an386")
    runs = [
        qemu_cortex_m.measure(device, segments[:1], board, tmp_path / str(i)).segments
        for i in range(3)
    ]
    assert runs[0] == runs[1] == runs[2]


def test_the_program_for_a_board_compiles_as_its_readme_says(
    small_model: ModelFolder, tmp_path: Path
) -> None:
    compiler = require_tool("arm-none-eabi-gcc")
    out = tmp_path / "bench"
    done = CliRunner().invoke(main, ["bench", "firmware", str(small_model.path), "-o", str(out)])
    assert done.exit_code == 0, done.output
    words = (out / "README.md").read_text().partition("arm-none-eabi-gcc ")[2].partition("\n\n")[0]
    given = words.replace("\\\n", " ").replace("YOUR_BOARD.c", "").split()
    named = [p for w in given for p in (sorted(map(str, out.glob(w))) if w.endswith(".c") else [w])]
    strict = ["-Wall", "-Wextra", "-Werror", "-c"]
    subprocess.run([compiler, *strict, *named], cwd=out, check=True)
    assert (out / "main.o").is_file() and (out / "ecgqa_bench.o").is_file()


def test_a_board_without_a_known_clock_is_refused(device: Device, tmp_path: Path) -> None:
    board = boards.boards()["netduinoplus2"]
    with pytest.raises(Exception, match="counter is not known"):
        board_log.run_on(board, device, np.ones((1, 1250), np.int16), tmp_path)
