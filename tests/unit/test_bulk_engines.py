# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives in processes that die: the same bytes from every engine, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import poison_files
import pytest
from conftest import require_module

from ecgqa_tflite.bulk import archive
from ecgqa_tflite.bulk.plan import ModelId, Options, Plan, Request, make_plan
from ecgqa_tflite.bulk.processes import run_processes
from ecgqa_tflite.bulk.run import run
from ecgqa_tflite.bulk.storage import LocalFolder
from ecgqa_tflite.bulk.work import Job, Outcome, Worker
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.recording.file import ReadOptions

pytestmark = pytest.mark.thorough

MEMORY = 500_000_000


def tree(out: Path) -> dict[str, bytes]:
    """Every result and every reason, by name."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for kind in ("results", "aside")
        for path in (out / kind).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def plan_of(place: Path, n: int, *others: str) -> Plan:
    """``n`` arrays of noise, 30 to 60 s long, and ``others``."""
    place.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        noise = np.random.default_rng(i).normal(size=250 * (30 + 30 * i // n))
        np.save(place / f"n{i:03d}.npy", noise.astype(np.float32))
    options = Options(ModelId.of("light_cnn_small"), read=ReadOptions(fs_hz=250.0))
    return make_plan(Request((f"{place}/*.npy", *others)), options)


def in_this_process(plan: Plan, out: Path) -> dict[str, bytes]:
    """What one process writes, poison left out: it would not live."""
    worker = Worker(Job(plan.options, str(out)))
    for entry in plan.entries:
        if not entry.path.endswith(".poison"):
            worker.settle(entry)
    return tree(out)


@contextmanager
def planted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Processes that start in this block have the readers of poison."""
    place = poison_files.plant_readers(folder / "plant")
    monkeypatch.setenv("PYTHONPATH", place)
    (folder / "poison").mkdir()
    yield folder / "poison"


def test_processes_name_the_record_that_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with planted(tmp_path, monkeypatch) as poison:
        for kind in ("segfault", "memory", "bug"):
            (poison / f"{kind}.poison").write_text(f"POISON {kind}\n")
        plan = plan_of(tmp_path / "ecg", 6, f"{poison}/*.poison")
        expected = in_this_process(plan, tmp_path / "one")
        out = tmp_path / "two"
        job = Job(plan.options, str(out), MEMORY)
        came = list(run_processes(plan.entries, job, 1))
    kinds = {Path(o.entry.path).stem: (o.kind, o.reason) for o in came}
    assert kinds["segfault"] == ("aside", poison_files.POISONED)
    assert kinds["bug"] == ("aside", "unexpected KeyError: 'a fault of the reader'")
    assert kinds["memory"][0] == "aside" and "memory" in kinds["memory"][1]
    assert sorted(o.entry.path for o in came) == sorted(e.path for e in plan.entries)
    assert {name: v for name, v in tree(out).items() if name.startswith("results")} == expected
    # set aside for good, and not read again
    worker = Worker(replace(job, memory_bytes=None))
    assert {worker.settle(entry).kind for entry in plan.entries} == {"kept", "aside"}


def test_a_killed_worker_and_a_killed_driver_lose_nothing(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "ecg", 60)
    expected = in_this_process(plan, tmp_path / "one")
    out = tmp_path / "out"
    plan.write(LocalFolder(out))
    code = "from ecgqa_tflite.cli import main; main()"
    command = [sys.executable, "-c", code, "bulk", "run", str(out), "--workers", "1"]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _wait(lambda: len(tree(out)) > 3)
    (worker,) = _spawned(driver.pid)
    os.kill(worker, signal.SIGKILL)
    _wait(lambda: any(pid != worker for pid in _spawned(driver.pid)))
    for another in set(_spawned(driver.pid)) - {worker}:  # as it starts: no reason to give up
        os.kill(another, signal.SIGKILL)
    _wait(lambda: set(_spawned(driver.pid)) - {worker, another})
    assert driver.poll() is None
    driver.kill()
    driver.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tree(out) == expected


def test_a_worker_that_cannot_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, 1)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'spawn_main' in ' '.join(sys.orig_argv): os._exit(3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"ended as they started \(exit code 3\)"):
        list(run_processes(plan.entries, Job(plan.options, str(tmp_path / "out")), 1))


def test_dask_gives_the_same_bytes(tmp_path: Path) -> None:
    require_module("distributed")
    plan = plan_of(tmp_path / "ecg", 40)
    expected = in_this_process(plan, tmp_path / "one")
    out = tmp_path / "out"
    job = Job(plan.options, str(out), MEMORY)
    so_far = run(archive.outcomes(plan.entries, job, workers=2, scheduler="local"))
    assert so_far.n["done"] == 40 and tree(out) == expected


@pytest.mark.apart
@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_twenty_poison_files(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "dask":
        require_module("distributed")
    with planted(tmp_path, monkeypatch) as poison:
        paths = poison_files.write_poison(poison)
        plan = plan_of(tmp_path / "ecg", 40, *map(str, paths))
        expected = in_this_process(plan, tmp_path / "one")
        out = tmp_path / "out"
        job = Job(plan.options, str(out), MEMORY)
        scheduler = "local" if engine == "dask" else None
        came: list[Outcome] = []

        def seen() -> Iterator[Outcome]:
            for outcome in archive.outcomes(plan.entries, job, workers=2, scheduler=scheduler):
                came.append(outcome)
                yield outcome

        so_far = run(seen())
    # what a batch had done before it died is kept
    assert so_far.n["done"] + so_far.n["kept"] == 40
    assert so_far.n["aside"] == len(paths) and not so_far.unread
    reasons = {o.entry.path: o.reason for o in came if o.kind == "aside"}
    assert set(reasons) == set(map(str, paths))
    killed = [reason for reason in reasons.values() if reason == poison_files.POISONED]
    assert len(killed) == poison_files.KILLERS
    got = tree(out)
    assert {name: got[name] for name in expected} == expected
    assert len(got) == 40 + len(paths)


def _spawned(pid: int) -> list[int]:
    """Workers' processes of a driver."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for child in children:
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"spawn_main" in command:
            found.append(int(child))
    return found


def _wait(until: object, seconds: float = 120) -> None:
    assert callable(until)
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)
