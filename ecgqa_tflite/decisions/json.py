# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as JSON; ``report.schema.json`` beside this describes every field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ecgqa_tflite
from ecgqa_tflite.decisions import Decision, Span, probability, spans
from ecgqa_tflite.decisions.report import Assessed, AssessedLead, Run
from ecgqa_tflite.decisions.summary import Summary, summarise
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import Quality

REPORT_FORMAT = 2
"""Format number of :func:`report`'s JSON."""

SCHEMA = Path(__file__).with_name("report.schema.json")
"""JSON Schema (draft 2020-12) of :func:`report`."""


def report(run: Run, *, as_runs: bool = False) -> dict[str, Any]:
    """Everything that was decided, as plain types for JSON; the same input gives the same bytes.

    Qualities are the names of the classes in the model's spec. ``threshold`` is on the scale of
    the scores: a segment is high where its score is at least that.

    Parameters
    ----------
    run
        What was decided.
    as_runs
        Leave the single decisions out: the runs are always there.
    """
    return {
        "format": REPORT_FORMAT,
        "tool_version": ecgqa_tflite.__version__,
        "model": run.model.name,
        "spec_hash": run.model.spec.hash,
        "threshold": probability(run.model.threshold_int8),
        "segment_s": run.model.spec.segment_s,
        "hop_s": run.hop_s,
        "records": [_record(assessed, run.model, as_runs) for assessed in run.assessed],
        "failed": [{"path": f.path, "error": f.error} for f in run.failed],
    }


def json_text(run: Run, *, as_runs: bool = False) -> str:
    """The JSON of a :func:`report`, indented, ending in a newline."""
    return json.dumps(report(run, as_runs=as_runs), indent=1) + "\n"


def decision_row(decision: Decision, model: ModelFolder) -> dict[str, Any]:
    """A decision by itself, its quality by the name of the class."""
    return {
        "start_s": decision.start_s,
        "end_s": decision.end_s,
        "quality": model.labels[decision.quality],
        "score": decision.score,
        "reason": decision.reason,
    }


def decision_rows(
    assessed: Assessed, decisions: Sequence[Decision], model: ModelFolder
) -> list[dict[str, Any]]:
    """A row for each decision: its segment, what was said, and the span that it speaks for."""
    return [
        {
            "start_s": d.start_s,
            "end_s": d.end_s,
            "time": assessed.time_at(d.start_s) or None,
            "quality": model.labels[d.quality],
            "score": d.score,
            "reason": d.reason,
            "span_start_s": span.start_s,
            "span_end_s": span.end_s,
        }
        for d, span in zip(decisions, spans(decisions), strict=True)
    ]


def run_rows(assessed: Assessed, runs: Sequence[Span], model: ModelFolder) -> list[dict[str, Any]]:
    """A row for each run of equal quality and reason."""
    return [
        {
            "start_s": r.start_s,
            "end_s": r.end_s,
            "time": assessed.time_at(r.start_s) or None,
            "quality": model.labels[r.quality],
            "reason": r.reason,
            "lowest_score": r.lowest_score,
            "highest_score": r.highest_score,
        }
        for r in runs
    ]


def _record(assessed: Assessed, model: ModelFolder, as_runs: bool) -> dict[str, Any]:
    several = len(assessed.leads) > 1
    return {
        "record": assessed.record,
        "path": assessed.path,
        "start": assessed.time_at(0.0) or None,
        "duration_s": assessed.duration_s,
        "leads_there": list(assessed.signals[0]),
        "other_signals": list(assessed.signals[1]),
        "notes": list(assessed.notes),
        "doubts": list(assessed.doubts),
        "leads": [_lead(assessed, lead, model, as_runs) for lead in assessed.leads],
        "any_lead": _runs(assessed, assessed.any_lead, model) if several else None,
    }


def _lead(
    assessed: Assessed, lead: AssessedLead, model: ModelFolder, as_runs: bool
) -> dict[str, Any]:
    what: dict[str, Any] = {
        "lead": lead.lead,
        "fs_hz": lead.fs_hz,
        "n_segments": len(lead.decisions),
        "n_high": sum(d.quality == Quality.HIGH for d in lead.decisions),
        **_runs(assessed, lead.runs, model),
    }
    if not as_runs:
        what["decisions"] = decision_rows(assessed, lead.decisions, model)
    return what


def _runs(assessed: Assessed, runs: Sequence[Span], model: ModelFolder) -> dict[str, Any]:
    return {
        "summary": _summary(assessed, summarise(runs, assessed.start)),
        "runs": run_rows(assessed, runs, model),
    }


def _summary(assessed: Assessed, summary: Summary) -> dict[str, Any]:
    longest = summary.longest
    return {
        "assessed_s": summary.assessed_s,
        "high_s": summary.high_s,
        "share_high": summary.share_high,
        "longest_high": None
        if longest is None
        else {
            "start_s": longest[0],
            "end_s": longest[1],
            "time": assessed.time_at(longest[0]) or None,
        },
        "low_s": dict(summary.low_s),
        "hours": [
            {
                "start_s": hour.start_s,
                "time": assessed.time_at(hour.start_s) or None,
                "assessed_s": hour.assessed_s,
                "high_s": hour.high_s,
            }
            for hour in summary.hours
        ],
    }
