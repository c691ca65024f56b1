"""One target, one configuration, one model, in a process of its own: first calls are first, peak
memory is this model's, and what crashes takes nothing with it.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.benchmark.protocol import FULL, QUICK
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.devices.job import Job, Target
from ecgqa_tflite.errors import EcgqaError, ToolError
from ecgqa_tflite.model_folder import open_model

MARK = "ecgqa-bench-row "
TIMEOUT_S = 300.0

_EMULATED = dict.fromkeys(
    ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "aarch64"), "cortex_m"
)
_ETHOS = dict.fromkeys(
    ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u85-256"), "ethos_u"
)
TARGETS: Mapping[str, str] = {
    "host": "litert",
    "raspberry-pi": "litert",
    "tflm": "tflm",
    "engine": "engine",
    "coral": "coral",
    **_EMULATED,
    **_ETHOS,
}
"""Name to its module, in the order of a report."""


def target(name: str) -> Target:
    """The module of a target."""
    return cast(Target, importlib.import_module(f"ecgqa_tflite.devices.bench_{TARGETS[name]}"))


def measure_apart(
    name: str, variant: str, model: str | Path, record: str | None, quick: bool
) -> Row:
    """Run :func:`main` in a process of its own.

    Raises
    ------
    ToolError
        What went wrong there, in a line.
    """
    asked = {
        "target": name, "variant": variant, "model": str(model), "record": record, "quick": quick,
    }  # fmt: skip
    command = [sys.executable, "-m", "ecgqa_tflite.devices.worker"]
    try:
        done = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ToolError(f"did not end within {TIMEOUT_S:g} s") from None
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return Row.from_dict(json.loads(line.removeprefix(MARK)))
    told = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    raise ToolError(told[0][:300])


def main() -> int:
    """Read what is asked for from standard input, write the row; the exit status."""
    asked: dict[str, Any] = json.loads(sys.stdin.read())
    try:
        model = open_model(asked["model"])
        segments, fs_hz, _ = inputs.load(asked["record"], model.spec)
        protocol = QUICK if asked["quick"] else FULL
        job = Job(asked["target"], asked["variant"], model, segments, fs_hz, protocol)
        row = target(asked["target"]).measure(job)
    except EcgqaError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(MARK + json.dumps(row.to_dict(), allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
