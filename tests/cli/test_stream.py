# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa stream`` as a user types it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import require_module

from ecgqa_tflite import cli
from ecgqa_tflite.assess import assess
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate_demo

FS_HZ = 250.0
ECGQA = (sys.executable, "-c", "from ecgqa_tflite.cli import main; main()")
RAW = ("--fs", "250", "--form", "int16", "--counts-per-mv", "200")


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """The demo as a device of 200 counts per mV sends it, int16, (n, 1)."""
    demo = simulate_demo()
    scaled = np.rint(np.nan_to_num(demo.signal_mv[:, :1], nan=-1e9) * 200)
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def stream(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["stream", *map(str, arguments)])


def test_lines_and_objects(counts: np.ndarray, small_model: ModelFolder, tmp_path: Path) -> None:
    raw = tmp_path / "demo.s16"
    raw.write_bytes(counts.tobytes())
    done = stream(raw, *RAW, "--model", small_model.path, "--json")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    mv = counts.astype(np.float32) / 200
    mv[counts == -32768] = np.nan
    expected = assess(Recording("demo", mv, FS_HZ, ("ch0",)), small_model)
    assert [(r["start_s"], r["score"], r["reason"]) for r in rows] == [
        (d.start_s, d.score, d.reason) for d in expected
    ]
    high = sum(d.quality for d in expected)
    assert f"ch0: {high} of {len(expected)} segments high" in done.stderr
    text = tmp_path / "demo.txt"
    text.write_text("".join("\n" if x == -32768 else f"{x}\n" for x in counts[:, 0].tolist()))
    lines = stream(text, "--fs", 250, "--counts-per-mv", 200, "--model", small_model.path)
    assert lines.exit_code == 0, lines.output
    words = [line.split() for line in lines.stdout.splitlines()]
    assert [w[4] for w in words] == [r["quality"] for r in rows]


def test_at_once_and_interrupted(counts: np.ndarray, small_model: ModelFolder) -> None:
    """A decision is out before more samples come; Ctrl-C says what it came to."""
    process = subprocess.Popen(
        [*ECGQA, "stream", *RAW, "--hop", "1", "--model", str(small_model.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "0"},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    data = counts.tobytes()
    process.stdin.write(data[: 2 * 1250])
    process.stdin.flush()
    assert process.stdout.readline().decode().split()[:3] == ["0.0", "-", "5.0"]
    process.stdin.write(data[2 * 1250 : 2 * 1500])
    process.stdin.flush()
    assert process.stdout.readline().decode().split()[:3] == ["1.0", "-", "6.0"]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 2 segments high" in said.decode() and "Traceback" not in said.decode()


def test_a_serial_port_that_is_pulled_out(
    counts: np.ndarray, small_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions as the bytes come; then one line, and nothing is lost."""
    require_module("serial")
    import serial

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name, opened = os.ttyname(theirs), queue.Queue[serial.Serial]()

    class Port(serial.Serial):
        n_read = 0

        def __init__(self, *given: object) -> None:
            super().__init__(*given)
            opened.put(self)

        def read(self, size: int = 1) -> bytes:
            data: bytes = super().read(size)
            self.n_read += len(data)
            return data

    monkeypatch.setattr(serial, "Serial", Port)

    def send() -> None:
        port = opened.get(timeout=60)
        os.close(theirs)
        for start in range(0, counts.size, 300):
            os.write(ours, counts[start : start + 300].tobytes())
        while port.n_read < counts.nbytes:
            time.sleep(0.05)
        os.close(ours)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    done = stream(name, "--baud", 115200, *RAW, "--model", small_model.path)
    sender.join(60)
    assert done.exit_code == 1 and not isinstance(done.exception, OSError), done.output
    assert done.stderr.splitlines()[-1].startswith(f"Error: {name} gives no more samples: ")
    assert len(done.stdout.splitlines()) == 18
    assert "ch0: " in done.stderr and "of 18 segments high" in done.stderr


def test_watch_follows(counts: np.ndarray, small_model: ModelFolder, tmp_path: Path) -> None:
    raw = tmp_path / "demo.s16"
    raw.write_bytes(np.repeat(counts, 2, axis=1).tobytes())
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*ECGQA, "stream", raw, *RAW, "--channels", "2", "--watch", "--model", small_model.path],
        stdout=theirs, stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how the other end's closing is told
        while data := os.read(ours, 65536):
            shown += data
    os.close(ours)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    last = shown.decode().rpartition("latest")[2].splitlines()
    rows = [line.split() for line in last if re.search(r"ch[01]", line)]
    assert len(rows) == 2 and all("90.0" in row for row in rows), last
    assert shown.decode().count("latest") >= 18, "a view per decision"
    assert b"ch1: " in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "--fs HZ is needed"),
        (("--fs", 250, "--form", "int16"), "--counts-per-mv"),
        (("--fs", 250, "--channels", 2), "--form int16"),
        (("--fs", 250, "--watch", "--json"), "give one of them"),
        (("--fs", 250, "--watch"), "needs a terminal"),
    ],
)
def test_usage(tmp_path: Path, given: tuple[object, ...], says: str) -> None:
    done = stream(tmp_path / "none", *given)
    assert done.exit_code == 2 and says in done.stderr


def test_what_can_not_be_read(tmp_path: Path, small_model: ModelFolder) -> None:
    given = ("--fs", 250, "--model", small_model.path)
    done = stream(tmp_path / "none", *given)
    assert done.exit_code == 1 and "No such file" in done.stderr
    (tmp_path / "short").write_text("1\n2\n")
    done = stream(tmp_path / "short", *given)
    assert done.exit_code == 0 and "No whole segment came in" in done.stderr
    (tmp_path / "binary").write_bytes(np.arange(5000, dtype="<i2").tobytes())
    done = stream(tmp_path / "binary", *given)
    assert done.exit_code == 1 and "--form int16 --counts-per-mv N" in done.stderr
    (tmp_path / "odd").write_bytes(b"\0" * 70_000)
    done = stream(tmp_path / "odd", *given)
    assert done.exit_code == 1 and "--form int16" in done.stderr
    done = stream(tmp_path / "short", "--fs", 20, "--model", small_model.path)
    assert done.exit_code == 1 and len(done.stderr.strip().splitlines()) <= 2
