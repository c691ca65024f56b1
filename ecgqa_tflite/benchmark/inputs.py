# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments to time with: real ones of a recording, or simulated ones that all differ."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import Recording, read_recording
from ecgqa_tflite.recording.disturbances import (
    BaselineWander,
    Clipping,
    Disturbance,
    ElectrodeMotion,
    Gap,
    Held,
    LeadOff,
    MuscleNoise,
    Powerline,
)
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


CYCLE_S = 120.0
"""Of :func:`two_leads`: each disturbance has its turn once, 55 s in all."""
LEAD_NAMES = ("I", "II")
"""Of :func:`two_leads`."""
STRENGTHS = (0.5, 1.0, 2.0, 1.0)
"""What the noises of a cycle are multiplied by, cycle after cycle."""


def two_leads(duration_s: float, *, seed: int = 0) -> Recording:
    """One heart in two leads at :data:`FS_HZ`; each lead is disturbed in its own turn.

    In every :data:`CYCLE_S` a lead has 65 s without a disturbance; in the others wander, muscle
    noise, electrode motion, hum, a lost packet, a saturated amplifier, no contact (10 s of one
    value, 5 s with 2 uV of noise) and a converter that hangs. The second lead is half a cycle
    behind, so that a minute has all of them.
    """
    leads = [
        simulate(
            duration_s,
            FS_HZ,
            Heart(rate_bpm=72, r_amplitude_mv=r_amplitude_mv),
            seed=seed,
            disturbances=disturbances,
        )
        for r_amplitude_mv, disturbances in zip((1.0, 0.6), schedules(duration_s), strict=True)
    ]
    return Recording(
        name=f"simulated, seed {seed}",
        signal_mv=np.column_stack([lead.signal_mv for lead in leads]),
        fs_hz=FS_HZ,
        lead_names=LEAD_NAMES,
    )


def schedules(duration_s: float) -> list[list[Disturbance]]:
    """The disturbances of each of :func:`two_leads`."""
    return [_cycles(duration_s, behind_s) for behind_s in (0.0, CYCLE_S / 2)]


def _cycles(duration_s: float, behind_s: float) -> list[Disturbance]:
    found: list[Disturbance] = []
    for i in range(-1, math.ceil(duration_s / CYCLE_S)):
        start, k = i * CYCLE_S + behind_s, STRENGTHS[i % len(STRENGTHS)]
        turns = (
            BaselineWander(5, 6, 1.0 * k),
            MuscleNoise(17, 6, 0.15 * k),
            ElectrodeMotion(29, 6, 2.0 * k),
            Powerline(41, 6, 0.2 * k),
            Gap(52, 2),
            Clipping(62, 10, 0.05),
            LeadOff(76, 10, 0.0),
            Held(91, 4),
            LeadOff(101, 5, 0.002),
        )
        found += [
            replace(turn, onset_s=start + turn.onset_s)
            for turn in turns
            if 0 <= start + turn.onset_s < duration_s
        ]
    return found


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
