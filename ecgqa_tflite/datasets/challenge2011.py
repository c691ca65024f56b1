"""PhysioNet/CinC Challenge 2011, set-a: twelve-lead recordings of 10 s, labelled lead by lead."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from ecgqa_tflite.datasets.labelled import (
    LabelledSegments,
    Tick,
    by_rate,
    first_of_identical,
    label_lead,
)
from ecgqa_tflite.datasets.layout import find_folder
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.recording import Recording, read_recording
from ecgqa_tflite.spec import FrontEnd, Quality

NAME = "challenge-2011"
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
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                labels.setdefault(row["record"], {})[row["lead"]] = QUALITY[row["quality"]]
            except KeyError as error:
                raise DatasetError(
                    f"{path}: needs columns record,lead,quality with good or bad; {error}"
                ) from None
    if not labels:
        raise DatasetError(f"{path} is empty")
    return labels


def read_record_labels(folder: Path) -> dict[str, Quality]:
    """Quality by record, from ``RECORDS-acceptable`` and ``RECORDS-unacceptable``."""
    folder = find_folder(folder, "RECORDS-acceptable", NAME)
    labels: dict[str, Quality] = {}
    for quality, name in ((Quality.HIGH, "acceptable"), (Quality.LOW, "unacceptable")):
        path = folder / f"RECORDS-{name}"
        if not path.exists():
            raise DatasetError(f"{path} is missing: the set needs both RECORDS- lists")
        labels |= dict.fromkeys(path.read_text().split(), quality)
    return labels


def read_distinct(folder: Path, names: list[str], tick: Tick | None = None) -> Iterator[Recording]:
    """The recordings ``names``, each identical signal once (the set holds 59 copies).

    The first by name is the one that is kept.
    """
    recordings = []
    for name in sorted(names):
        recordings.append(read_recording(folder / name))
        if tick:
            tick(len(names))
    keep = first_of_identical([recording.signal_mv for recording in recordings])
    return (recording for recording, kept in zip(recordings, keep, strict=True) if kept)


def labelled_names(folder: Path) -> list[str]:
    """Names of the recordings that :func:`labelled_recordings` reads, copies included."""
    return list(_training_labels(folder)[1])


def _training_labels(
    folder: Path,
) -> tuple[Path, dict[str, dict[str, Quality]] | dict[str, Quality]]:
    """The set's folder, and labels by lead where there are some, else by record."""
    try:
        found = find_folder(folder, "LEADS.csv", NAME)
    except DatasetError:
        found = find_folder(folder, "RECORDS-acceptable", NAME)
        return found, read_record_labels(found)
    return found, read_lead_labels(found)


def labelled_recordings(
    folder: Path, tick: Tick | None = None
) -> list[tuple[Recording, dict[str, Quality]]]:
    """The labelled recordings with the quality of their leads; identical recordings once.

    ``LEADS.csv`` labels leads one by one; PhysioNet's own copy of the set doesn't hold it, and
    then every lead is labelled as its recording is, which is coarser.
    """
    folder, labels = _training_labels(folder)
    found = []
    for recording in read_distinct(folder, list(labels), tick):
        label = labels[recording.name]
        if not isinstance(label, dict):
            label = dict.fromkeys(recording.lead_names, label)
        found.append((recording, label))
    return found


def lead_segments(
    recordings: Sequence[tuple[Recording, dict[str, Quality]]], spec: FrontEnd
) -> list[LabelledSegments]:
    """Segments of the labelled leads of :func:`labelled_recordings`.

    Returns
    -------
    list of LabelledSegments
        One for each sampling rate.
    """
    parts = [
        label_lead(recording, lead, quality, spec, f"{NAME}/{recording.name}", NAME)
        for recording, labels in recordings
        for lead, quality in labels.items()
    ]
    return by_rate(parts, NAME)


def record_segments(
    folder: Path, spec: FrontEnd, tick: Tick | None = None
) -> list[LabelledSegments]:
    """Segments of every lead, labelled as their recording is; identical recordings once."""
    labels = read_record_labels(folder)
    folder = find_folder(folder, "RECORDS-acceptable", NAME)
    parts = [
        label_lead(recording, lead, labels[recording.name], spec, f"{NAME}/{recording.name}", NAME)
        for recording in read_distinct(folder, list(labels), tick)
        for lead in recording.lead_names
    ]
    return by_rate(parts, NAME)
