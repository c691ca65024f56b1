# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The engine of a cluster: Dask distributed, a scheduler that is there or one of this machine.

Dask runs a task at least once and, where its worker dies, on another one. A task here is a batch
of entries; what a dead worker had written verifies and is not done again. A batch that has killed
three workers is suspect; its entries are tried again one at a time, alone on the cluster, so that
the one that kills is named and its neighbours are not blamed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ecgqa_tflite.bulk.plan import Entry
from ecgqa_tflite.bulk.processes import TRIES, poisoned
from ecgqa_tflite.bulk.run import GO_ON
from ecgqa_tflite.bulk.work import Job, Outcome, Worker
from ecgqa_tflite.errors import ToolError

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
"""In the place of a scheduler's address: start one and its workers here."""

BATCH_BYTES = 4_000_000
BATCH_ENTRIES = 32
"""A batch ends with either: long enough that the scheduler is no cost, short enough to share."""

AHEAD = 2
"""Batches that are submitted for each thread of the cluster."""

CONNECT_S = 30
"""For the scheduler to answer."""

WAIT_S = 300
"""For a worker, the first or the next where all have gone: clusters take their time."""

POLL_S = 0.02
LOOK_S = 5.0
"""Whether a batch is done, and whether there are workers."""


def run_dask(entries: Sequence[Entry], job: Job, scheduler: str, workers: int) -> Iterator[Outcome]:
    """Settle ``entries`` on Dask; outcomes as they come.

    Parameters
    ----------
    scheduler
        Its address, ``tcp://host:port``; ``local`` starts one with ``workers`` worker processes.

    Raises
    ------
    StorageError
        The output can't be written.
    ToolError
        The scheduler is not there or has gone, or no worker comes.
    EcgqaError
        The workers can't start: the model, the version.
    """
    with _client(scheduler, workers) as client:
        suspects: list[Entry] = []
        for batch, outcomes in _settled(client, batches(entries), job, None):
            if outcomes is None:
                suspects += batch
            else:
                yield from outcomes
        for batch, outcomes in _settled(client, [[e] for e in suspects], job, 1):
            yield from [poisoned(batch[0], job)] if outcomes is None else outcomes


def batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries in the order given, several short ones together."""
    found: list[list[Entry]] = []
    n_bytes = BATCH_BYTES
    for entry in entries:
        if n_bytes + entry.n_bytes > BATCH_BYTES or len(found[-1]) >= BATCH_ENTRIES:
            found.append([])
            n_bytes = 0
        found[-1].append(entry)
        n_bytes += entry.n_bytes
    return found


@contextmanager
def _client(scheduler: str, workers: int) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # deaths are told by what follows
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": TRIES - 1,
            "distributed.comm.timeouts.connect": WAIT_S,  # a busy machine starts workers slowly
            "distributed.worker.profile.enabled": False,  # it samples stacks all the time
        }
    )
    cluster: Any = None
    try:
        if scheduler == LOCAL:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                protocol="tcp://",
                dashboard_address=":0",
                memory_limit=0,  # Worker has a limit of its own
            )
        client = Client(cluster or scheduler, timeout=CONNECT_S, set_as_default=False)
        client.wait_for_workers(1, timeout=WAIT_S)
    except (OSError, TimeoutError) as error:
        if cluster is not None:
            cluster.close()
        raise ToolError(
            f"{scheduler}: no Dask scheduler answers there, or none with a worker"
        ) from error
    try:
        yield client
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def _settled(
    client: Client, todo: Sequence[list[Entry]], job: Job, at_once: int | None
) -> Iterator[tuple[list[Entry], list[Outcome] | None]]:
    """Each batch with its outcomes, None for one that killed its workers."""
    from distributed import CancelledError, KilledWorker, as_completed

    waiting = iter(todo)
    running: dict[Future, list[Entry]] = {}
    with client.as_current():
        done = as_completed()
    round_of = f"{at_once}-{id(todo):x}"
    submitted = 0

    def fill() -> None:
        nonlocal submitted
        room = at_once or AHEAD * max(1, sum(client.nthreads().values()))
        while len(running) < room and (batch := next(waiting, None)) is not None:
            key = f"ecgqa-{batch[0].key[:16]}-{round_of}-{submitted}"
            future = client.submit(_settle, batch, job, key=key, pure=False)
            submitted += 1
            running[future] = batch
            done.add(future)

    try:
        fill()
        while running:
            _await(client, done)
            future = next(done)
            batch = running.pop(future)
            try:
                yield batch, future.result()
            except KilledWorker:
                yield batch, None
            future.release()
            fill()
    except (CancelledError, OSError, TimeoutError) as error:
        raise ToolError(f"the Dask scheduler has gone; {GO_ON}") from error


def _await(client: Client, done: Any) -> None:
    """Return as soon as a batch is done.

    Raises
    ------
    ToolError
        There has been no worker for ``WAIT_S``.
    """
    seen = looked = time.monotonic()
    while not done.has_ready():
        time.sleep(POLL_S)
        now = time.monotonic()
        if now - looked > LOOK_S:
            looked = now
            if client.nthreads():
                seen = now
            elif now - seen > WAIT_S:
                raise ToolError(f"no Dask worker for {WAIT_S} s; {GO_ON}")


def _settle(batch: list[Entry], job: Job) -> list[Outcome]:
    worker = _worker(job, threading.get_ident())
    return [worker.settle(entry) for entry in batch]


@lru_cache(maxsize=64)
def _worker(job: Job, thread: int) -> Worker:
    """One for each thread of a Dask worker: interpreters are not shared."""
    return Worker(job)
