# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa bulk``: what users type, and one line where it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import require_module

from ecgqa_tflite.cli import main

MODEL = ("--model", "light_cnn_small")


def ecgqa(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bulk", *map(str, arguments)])


@pytest.fixture
def ecg(tmp_path: Path) -> Path:
    """A folder of three arrays at 250 Hz and a text file."""
    place = tmp_path / "ecg"
    place.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).normal(size=250 * 21)
        np.save(place / f"n{i}.npy", noise.astype(np.float32))
    (place / "notes.txt").write_text("no recording\n")
    return place


def test_all_steps_at_once_and_again(ecg: Path, tmp_path: Path) -> None:
    require_module("pyarrow")
    asked = (f"{ecg}/*", "-o", tmp_path / "out", *MODEL, "--fs", "250", "--workers", "1")
    done = ecgqa(*asked)
    assert done.exit_code == 0, done.output
    assert "in 3 of 4 records" in done.stdout and "1 set aside" in done.stdout
    assert "notes.txt" in done.stdout and "index.html" in done.stdout
    files = sorted(p for p in (tmp_path / "out").rglob("*") if p.is_file())
    before = {p: p.read_bytes() for p in files}
    again = ecgqa(*asked)
    assert again.exit_code == 0
    after = {p: p.read_bytes() for p in files if p.name != "index.html"}
    assert after == {p: v for p, v in before.items() if p.name != "index.html"}
    merged = ecgqa("merge", tmp_path / "out")
    assert merged.exit_code == 0 and "12 segments" in merged.stdout
    assert "exists already" in ecgqa("merge", tmp_path / "out").output


@pytest.mark.usefixtures("one_process")
def test_steps(ecg: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    planned = ecgqa("plan", f"{ecg}/*.npy", "-o", out, *MODEL, "--fs", 250, "--slurm", 2)
    assert planned.exit_code == 0 and planned.stdout.startswith("#!/bin/bash")
    assert f'ecgqa bulk run {out} --part "$SLURM_ARRAY_TASK_ID/2"' in planned.stdout
    assert json.loads((out / "plan.json").read_text())["hash"] in planned.stderr
    first = ecgqa("run", out, "--part", "1/2", "--workers", 1)
    assert "part 1/2: 2 done, 0 were, 0 set aside, 0 could not be read" in first.stdout
    unread = ecg / "n1.npy"
    unread.rename(ecg / "away")
    second = ecgqa("run", out, "--part", "2/2", "--workers", 1)
    assert second.exit_code == 1
    assert second.output.strip().splitlines()[-1] == (
        f"Error: 1 record could not be read now ({unread}: No such file or directory); "
        "what was done is kept: the same command goes on"
    )
    (ecg / "away").rename(unread)
    assert ecgqa("run", out, "--workers", 1).exit_code == 0
    assert len(list((out / "results").glob("*/*.json"))) == 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("nothing/*.hea", "-o", "out"), "no file is there"),
        (("ecg", "-o", "out"), "is a folder: give a glob"),
        (("run", "out"), "make one with ecgqa bulk plan"),
        (("run", "out", "--part", "3"), "such as 3/8"),
        (("ecg/*", "-o", "ecg/n0.npy"), "is a file"),
        (("ecg/*", "-o", "out", "--span-hours", "0.0001"), "hold no segment"),
        (("ecg/*", "-o", "out", "--model", "none"), "no such model"),
        (("ecg/*", "-o", "nostore://x/out"), "nostore"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: tuple[str, ...], message: str, ecg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ecg.parent)
    done = ecgqa(*arguments)
    assert done.exit_code == 1, done.output
    assert message in done.output and len(done.output.strip().splitlines()) == 1
    assert not (ecg.parent / "out").exists()


def test_a_scheduler_that_is_not_there(
    ecg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_module("distributed")
    from ecgqa_tflite.bulk import dask_engine

    monkeypatch.setattr(dask_engine, "CONNECT_S", 1)
    asked = (f"{ecg}/*.npy", "-o", tmp_path / "out", *MODEL, "--fs", 250)
    done = ecgqa(*asked, "--scheduler", "tcp://127.0.0.1:9")
    assert done.exit_code == 1 and "no Dask scheduler" in done.output


@pytest.mark.usefixtures("one_process")
def test_spans_and_parquet(ecg: Path, tmp_path: Path) -> None:
    require_module("pyarrow")
    asked = (f"{ecg}/n*.npy", "-o", tmp_path / "out", *MODEL, "--fs", 250, "--workers", 1)
    done = ecgqa(*asked, "--form", "parquet", "--span-hours", 0.003)
    assert done.exit_code == 0 and "in 3 of 3 records" in done.stdout
    assert len(list((tmp_path / "out/results").glob("*/*.parquet"))) == 6  # two spans each
