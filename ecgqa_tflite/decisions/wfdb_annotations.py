# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as a WFDB annotation file: what can't be read is told to beat comparisons.

WFDB's NOISE annotation with subtype -1 begins a stretch in which the signal can't be read, one with
subtype 0 ends it: `bxb` (ANSI/AAMI EC57) counts beats that are missed there apart, under x, as
missed in shut-down. Who merges the marks with a detector's beats has to leave out those inside: a
shut-down ends for `bxb` at the first beat in it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ecgqa_tflite.decisions.report import Assessed
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.spec import Quality

NOISE, UNREADABLE, CLEAN = "~", -1, 0
_ANNOTATOR = re.compile(r"\.[A-Za-z]+")


def check_annotator(path: Path) -> None:
    """Raise :class:`ArgumentError` where WFDB would not find the file: ``RECORD.ANNOTATOR``."""
    if not _ANNOTATOR.fullmatch(path.suffix):
        raise ArgumentError(
            f"{path}: a WFDB annotation file is RECORD.ANNOTATOR, letters after the dot, as 104.qa"
        )


def shut_downs(assessed: Assessed) -> Iterator[tuple[float, float, str]]:
    """Stretches in which no lead that was assessed can be trusted: start, end, s, and reasons."""
    begun: tuple[float, float, list[str]] | None = None
    for run in assessed.any_lead:
        if begun is not None and (run.quality == Quality.HIGH or run.start_s > begun[1] + 1e-6):
            yield begun[0], begun[1], " ".join(begun[2])
            begun = None
        if run.quality == Quality.LOW:
            start_s, _, reasons = begun or (run.start_s, run.end_s, [])
            word = "noise" if run.reason == "ok" else run.reason
            begun = start_s, run.end_s, [*reasons, *([word] if word not in reasons else [])]
    if begun is not None:
        yield begun[0], begun[1], " ".join(begun[2])


def write_annotations(path: Path, assessed: Assessed) -> None:
    """Write the annotation file of a record; times are samples of its fastest lead.

    Raises
    ------
    ArgumentError
        As :func:`check_annotator`.
    """
    import numpy as np
    import wfdb

    check_annotator(path)
    fs_hz = max(lead.fs_hz for lead in assessed.leads)
    samples, subtypes, notes = [], [], []
    for start_s, end_s, reasons in shut_downs(assessed):
        samples += [round(start_s * fs_hz), round(end_s * fs_hz)]
        subtypes += [UNREADABLE, CLEAN]
        notes += [reasons, ""]
    if not samples:  # a file must hold one: all of it is clean
        samples, subtypes, notes = [0], [CLEAN], [""]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        wfdb.wrann(
            "record",
            path.suffix[1:],
            np.array(samples),
            symbol=[NOISE] * len(samples),
            subtype=np.array(subtypes),
            aux_note=notes,
            fs=fs_hz,
            write_dir=folder,
        )
        shutil.move(Path(folder) / f"record{path.suffix}", path)
