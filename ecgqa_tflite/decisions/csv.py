# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as CSV: a row per segment, or per run of equal quality."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from ecgqa_tflite.decisions.json import decision_rows, run_rows
from ecgqa_tflite.decisions.report import ANY_LEAD, Run


def csv_text(run: Run, *, as_runs: bool = False) -> str:
    """The decisions of a run under their names; ``record`` and ``lead`` first in each row.

    Times that nobody knows are empty. Lines end in a line feed.

    Parameters
    ----------
    run
        At least one recording.
    as_runs
        A row per run; where several leads were assessed, runs where any is good follow them.
    """
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in all_rows(run, as_runs=as_runs):
        if writer is None:
            writer = csv.DictWriter(out, fieldnames=list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return out.getvalue()


def all_rows(run: Run, *, as_runs: bool) -> Iterator[dict[str, Any]]:
    """Rows of every recording and lead: ``record`` and ``lead``, then what was decided."""
    for assessed in run.assessed:
        for lead in assessed.leads:
            who = {"record": assessed.record, "lead": lead.lead}
            rows = (
                run_rows(assessed, lead.runs, run.model)
                if as_runs
                else decision_rows(assessed, lead.decisions, run.model)
            )
            for row in rows:
                yield {**who, **row}
        if as_runs and len(assessed.leads) > 1:
            for row in run_rows(assessed, assessed.any_lead, run.model):
                yield {"record": assessed.record, "lead": ANY_LEAD, **row}
