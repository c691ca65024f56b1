# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""One row in a process of its own: first calls are first, peak memory is this model's, and what
crashes takes nothing with it.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.errors import EcgqaError, ToolError

MARK = "ecgqa-bench-row "
TIMEOUT_S = 300.0


def measure_apart(bench: Bench, job: Job) -> Row:
    """Run :func:`main` in a process of its own.

    Raises
    ------
    ToolError
        What went wrong there, in a line.
    """
    # -P: a folder ecgqa_tflite where the user happens to be is not the package that runs here.
    command = [sys.executable, "-P", "-m", __name__]
    asked = pickle.dumps((bench.measure, job))
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"did not end within {TIMEOUT_S:g} s") from None
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith(MARK):
            return Row.from_dict(json.loads(line.removeprefix(MARK)))
    said = done.stderr.decode(errors="replace").strip().splitlines()
    raise ToolError((said[-1:] or [f"exit status {done.returncode}"])[0][:300])


def main() -> int:
    """Read what is asked for from standard input, write the row; the exit status."""
    measure, job = pickle.load(sys.stdin.buffer)
    try:
        row = measure(job)
    except EcgqaError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(MARK + json.dumps(row.to_dict(), allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
