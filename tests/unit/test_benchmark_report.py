# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows, reports, ratios, tables and pictures of ``ecgqa bench``; a board's log."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_report import LOG
from conftest import require_module

from ecgqa_tflite import cli
from ecgqa_tflite.benchmark import (
    board_log,
    compare,
    inputs,
    parts,
    pictures,
    protocol,
    run,
    tables,
    worker,
)
from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.protocol import timing
from ecgqa_tflite.benchmark.results import Kind, Missing, Report, Row, exact, read_report
from ecgqa_tflite.devices import BENCHES, ethos_u
from ecgqa_tflite.errors import ArgumentError, DatasetError, FormatError, ToolError
from ecgqa_tflite.model_folder import ModelFolder


def measured(scale: float = 1.0, **changes: Any) -> Row:
    rng = np.random.default_rng(1)
    loops = [scale * (1 + 0.01 * rng.random(50)) for _ in range(5)]
    parts = {"cwt": 0.3, "image": 0.1, "network": 0.6, "decision": 0.001}
    given: dict[str, Any] = {
        "target": "host", "variant": "XNNPACK, 1 thread", "model": "light", "kind": Kind.MEASURED,
        "unit": "ms", "stages": {k: timing([v * x for x in loops]) for k, v in parts.items()},
        "total": timing(loops, first_ms=9.0), "load_ms": 3.0, "process_bytes": 120_000_000,
    }  # fmt: skip
    return Row(**(given | changes))


def counted(millions: float = 90.0, **changes: Any) -> Row:
    counts = [millions * 1e6, millions * 1e6 + 2, millions * 1e6 + 1]
    given: dict[str, Any] = {
        "target": "cortex-m4", "variant": "C", "model": "light", "kind": Kind.EMULATED,
        "unit": "instructions", "total": exact(counts), "ram_bytes": 24_796,
        "stages": {"cwt": exact([0.1 * c for c in counts]), "network": exact([0.9 * c for c in counts])},  # noqa: E501
    }  # fmt: skip
    return Row(**(given | changes))


def report(*rows: Row, **changes: Any) -> Report:
    state = {"load": 0.3, "governor": None}
    machine = {
        "cpu": "Some CPU", "cores": 2, "system": "Linux", "packages": {"numpy": "2"},
        "state": state, "python": "3.11", "board": None,
    }  # fmt: skip
    models = {
        name: {
            "architecture": "x", "image": [227, 227, 3],
            "segment_s": 5.0, "tflite_bytes": 1, "bacc": {"validation": 0.95},
        }
        for name in dict.fromkeys(r.model for r in rows)
    }  # fmt: skip
    given: dict[str, Any] = {
        "machine": machine, "segments": "32 segments", "protocol": "median", "models": models,
        "rows": list(rows), "missing": [Missing("coral", None, "none here")], "noise": ["load"],
        "took_s": 9.0,
    }  # fmt: skip
    return Report(**(given | changes))


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    before = report(measured(), counted(), measured(target="x", total=None))
    before.write(tmp_path / "r.json")
    after = read_report(tmp_path / "r.json")
    assert [r.key for r in after.rows] == [r.key for r in before.rows]
    assert after.rows[0].total == before.rows[0].total
    assert np.isnan(after.rows[1].total.first)  # type: ignore[union-attr]
    assert after.missing == before.missing and after.machine == before.machine
    assert json.loads((tmp_path / "r.json").read_text())["rows"][0]["kind"] == "measured"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 9, "rows": []}', '{"format": 1, "rows": [{}]}',
             '{"format": 1, "rows": 3}'],
)  # fmt: skip
def test_no_report_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DatasetError) as caught:
        read_report(tmp_path / "r.json")
    assert "r.json" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match="can't be read"):
        read_report(tmp_path / "none.json")


def test_exact_counts() -> None:
    t = exact([3, 1, 2])
    assert (t.p50, t.p90, t.p99, t.low, t.high, t.calls) == (2, 3, 3, 1, 3, 3)
    assert exact([1, 2]).p50 == 1.5


def test_ratios_have_intervals_and_counts_are_exact() -> None:
    before = report(measured(), counted(90))
    after = report(measured(0.5), counted(45), measured(variant="new"))
    found = {(r.key[0], r.what): r for r in compare.compare(before, after)}
    r = found["host", "total"]
    assert 0.49 < r.low < r.value < r.high < 0.51 and r.verdict == "less"
    assert found["cortex-m4", "total"].value == pytest.approx(0.5, rel=1e-6)
    assert found["cortex-m4", "total"].low == found["cortex-m4", "total"].high
    assert {r.verdict for r in compare.compare(before, report(measured()))} == {"same"}
    text = compare.text(before, after)
    assert "only after: host, new, light" in text and "exact" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "nothing to compare" in compare.text(before, report(measured(target="other")))
    other = report(measured(), machine={**before.machine, "cpu": "Another"})
    assert "cpu: Some CPU before, Another after" in compare.text(before, other)


def test_the_table_says_kinds_ratios_scaling_and_why_not() -> None:
    whole = {"stages": {}, "segments_per_s": 720.0}
    text = tables.text(
        report(
            measured(), measured(10, model="inception"), counted(),
            measured(variant="assess, 1 thread", **whole),
            measured(variant="assess, 2 threads", **(whole | {"segments_per_s": 1440.0})),
            measured(target="ethos", kind=Kind.ESTIMATED, total=None, noise=("loops differ",)),
        )
    )  # fmt: skip
    for words in (
        "measured", "instructions", "estimated", "10.0x", "12.0x", "30%", "24.2 KB", "120 MB",
        "720      1.00     1.00x", "1,440      2.00     2.00x",
        "coral: none here", "loops differ", "90.00",
    ):  # fmt: skip
        assert words in text, words
    assert max(map(len, text.splitlines())) <= 80


def test_the_readme_says_what_a_segment_costs() -> None:
    text = tables.readme(
        report(
            measured(), measured(10, model="inception"), counted(),
            measured(
                target="ethos-u55-128", variant="Vela", kind=Kind.ESTIMATED, total=None,
                stages={"network": measured().total},
            ),
        )
    )  # fmt: skip
    assert "cortex-m4" in text and "30%" in text and "10.0 times" in text
    assert "| ethos-u55-128: Vela; network alone | estimated |" in text


def test_what_follows_from_the_rows_is_in_the_file(tmp_path: Path) -> None:
    whole = {"stages": {}, "segments_per_s": 720.0}
    given = report(
        measured(), measured(10, model="inception"), measured(variant="alone"), counted(),
        measured(variant="assess, 1 thread", **whole),
        measured(variant="assess, 2 threads", **(whole | {"segments_per_s": 1080.0})),
    )  # fmt: skip
    given.write(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    (ratio,) = data["ratios"]
    assert ratio["ratio"] == pytest.approx(10) and ratio["model"] == "inception"
    assert [(t["hours_per_s"], t["speed_up"]) for t in data["throughput"]] == [(1, 1), (1.5, 1.5)]
    shares = {(s["target"], s["kind"]): s["share"] for s in data["cwt_share"]}
    assert shares["cortex-m4", "emulated instructions"] == pytest.approx(0.1)


def test_layers_or_why_there_are_none() -> None:
    text = "\n".join(
        tables.layers(
            report(
                counted(layers={"conv": 3e6, "dense": 1e6}),
                measured(no_layers="no profiler"),
                measured(target="tflm", no_layers="no profiler"),
            )
        )
    )
    assert "cortex-m4, C, light: instructions, M" in text
    assert "75.0%" in text and "25.0%" in text
    assert "tflm, XNNPACK, 1 thread, light: no profiler" in text
    assert text.count("no profiler") == 1


def test_an_emulated_machine_says_so() -> None:
    state: dict[str, Any] = {
        "load": 0.1, "governor": None, "clock_mhz": None, "throttled": None, "temperature_c": None
    }  # fmt: skip
    assert protocol.noise_of_states(state, state, 2) == []
    assert "not a board's" in protocol.noise_of_states(state, state, 2, emulated=True)[0]


def no_measure(job: Job) -> Row:
    raise AssertionError("measured in this process")


FAKES = {
    "host": Bench(0, lambda: ["a", "b"], no_measure),
    "coral": Bench(1, lambda: ["c"], no_measure, lambda: "none here"),
    "cortex-m4": Bench(2, lambda: ["d"], no_measure, takes_s=10),
}


@pytest.mark.parametrize("order", [("cortex-m4", "host"), ("host", "cortex-m4")])
def test_times_are_taken_alone_and_first(
    order: tuple[str, str], small_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    told: dict[str, list[tuple[int, int]]] = {}

    def tell(what: str, done: int, total: int) -> None:
        told.setdefault(what.split(",")[0], []).append((done, total))

    def measure(_: object, bench: Bench, job: Job) -> Row:
        assert bench is FAKES[job.target] and job.model is small_model
        seen.append(job.target)
        make = measured if job.target == "host" else counted
        return make(target=job.target, variant=job.variant)

    monkeypatch.setattr(worker.Workers, "measure", measure)
    found = run.run(FAKES, [small_model], order, tell=tell)
    assert seen == ["host", "host", "cortex-m4"]
    assert [r.target for r in found.rows] == (
        ["host", "host", "cortex-m4"] if order[0] == "host" else ["cortex-m4", "host", "host"]
    )
    name = small_model.name
    assert set(told) == {"expected seconds", f"host {name}", f"cortex-m4 {name}"}
    assert all(t[-1][0] == t[-1][1] and t == sorted(t) for t in told.values())
    assert told[f"host {name}"] == [(0, 2), (1, 2), (1, 2), (2, 2)]
    assert all(r.took_s is not None for r in found.rows)


def test_what_a_variant_can_t_is_said_of_it(
    small_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Row:
        raise ToolError(f"{small_model.name}: no such thing")

    monkeypatch.setattr(worker.Workers, "measure", fails)
    found = run.run(FAKES, [small_model])
    assert [m.reason for m in found.missing] == [
        "none here", "a: no such thing", "b: no such thing", "no such thing",
    ]  # fmt: skip


def test_pictures(tmp_path: Path) -> None:
    require_module("matplotlib")
    rows = report(measured(), counted(), measured(20, target="tflm", ram_bytes=420_000))
    drawn = pictures.save_all(rows, tmp_path)
    assert [p.name for p in drawn] == ["stages.png", "latency.png", "pareto.png"]
    assert all(p.stat().st_size > 5000 for p in drawn)
    assert pictures.save_all(report(), tmp_path) == []


def test_accuracies_of_a_model(small_model: ModelFolder) -> None:
    figures = {"bacc": {"value": 0.9}}  # as ecgqa evaluate --record notes them
    both = {"external": {"elsewhere": figures}, "validation": {"int8": {"bacc": {"value": 0.8}}}}
    assert run.balanced_accuracy(both) == {"elsewhere": 0.9}
    assert run.balanced_accuracy({**both, "external": {}}) == {"validation": 0.8}
    assert run.balanced_accuracy({}) == {}
    assert run.balanced_accuracy(small_model.metrics) == {"elsewhere": 0.75}
    assert run.describe(small_model)["bacc"] == {"elsewhere": 0.75}


def test_every_device_says_what_it_can_tell() -> None:
    assert list(BENCHES) == [
        *("host", "raspberry-pi", "tflm", "engine", "coral"),
        *(
            "cortex-m0plus",
            "cortex-m4",
            "cortex-m7",
            "cortex-m33",
            "cortex-m55",
            "rv32imc",
            "aarch64",
        ),
        *("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u85-256"),
    ]
    for bench in BENCHES.values():
        reason = bench.missing()
        assert reason is None or ("\n" not in reason and len(reason) > 10)
        assert bench.variants()
    with pytest.raises(ArgumentError, match="no target 'toaster'; there are host, raspberry-pi"):
        run.check_targets(BENCHES, ["toaster"])


def job(model: ModelFolder, variant: str = "XNNPACK, 1 thread") -> Job:
    segments, fs_hz, _ = inputs.load(None, model.spec, 2)
    return Job("host", variant, model, segments, fs_hz, protocol.Protocol(2, 0.0, 0.0))


def test_what_fails_in_a_worker_is_one_line(small_model: ModelFolder, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(small_model, path=tmp_path)
    with pytest.raises(ToolError, match=r"\.tflite") as caught:
        worker.measure_apart(BENCHES["host"], job(elsewhere))
    assert "\n" not in str(caught.value)


def test_a_worker_is_of_the_package_that_runs(
    small_model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of a clone that the user stands in, which lacks the compiled front end."""
    clone = tmp_path / "ecgqa_tflite"
    clone.mkdir()
    (clone / "__init__.py").write_text("raise ImportError('the clone')")
    monkeypatch.chdir(tmp_path)
    row = worker.measure_apart(BENCHES["host"], job(small_model))
    assert row.key == ("host", "XNNPACK, 1 thread", small_model.name)


SLOW = """
import os, subprocess, sys, time
from pathlib import Path

def measure(job):
    child = subprocess.Popen(["sleep", "60"])
    Path("pids.part").write_text(f"{os.getpid()} {child.pid}")
    os.replace("pids.part", "pids")
    time.sleep(60)

if __name__ == "__main__":
    import slow
    from ecgqa_tflite import cli
    from ecgqa_tflite.benchmark.job import Bench
    from ecgqa_tflite.cli import bench
    takes_s = None if sys.argv[1] == "alone" else 10
    bench.BENCHES = {"host": Bench(0, lambda: ["a", "b", "c", "d"], slow.measure, takes_s=takes_s)}
    cli.main(["bench", "run", sys.argv[2]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("number", "how"),
    [(signal.SIGTERM, "alone"), (signal.SIGINT, "together")],
)
def test_what_measures_ends_with_who_asked(
    number: signal.Signals, how: str, small_model: ModelFolder, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    asker = subprocess.Popen(
        [sys.executable, "slow.py", how, str(small_model.path)], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _until((tmp_path / "pids").exists)
    worker_and_child = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    asker.send_signal(number)
    told = asker.communicate(timeout=300)[1]
    if number == signal.SIGINT:
        assert asker.returncode == cli.INTERRUPTED and told.endswith("Interrupted\n")
    else:
        assert asker.returncode == -number
    _until(lambda: not any(_runs(pid) for pid in worker_and_child))


def _until(done: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not done():
        assert time.monotonic() - started < 300, "waited in vain"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_vela_s_figures_are_estimates() -> None:
    figures = {
        "inference_ms_estimated": 2.5, "sram_bytes": 1000, "dram_bytes": 24, "flash_bytes": 5,
        "clock_mhz": 500.0,
    }  # fmt: skip
    model = dataclasses.make_dataclass("M", ["name"])("light")
    job = Job("ethos-u55-128", "V", model, np.zeros((1, 1), np.int16), 250.0, protocol.QUICK)
    row = ethos_u.from_figures(job, figures, {"Conv2D a": 1_000_000.0}, "sys")
    assert row.layers == {"Conv2D a": 2.0}
    assert row.kind is Kind.ESTIMATED and row.total is None and row.ram_bytes == 1024
    assert row.stages["network"].p50 == 2.5 and "500 MHz" in row.notes[0]


# ---- parts -------------------------------------------------------------------------------------


def test_instructions_become_milliseconds_millijoules_and_days() -> None:
    r = parts.Range
    part = parts.Part("P", "cortex-m4", 100, r(1, 1.5, 2), r(10, 20, 30), ("here",))
    m = parts.estimate(counted(90), part, hop_s=5.0, battery_mwh=100)
    assert m.ms.middle == pytest.approx(1350, rel=1e-6)
    assert (m.ms.low, m.ms.high) == pytest.approx((900, 1800), rel=1e-6)
    assert m.duty_cycle.middle == pytest.approx(0.27, rel=1e-6)
    assert m.mj is not None and m.mj.middle == pytest.approx(27, rel=1e-6)
    assert (m.mj.low, m.mj.high) == pytest.approx((9, 54), rel=1e-6)
    assert m.battery_days is not None  # 360 J over 27 mJ every 5 s
    assert m.battery_days.middle == pytest.approx(360 / (0.027 * 17280), rel=1e-6)
    assert m.battery_days.low < m.battery_days.middle < m.battery_days.high


def test_every_shipped_part_has_sources_and_a_target() -> None:
    shipped = parts.read_parts()
    assert [p.name for p in shipped] == [
        "nRF52840", "STM32L4R5", "STM32U575", "STM32H7A3", "Apollo4", "RA8D1",
    ]  # fmt: skip
    for part in shipped:
        assert part.target in BENCHES and part.sources
        bounds = part.cycles_per_instruction
        assert bounds.low < bounds.middle < bounds.high


def test_the_part_table_tells_modelled_from_counted() -> None:
    found = parts.estimates(
        report(measured(), counted(), counted(50, model="b")), parts.read_parts()
    )
    text = "\n".join(parts.table(found))
    assert "are counted, exact; the rest is MODELLED, not measured" in text and "90.00 M |" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "--" in text and "closed/STMicroelectronics" in text  # Apollo4: no power
    assert {m.model for m in found} == {"light", "b"} and len(found) == 6
    assert "no part" in "".join(parts.table([]))


def calibration(**changes: Any) -> str:
    part = {"target": "t", "clock_mhz": 1, "cycles_per_instruction": 1, "power_mw": 1}
    return json.dumps({"parts": {"x": part | changes}})


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"parts": {}}', '{"parts": {"x": 3}}',
        calibration(clock_mhz=0), calibration(cycles_per_instruction=[3, 2, 1]),
        calibration(cycles_per_instruction=float("nan")), calibration(power_mw="much"),
        calibration(sources="me"),
    ],
)  # fmt: skip
def test_a_bad_calibration_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ArgumentError, match=r"c\.json") as caught:
        parts.read_parts(tmp_path / "c.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match="can't be read"):
        parts.read_parts(tmp_path / "none.json")


# ---- a board's log -----------------------------------------------------------------------------


def test_a_log_becomes_a_row() -> None:
    row = board_log.parse(LOG + "more\n").row("nucleo", "C", "light")
    assert row.kind is Kind.MEASURED and row.unit == "ms"
    assert row.stages["cwt"].p50 == pytest.approx(100.0)
    assert row.stages["network"].p50 == pytest.approx(950.0)
    assert row.total is not None and row.total.first == pytest.approx(1100.01)
    assert row.layers["layer 0"] == pytest.approx(937.5) and row.ram_bytes == 24156
    no_clock = board_log.parse(LOG.replace("unit_per_s 64000000", "unit_per_s 0"))
    assert no_clock.row("b", "C", "m").unit == "cycles"
    counted = LOG.replace("unit cycles", "unit instructions")
    counted = counted.replace("unit_per_s 64000000", "unit_per_s 0")
    assert board_log.parse(counted).row("b", "C", "m").kind is Kind.EMULATED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("ecgqa-bench 1", "hello"), "no report"),
        (("ecgqa-bench 1", "ecgqa-bench 2"), "another format"),
        (("end ok", ""), "cut off: it lacks end"),
        (("unit cycles\n", ""), "lacks unit"),
        (("segment 1 6400000", "segm\x00ent 1 64"), "ended without|garbled|without figures"),
        (("segment 1 6400000 57600000 640 100\nloop", "segment 1 64x\nloop"), "garbled"),
        (("layer 0 60000000\nlayer 1 3000000\nsoftmax 1000\nend ok", "end workspace"), "workspace"),
        (("segment 0 6400000 64000000 640 -12", "segment 0 6400000 -12"), "without figures"),
    ],
)
def test_a_damaged_log_is_one_line(change: tuple[str, str], says: str) -> None:
    text = LOG.replace(*change)
    if "segm\x00ent" in text:  # a lost line start is another word; the others still count
        assert board_log.parse(text).loops[0].shape == (1, 3)
        return
    with pytest.raises(FormatError, match=says) as caught:
        board_log.parse(text)
    assert "\n" not in str(caught.value)


def test_a_serial_port_is_read_to_the_report_s_end() -> None:
    pty = pytest.importorskip("pty")
    board, computer = pty.openpty()
    port = os.ttyname(computer)

    def write() -> None:
        for at in range(0, len(LOG), 64):
            os.write(board, LOG[at : at + 64].replace("\n", "\r\n").encode())

    writer = threading.Timer(0.3, write)
    writer.start()
    text = board_log.read_serial(port, timeout_s=20)
    writer.join()
    assert board_log.parse(text).scores == (-12, 100)
    with pytest.raises(ToolError, match="no whole report"):
        board_log.read_serial(port, timeout_s=0.3)
    with pytest.raises(ToolError, match="not a rate"):
        board_log.read_serial(port, baud=12345)
    os.close(board)
    os.close(computer)
    with pytest.raises(ToolError, match="can't be opened"):
        board_log.read_serial("/dev/no_such_port")
    with pytest.raises(ToolError, match="not a serial port"):
        board_log.read_serial("/dev/null")
