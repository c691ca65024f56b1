# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress: a bar where stderr is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ecgqa_tflite.cli import progress as module
from ecgqa_tflite.cli.progress import LOG_INTERVAL_S, PACE_S, Pace, progress


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_a_line_every_so_often(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(at_least_s=LOG_INTERVAL_S) as tell:
        for second in range(0, 100, 10):
            clock.now = float(second)
            tell("segments, r I", second, 90)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["30", "60", "90"]
    assert "segments, r I: 30 of 90, about 60 s left" in lines[0]
    assert "90 of 90" in lines[-1]


def test_short_work_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(at_least_s=LOG_INTERVAL_S) as tell:
        clock.now = 5.0
        tell("segments", 4, 4)
    assert capsys.readouterr().err == ""
    with progress() as tell:
        tell("segments", 4, 4)
        tell("without cudb", 1, 1)
    counted, note = capsys.readouterr().err.splitlines()
    assert counted.endswith("segments: 4 of 4") and note.endswith("  without cudb")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_bar_where_only_stderr_is_a_terminal(demo_record: Path, tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    with (tmp_path / "out.txt").open("wb") as out:
        code = "from ecgqa_tflite.cli import main; main()"
        started = subprocess.Popen(
            [sys.executable, "-c", code, "assess", str(demo_record)],
            stdout=out, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )  # fmt: skip
        os.close(theirs)
        told = b""
        try:
            while piece := os.read(ours, 4096):
                told += piece
        except OSError:  # the other end is closed
            pass
        assert started.wait() == 0
    assert b"segments, demo ECG" in told and b"18/18" in told
    text = (tmp_path / "out.txt").read_text()
    assert "of 18 segments" in text and "\x1b" not in text


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
