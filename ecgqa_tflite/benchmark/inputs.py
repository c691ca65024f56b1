# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments to time with: real ones of a recording, or simulated ones that all differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import Recording, read_recording
from ecgqa_tflite.recording.disturbances import ElectrodeMotion, MuscleNoise
from ecgqa_tflite.recording.simulator import Heart, simulate
from ecgqa_tflite.segments import cut
from ecgqa_tflite.spec import FrontEnd

FS_HZ = 250.0
"""Sampling rate of the simulated segments."""

SEGMENTS = 32
"""How many a target goes through."""


def simulated(duration_s: float, *, seed: int = 0) -> Recording:
    """One lead at :data:`FS_HZ`: a sinus rhythm, muscle noise and electrode motion in places."""
    half = duration_s / 2
    return simulate(
        duration_s,
        FS_HZ,
        Heart(rate_bpm=72),
        seed=seed,
        name="simulated",
        disturbances=(
            MuscleNoise(duration_s / 8, half / 2, 0.3),
            ElectrodeMotion(half, half / 2, 3.0),
        ),
    )


def segments_of(recording: Recording, spec: FrontEnd) -> tuple[NDArray[np.int16], float]:
    """The segments that a network would be asked about, int16 (n, segment_len), and their rate.

    Raises
    ------
    RecordingError
        There is none: all gaps or flat.
    """
    cut_up = cut(recording.lead(None), recording.fs_hz, spec)
    alive = cut_up.samples[cut_up.ok]
    if not len(alive):
        raise RecordingError(f"{recording.name}: no segment to time with: all are gaps or flat")
    return np.ascontiguousarray(alive), cut_up.fs_hz


def load(
    record: str | Path | None, spec: FrontEnd, n: int = SEGMENTS
) -> tuple[NDArray[np.int16], float, str]:
    """``n`` segments at most, evenly spread over the recording, with their rate and what they are.

    Parameters
    ----------
    record
        A WFDB record; None: simulated.
    """
    recording = simulated(n * spec.segment_s) if record is None else read_recording(record)
    segments, fs_hz = segments_of(recording, spec)
    chosen = np.unique(np.linspace(0, len(segments) - 1, n).round().astype(int))
    what = "simulated" if record is None else recording.name
    return segments[chosen], fs_hz, f"{len(chosen)} segments, {what}, {fs_hz:g} Hz"
