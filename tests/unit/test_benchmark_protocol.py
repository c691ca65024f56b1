# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How times are taken: repeats, percentiles, noise, the machine; and the front-end comparison."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import require_module

from ecgqa_tflite.benchmark import front_ends, inputs
from ecgqa_tflite.benchmark.protocol import (
    Protocol,
    cpu_ms,
    describe_machine,
    noise_of_states,
    peak_memory_bytes,
    pinned,
    resident_bytes,
    take_times,
    throttling,
    timing,
)
from ecgqa_tflite.cli import bench, main
from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.spec import FrontEnd

TINY = Protocol(loops=3, loop_s=0.0, warm_up_s=0.0)


@pytest.mark.parametrize("peers", [False, True])
def test_every_input_is_gone_through_warm_up_apart(peers: bool) -> None:
    seen: list[tuple[str, int]] = []
    calls = [lambda i: seen.append(("a", i)), lambda i: seen.append(("b", i))]
    a, b, total = take_times(calls, 2, TINY, peers=peers)
    assert seen[:2] == [("a", 0), ("b", 0)]  # the first call of all
    if peers:
        assert seen[2:] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)] * 4  # warm-up, three loops
    else:
        assert seen[2:] == [(c, i) for i in (1, 0, 1, 0) for c in "ab"]
    assert a.calls == b.calls == total.calls == (6 if peers else 3)
    assert total.first == pytest.approx(a.first + b.first)


def test_a_loop_lasts_as_long_as_it_must() -> None:
    (t, _) = take_times([lambda _: time.sleep(0.001)], 1, Protocol(2, 0.02, 0.0))
    assert 4 <= t.calls <= 40 and 1.0 <= t.p50 < 20
    assert t.stolen > 0.5 and any("of the time" in phrase for phrase in t.noise())


def test_figures_are_of_the_loops() -> None:
    t = timing([np.full(99, 1.0), np.full(99, 2.0), np.r_[np.full(98, 4.0), 50.0]], first_ms=9.0)
    assert (t.first, t.p50, t.low, t.high, t.calls) == (9.0, 2.0, 1.0, 4.0, 297)
    assert t.p90 == t.p99 == 4.0 and t.spread == 1.5 and t.samples[-1] == 50.0
    assert len(t.samples) == 200 and t.noise() == ["loops differ by 150%"]
    assert timing([np.ones(3)] * 2).noise() == []


def test_cpu_time_leaves_waiting_out() -> None:
    def call() -> int:
        time.sleep(0.01)
        return 2

    assert 0 < cpu_ms(call, Protocol(2, 0.0, 0.0)) < 2.5  # of 5 ms per segment


def test_pinned_is_undone() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("no affinity on this system")
    before = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), pinned(1) as cores:
        assert os.sched_getaffinity(0) == set(cores) and len(cores) == 1
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == before


def test_the_machine_is_plain_json() -> None:
    machine = describe_machine()
    assert json.loads(json.dumps(machine, allow_nan=False)) == machine
    assert machine["cpu"] and machine["cores"] >= 1
    resident = resident_bytes()
    assert resident is None or 1e6 < resident <= 1.01 * peak_memory_bytes()


@pytest.mark.skipif(platform.system() != "Linux", reason="another system counts by process")
def test_a_child_s_peak_is_its_own() -> None:
    # Linux's getrusage hands a parent's peak down through fork and exec.
    code = "from ecgqa_tflite.benchmark.protocol import peak_memory_bytes as p; print(p())"
    ballast = np.ones(60_000_000)  # 480 MB resident
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) < 300e6 < ballast.nbytes


def test_a_pi_says_that_it_throttles() -> None:
    assert throttling("50005") == [
        "under-voltage", "throttled", "under-voltage since boot", "throttled since boot",
    ]  # fmt: skip
    assert throttling("0x0") == [] and throttling(None) is None and throttling("?") is None


def test_noise_of_a_run() -> None:
    quiet = {
        "load": 0.1, "governor": "performance", "clock_mhz": 1500.0, "temperature_c": 50.0,
        "throttled": [],
    }  # fmt: skip
    assert noise_of_states(quiet, quiet, 4) == []
    bad = {**quiet, "load": 3.0, "governor": "ondemand"}
    after = {**bad, "clock_mhz": 600.0, "temperature_c": 85.0, "throttled": ["throttled"]}
    told = " / ".join(noise_of_states(bad, after, 4))
    for word in ("load 3.0", "ondemand", "1500 to 600 MHz", "throttled", "85 degrees"):
        assert word in told
    nothing = dict.fromkeys(quiet)
    assert noise_of_states(nothing, nothing, 4) == []


def test_segments_differ(demo_record: Path) -> None:
    spec = FrontEnd.preset("wearable")
    segments, fs_hz, what = inputs.load(None, spec, 6)
    assert segments.shape == (6, 1250) and fs_hz == 250 and "6 segments, simulated" in what
    assert len({row.tobytes() for row in segments}) == 6 and (np.ptp(segments, axis=1) > 0).all()
    real, _, what = inputs.load(demo_record, spec, 5)
    assert len(real) == 5 and "demo" in what
    with pytest.raises(RecordingError, match="no segment"):
        inputs.segments_of(Recording("flat", np.zeros((2500, 1), np.float32), 250.0, ("I",)), spec)


def test_front_ends_in_one_run(
    small_model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_module("pywt")
    monkeypatch.setattr(bench, "QUICK", Protocol(2, 0.0, 0.0, recording_segments=12))
    file = tmp_path / "new" / "frontend.json"
    given = ["bench", "frontend", str(small_model.path), "--json", str(file), "--quick"]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    shown, report = done.stdout, json.loads(file.read_text())
    assert "pywt.cwt fft" in shown and "segments/s" in shown and str(file) in shown
    for aim in front_ends.AIMS.values():
        assert f"aim {aim}: m" in shown
    assert len(report["ms_a_segment"]) == 6
    assert all(t["median"] > 0 and t["cpu"] > 0 for t in report["ms_a_segment"].values())
    assert report["figures"]["times_pywt"] > 1
    again = CliRunner().invoke(main, given)
    assert again.exit_code == 1 and "exists" in again.stderr
    done = CliRunner().invoke(main, ["bench", "frontend", "no_such", "--quick"])
    assert done.exit_code == 0 and "assess is left out" in done.stderr
    assert "aim assess >= 700 segments/s: not measured" in done.stdout
