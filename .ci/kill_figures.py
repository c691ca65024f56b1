# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments of convert, train and evaluate: whole or nothing, and resumable.

``python .ci/kill_figures.py WORK DATA [--kills 100] [--others 30]``: DATA is what
`ecgqa train` takes.
Each command runs undisturbed; then, killed so often at moments spread over its time, its
output must be absent or the same bytes, the same command must end with the same bytes, and nothing
else may lie beside it. Every second training starts without its cache, which a kill may damage.
Trainings run with TF_DETERMINISTIC_OPS=1: without it TensorFlow's sums may differ by themselves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ECGQA = (sys.executable, "-c", "from ecgqa_tflite.cli import main; main()")
VARYING = ("recipe.json", "metrics.json", "MODEL_CARD.md", "SHA256SUMS", "model.json")
"""Of a training: they state how long it took, and what says their hash."""


def digest(path: Path) -> str | None:
    """SHA-256 over names and bytes, but for :data:`VARYING`; None: not there."""
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    total = hashlib.sha256()
    for file in files:
        if file.name not in VARYING:
            total.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def run(command: Sequence[str], kill_after_s: float | None = None) -> tuple[int, float]:
    """Exit code and seconds; killed with its children where asked for."""
    started = time.monotonic()
    process = subprocess.Popen(
        (*ECGQA, *command),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"TF_DETERMINISTIC_OPS": "1"},
    )
    try:
        _, said = process.communicate(timeout=kill_after_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return -signal.SIGKILL, time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"ecgqa {' '.join(command)}: {said.decode()[-500:]}")
    return process.returncode, time.monotonic() - started


def tried(
    name: str, command: Sequence[str], out: Path, kills: int, cache: Path
) -> dict[str, object]:
    """Kill and go on, so often; what was found. Every second time the cache is empty."""
    place = out.parent
    took = []
    for folder in (cache, None):
        for old in (place, folder):
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)
        place.mkdir(parents=True)
        took.append(run(command)[1])
    beside, expected = sorted(p.name for p in place.iterdir()), digest(out)
    found: dict[str, object] = {"killed": 0, "whole": 0, "nothing": 0, "faults": []}
    faults: list[str] = []
    for i in range(kills):
        shutil.rmtree(place)
        place.mkdir()
        if i % 2 == 0:
            shutil.rmtree(cache, ignore_errors=True)
        code, _ = run(command, random.uniform(0.02, 1.02) * took[i % 2])
        found["killed"] = int(str(found["killed"])) + (code < 0)
        left = digest(out)
        kind = "nothing" if left is None else "whole"
        found[kind] = int(str(found[kind])) + 1
        if left not in (None, expected):
            faults.append(f"{i}: other bytes after the kill")
        if left is None:
            run(command)
        if digest(out) != expected:
            faults.append(f"{i}: other bytes after the second run")
        lie = sorted(p.name for p in place.iterdir())
        if left is None and lie != beside:
            faults.append(f"{i}: {lie} beside")
        print(f"{name} {i + 1} of {kills}: {kind}, {len(faults)} faults", flush=True)
    found |= {"faults": faults, "seconds": [round(s, 1) for s in took]}
    print(
        f"{name}: {found['killed']} kills within {took[0]:.1f} s ({took[1]:.1f} with its cache): "
        f"{found['whole']} times whole, {found['nothing']} times nothing, "
        f"{len(faults)} faults {faults[:3]}",
        flush=True,
    )
    return found


def main() -> None:
    """Run, print, save beside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kills", type=int, default=100, help="of convert")
    parser.add_argument("--others", type=int, default=30, help="of train, and of evaluate")
    parser.add_argument("--only", choices=("convert", "evaluate", "train"), help="of the three")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    args = parser.parse_args()
    random.seed(args.seed)
    work = args.work.resolve()
    few = work / "few"
    few.mkdir(parents=True, exist_ok=True)
    for header in sorted((args.data / "arrhythmia" / "vfdb").glob("*.hea"))[:2]:
        for path in header.parent.glob(f"{header.stem}.*"):
            shutil.copy(path, few)
    commands = {
        "convert": (
            ["convert", "light_cnn_small", "-o", str(work / "convert" / "bundle")],
            "bundle",
        ),
        "evaluate": (
            ["evaluate", "light_cnn_small", str(few),
             "--json", str(work / "evaluate" / "figures.json")],
            "figures.json",
        ),
        "train": (
            ["train", "--data", str(args.data), "-o", str(work / "train" / "model"), "--quick",
             "--alpha", "0.25", "--colormap", "grey", "--size", "113", "--segments", "400",
             "--epochs", "1", "--cache", str(work / "cache")],
            "model",
        ),
    }  # fmt: skip
    kills = {"convert": args.kills}
    found = {
        name: tried(name, command, work / name / out, kills.get(name, args.others), work / "cache")
        for name, (command, out) in commands.items()
        if args.only in (None, name)
    }
    (work / "kills.json").write_text(json.dumps(found, indent=1) + "\n")
    if any(row["faults"] for row in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
