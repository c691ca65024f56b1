# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""PhysioNet/CinC Challenge 2017: hand-held single-lead recordings. External test only.

Nothing of this set trains, calibrates, chooses a threshold or stops a training; only
``ecgqa evaluate`` reads it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.labelled import (
    LabelledSet,
    by_rate,
    first_of_identical,
    label_lead,
)
from ecgqa_tflite.datasets.layout import find_folder, read_text
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.recording import read_recording
from ecgqa_tflite.spec import FrontEnd, Quality

NAME = "challenge-2017"
LABELS = frozenset("NAO~")


def read_reference(folder: Path) -> dict[str, str]:
    """Label (N, A, O or ~) by record, from ``REFERENCE.csv``.

    Raises
    ------
    DatasetError
        The file is missing, empty or holds another label.
    """
    path = find_folder(folder, "REFERENCE.csv", NAME) / "REFERENCE.csv"
    rows = [row for row in csv.reader(io.StringIO(read_text(path), newline="")) if row]
    if not rows or any(len(row) != 2 or row[1] not in LABELS for row in rows):
        raise DatasetError(f"{path}: every row must be record,label with label one of N A O ~")
    return dict(rows)


def segments(folder: Path, spec: FrontEnd, tick: Tick | None = None) -> LabelledSet:
    """All whole segments; each inherits its recording's label: ``~`` is low, the rest high.

    Of identical recordings the first is kept.
    """
    reference = read_reference(folder)
    folder = find_folder(folder, "REFERENCE.csv", NAME)
    names, recordings = sorted(reference), []
    for name in names:
        recordings.append(read_recording(folder / name))
        if tick:
            tick(len(reference))
    keep = first_of_identical([recording.signal_mv for recording in recordings])
    parts = []
    for name, recording, kept in zip(names, recordings, keep, strict=True):
        if not kept or recording.duration_s < spec.segment_s:
            continue
        quality = Quality.LOW if reference[name] == "~" else Quality.HIGH
        group = f"{NAME}/{recording.name}"
        parts.append(label_lead(recording, None, quality, spec, group, NAME))
    return by_rate(parts, NAME)


@dataclass(frozen=True)
class Graded:
    """Segments read one by one by eye.

    Attributes
    ----------
    ids
        Of the segments, as :func:`segments` names them, shape (n,).
    grades
        str, shape (n, n_readings): ``A`` every R peak is sure, ``B`` in between, ``C`` R peaks
        can't be identified for more than about 1 s.
    labels
        Inherited label of each, shape (n,).
    """

    ids: NDArray[np.str_]
    grades: NDArray[np.str_]
    labels: NDArray[np.str_]

    @property
    def agreed(self) -> NDArray[np.str_]:
        """The grade on which all readings agree, else the empty string; shape (n,)."""
        same = np.all(self.grades == self.grades[:, :1], axis=1)
        return np.where(same, self.grades[:, 0], "")

    def truth(self, segments: LabelledSet) -> Truth:
        """Which segments of a set are clearly high or low, to the eye.

        Raises
        ------
        DatasetError
            A graded segment is not among them.
        """
        place = {str(name): i for i, name in enumerate(segments.ids)}
        missing = [str(name) for name in self.ids if str(name) not in place]
        if missing:
            raise DatasetError(
                f"{len(missing)} graded segments are not in the set, e.g. {missing[0]}"
            )
        at, grade = np.array([place[str(name)] for name in self.ids], np.intp), self.agreed
        sure = np.isin(grade, ["A", "C"])
        quality = np.where(grade[sure] == "A", Quality.HIGH, Quality.LOW)
        return Truth(at[sure], quality, at[grade == "B"])

    def digest(self) -> str:
        """SHA-256 over the grades."""
        sha = hashlib.sha256("\n".join(self.ids).encode())
        sha.update("".join(self.grades.ravel()).encode())
        return sha.hexdigest()


@dataclass(frozen=True)
class Truth:
    """A against C where all readings agree, as indices into a set.

    Attributes
    ----------
    at, quality
        Segments graded A (high) or C (low), and which, shape (n,).
    between
        Segments graded B.
    """

    at: NDArray[np.intp]
    quality: NDArray[Any]
    between: NDArray[np.intp]


def read_graded(path: Path) -> Graded:
    """Read a graded list: columns record, start_s, label_*, and one read_* a reading.

    Raises
    ------
    DatasetError
        The file is missing or lacks a column, or a grade is not A, B or C.
    """
    path = Path(path)
    rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    columns = list(rows[0]) if rows else []
    readings = [name for name in columns if name.startswith("read_")]
    label = next((name for name in columns if name.startswith("label_")), None)
    if not readings or label is None or not {"record", "start_s"} <= set(columns):
        raise DatasetError(f"{path}: needs rows with columns record,start_s,label_*,read_1,...")
    grades = np.array([[row[name] for name in readings] for row in rows])
    if not np.isin(grades, ["A", "B", "C"]).all():
        raise DatasetError(f"{path}: grades must be A, B or C")
    try:
        ids = [f"{NAME}/{row['record']}@{float(row['start_s']):.2f}" for row in rows]
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    return Graded(np.array(ids), grades, np.array([row[label] for row in rows]))
