# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa bench`` as a user types it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from board_report import LOG
from click.testing import CliRunner, Result
from conftest import require_module, require_tool

from ecgqa_tflite import cli
from ecgqa_tflite.cli import bench as cli_bench
from ecgqa_tflite.devices import BENCHES
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.model_folder import ModelFolder

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["bench", *(str(a) for a in arguments)])


def error_line(done: Result) -> str:
    assert done.exit_code == 1, done.output
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: "), done.stderr
    return lines[0]


def test_targets_one_table_one_json_and_pictures(small_model: ModelFolder, tmp_path: Path) -> None:
    require_module("matplotlib")
    for tool in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm"):
        require_tool(tool)
    given = (small_model.path, "--target", "cortex-m4", "--target", "engine", "--target", "coral")
    out = tmp_path / "report"
    done = bench(*given, "--quick", "--layers", "-o", out)
    assert done.exit_code == 3, done.output  # all but coral, which was asked for by name
    assert "Not all that was asked for was measured: coral" in done.stderr
    assert "0: CONV_2D" in done.stdout and "No layers" not in done.stdout
    for words in ("cortex-m4", "instructions", "engine", "measured", "coral: libedgetpu.so.1"):
        assert words in done.stdout, words
    assert sorted(p.name for p in out.iterdir()) == [
        "SHA256SUMS", "latency.png", "pareto.png", "report.json", "stages.png", "table.txt",
    ]  # fmt: skip
    assert (out / "table.txt").read_text() in done.stdout
    report = json.loads((out / "report.json").read_text())
    assert [r["target"] for r in report["rows"]] == ["cortex-m4", "engine"]
    emulated, engine = report["rows"]
    assert list(engine["layers"]) == list(emulated["layers"]) and min(engine["layers"].values()) > 0
    assert emulated["layers"] and emulated["flash_bytes"] > 20_000
    assert "exists" in error_line(bench(*given, "--quick", "-o", out))
    assert "MODELLED, not measured" in done.stdout and "nRF52840" in done.stdout
    mine = {"target": "cortex-m4", "clock_mhz": 100, "cycles_per_instruction": 1, "power_mw": 10}
    (tmp_path / "mine.json").write_text(json.dumps({"parts": {"My board": mine}}))
    parts = bench("parts", out / "report.json", "--calibration", tmp_path / "mine.json")
    assert parts.exit_code == 0 and "My board" in parts.stdout and "your calib" in parts.stdout
    same = bench("compare", out / "report.json", out / "report.json")
    assert same.exit_code == 0 and "1.000x" in same.stdout and "exact" in same.stdout


def test_the_host_needs_no_tensorflow(
    small_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = replace(BENCHES["host"], variants=lambda: ["XNNPACK, 1 thread", "assess, 1 thread"])
    monkeypatch.setattr(cli_bench, "BENCHES", {"host": host})
    monkeypatch.setenv("PYTHONPATH", _without_tensorflow(Path(small_model.path).parent))
    done = bench(small_model.path, "--target", "host", "--quick")
    assert done.exit_code == 0, done.output
    assert "XNNPACK, 1 thread" in done.stdout and "segments/s" in done.stdout
    assert "Not run" not in done.stdout


@pytest.mark.parametrize(
    ("given", "models", "targets"),
    [
        (["--quick"], [cli.DEFAULT_MODEL], ("host",)),
        (["--quick", "--target", "tflm", "light_cnn_small"], ["light_cnn_small"], ("tflm",)),
        ([], list(cli_bench.COMPARED), ()),
    ],
)
def test_a_quick_look_is_at_the_host(
    given: list[str], models: list[str], targets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(_: object, opened: list[ModelFolder], wanted: tuple[str, ...], **__: object) -> None:
        assert ([m.name for m in opened], wanted) == (models, targets)
        raise ToolError("seen")

    monkeypatch.setattr(cli_bench.run, "run", seen)
    assert "seen" in error_line(bench(*given))


def test_a_soak_is_told_first_against_last(small_model: ModelFolder, tmp_path: Path) -> None:
    out = tmp_path / "report"
    given = (small_model.path, "--target", "engine", "--quick")
    done = bench(*given, "--soak", "0.5s", "-o", out)
    assert done.exit_code == 0, done.output
    assert "last over first" in done.stdout and (out / "table.txt").read_text() in done.stdout
    (soak,) = json.loads((out / "soak.json").read_text())["soaks"]
    assert len(soak["spans"]) == 2 and soak["threads"] >= 1
    assert all(s["segments_per_s"] > 0 and s["p50_ms"] <= s["p99_ms"] for s in soak["spans"])
    for wrong in ("10", "0m", "soon"):
        assert bench(*given, "--soak", wrong).exit_code == 2


def test_where_nothing_is_measured_it_fails(
    small_model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(BENCHES["coral"], missing=lambda: "none here")
    broken = replace(BENCHES["host"], variants=lambda: ["assess, 1 thread"], measure=print)
    monkeypatch.setattr(cli_bench, "BENCHES", {"coral": absent, "host": broken})
    for target in ("coral", "host"):
        done = bench(small_model.path, "--target", target, "--quick", "-o", tmp_path / "report")
        assert done.exit_code == 1 and "Error: nothing was measured: " in done.stderr
        assert "Not run:" in done.stdout and target in done.stdout
    assert not (tmp_path / "report").exists()


def test_sizes_on_a_core(small_model: ModelFolder) -> None:
    for tool in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm"):
        require_tool(tool)
    done = bench("size", small_model.path, "--board", "mps2-an386")
    assert done.exit_code == 0, done.output
    assert "multiply-accumulates" in done.stdout and "Cortex-M4" in done.stdout
    assert "no board 'toaster'" in error_line(bench("size", small_model.path, "--board", "toaster"))


def test_a_minute_of_two_leads(small_model: ModelFolder, tmp_path: Path) -> None:
    for tool in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm"):
        require_tool(tool)
    file = tmp_path / "stream.json"
    done = bench("stream", small_model.path, "--quick", "--json", file)
    assert done.exit_code == 0, done.output
    assert "not seen: held" in done.stdout and "MODELLED, not measured" in done.stdout
    assert max(map(len, done.stdout.partition("Written")[0].splitlines())) <= 80
    told = json.loads(file.read_text())
    assert told["duration_s"] == 60 and len(told["decisions"]) == 24
    assert {p["part"]["name"] for p in told["parts"]} >= {"nRF52840", "STM32L4R5"}
    assert "exists" in error_line(bench("stream", small_model.path, "--quick", "--json", file))


def _without_tensorflow(folder: Path) -> str:
    """A folder whose ``tensorflow`` refuses to be imported."""
    blocked = folder / "blocked"
    blocked.mkdir(exist_ok=True)
    for name in ("tensorflow", "tf_keras", "matplotlib"):
        (blocked / f"{name}.py").write_text("raise ImportError('a base install has none')\n")
    return str(blocked)


def test_bad_input_is_one_line(small_model: ModelFolder, tmp_path: Path) -> None:
    assert "no target 'toaster'" in error_line(bench(small_model.path, "--target", "toaster"))
    assert "no such model" in error_line(bench("no_such_model"))
    assert "same name" in error_line(bench(small_model.path, small_model.path))
    assert "can't be read" in error_line(bench("compare", tmp_path / "a", tmp_path / "b"))
    assert "either" in error_line(bench("read-log"))
    assert "can't be read" in error_line(bench("read-log", tmp_path / "none.log"))
    (tmp_path / "x.log").write_bytes(b"\xff\x00nothing")
    assert "no report" in error_line(bench("read-log", tmp_path / "x.log"))


def test_a_log_is_read(tmp_path: Path) -> None:
    (tmp_path / "b.log").write_text(LOG)
    done = bench("read-log", tmp_path / "b.log", "--name", "nucleo")
    assert done.exit_code == 0 and "nucleo" in done.stdout and "softmax" in done.stdout
