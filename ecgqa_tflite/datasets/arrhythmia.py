# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Arrhythmias: ventricular recordings as PhysioNet lays them out, and windows that readers graded.

``vfdb`` is the MIT-BIH Malignant Ventricular Ectopy Database (two leads, rhythms annotated),
``cudb`` the Creighton University Ventricular Tachyarrhythmia Database (one lead) and
``challenge-2015-vt`` the ventricular alarms of PhysioNet/CinC Challenge 2015. Each lies in a folder
of its name, in ``arrhythmia`` or beside it; ``arrhythmia/graded.csv`` names windows of any of them
that were graded by eye. Whatever is missing is left out.

A rhythm's name says nothing of whether its beats can be told: a monomorphic tachycardia's can, a
polymorphic one's can't. So windows of a ventricular rhythm are taken only where the signal repeats
itself plainly (high) or, of fibrillation, plainly doesn't (low), other rhythms' where their QRS
stand out, and what the annotations call noise where nothing does (low).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet, by_rate
from ecgqa_tflite.datasets.layout import read_text
from ecgqa_tflite.datasets.rhythms import MARGIN_S, VENTRICULAR, stretches
from ecgqa_tflite.datasets.visible import conditioned, contrast, envelope, periodicity
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.recording import Recording, read_recording
from ecgqa_tflite.segments import SegmentStatus, quantise, signal_status
from ecgqa_tflite.spec import FrontEnd, Quality

NAME = "arrhythmia"
SETS = ("vfdb", "cudb", "challenge-2015-vt")
UNTOLD = frozenset({"ASYS", "VER", "SBR"})
"""Rhythms whose windows are of no use: next to no beats."""
RECORDED_LOW = {"VF": "fibrillation_recorded", "NOISE": "noise_recorded"}
"""Rhythms, as vfdb's annotations go, of which windows are low where nothing stands out."""
GRADED_NAME = "graded.csv"
COLUMNS = ("set", "record", "lead", "start_s", "read_1", "read_2")
SHIFT_S = 1.0
"""A graded window may be shifted by so much and keep its grade, for training."""
PLAIN, TOLD, UNTOLD_BELOW, HIDDEN_BELOW = 1.4, 0.8, 0.5, 1.3
"""QRS stand out from this contrast on; a ventricular rhythm's complexes repeat from this
autocorrelation on, and don't below these two of both. Of 84 graded windows of tachycardia the
second takes none that isn't A."""
QUALITY_OF_GRADE = {"A": Quality.HIGH, "C": Quality.LOW}


@dataclass(frozen=True)
class RhythmWindow:
    """A window that lies in one rhythm.

    Attributes
    ----------
    record, lead
        Name of the recording; index of the lead.
    start_s
        From the start of the recording, s.
    rhythm
        PhysioNet's name without its parenthesis, e.g. ``VT``.
    signal_mv
        float32, (n_samples,), mV.
    fs_hz
        Sampling rate, Hz.
    """

    record: str
    lead: int
    start_s: float
    rhythm: str
    signal_mv: NDArray[np.float32]
    fs_hz: float


@dataclass(frozen=True)
class GradedWindow:
    """A window that was graded twice, both times alike, A (high) or C (low)."""

    set_name: str
    record: str
    lead: int
    start_s: float
    quality: Quality


def rhythm_windows(
    folder: Path, segment_s: float, margin_s: float = MARGIN_S
) -> Iterator[RhythmWindow]:
    """Windows side by side in each rhythm of a folder with ``.atr`` files (vfdb's).

    Parameters
    ----------
    segment_s
        Length of a window, s.
    margin_s
        Kept from each change of rhythm, s: annotations are placed by eye.

    Raises
    ------
    DatasetError
        There is no annotated record, or an annotation can't be read.
    """
    paths = sorted(folder.glob("*.atr"))
    if not paths:
        raise DatasetError(f"{folder} holds no annotated record (.atr)")
    for path in paths:
        recording = read_recording(path.with_suffix(""))
        signal, fs_hz = recording.signal_mv, recording.fs_hz
        length, margin = round(segment_s * fs_hz), round(margin_s * fs_hz)
        for stretch in stretches(path.with_suffix(""), recording.duration_s, fs_hz):
            start, stop = (round(t * fs_hz) for t in (stretch.start_s, stretch.end_s))
            for first in range(start + margin, stop - margin - length + 1, length):
                for lead in range(signal.shape[1]):
                    piece = signal[first : first + length, lead]
                    if np.isfinite(piece).all():
                        yield RhythmWindow(
                            path.stem, lead, first / fs_hz, stretch.rhythm, piece, fs_hz
                        )


def read_graded(path: Path) -> list[GradedWindow]:
    """The windows of a table of grades on which both readings say A, or both C.

    Parameters
    ----------
    path
        CSV with the columns set, record, lead (index), start_s, read_1, read_2; others are ignored.

    Raises
    ------
    DatasetError
        The file is missing, lacks a column or holds no such window.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise DatasetError(f"{path}: its first line must name the columns {','.join(COLUMNS)}")
    found = []
    for row in reader:
        if row["read_1"] != row["read_2"] or row["read_1"] not in QUALITY_OF_GRADE:
            continue
        try:
            lead, start_s = int(row["lead"]), float(row["start_s"])
        except ValueError as error:
            raise DatasetError(f"{path}, line {reader.line_num}: {error}") from error
        quality = QUALITY_OF_GRADE[row["read_1"]]
        found.append(GradedWindow(row["set"], row["record"], lead, start_s, quality))
    if not found:
        raise DatasetError(f"{path} holds no window that both readings grade A, or both C")
    return found


def find(data: Path) -> dict[str, Path]:
    """The sets that are there, by name; none is missed."""
    places = {name: (data / NAME / name, data / name) for name in SETS}
    return {
        name: next(p for p in both if p.is_dir())
        for name, both in places.items()
        if any(p.is_dir() for p in both)
    }


def missing(data: Path) -> list[str]:
    """What :func:`build` of the balanced sets does without: sets, and the table of grades."""
    wanted = [name for name in SETS if name not in find(data)]
    graded = data / NAME / GRADED_NAME
    return wanted if graded.exists() else [*wanted, f"{NAME}/{GRADED_NAME}"]


def record_names(folder: Path) -> list[str]:
    """Names of the records in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.hea"))


def rhythm_segments(folder: Path, spec: FrontEnd) -> dict[str, LabelledSet]:
    """Windows of vfdb whose quality follows from what they show, by the source that they are.

    ``rhythms_recorded`` and ``tachycardia_recorded`` (high), ``fibrillation_recorded`` and
    ``noise_recorded`` (low).
    """
    found: dict[str, list[LabelledSegments]] = {}
    for window in rhythm_windows(folder, spec.segment_s):
        source = _source_of(window)
        if source is not None:
            quality = Quality.LOW if source in RECORDED_LOW.values() else Quality.HIGH
            place = f"vfdb/{window.record}", window.lead, window.start_s
            found.setdefault(source, []).append(
                _segment(window.signal_mv, window.fs_hz, quality, place, source)
            )
    return {name: _usable(by_rate(parts, name), spec) for name, parts in found.items()}


def _source_of(window: RhythmWindow) -> str | None:
    if window.rhythm in UNTOLD or not np.ptp(window.signal_mv) > 0:
        return None
    samples = conditioned(window.signal_mv, window.fs_hz)
    plain = contrast(envelope(samples, window.fs_hz), window.fs_hz)
    repeats = periodicity(samples, window.fs_hz)
    if window.rhythm in RECORDED_LOW:
        lost = repeats < UNTOLD_BELOW and plain < HIDDEN_BELOW
        return RECORDED_LOW[window.rhythm] if lost else None
    if window.rhythm not in VENTRICULAR:
        return "rhythms_recorded" if plain >= PLAIN else None
    return "tachycardia_recorded" if repeats > TOLD else None


def graded_segments(
    data: Path, spec: FrontEnd, records: frozenset[str], n_shifted: int, rng: np.random.Generator
) -> dict[str, LabelledSet]:
    """Graded windows of some records, each as it is and shifted at random by up to 1 s.

    Parameters
    ----------
    records
        ``set/record`` of those wanted.
    n_shifted
        Shifted copies of each.

    Returns
    -------
    dict
        ``graded_high`` and ``graded_low``, where there are any.
    """
    path = data / NAME / GRADED_NAME
    if not path.exists():
        return {}
    folders = find(data)
    recordings: dict[str, Recording] = {}
    found: dict[str, list[LabelledSegments]] = {}
    for window in read_graded(path):
        group = f"{window.set_name}/{window.record}"
        if group not in records or window.set_name not in folders:
            continue
        if group not in recordings:
            recordings[group] = read_recording(folders[window.set_name] / window.record)
        recording = recordings[group]
        if not 0 <= window.lead < recording.signal_mv.shape[1]:
            raise DatasetError(f"{path}: {group} has no lead {window.lead} (0 is the first)")
        source = f"graded_{window.quality.name.lower()}"
        length, fs_hz = spec.segment_len(recording.fs_hz), recording.fs_hz
        for shift_s in (0.0, *rng.uniform(-SHIFT_S, SHIFT_S, n_shifted)):
            first = round((window.start_s + shift_s) * fs_hz)
            piece = recording.signal_mv[max(first, 0) : first + length, window.lead]
            if len(piece) == length and np.isfinite(piece).all():
                place = group, window.lead, first / fs_hz
                found.setdefault(source, []).append(
                    _segment(piece, fs_hz, window.quality, place, source)
                )
    return {name: _usable(by_rate(parts, name), spec) for name, parts in found.items()}


def _segment(
    signal_mv: NDArray[np.float32],
    fs_hz: float,
    quality: Quality,
    place: tuple[str, int, float],
    source: str,
) -> LabelledSegments:
    group, lead, start_s = place
    return LabelledSegments(
        quantise(signal_mv)[None],
        fs_hz,
        np.array([quality], np.uint8),
        np.array([group]),
        np.array([f"{group}/{lead}@{start_s:.2f}"]),
        source,
    )


def _usable(segments: LabelledSet, spec: FrontEnd) -> LabelledSet:
    """Those that a network is asked about."""
    parts: Sequence[LabelledSegments] = [
        part.take(
            signal_status(part.samples, NativeFrontEnd(spec, part.fs_hz)) == SegmentStatus.OK.value
        )
        for part in segments.parts
    ]
    return LabelledSet(tuple(part for part in parts if len(part)))
