# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a reader can't know: a lead that is flat, an amplitude or a rate that no ECG has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.recording import Recording

LARGEST_MV = 30.0
"""More within 2 s is no ECG."""

SMALLEST_MV = 0.02
"""Less within 2 s is no ECG on skin."""

SLOWEST_PER_MIN, FASTEST_PER_MIN = 20.0, 260.0
LOOK_S = 60.0
FEWEST_SAMPLES = 20_000
"""Looked at even where they are more than ``LOOK_S``: the rate may be wrong."""

MAINS_PER_MIN = 2000.0
"""What comes again faster is hum, whatever the rate."""

REGULAR = 0.5
"""Autocorrelation from which beats are taken to be regular enough to count."""


def doubts(recording: Recording, lead: str | int | None = None) -> list[str]:
    """One line for each thing about the lead that is taken that makes it look wrong.

    Parameters
    ----------
    recording
        Looked at in its first ``LOOK_S`` s that have samples.
    lead
        As :meth:`Recording.lead_index` takes it.
    """
    index = recording.lead_index(lead)
    name = recording.lead_names[index]
    head = _head(recording.signal_mv[:, index], recording.fs_hz)
    if not head.size:
        return [f"lead {name} holds no sample at all{_better(recording, index)}"]
    size = _size(head, recording.fs_hz)
    if float(np.ptp(head)) == 0:
        return [f"lead {name} is flat{_better(recording, index)}"]
    found = []
    if size == 0:
        found.append(f"lead {name} is flat for the most part{_better(recording, index)}")
    elif size > LARGEST_MV:
        found.append(
            f"lead {name} spans {size:,.0f} mV, which is no ECG: the unit looks wrong, uV perhaps "
            "(--unit uV)"
        )
    elif size < SMALLEST_MV:
        found.append(
            f"lead {name} spans {size * 1000:.2g} uV, less than an ECG: the unit looks wrong "
            "(--unit)"
        )
    beats = beats_per_min(head, recording.fs_hz)
    if beats is not None and not SLOWEST_PER_MIN <= beats <= FASTEST_PER_MIN:
        found.append(
            f"lead {name} would have {beats:.0f} beats per min at {recording.fs_hz:g} Hz: the "
            "sampling rate looks wrong (--fs)"
        )
    return found


def beats_per_min(signal: NDArray[np.floating], fs_hz: float) -> float | None:
    """Rate of the largest thing that comes again and again; None where nothing does.

    Nothing here depends on ``fs_hz`` but the answer, so a wrong one shows: blocks double until
    beats that are not quite regular fall together.
    """
    slope = np.abs(np.diff(signal.astype(np.float64)))
    slope = np.minimum(slope, np.percentile(slope, 99.5))
    block = max(1, slope.size // 16_384)
    while slope.size >= 200 * block:
        energy = slope[: slope.size // block * block].reshape(-1, block).max(axis=1)
        lag = _lag(energy - energy.mean())
        if lag is not None:
            rate = float(60 * fs_hz / (lag * block))
            return rate if rate < MAINS_PER_MIN else None
        block *= 2
    return None


def _lag(energy: NDArray[np.float64]) -> int | None:
    """Blocks from one beat to the next, where beats follow each other regularly."""
    power = float(energy @ energy)
    if power <= 0:
        return None
    spectrum = np.fft.rfft(energy, 2 * energy.size)
    ahead = np.fft.irfft(np.abs(spectrum) ** 2)[: energy.size // 3]
    # as many products to every lag
    ahead = ahead / power * (energy.size / np.arange(energy.size, energy.size - ahead.size, -1))
    first = int(np.argmax(ahead < 0.1))
    if not first or float(ahead[first:].max()) < REGULAR:
        return None
    # the first of the peaks that are about as high: the later ones are two beats and three
    near = ahead[first:] >= 0.6 * ahead[first:].max()
    start = first + int(np.argmax(near))
    stop = start + int(np.argmin(ahead[start:] >= 0.5 * ahead[start]) or 1)
    return start + int(np.argmax(ahead[start:stop]))


def _head(signal: NDArray[np.float32], fs_hz: float) -> NDArray[np.float32]:
    held = np.flatnonzero(np.isfinite(signal[: 2**24]))
    if not held.size:
        return signal[:0]
    stretch = signal[held[0] : held[0] + max(round(LOOK_S * fs_hz), FEWEST_SAMPLES)]
    return stretch[np.isfinite(stretch)]


def _size(signal: NDArray[np.float32], fs_hz: float) -> float:
    """Median span of 2-s windows, mV: a drift is not the ECG's amplitude."""
    n = min(max(round(2 * fs_hz), 16), signal.size)
    windows = signal[: signal.size // n * n].reshape(-1, n)
    return float(np.median(np.ptp(np.percentile(windows, [0.5, 99.5], axis=1), axis=0)))


def _better(recording: Recording, index: int) -> str:
    """Leads that are not flat, to choose among."""
    live = [
        name
        for i, name in enumerate(recording.lead_names)
        if i != index
        and (head := _head(recording.signal_mv[:, i], recording.fs_hz)).size
        and np.ptp(head) > 0
    ]
    return f"; {', '.join(live[:12])} not: choose with --lead" if live else ""
