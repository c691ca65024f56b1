# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""An archive from plan to summary: what ``ecgqa bulk`` does, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ecgqa_tflite.bulk import dask_engine, processes
from ecgqa_tflite.bulk.page import write_index, write_record_page
from ecgqa_tflite.bulk.plan import PLAN, Entry, Options, Plan, Request, make_plan
from ecgqa_tflite.bulk.results import aside_name
from ecgqa_tflite.bulk.run import Run
from ecgqa_tflite.bulk.storage import Folder
from ecgqa_tflite.bulk.summary import SIDE_LIST, Summary, side_list, summarise
from ecgqa_tflite.bulk.work import Job, Outcome
from ecgqa_tflite.errors import ArgumentError, OutputExistsError
from ecgqa_tflite.progress import Count


def planned(
    out: Folder,
    request: Request,
    options: Options,
    *,
    overwrite: bool = False,
    progress: Count | None = None,
) -> Plan:
    """The plan of ``out``: the one that is there where the same is asked for, else a new one.

    ``overwrite`` plans anew: files that came or changed since are seen, and results of those that
    did not are kept.

    Raises
    ------
    OutputExistsError
        Another plan is there and ``overwrite`` is false.
    """
    if not overwrite:
        plan = Plan.read(out)
        if plan is not None:
            if (plan.request, plan.options) != (request, options):
                raise OutputExistsError(
                    f"{out.url} holds another plan: name another output, or pass --overwrite to "
                    "plan again (results that still hold are kept)"
                )
            return plan
    plan = make_plan(request, options, progress)
    plan.write(out)
    return plan


def existing(out: Folder) -> Plan:
    """The plan of ``out``.

    Raises
    ------
    ArgumentError
        There is none.
    """
    plan = Plan.read(out)
    if plan is None:
        raise ArgumentError(f"{out.url} holds no {PLAN}: make one with ecgqa bulk plan")
    return plan


def outcomes(
    entries: Sequence[Entry], job: Job, *, workers: int | None, scheduler: str | None
) -> Iterator[Outcome]:
    """What comes of the entries, by the engine that was chosen.

    ``workers`` None: one for each core that this process may use.
    """
    n = workers or cores()
    if scheduler is not None:
        return dask_engine.run_dask(entries, job, scheduler, n)
    return processes.run_processes(entries, job, n)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def retry_aside(out: Folder, entries: Sequence[Entry]) -> None:
    """Forget what was set aside: it is tried again."""
    for entry in entries:
        out.delete(aside_name(entry.key))


def finish(
    plan: Plan, out: Folder, last_run: Run | None = None, progress: Count | None = None
) -> Summary:
    """Write the pages and the side list of what there is by now."""
    summary = summarise(
        plan, out, lambda line, results: write_record_page(out, plan, line, results), progress
    )
    write_index(out, plan, summary, last_run)
    out.write(SIDE_LIST, side_list(summary, [] if last_run is None else last_run.unread))
    return summary
