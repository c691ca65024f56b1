# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as EDF+ annotations (Kemp & Olivan 2003): an onset, a duration and a text per run."""

from __future__ import annotations

import datetime
from pathlib import Path

from ecgqa_tflite.decisions.report import Assessed
from ecgqa_tflite.model_folder import ModelFolder

YEARS = range(1985, 2085)
"""Those that EDF's two digits stand for."""


def write_edf(path: Path, assessed: Assessed, model: ModelFolder) -> None:
    """Write an EDF+ file that holds annotations alone, of every lead that was assessed.

    The text says the quality, the reason where there is one, and after ``@@`` the lead, as EDF+
    names the signal of an annotation. The file starts when the recording does, so that viewers
    lay both over each other; a date that EDF can't hold, as of records whose dates were shifted,
    stands in the header's remarks.
    """
    import edfio

    annotations = [
        edfio.EdfAnnotation(
            round(run.start_s, 6),
            round(run.end_s - run.start_s, 6),
            f"{model.labels[run.quality]} quality"
            + ("" if run.reason == "ok" else f", {run.reason}")
            + f"@@{lead.lead}",
        )
        for lead in assessed.leads
        for run in lead.runs
    ]
    start = assessed.start
    date = start.date() if isinstance(start, datetime.datetime) else None
    holds = date is None or date.year in YEARS
    clock = start.time() if isinstance(start, datetime.datetime) else start
    edfio.Edf(
        [],
        annotations=annotations,
        starttime=None if clock is None else clock.replace(tzinfo=None),
        recording=edfio.Recording(
            startdate=date if holds else None, additional=() if holds else (f"starts_{date}",)
        ),
    ).write(path)
