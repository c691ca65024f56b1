# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The engine of one machine: processes that each take an entry at a time.

A process that dies (a crash in a decoder, the system's out-of-memory killer, someone's ``kill``)
is known with the entry that it had. The entry is tried again by another process once the others
are through, and set aside where it has ended ``TRIES`` of them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from ecgqa_tflite.bulk.plan import Entry
from ecgqa_tflite.bulk.results import write_aside
from ecgqa_tflite.bulk.storage import folder
from ecgqa_tflite.bulk.work import Job, Outcome, Worker
from ecgqa_tflite.errors import EcgqaError, ToolError

TRIES = 3
POISON = f"ended the process that read it, {TRIES} times of {TRIES}"

_READY = "ready"


def run_processes(entries: Sequence[Entry], job: Job, workers: int) -> Iterator[Outcome]:
    """Settle ``entries`` in so many processes; outcomes as they come.

    Raises
    ------
    StorageError
        The output can't be written.
    EcgqaError
        The workers can't start: the model, the version, the memory.
    """
    todo, suspects = deque(entries), deque[Entry]()
    deaths: Counter[str] = Counter()
    failed_starts = 0
    pool = [_Process(job) for _ in range(min(workers, len(entries)))]
    try:
        while todo or suspects or any(process.entry for process in pool):
            for process in pool:
                if process.idle and (todo or suspects):
                    process.take(todo.popleft() if todo else suspects.popleft())
            for process in _that_tell(pool):
                entry = process.entry
                answer = process.answer()
                if isinstance(answer, EcgqaError):
                    raise answer
                if isinstance(answer, Outcome):
                    yield answer
                elif answer == _READY:
                    failed_starts = 0
                elif answer is None:
                    pool[pool.index(process)] = _Process(job)
                    if entry is None:  # died as it started, or with nothing to do
                        failed_starts += 1
                        if failed_starts == TRIES:
                            raise ToolError(
                                f"{TRIES} workers ended as they started (exit code "
                                f"{process.exit_code}): more memory for each, or fewer --workers"
                            )
                        continue
                    deaths[entry.key] += 1
                    if deaths[entry.key] < TRIES:
                        suspects.append(entry)
                    else:
                        yield poisoned(entry, job)
    finally:
        for process in pool:
            process.end()


def poisoned(entry: Entry, job: Job) -> Outcome:
    """Set an entry aside that ends whatever process reads it."""
    write_aside(folder(job.out), entry.key, POISON)
    return Outcome(entry, "aside", POISON)


class _Process:
    """A worker's process and what it is at."""

    def __init__(self, job: Job) -> None:
        # no fork: threads of this process would leave locks behind that nobody opens
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()
        self.entry: Entry | None = None
        self._ready = False

    @property
    def idle(self) -> bool:
        """Whether it has started and has nothing to do."""
        return self._ready and self.entry is None

    def take(self, entry: Entry) -> None:
        """Give it an entry."""
        self.entry = entry
        with contextlib.suppress(OSError):  # dead: `answer` will say so
            self.connection.send(entry)

    def answer(self) -> Outcome | EcgqaError | str | None:
        """What it says; None where it has died."""
        try:
            answer: Outcome | EcgqaError | str = self.connection.recv()
        except (EOFError, OSError):
            self.end()
            return None
        self._ready = True
        self.entry = None
        return answer

    def end(self) -> None:
        """Stop it, whatever it is at."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    @property
    def exit_code(self) -> int | None:
        """As the system has it, minus the signal's number where one ended it."""
        return self._process.exitcode


def _that_tell(pool: Sequence[_Process]) -> list[_Process]:
    """Processes that have something to say, or have died; waits for one."""
    told: list[Any] = wait([process.connection for process in pool])
    return [process for process in pool if process.connection in told]


def _serve(connection: Connection, job: Job) -> None:
    """What a worker's process does: settle what comes until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks is told, and ends this
    try:
        worker = Worker(job)
        connection.send(_READY)
        while True:
            connection.send(worker.settle(connection.recv()))
    except EcgqaError as error:
        connection.send(error)
    except (EOFError, OSError):
        pass  # nobody is there
