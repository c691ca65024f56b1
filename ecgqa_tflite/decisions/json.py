# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import ecgqa_tflite
from ecgqa_tflite.decisions import Decision, probability
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.spec import Quality

REPORT_FORMAT = 1
"""Format number of :func:`report`'s JSON."""


def report(
    recording: Recording,
    model: ModelFolder,
    decisions: Sequence[Decision],
    lead: str | int | None = None,
) -> dict[str, Any]:
    """Everything that was decided, as plain types for JSON; the same input gives the same bytes.

    Qualities are the names of the classes in the model's spec. ``threshold`` is on the scale of
    the scores: a segment is high where its score is at least that.
    """
    return {
        "format": REPORT_FORMAT,
        "record": recording.name,
        "lead": recording.lead_names[recording.lead_index(lead)],
        "fs_hz": recording.fs_hz,
        "duration_s": recording.duration_s,
        "model": model.name,
        "spec_hash": model.spec.hash,
        "threshold": probability(model.threshold_int8),
        "tool_version": ecgqa_tflite.__version__,
        "n_segments": len(decisions),
        "n_high": sum(d.quality == Quality.HIGH for d in decisions),
        "decisions": [
            {
                "start_s": d.start_s,
                "end_s": d.end_s,
                "quality": model.labels[d.quality],
                "score": d.score,
                "reason": d.reason,
            }
            for d in decisions
        ],
    }


def json_text(what: dict[str, Any]) -> str:
    """The JSON of a :func:`report`, indented, ending in a newline."""
    return json.dumps(what, indent=2) + "\n"
