# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a reader can't know: a lead that is flat, an amplitude or a rate that no ECG has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.recording.file import RecordingFile

LARGEST_MV = 30.0
"""More within 2 s is no ECG."""

SMALLEST_MV = 0.02
"""Less within 2 s is no ECG on skin."""

SLOWEST_PER_MIN, FASTEST_PER_MIN = 20.0, 260.0
LOOK_S = 60.0
FEWEST_SAMPLES = 20_000
"""Looked at even where they are more than ``LOOK_S``: the rate may be wrong."""

FARTHEST = 2**24
"""Samples into a recording up to which a stretch with samples is looked for."""

MAINS_PER_MIN = 2000.0
"""What comes again faster is hum, whatever the rate."""

REGULAR = 0.5
"""Autocorrelation from which beats are taken to be regular enough to count."""


@dataclass(frozen=True)
class Look:
    """What the first minute of a lead looks like.

    Attributes
    ----------
    doubts
        One line for each thing that makes it look wrong.
    scale
        What to multiply a lead by that beats as an ECG and is far too small or too large for one:
        small beats would drown in the least significant bit, large ones leave the paper. 1 for any
        other.
    """

    doubts: tuple[str, ...]
    scale: float = 1.0


def look(file: RecordingFile, lead: str | int | None = None) -> Look:
    """What is to be doubted about a lead.

    Parameters
    ----------
    file
        Looked at in its first ``LOOK_S`` s that have samples.
    lead
        As :meth:`RecordingFile.lead_index` takes it.
    """
    index = file.lead_index(lead)
    name, fs_hz = file.leads[index].name, file.leads[index].fs_hz
    head = _head(file, index)
    if not head.size:
        return Look((f"lead {name} holds no sample at all{_better(file, index)}",))
    if float(np.ptp(head)) == 0:
        return Look((f"lead {name} is flat{_better(file, index)}",))
    doubts = []
    scale = 1.0
    size = _size(head, fs_hz)
    beats = beats_per_min(head, fs_hz)
    if size == 0:
        doubts.append(f"lead {name} is flat for the most part{_better(file, index)}")
    elif not SMALLEST_MV <= size <= LARGEST_MV:
        wrong = (
            f"{size:,.0f} mV, which is no ECG: the unit looks wrong, uV perhaps (--unit uV)"
            if size > LARGEST_MV
            else f"{size * 1000:.2g} uV, less than an ECG: the unit looks wrong, V perhaps "
            "(--unit V)"
        )
        if beats is not None and SLOWEST_PER_MIN <= beats <= FASTEST_PER_MIN:
            scale = 1000.0 ** (-round(math.log10(size) / 3) or (1 if size < 1 else -1))
            wrong += f"; it beats, so it is taken {scale:g} times as large"
        doubts.append(f"lead {name} spans {wrong}")
    if beats is not None and not SLOWEST_PER_MIN <= beats <= FASTEST_PER_MIN:
        doubts.append(
            f"lead {name} would have {beats:.0f} beats per min at {fs_hz:g} Hz: the sampling rate "
            "looks wrong (--fs)"
        )
    return Look(tuple(doubts), scale)


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


def _head(file: RecordingFile, index: int) -> NDArray[np.float32]:
    """The first stretch of a lead that has samples, missing ones left out."""
    wanted = max(round(LOOK_S * file.leads[index].fs_hz), FEWEST_SAMPLES)
    parts: list[NDArray[np.float32]] = []
    passed = 0
    for block in file.blocks(index):
        held = np.isfinite(block)
        if held.any() or parts:
            start = 0 if parts else int(np.argmax(held))
            parts.append(block[start : start + wanted])
            wanted -= parts[-1].size
        passed += block.size
        if wanted <= 0 or (not parts and passed >= FARTHEST):
            break
    whole = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return whole[np.isfinite(whole)]


def _size(signal: NDArray[np.float32], fs_hz: float) -> float:
    """Median span of 2-s windows, mV: a drift is not the ECG's amplitude."""
    n = min(max(round(2 * fs_hz), 16), signal.size)
    windows = signal[: signal.size // n * n].reshape(-1, n)
    return float(np.median(np.ptp(np.percentile(windows, [0.5, 99.5], axis=1), axis=0)))


def _better(file: RecordingFile, index: int) -> str:
    """Leads that are not flat, to choose among."""
    live = [
        signal.name
        for i, signal in enumerate(file.leads)
        if i != index and (head := _head(file, i)).size and np.ptp(head) > 0
    ]
    return f"; {', '.join(live[:12])} not: choose with --lead" if live else ""
