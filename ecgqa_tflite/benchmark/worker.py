# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""One row in a process of its own: first calls are first, peak memory is this model's, and what
crashes takes nothing with it. A process ends, with all that it started, where who asked has ended.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.errors import EcgqaError, ToolError

MARK = "ecgqa-bench-row "
TIMEOUT_S = 300.0
GRACE_S = 5.0
"""For what is asked to end to remove its temporary files, s."""


class Workers:
    """Processes that measure; leave it, or die of any signal, and those that still work end.

    Each holds the read end of a pipe whose other end is here alone.
    """

    def __enter__(self) -> Self:
        self._theirs, self._ours = os.pipe()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._ours)
        os.close(self._theirs)

    def measure(self, bench: Bench, job: Job) -> Row:
        """Run :func:`main` in a process of its own; several threads may.

        Raises
        ------
        ToolError
            What went wrong there, in a line.
        """
        # -P: a folder ecgqa_tflite where the user happens to be is not the package that runs here.
        command = [sys.executable, "-P", "-m", __name__, str(self._theirs)]
        asked = pickle.dumps((bench.measure, job))
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=(self._theirs,), process_group=0,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(asked, timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise ToolError(f"did not end within {TIMEOUT_S:g} s") from None
        for line in out.decode(errors="replace").splitlines():
            if line.startswith(MARK):
                return Row.from_dict(json.loads(line.removeprefix(MARK)))
        said = err.decode(errors="replace").strip().splitlines()
        raise ToolError((said[-1:] or [f"exit status {process.returncode}"])[0][:300])


def measure_apart(bench: Bench, job: Job) -> Row:
    """As :meth:`Workers.measure`, of one row."""
    with Workers() as workers:
        return workers.measure(bench, job)


def main(asker: int) -> int:
    """Read what is asked for from standard input, write the row; the exit status.

    Parameters
    ----------
    asker
        Descriptor that has something to read once who asks has ended.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # temporary folders are removed
    threading.Thread(target=_end_with, args=(asker,), daemon=True).start()
    measure, job = pickle.load(sys.stdin.buffer)
    try:
        row = measure(job)
    except EcgqaError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(MARK + json.dumps(row.to_dict(), allow_nan=False))
    return 0


def _end_with(asker: int) -> None:
    """Wait until who asks has ended; then end this process, its compilers and its emulators."""
    os.set_inheritable(asker, False)
    os.read(asker, 1)
    for ending in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(0, ending)
        time.sleep(GRACE_S)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
