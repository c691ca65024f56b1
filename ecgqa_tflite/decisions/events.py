# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as BIDS events: a ``.tsv`` of runs and the ``.json`` that says what its columns are."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from ecgqa_tflite.decisions.report import Assessed
from ecgqa_tflite.model_folder import ModelFolder

COLUMNS = {
    "onset": ("Start of the run from the start of the recording", "s"),
    "duration": ("Length of the run", "s"),
    "trial_type": ("Quality of the ECG in the run", None),
    "channel": ("Lead that was assessed", None),
    "reason": ("ok: the network decided; else what showed before it was asked", None),
    "lowest_score": ("Least score of high quality in the run, 0..1", None),
    "highest_score": ("Greatest score of high quality in the run, 0..1", None),
}
"""What each column is, and its unit."""


def events_tsv(assessed: Assessed, model: ModelFolder) -> str:
    """Runs of each lead, by onset, in the columns of :data:`COLUMNS`; ends in a line feed."""
    rows: list[tuple[str, ...]] = [
        (
            f"{run.start_s:.6g}" if run.start_s < 1e5 else f"{run.start_s:.3f}",
            f"{run.end_s - run.start_s:.6g}",
            model.labels[run.quality],
            lead.lead,
            run.reason,
            f"{run.lowest_score:.6g}",
            f"{run.highest_score:.6g}",
        )
        for lead in assessed.leads
        for run in lead.runs
    ]
    rows.sort(key=lambda row: (float(row[0]), row[3]))
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return out.getvalue()


def events_json(assessed: Assessed, model: ModelFolder) -> str:
    """The sidecar: descriptions, units and levels; ends in a line feed."""
    described: dict[str, dict[str, Any]] = {}
    for name, (text, unit) in COLUMNS.items():
        described[name] = {"Description": text} | ({} if unit is None else {"Units": unit})
    low, high = model.labels
    described["trial_type"]["Levels"] = {
        high: "Every R peak can be told",
        low: "It can not be trusted",
    }
    described["channel"]["Levels"] = {lead.lead: "" for lead in assessed.leads}
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"
