# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Disturbances of a wearable ECG: each changes a span of a signal, the same for the same seed.

They compose: a list of them is applied in order, each to what the one before left. Amplitudes are
in mV and mean what each class says; onsets and durations are in s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

from ecgqa_tflite.errors import ArgumentError

Signal = NDArray[np.float64]


@dataclass(frozen=True)
class Disturbance:
    """What all disturbances have.

    Attributes
    ----------
    onset_s
        Start, s from the start of the recording.
    duration_s
        Length, s; what reaches past the end of the recording is cut off.
    amplitude_mv
        Size, mV; each class says of what.

    Raises
    ------
    ArgumentError
        A number that is negative or not finite.
    """

    kind: ClassVar[str] = ""

    onset_s: float
    duration_s: float
    amplitude_mv: float = 1.0

    def __post_init__(self) -> None:
        for name in ("onset_s", "duration_s", "amplitude_mv"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ArgumentError(f"{type(self).__name__}: {name} {value}: must be 0 or more")

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """The disturbed span, shape (n,), mV; ``span_mv`` is left as it is."""
        raise NotImplementedError


@dataclass(frozen=True)
class BaselineWander(Disturbance):
    """Slow drift, 0.1 to 0.5 Hz; ``amplitude_mv`` is its peak."""

    kind: ClassVar[str] = "baseline wander"

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Add the drift."""
        t = np.arange(span_mv.size) / fs_hz
        frequencies, phases = rng.uniform(0.1, 0.5, 4), rng.uniform(0, 2 * np.pi, 4)
        drift = np.sin(2 * np.pi * np.outer(t, frequencies) + phases).sum(axis=1)
        # rises and falls within a second, for a drift has no edges
        edge = np.clip(np.minimum(t, t[::-1]), 0, 1)
        drift *= np.sin(np.pi / 2 * edge) ** 2
        return span_mv + _to_peak(drift, self.amplitude_mv)


@dataclass(frozen=True)
class ElectrodeMotion(Disturbance):
    """Steps and pops, about 1.5 per second, that decay; ``amplitude_mv`` is the largest swing."""

    kind: ClassVar[str] = "electrode motion"

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Add the swings."""
        n = span_mv.size
        count = max(1, rng.poisson(1.5 * n / fs_hz))
        motion = np.zeros(n)
        for _ in range(count):
            start = int(rng.integers(n))
            length = max(1, int(rng.uniform(0.02, 0.4) * fs_hz))
            kick = np.zeros(n - start)
            kick[:length] = rng.normal()
            # the coupling capacitor lets a step decay
            decay = math.exp(-1 / (rng.uniform(0.05, 0.5) * fs_hz))
            motion[start:] += lfilter([1 - decay], [1, -decay], kick)
        return span_mv + _to_peak(motion, self.amplitude_mv)


@dataclass(frozen=True)
class MuscleNoise(Disturbance):
    """Bursts of EMG, 20 to 150 Hz; ``amplitude_mv`` is the RMS over the span."""

    kind: ClassVar[str] = "muscle noise"

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Add the bursts."""
        n = span_mv.size
        low, high = min(20.0, 0.2 * fs_hz), min(150.0, 0.45 * fs_hz)
        band = butter(2, (low, high), btype="bandpass", fs=fs_hz, output="sos")
        lead_in = int(fs_hz)  # the filter settles before the span begins
        noise: Signal = sosfilt(band, rng.normal(size=n + lead_in))[lead_in:]
        knots = max(2, round(3 * n / fs_hz) + 1)
        envelope = np.interp(
            np.linspace(0, knots - 1, n), np.arange(knots), rng.gamma(1.0, 1.0, knots) + 0.1
        )
        noise = noise * envelope
        rms = math.sqrt(np.mean(noise**2))
        return span_mv + noise * (self.amplitude_mv / rms if rms else 0.0)


@dataclass(frozen=True)
class Powerline(Disturbance):
    """Mains hum with a third harmonic; ``amplitude_mv`` is the fundamental's peak."""

    kind: ClassVar[str] = "powerline"

    mains_hz: float = 50.0

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Add the hum."""
        t = np.arange(span_mv.size) / fs_hz
        phase = 2 * np.pi * self.mains_hz * t + rng.uniform(0, 2 * np.pi)
        hum = np.sin(phase)
        if 3 * self.mains_hz < fs_hz / 2:
            hum += 0.1 * np.sin(3 * phase)
        return span_mv + self.amplitude_mv * hum


@dataclass(frozen=True)
class LeadOff(Disturbance):
    """No contact: a constant with a little noise; ``amplitude_mv`` is the noise's RMS."""

    kind: ClassVar[str] = "lead off"

    amplitude_mv: float = 0.002

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Put noise in place of the span."""
        return rng.normal(0, 1, span_mv.size) * self.amplitude_mv


@dataclass(frozen=True)
class Held(Disturbance):
    """A converter that hangs: the span's first sample, again and again; the amplitude is unused."""

    kind: ClassVar[str] = "held"

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Repeat the first sample."""
        return np.full_like(span_mv, span_mv[0])


@dataclass(frozen=True)
class Clipping(Disturbance):
    """A saturated amplifier: nothing beyond plus or minus ``amplitude_mv`` comes through."""

    kind: ClassVar[str] = "clipping"

    amplitude_mv: float = 0.3

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Limit the span."""
        return np.clip(span_mv, -self.amplitude_mv, self.amplitude_mv)


@dataclass(frozen=True)
class Gap(Disturbance):
    """Samples that were never received: NaN; the amplitude says nothing."""

    kind: ClassVar[str] = "gap"

    def apply(self, span_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
        """Put NaN in place of the span."""
        return np.full_like(span_mv, np.nan)


def _to_peak(noise: Signal, peak: float) -> Signal:
    largest = np.abs(noise).max(initial=0.0)
    return noise * (peak / largest) if largest else noise
