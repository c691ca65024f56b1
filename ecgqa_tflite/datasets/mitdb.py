# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""MIT-BIH Arrhythmia Database: leads with known beats, and their clean segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from ecgqa_tflite.datasets.layout import find_folder
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.recording import read_recording

NAME = "mitdb"
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""Annotation symbols that mark a beat (PhysioNet's list)."""
WIDE = frozenset("VFELR/")
"""Those of broad beats: ventricular, fusion, escape, bundle branch block, paced."""
BARS = frozenset("~|![]")
"""Change of signal quality, QRS-like artefact, ventricular flutter: no clean segment near them."""
BAR_MARGIN_S = 10.0
"""How near: a ``~`` marks where quality changes, and not every copy of the set says to what."""
SAME_PATIENT = {"202": "201"}
"""Records 201 and 202 are of one patient."""
RR_MAX_S = 3.0
"""A longer gap between annotated beats bars the segment: beats may lack their annotation there."""


@dataclass(frozen=True)
class AnnotatedLead:
    """One lead with its beats.

    Attributes
    ----------
    name
        ``set/record/lead``.
    group
        ``set/patient``.
    signal_mv
        float32, shape (n_samples,), mV.
    fs_hz
        Sampling rate, Hz.
    beats_s
        Times of the known beats from the start, s, ascending.
    bars_s
        Times of annotations that spoil their surroundings, s, ascending.
    wide_s
        Times of those known beats that are broad, s, ascending.
    """

    name: str
    group: str
    signal_mv: NDArray[np.float32]
    fs_hz: float
    beats_s: NDArray[np.float64]
    bars_s: NDArray[np.float64]
    wide_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def duration_s(self) -> float:
        """Length of the lead, s."""
        return len(self.signal_mv) / self.fs_hz

    def clean(self, start_s: float, stop_s: float) -> bool:
        """Whether the span lies in the lead, holds beats throughout and no bar near."""
        if start_s < 0 or stop_s > self.duration_s:
            return False
        bars = self.bars_s
        if np.any((bars > start_s - BAR_MARGIN_S) & (bars < stop_s + BAR_MARGIN_S)):
            return False
        first, last = np.searchsorted(self.beats_s, [start_s, stop_s])
        around = self.beats_s[max(first - 1, 0) : last + 1]
        return (
            last > first
            and around[0] <= start_s + RR_MAX_S
            and around[-1] >= stop_s - RR_MAX_S
            and float(np.diff(around).max(initial=0.0)) <= RR_MAX_S
        )


def record_names(folder: Path) -> list[str]:
    """Names of the records in mitdb's folder (or the folder above it), sorted."""
    folder = find_folder(folder, "100.atr", NAME)
    return sorted(path.stem for path in folder.glob("*.atr"))


def read_leads(folder: Path, record: str) -> Iterator[AnnotatedLead]:
    """The leads of one record with its beats.

    Raises
    ------
    DatasetError
        The annotation file is missing or unreadable.
    RecordingError
        The signal is.
    """
    folder = find_folder(folder, "100.atr", NAME)
    recording = read_recording(folder / record)
    try:
        annotation = wfdb.rdann(str(folder / record), "atr")
    except (OSError, ValueError, IndexError) as error:
        raise DatasetError(f"{folder / record}.atr can't be read: {error}") from error
    symbols = np.array(annotation.symbol)
    times = np.asarray(annotation.sample) / recording.fs_hz
    beats, bars, wide = (np.isin(symbols, list(kind)) for kind in (BEATS, BARS, WIDE))
    for column, lead in enumerate(recording.lead_names):
        yield AnnotatedLead(
            f"{NAME}/{record}/{lead}",
            f"{NAME}/{SAME_PATIENT.get(record, record)}",
            recording.signal_mv[:, column],
            recording.fs_hz,
            times[beats],
            times[bars],
            times[wide],
        )
