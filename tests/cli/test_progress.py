"""Progress: a bar where stderr is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecgqa_tflite.cli import progress as module
from ecgqa_tflite.cli.progress import LOG_INTERVAL_S, progress


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
    assert "4 of 4" in capsys.readouterr().err


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
