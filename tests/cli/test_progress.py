"""How long work is said to take, and that it holds."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ecgqa_tflite.cli import progress as module
from ecgqa_tflite.cli.progress import PACE_S, Pace


def test_what_was_done_before_took_no_time_of_this_run() -> None:
    pace = Pace()
    pace.note(0.0, 501)  # a training that goes on from step 500
    assert pace.left_s(1000) is None
    pace.note(10.0, 511)
    assert pace.left_s(1000) == pytest.approx(489)


def test_the_pace_is_that_of_the_last_minutes() -> None:
    pace = Pace()
    for second in range(600):  # 10 s to compile, then one a second; slower from the 300th on
        pace.note(float(second), max(0, min(second, 300) - 10) + max(0, second - 300) // 2)
    assert pace.left_s(1000) == pytest.approx(2 * (1000 - 290 - 149), rel=0.02)
    assert len(pace._notes) <= PACE_S + 2


def test_a_log_tells_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    tell = module._lines(Console(file=out, width=200), 0.0)
    for step in range(900, 961):
        tell(f"training, epoch 3, loss {1 / step:.3f}", step, 1000)
        now[0] += 1.0
    lines = out.getvalue().splitlines()
    assert "930 of 1000, about 70 s left" in lines[0] and "960 of 1000" in lines[-1]
