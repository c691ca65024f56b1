# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives: the same bytes from every engine whatever is killed, and what an hour costs.

``python .ci/archive_figures.py WORK [--records GLOB] [--days 40] [--kills 10]`` makes day-long
records and poison files in WORK, assesses them and the records of GLOB by one process, all cores,
Dask over TCP and parts, each also with SIGKILL of workers and of the driver at random moments, and
holds the results against each other; ``--cost`` measures hours a second, memory and bytes instead.
Either writes its part of WORK/archives.json; ``models/experiments/archives.json`` is a copy of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecgqa_tflite.benchmark.protocol import describe_machine
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.disturbances import ElectrodeMotion, MuscleNoise
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import poison_files

FS_HZ, HOUR_S, DAY_H, PARTS = 250, 3600, 24, 4
ECGQA = (sys.executable, "-c", "from ecgqa_tflite.cli import main; main()")
POLL_S = 0.2
DONE = (0, 1, 3)
"""Exit codes that don't ask for the same command again for ever: done, unread, some set aside."""


@dataclass
class Cost:
    """What a command took; ``worker_mb``: resident memory of its workers over time."""

    wall_s: float = 0
    cpu_s: float = 0
    runs: int = 0
    killed: int = 0
    worker_mb: list[float] = field(default_factory=list)


def write_days(folder: Path, n: int, hours: float) -> str:
    """``n`` records of so many hours, no two alike; the glob that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        if (folder / f"day{i:03d}.hea").exists():
            continue
        noise = (MuscleNoise(100, 60, 0.4), ElectrodeMotion(300, 40, 2.0))
        piece = simulate(600, FS_HZ, seed=i, disturbances=noise).signal_mv[:, :1]
        signal_mv = np.tile(piece, (round(hours * 6), 1))
        write_wfdb(Recording(f"day{i:03d}", signal_mv, FS_HZ, ("ECG",)), folder)
    return f"{folder}/*.hea"


def tree_hash(out: Path) -> tuple[int, int, str]:
    """Files with results, files set aside, and a SHA-256 over the names and bytes of all."""
    total = hashlib.sha256()
    n = dict.fromkeys(("results", "aside"), 0)
    for kind in n:
        for path in sorted(p for p in (out / kind).rglob("*") if p.is_file()):
            if not path.name.startswith("."):
                n[kind] += 1
                total.update(str(path.relative_to(out)).encode() + b"\0" + path.read_bytes())
    return n["results"], n["aside"], total.hexdigest()


def workers_of(pid: int) -> list[int]:
    """Processes that a driver started to work for it."""
    listed = subprocess.run(
        ("ps", "--ppid", str(pid), "-o", "pid=,args="), capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


def resident_mb(pid: int) -> float:
    """Memory of a process's own and shared pages; 0 where it has gone."""
    with suppress(OSError):
        return (
            int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            * os.sysconf("SC_PAGE_SIZE")
            / 1e6
        )
    return 0.0


def once(arguments: Sequence[str], cost: Cost, kill: tuple[str, float] | None = None) -> int:
    """Run ``ecgqa bulk``, with one SIGKILL where asked for: of whom, and after how many seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    process = subprocess.Popen(
        (*ECGQA, "bulk", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    cost.runs += 1
    while process.poll() is None:
        time.sleep(POLL_S)
        workers = workers_of(process.pid)
        cost.worker_mb += [max(map(resident_mb, workers))] if workers else []
        if kill and time.monotonic() - started >= kill[1] and (kill[0] == "driver" or workers):
            with suppress(ProcessLookupError):
                os.kill(
                    process.pid if kill[0] == "driver" else random.choice(workers), signal.SIGKILL
                )
                cost.killed += 1
            kill = None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost.wall_s += time.monotonic() - started
    cost.cpu_s += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return process.returncode


def engines(
    globs: Sequence[str], options: Sequence[str]
) -> dict[str, Callable[[Path], list[list[str]]]]:
    """By name: the commands that fill a folder."""
    plan = [*globs, *options]

    def parts(out: Path) -> list[list[str]]:
        each = [["run", str(out), "--part", f"{i}/{PARTS}"] for i in range(1, PARTS + 1)]
        return [["plan", *plan, "-o", str(out)], *each]

    return {
        "one process": lambda out: [[*plan, "-o", str(out), "--workers", "1"]],
        "all cores": lambda out: [[*plan, "-o", str(out)]],
        "dask": lambda out: [[*plan, "-o", str(out), "--scheduler", "local", "--workers", "3"]],
        "parts": parts,
    }


def killings(kills: int, span_s: float) -> Iterator[tuple[str, float]]:
    """``kills`` of the driver and of a worker, at moments spread over a run of ``span_s``."""
    for _ in range(kills):
        for whom in random.sample(("driver", "worker"), 2):
            yield whom, random.uniform(2, 2 + span_s / kills)


def equal(args: argparse.Namespace) -> dict[str, object]:
    """Every engine, undisturbed and killed; a row each."""
    globs = [*args.records, write_days(args.work / "days", args.days, DAY_H)]
    if args.poison:
        os.environ["PYTHONPATH"] = poison_files.plant_readers(args.work / "plant")
        globs += map(str, poison_files.write_poison(args.work / "poison"))
    rows: dict[str, object] = {}
    first = ""
    for name, commands in engines(globs, ("--model", args.model, "--hop", str(args.hop))).items():
        span_s = 60.0
        for kills in (0, args.kills):
            out = args.work / f"out {name} {kills}"
            shutil.rmtree(out, ignore_errors=True)
            cost = Cost()
            for command in commands(out):
                plan = command[0] == "plan"
                share = 1 if plan or len(commands(out)) == 1 else PARTS
                for kill in (
                    () if plan or not kills else killings(kills // share or 1, span_s / share)
                ):
                    once(command, cost, kill)
                code = once(command, cost)
                if code not in DONE:
                    raise SystemExit(f"{name}: `ecgqa bulk {' '.join(command)}` ended with {code}")
            span_s = max(10.0, cost.wall_s - 5)
            n, aside, total = tree_hash(out)
            first = first or total
            rows[f"{name}, {cost.killed} kills"] = {
                "results": n, "aside": aside, "sha256": total, "equal": total == first,
                "runs": cost.runs, "wall_s": round(cost.wall_s, 1), "cpu_s": round(cost.cpu_s, 1),
            }  # fmt: skip
            print(f"{name}, {cost.killed} kills in {cost.runs} runs: {n:,} results, {aside} aside,"
                  f" {'equal' if total == first else 'NOT EQUAL'}, {cost.wall_s:.0f} s,"
                  f" {cost.cpu_s:.0f} s of CPU", flush=True)  # fmt: skip
            shutil.rmtree(out)
    return rows


def said(name: str, recorded_h: float, wall_s: float, cpu_s: float) -> None:
    """A line of what an archive took."""
    print(
        f"{name}: {recorded_h:.1f} h in {wall_s:.1f} s, {recorded_h / wall_s:.2f} h per second,"
        f" {cpu_s:.1f} s of CPU",
        flush=True,
    )


def costs(args: argparse.Namespace) -> dict[str, object]:
    """Hours per second by processes, Dask and `assess` in a loop; memory over 1,000 records."""
    hours = write_days(args.work / "hours", 4, 3)
    short = write_days(args.work / "short", 100, 1 / 6)
    recorded_h = 4 * 3 + 100 / 6
    rows: dict[str, object] = {}
    ways = {
        "1 process": ["--workers", "1"],
        "2 processes": ["--workers", "2"],
        "dask, 2 processes": ["--scheduler", "local", "--workers", "2"],
    }
    for model in ("light_cnn", "light_cnn_small"):
        taken: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(args.repeats):  # in turns, so that a busy moment strikes all
            for name, way in ways.items():
                out = args.work / "out"
                shutil.rmtree(out, ignore_errors=True)
                cost = Cost()
                if once([hours, short, "-o", str(out), "--model", model, *way], cost) != 0:
                    raise SystemExit(f"{name} failed")
                taken[name].append(cost)
        for name, each in taken.items():
            wall, cpu = (
                statistics.median(getattr(c, k) for c in each) for k in ("wall_s", "cpu_s")
            )
            rows[f"{model}, {name}"] = {"recorded_h": recorded_h, "wall_s": wall, "cpu_s": cpu}
            said(f"{model}, {name}", recorded_h, wall, cpu)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    looped = sorted(Path(short[:-5]).glob("*.hea"))[:10]
    for path in looped:
        command = (*ECGQA, "assess", str(path), "--model", args.model)
        subprocess.run(command, check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    loop = f"{args.model}, assess in a loop"
    rows[loop] = {"recorded_h": len(looped) / 6, "wall_s": wall, "cpu_s": cpu}
    said(loop, len(looped) / 6, wall, cpu)
    cost = Cost()
    shutil.rmtree(args.work / "out", ignore_errors=True)
    many = [write_days(args.work / "many", 1000, 1 / 6), "-o", str(args.work / "out")]
    once([*many, "--model", "light_cnn_small", "--workers", "1"], cost)
    tenth = len(cost.worker_mb) // 10
    first, last = (statistics.median(part) for part in
                   (cost.worker_mb[tenth : 2 * tenth], cost.worker_mb[-tenth:]))  # fmt: skip
    rows["memory over 1,000 records"] = {"second_tenth_mb": first, "last_tenth_mb": last}
    print(f"1,000 records by one worker: {first:.0f} MB early, {last:.0f} MB at the end")
    plan_entry = (args.work / "out" / "plan.json").stat().st_size / 1000
    rows["bytes"] = written(args, Path(hours).parent) | {"plan, an entry": plan_entry}
    return rows


def written(args: argparse.Namespace, records: Path) -> dict[str, float]:
    """Bytes per recorded hour that long records are read and written with."""
    out, recorded_h = args.work / "out", 4 * 3
    found = {"read": sum(path.stat().st_size for path in records.glob("*.dat")) / recorded_h}
    for form in ("json", "parquet"):
        shutil.rmtree(out, ignore_errors=True)
        command = [f"{records}/*.hea", "-o", str(out), "--model", args.model, "--form", form]
        if once(command, Cost()) != 0:
            raise SystemExit(f"--form {form} failed")
        results = [path for path in (out / "results").rglob("*") if path.is_file()]
        found[form] = sum(path.stat().st_size for path in results) / recorded_h
    return found


def main() -> None:
    """Run, print, and save beside what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder for what is made, gigabytes")
    parser.add_argument("--records", nargs="*", default=[], help="globs of more records")
    parser.add_argument("--days", type=int, default=40, help="day-long records to make")
    parser.add_argument("--kills", type=int, default=10, help="of the driver, and of workers")
    parser.add_argument("--hop", type=float, default=60.0, help="s from one segment to the next")
    parser.add_argument("--model", default="light_cnn_small")
    parser.add_argument("--poison", action="store_true", help="twenty poison files among them")
    parser.add_argument("--cost", action="store_true", help="measure throughput and memory instead")
    parser.add_argument("--repeats", type=int, default=3, help="of each timing")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    args = parser.parse_args()
    random.seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    rows = costs(args) if args.cost else equal(args)
    figures = args.work / "archives.json"
    kept = json.loads(figures.read_text()) if figures.exists() else {}
    kept |= {"machine": describe_machine(), "cost" if args.cost else "equal": rows}
    figures.write_text(json.dumps(kept, indent=1) + "\n")
    if not args.cost and not all(row["equal"] for row in rows.values()):  # type: ignore[index]
        sys.exit(1)


if __name__ == "__main__":
    main()
