# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""PhysioNet/CinC Challenge 2011, set-a: twelve-lead recordings of 10 s, labelled lead by lead."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ecgqa_tflite.datasets.labelled import (
    LabelledSet,
    by_rate,
    first_of_identical,
    label_lead,
)
from ecgqa_tflite.datasets.layout import find_folder, read_text
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.recording import Recording, read_recording
from ecgqa_tflite.spec import FrontEnd, Quality

NAME = "challenge-2011"
LEADS = "LEADS.csv"
"""Labels by lead. Those of challenge-2011 are the ECGAssess project's (Kramer, Menon and Elgendi,
Frontiers in Digital Health 2022; github.com/LinusKra/ECGAssess), not PhysioNet's."""
RECORD_NAME, FS_HZ = r"[12]\d{6}", 500.0
"""Of the published set."""
SHOWN = 5
"""Of what is missing, by name."""
QUALITY = {"good": Quality.HIGH, "bad": Quality.LOW}


def read_lead_labels(folder: Path) -> dict[str, dict[str, Quality]]:
    """Quality by record and lead, from ``LEADS.csv`` (columns record, lead, quality).

    Raises
    ------
    DatasetError
        The file is missing or a row is not ``record,lead,good|bad``.
    """
    path = find_folder(folder, "LEADS.csv", NAME) / "LEADS.csv"
    labels: dict[str, dict[str, Quality]] = {}
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    if not {"record", "lead", "quality"} <= set(reader.fieldnames or ()):
        raise DatasetError(f"{path}: its first line must name the columns record,lead,quality")
    for row in reader:
        if row["quality"] not in QUALITY:
            raise DatasetError(
                f"{path}, line {reader.line_num}: quality is {row['quality']!r}; "
                f"must be good or bad"
            )
        labels.setdefault(row["record"], {})[row["lead"]] = QUALITY[row["quality"]]
    if not labels:
        raise DatasetError(f"{path} names no lead")
    return labels


def read_record_labels(folder: Path) -> dict[str, Quality]:
    """Quality by record, from ``RECORDS-acceptable`` and ``RECORDS-unacceptable``."""
    folder = find_folder(folder, "RECORDS-acceptable", NAME)
    labels: dict[str, Quality] = {}
    for quality, name in ((Quality.HIGH, "acceptable"), (Quality.LOW, "unacceptable")):
        path = folder / f"RECORDS-{name}"
        if not path.exists():
            raise DatasetError(f"{path} is missing: the set needs both RECORDS- lists")
        labels |= dict.fromkeys(read_text(path).split(), quality)
    return labels


def read_distinct(
    folder: Path, names: list[str], tick: Tick | None = None
) -> Iterator[tuple[str, Recording]]:
    """The recordings ``names`` as they are listed, each identical signal once (59 are copies).

    The first by name is the one that is kept.
    """
    _refuse_missing(folder, names)
    names, recordings = sorted(names), []
    for name in names:
        recordings.append(read_recording(folder / name))
        if tick:
            tick(len(names))
    keep = first_of_identical([recording.signal_mv for recording in recordings])
    found = zip(names, recordings, keep, strict=True)
    return ((name, recording) for name, recording, kept in found if kept)


def _refuse_missing(folder: Path, names: Iterable[str]) -> None:
    missing = sorted(
        n for n in names if not any((folder / (n + x)).is_file() for x in ("", ".hea"))
    )
    if missing:
        more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
        raise DatasetError(
            f"{folder}: its labels name records that are not there: "
            f"{', '.join(missing[:SHOWN])}{more}"
        )


def check_names(folder: Path) -> None:
    """Raise :class:`DatasetError` where a label is not what it should be or its record missing."""
    _refuse_missing(*_training_labels(folder))


def labelled_names(folder: Path) -> list[str]:
    """Names of the recordings that :func:`labelled_recordings` reads, copies included."""
    return [Path(name).name for name in _training_labels(folder)[1]]  # listed as folder/name, too


def labelled_folder(folder: Path) -> Path:
    """Where :func:`labelled_recordings` reads."""
    return _training_labels(folder)[0]


def _training_labels(
    folder: Path,
) -> tuple[Path, dict[str, dict[str, Quality]] | dict[str, Quality]]:
    """The set's folder, and labels by lead where there are some, else by record."""
    try:
        found = find_folder(folder, "LEADS.csv", NAME)
    except DatasetError:
        try:
            found = find_folder(folder, "RECORDS-acceptable", NAME)
        except DatasetError as error:
            raise DatasetError(
                f"{error}; or put recordings of your own there, in a folder with {LEADS} "
                f"(record,lead,quality)"
            ) from None
        return found, read_record_labels(found)
    return found, read_lead_labels(found)


def whose_leads(folder: Path) -> tuple[str, str]:
    """Whose leads :func:`labelled_recordings` reads, and how they are labelled.

    Recordings of a user's own take challenge-2011's place, and shouldn't pass under its name.

    Returns
    -------
    tuple of str
        ``challenge-2011`` where every recording is named as its are, else the folder's name; and
        ``by lead`` or ``by recording``.
    """
    found, labels = _training_labels(folder)
    published = all(re.fullmatch(RECORD_NAME, Path(name).name) for name in labels)
    own = f"own-{found.name}" if found.name == NAME else found.name
    by_lead = (found / LEADS).exists()
    return NAME if published else own, "by lead" if by_lead else "by recording"


def labelled_recordings(
    folder: Path, tick: Tick | None = None
) -> list[tuple[Recording, dict[str, Quality]]]:
    """The labelled recordings with the quality of their leads; identical recordings once.

    ``LEADS.csv`` labels leads one by one; PhysioNet's own copy of the set doesn't hold it, and
    then every lead is labelled as its recording is, which is coarser.
    """
    folder, labels = _training_labels(folder)
    found = []
    for name, recording in read_distinct(folder, list(labels), tick):
        label = labels[name]
        if not isinstance(label, dict):
            label = dict.fromkeys(recording.lead_names, label)
        found.append((recording, label))
    return found


def lead_segments(
    recordings: Sequence[tuple[Recording, dict[str, Quality]]], spec: FrontEnd
) -> LabelledSet:
    """Segments of the labelled leads of :func:`labelled_recordings`."""
    parts = [
        label_lead(recording, lead, quality, spec, f"{NAME}/{recording.name}", NAME)
        for recording, labels in recordings
        if recording.duration_s >= spec.segment_s
        for lead, quality in labels.items()
    ]
    return by_rate(parts, NAME)


def record_segments(folder: Path, spec: FrontEnd, tick: Tick | None = None) -> LabelledSet:
    """Segments of every lead, labelled as their recording is; identical recordings once."""
    labels = read_record_labels(folder)
    folder = find_folder(folder, "RECORDS-acceptable", NAME)
    parts = [
        label_lead(recording, lead, labels[name], spec, f"{NAME}/{recording.name}", NAME)
        for name, recording in read_distinct(folder, list(labels), tick)
        if recording.duration_s >= spec.segment_s
        for lead in recording.lead_names
    ]
    return by_rate(parts, NAME)
