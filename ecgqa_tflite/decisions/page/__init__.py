# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as a page: one HTML file that opens offline, on a phone, and on paper.

A band of the whole recording, its hours as rows, ECG paper at full rate, and on demand the reason
and the scalogram of a segment. The scalogram is computed in the page, from samples that it holds
anyway: an image a segment would take twenty times their bytes.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import ecgqa_tflite
from ecgqa_tflite.decisions import Decision, merged, probability, spans
from ecgqa_tflite.decisions.looks import (
    BIG_BOX,
    GAINS_MM_PER_MV,
    INK,
    LOOKS,
    MM_PER_S,
    MUTED,
    PAPER,
    ROWS_S,
    SMALL_BOX,
    SMALL_MV,
    TRACE,
)
from ecgqa_tflite.decisions.page.packed import (
    LEAD_BUDGET_BYTES,
    Stretch,
    deflated,
    packed_envelope,
    stretches,
)
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.frontend import morse, reference
from ecgqa_tflite.frontend.tables import BASELINE_POINTS_HZ
from ecgqa_tflite.model_folder import Trained
from ecgqa_tflite.progress import Progress, Tick, ticks
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.spec import RANGE_FLOOR, SCORE_SCALE, FrontEnd

if TYPE_CHECKING:
    from ecgqa_tflite.recording.file import RecordingFile

Decided = tuple[str, Sequence[Decision]]
"""A lead's name and what was decided on it."""

SCRIPTS = ("uplot/uPlot.iife.min.js", "lead.js", "scalogram.js", "drawing.js", "page.js")
STYLES = ("uplot/uPlot.min.css", "page.css")
LICENCE = "uplot/LICENSE"
_KINDS = tuple(LOOKS)
"""Quality and reason by the number that stands for them in a page."""

_ENVIRONMENT = Environment(
    loader=PackageLoader(__name__, "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, eq=False)
class _Lead:
    """What the template takes of a lead; the stretches are made as they are written."""

    facts: dict[str, Any]
    kinds: str
    scores: str
    low: str
    high: str
    stretches: Iterator[Stretch]


def write_page(
    path: Path,
    recording: Recording | RecordingFile,
    decided: Sequence[Decided],
    model: Trained,
    *,
    full: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the page of a recording.

    Parameters
    ----------
    path
        The file; replaced where it is there.
    recording
        Of a file that was opened one lead at a time is read; of either, one at a time is packed.
    decided
        Leads in the order in which the page offers them; the decisions of each evenly spaced, as an
        :class:`~ecgqa_tflite.assess.Assessor` gives them.
    model
        What decided: its name, threshold, labels and front end are shown.
    full
        Keep every sample; else as many as fit into 3 MB for each lead, where quality is low or
        changes first.
    progress
        Told the leads that are written.

    Raises
    ------
    ArgumentError
        No lead, or decisions that aren't evenly spaced.
    RecordingError
        The recording has no such lead.
    """
    if not decided or not all(decisions for _, decisions in decided):
        raise ArgumentError("a page needs at least one lead with decisions")
    tick = ticks(progress, "leads written")
    words = {
        "facts": _facts(recording, model),
        "n_leads": len(decided),
        "leads": _leads(recording, decided, LEAD_BUDGET_BYTES if not full else math.inf, tick),
        "scripts": [_part(name) for name in SCRIPTS],
        "styles": [_part(name) for name in STYLES],
        "licence": _part(LICENCE),
        "model": model,
        "recording": recording,
        "tool_version": ecgqa_tflite.__version__,
    }
    stream = _ENVIRONMENT.get_template("page.html.jinja").stream(words)
    stream.enable_buffering(64)
    stream.dump(str(path), encoding="utf-8")


def _part(name: str) -> Markup:
    """A script or style of ours, as it is."""
    return Markup((resources.files(__name__) / name).read_text(encoding="utf-8"))


def _facts(recording: Recording | RecordingFile, model: Trained) -> dict[str, Any]:
    """What the scripts need that is the same for every lead."""
    return {
        "record": recording.name,
        "model": model.name,
        "labels": model.spec.labels,
        "threshold": probability(model.threshold_int8),
        "score_scale": SCORE_SCALE,
        "start": _start(recording.start),
        "looks": [
            {
                "name": model.spec.labels[quality] if reason == "ok" else look.word,
                "high": bool(quality),
                "asked": reason == "ok",
                "face": look.face,
                "ink": look.ink,
                "hatch": look.hatch,
                "meaning": look.meaning,
            }
            for (quality, reason), look in LOOKS.items()
        ],
        "paper": {
            "mm_per_s": MM_PER_S,
            "gains_mm_per_mv": GAINS_MM_PER_MV,
            "small_mv": SMALL_MV,
            "rows_s": ROWS_S,
            "paper": PAPER,
            "small_box": SMALL_BOX,
            "big_box": BIG_BOX,
            "ink": INK,
            "muted": MUTED,
            "trace": TRACE,
        },
        "front_end": _front_end(model.spec),
    }


def _start(start: datetime.datetime | datetime.time | None) -> dict[str, Any] | None:
    """Second of the day and, where it is known, the day."""
    if start is None:
        return None
    second = start.hour * 3600 + start.minute * 60 + start.second + start.microsecond / 1e6
    clock = start.strftime("%H:%M:%S")
    day = start.date().isoformat() if isinstance(start, datetime.datetime) else None
    return {"second": second, "clock": clock, "date": day}


def _front_end(spec: FrontEnd) -> dict[str, Any]:
    """The numbers of the spec and of the reference from which a scalogram is made."""
    beta = morse.beta(spec.gamma, spec.time_bandwidth)
    return {
        "segment_s": spec.segment_s,
        "frequencies_hz": [round(float(f), 6) for f in spec.centre_frequencies_hz],
        "cols": spec.cols,
        "bin_hz": spec.bin_hz,
        "gamma": spec.gamma,
        "beta": beta,
        "peak_power": morse.peak_frequency(spec.gamma, spec.time_bandwidth) ** spec.gamma,
        "range_floor": RANGE_FLOOR,
        "qrs_rows": None if spec.scaling == "minmax" else spec.qrs_rows.tolist(),
        "baseline": None
        if spec.conditioning == "none"
        else {
            "points_hz": BASELINE_POINTS_HZ,
            "widths": [reference.SHORT_POINTS, reference.LONG_POINTS],
            "rank": reference.RANK,
            "clip": reference.CLIP,
        },
    }


def _leads(
    recording: Recording | RecordingFile,
    decided: Sequence[Decided],
    budget_bytes: float,
    tick: Tick,
) -> Iterator[_Lead]:
    """Each lead in turn, its samples read when its turn comes."""
    for name, decisions in decided:
        yield _packed(recording, name, decisions, budget_bytes)
        tick(len(decided))


def _packed(
    recording: Recording | RecordingFile,
    name: str,
    decisions: Sequence[Decision],
    budget_bytes: float,
) -> _Lead:
    one = recording if isinstance(recording, Recording) else recording.recording(name)
    signal_mv, fs_hz = one.lead(name), one.fs_hz
    whole = packed_envelope(signal_mv, fs_hz)
    kinds = deflated(bytes(_KINDS.index((d.quality, d.reason)) for d in decisions))
    scores = deflated(bytes(min(round(d.score / SCORE_SCALE), 255) for d in decisions))
    spent = sum(map(len, (whole.low, whole.high, kinds, scores)))
    facts = {
        "name": name,
        "fs_hz": fs_hz,
        "n_samples": len(signal_mv),
        "bin_len": whole.bin_len,
        "n_bins": whole.n_bins,
        "step_mv": whole.scale.step_mv,
        "offset_mv": whole.scale.offset_mv,
        "first_s": decisions[0].start_s,
        "hop_s": _hop_s(decisions),
    }
    runs = merged(spans(decisions))
    unit_s = decisions[0].end_s - decisions[0].start_s
    kept = stretches(signal_mv, fs_hz, runs, unit_s, whole.scale, budget_bytes - spent)
    return _Lead(facts, kinds, scores, whole.low, whole.high, kept)


def _hop_s(decisions: Sequence[Decision]) -> float:
    """From one segment's start to the next one's, s."""
    starts_s = np.array([d.start_s for d in decisions])
    if len(starts_s) < 2:
        return decisions[0].end_s - decisions[0].start_s
    hop_s = float(starts_s[-1] - starts_s[0]) / (len(starts_s) - 1)
    if np.abs(starts_s - starts_s[0] - hop_s * np.arange(len(starts_s))).max() > 1e-3:
        raise ArgumentError("a page takes decisions that are evenly spaced, as assess gives them")
    return hop_s
