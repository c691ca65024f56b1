# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments by rhythm: WFDB records whose annotations say which rhythm begins where.

mitdb and vfdb are such; of each lead come the segments that lie wholly in one rhythm, side by side
from the rhythm's start on. Nobody has labelled their quality. Windows of such records that were
graded by eye are named by a table of their own (:func:`read_graded_windows`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from ecgqa_tflite.datasets.layout import read_text
from ecgqa_tflite.datasets.mitdb import SAME_PATIENT
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.recording import Recording, read_recording
from ecgqa_tflite.segments import Segments, cut, usable_rate
from ecgqa_tflite.spec import FrontEnd

MARGIN_S = 0.5
"""Kept from each change of rhythm: annotations are placed by eye."""
WORDS = {
    "N": "sinus rhythm",
    "AFIB": "atrial fibrillation",
    "AFL": "atrial flutter",
    "B": "bigeminy",
    "T": "trigeminy",
    "P": "paced",
    "PREX": "pre-excitation",
    "SVTA": "supraventricular tachycardia",
    "SBR": "sinus bradycardia",
    "NOD": "nodal rhythm",
    "BII": "second-degree block",
    "AB": "atrial bigeminy",
    "IVR": "idioventricular rhythm",
    "HGEA": "high-grade ventricular ectopy",
    "VT": "ventricular tachycardia",
    "VFL": "ventricular flutter",
    "VF": "ventricular fibrillation",
    "ASYS": "asystole",
    "VER": "ventricular escape rhythm",
    "NSR": "sinus rhythm",
    "BI": "first-degree block",
    "PM": "paced",
    "NOISE": "noise",
}
"""What PhysioNet's names of rhythms stand for; others are told by their name."""
VENTRICULAR = frozenset({"VT", "VFL", "VF"})
COLUMNS = ("set", "record", "lead", "start_s")
"""Of a table of grades, beside one ``read_*`` per reading; ``rhythm`` may be there."""


@dataclass(frozen=True)
class Stretch:
    """A rhythm from its annotation to the next one, s from the start of the record."""

    start_s: float
    end_s: float
    rhythm: str


@dataclass(frozen=True, eq=False)
class RhythmSegments:
    """Segments of one sampling rate, each wholly in one rhythm.

    Attributes
    ----------
    segments
        Samples and statuses, n of them.
    rhythm
        PhysioNet's name without its parenthesis, e.g. ``VT``; str, shape (n,).
    group
        Set and patient, e.g. ``mitdb/201``; str, shape (n,).
    ids
        ``set/record/lead@start``; str, shape (n,).
    """

    segments: Segments
    rhythm: NDArray[np.str_]
    group: NDArray[np.str_]
    ids: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.segments)


@dataclass(frozen=True)
class GradedWindow:
    """A window of a record that was graded by eye, once or more often.

    Attributes
    ----------
    set_name, record, lead, start_s
        Where it is; the lead by its index.
    rhythm
        What the table calls it; empty where it doesn't.
    grade
        A, B or C where all readings agree, else empty.
    """

    set_name: str
    record: str
    lead: int
    start_s: float
    rhythm: str
    grade: str


def annotated_folders(folder: Path) -> list[Path]:
    """``folder``, or those right below it, that hold annotated records (``.atr``), sorted."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return [place for place in places if next(place.glob("*.atr"), None) is not None]


def stretches(record: Path, duration_s: float, fs_hz: float) -> list[Stretch]:
    """The rhythms that a record's ``.atr`` names, in order; none where it names none.

    Raises
    ------
    DatasetError
        The annotation can't be read.
    """
    try:
        annotation = wfdb.rdann(str(record), "atr")
    except (OSError, ValueError, IndexError) as error:
        raise DatasetError(f"{record}.atr can't be read: {error}") from error
    changes = [
        (float(sample) / fs_hz, note.strip("\0").lstrip("("))
        for sample, note in zip(annotation.sample, annotation.aux_note, strict=True)
        if note.startswith("(")
    ]
    ends = [*(start for start, _ in changes), duration_s][1:]
    return [Stretch(start, end, name) for (start, name), end in zip(changes, ends, strict=True)]


def rhythm_segments(folder: Path, spec: FrontEnd, tick: Tick | None = None) -> list[RhythmSegments]:
    """Segments of every lead of the annotated records in a folder, by sampling rate.

    Raises
    ------
    DatasetError
        No record names a rhythm that lasts a segment, or an annotation can't be read.
    """
    records = sorted(path.with_suffix("") for path in folder.glob("*.atr"))
    found: dict[float, list[tuple[Segments, str, str, str]]] = {}
    for record in records:
        recording = read_recording(record)
        for lead in range(recording.signal_mv.shape[1]):
            for piece, stretch in _pieces(record, recording, lead, spec):
                name = SAME_PATIENT.get(record.name, record.name)
                place = f"{folder.name}/{record.name}/{recording.lead_names[lead]}"
                row = piece, stretch.rhythm, f"{folder.name}/{name}", place
                found.setdefault(piece.fs_hz, []).append(row)
        if tick is not None:
            tick(len(records))
    if not found:
        raise DatasetError(f"{folder}: no record's .atr names a rhythm that lasts a segment")
    return [_joined(rows, fs_hz) for fs_hz, rows in found.items()]


def _pieces(
    record: Path, recording: Recording, lead: int, spec: FrontEnd
) -> Iterator[tuple[Segments, Stretch]]:
    for stretch in stretches(record, recording.duration_s, recording.fs_hz):
        first = round((stretch.start_s + MARGIN_S) * recording.fs_hz)
        stop = round((stretch.end_s - MARGIN_S) * recording.fs_hz)
        if stop - first < round(spec.segment_s * recording.fs_hz):
            continue
        cut_ = cut(recording.signal_mv[first:stop, lead], recording.fs_hz, spec)
        start_s = cut_.start_s + first / recording.fs_hz
        yield Segments(cut_.samples, start_s, cut_.status, cut_.fs_hz), stretch


def _joined(rows: list[tuple[Segments, str, str, str]], fs_hz: float) -> RhythmSegments:
    pieces, rhythms, groups, places = zip(*rows, strict=True)
    sizes = [len(piece) for piece in pieces]
    ids = [
        f"{place}@{start:.2f}"
        for piece, place in zip(pieces, places, strict=True)
        for start in piece.start_s
    ]
    segments = Segments(
        np.concatenate([piece.samples for piece in pieces]),
        np.concatenate([piece.start_s for piece in pieces]),
        np.concatenate([piece.status for piece in pieces]),
        fs_hz,
    )
    return RhythmSegments(
        segments, np.repeat(rhythms, sizes), np.repeat(groups, sizes), np.array(ids)
    )


# ---- windows graded by eye ------------------------------------------------------------------


def read_graded_windows(path: Path) -> list[GradedWindow]:
    """A table of graded windows: columns set, record, lead, start_s and one ``read_*`` a reading.

    Raises
    ------
    DatasetError
        The file is missing, lacks a column or holds no such row.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    fields = reader.fieldnames or ()
    readings = [name for name in fields if name.startswith("read_")]
    if not readings or not set(COLUMNS) <= set(fields):
        raise DatasetError(f"{path}: its first line must name {','.join(COLUMNS)},read_1,...")
    found = []
    for row in reader:
        grades = {row[name] for name in readings}
        if not grades <= {"A", "B", "C"}:
            raise DatasetError(f"{path}, line {reader.line_num}: grades must be A, B or C")
        try:
            lead, start_s = int(row["lead"]), float(row["start_s"])
        except ValueError as error:
            raise DatasetError(f"{path}, line {reader.line_num}: {error}") from error
        agreed = grades.pop() if len(grades) == 1 else ""
        found.append(
            GradedWindow(row["set"], row["record"], lead, start_s, row.get("rhythm") or "", agreed)
        )
    if not found:
        raise DatasetError(f"{path} holds no window")
    return found


def graded_segments(
    data: Path, windows: list[GradedWindow], spec: FrontEnd
) -> list[tuple[GradedWindow, Segments]]:
    """The segment that begins where each window does, of records in ``data/<set>``.

    Raises
    ------
    DatasetError
        A window lies outside its record, or names a lead that isn't there.
    RecordingError
        A record is missing or corrupt.
    """
    recordings: dict[tuple[str, str], Recording] = {}
    found = []
    for window in windows:
        key = window.set_name, window.record
        if key not in recordings:
            recordings[key] = read_recording(folder_of(data, window.set_name) / window.record)
        recording = recordings[key]
        first = round(window.start_s * recording.fs_hz)
        stop = first + round(spec.segment_s * recording.fs_hz)
        inside = window.lead < recording.signal_mv.shape[1] and first >= 0
        if not inside or stop > len(recording.signal_mv):
            raise DatasetError(
                f"{window.set_name}/{window.record}, lead {window.lead}, {window.start_s:g} s: no "
                f"{spec.segment_s:g} s of signal there"
            )
        usable_rate(recording.fs_hz, spec)
        found.append(
            (window, cut(recording.signal_mv[first:stop, window.lead], recording.fs_hz, spec))
        )
    return found


def folder_of(data: Path, name: str) -> Path:
    """Where a set's records lie: in ``data/name``, or in ``data`` where that is its name.

    Raises
    ------
    DatasetError
        In neither.
    """
    below = data / name
    if below.is_dir():
        return below
    if data.resolve().name == name:
        return data
    raise DatasetError(f"{data} holds no folder {name}, which the table of grades names")
