# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Simulated ECG, clean and disturbed, with the truth known: demo and tests need no download.

The model is McSharry, Clifford, Tarassenko & Smith, "A dynamical model for generating synthetic
electrocardiogram signals", IEEE Trans. Biomed. Eng. 50(3), 2003. Its (x, y) settle on the unit
circle whatever they start from; here they start on it, so that the phase is known in closed form,
the R peaks are where it is 0, and only z, a linear equation driven by the phase, is integrated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.disturbances import (
    BaselineWander,
    Clipping,
    Disturbance,
    ElectrodeMotion,
    Gap,
    LeadOff,
    MuscleNoise,
    Powerline,
)

Rhythm = Literal["sinus", "af"]

# Table I of the paper: P, Q, R, S, T
_WAVE_ANGLE = np.array([-np.pi / 3, -np.pi / 12, 0, np.pi / 12, np.pi / 2])
_WAVE_HEIGHT = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
_WAVE_WIDTH = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
_P_WAVE = 0

_RESPIRATION_HZ = 0.25
_RESPIRATION_SHARE = 0.1
"""Drift with breathing, over the R wave's height."""

_INTEGRATION_HZ = 500.0
_LEAD_IN_S = 8.0
"""Simulated before the recording starts: z settles with a time constant of 1 s."""


@dataclass(frozen=True, eq=False)
class SimulatedRecording(Recording):
    """A recording of which the truth is known.

    Attributes
    ----------
    r_peaks_s
        float64: time of each R peak from the start, s.
    disturbances
        What was done to the signal, in the order in which it was done.
    """

    r_peaks_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    disturbances: tuple[Disturbance, ...] = ()

    @property
    def disturbed_seconds(self) -> NDArray[np.bool_]:
        """One value per second of the recording: True where a disturbance touches that second."""
        seconds = np.arange(math.ceil(self.duration_s))
        touched = np.zeros(seconds.size, np.bool_)
        for d in self.disturbances:
            if d.duration_s > 0:
                touched |= (seconds < d.onset_s + d.duration_s) & (seconds + 1 > d.onset_s)
        return touched


@dataclass(frozen=True)
class Heart:
    """What beats.

    Attributes
    ----------
    rate_bpm
        Mean heart rate, 20 to 250 per minute. Waves keep closer to R as it rises.
    rr_std_s
        Standard deviation of the RR intervals, s (sinus rhythm): a Mayer wave at 0.1 Hz and
        respiration at 0.25 Hz with twice its power, as in the paper.
    r_amplitude_mv
        Median height of the R peaks over the signal's median, mV.
    rhythm
        ``sinus``, or ``af``: irregular RR intervals, no P wave, fibrillatory waves.
    """

    rate_bpm: float = 60.0
    rr_std_s: float = 0.03
    r_amplitude_mv: float = 1.0
    rhythm: Rhythm = "sinus"

    def __post_init__(self) -> None:
        if not 20 <= self.rate_bpm <= 250:
            raise ArgumentError(f"heart rate {self.rate_bpm} bpm: must be 20 to 250")
        if not 0 <= self.rr_std_s <= self.mean_rr_s / 4:
            raise ArgumentError(
                f"rr_std_s {self.rr_std_s}: must be 0 to {self.mean_rr_s / 4:g}, a quarter of RR"
            )
        if self.rhythm not in get_args(Rhythm):
            raise ArgumentError(f"rhythm {self.rhythm!r}: must be 'sinus' or 'af'")
        if not (math.isfinite(self.r_amplitude_mv) and self.r_amplitude_mv > 0):
            raise ArgumentError(f"r_amplitude_mv {self.r_amplitude_mv}: must be a positive number")

    @property
    def mean_rr_s(self) -> float:
        """Mean RR interval, s."""
        return 60.0 / self.rate_bpm


def simulate(
    duration_s: float,
    fs_hz: float,
    heart: Heart | None = None,
    *,
    seed: int = 0,
    disturbances: Sequence[Disturbance] = (),
    name: str = "simulated",
) -> SimulatedRecording:
    """Simulate one lead; the same arguments give the same samples.

    Parameters
    ----------
    duration_s, fs_hz
        Length, s, and sampling rate, Hz, at least 50.
    heart
        None: the defaults of :class:`Heart`.
    seed
        Each disturbance draws from a stream of its own: adding one leaves the others as they are.
    disturbances
        Applied in order.
    name
        The recording's name.

    Raises
    ------
    ArgumentError
        A number out of its range.
    """
    if not (math.isfinite(duration_s) and math.isfinite(fs_hz) and fs_hz >= 50):
        raise ArgumentError(f"simulate {duration_s} s at {fs_hz} Hz: at least 50 Hz is needed")
    n_samples = round(duration_s * fs_hz)
    if not 1 <= n_samples <= 2**28:
        raise ArgumentError(f"simulate {duration_s} s at {fs_hz} Hz: {n_samples} samples")
    heart = heart or Heart()
    rng = np.random.default_rng([seed, 0])
    beats = _beat_times(_LEAD_IN_S + duration_s + 2 * heart.mean_rr_s, heart, rng)
    ecg_mv = _waveform(n_samples, fs_hz, beats, heart, rng)
    for i, disturbance in enumerate(disturbances, start=1):
        start = min(round(disturbance.onset_s * fs_hz), n_samples)
        stop = min(round((disturbance.onset_s + disturbance.duration_s) * fs_hz), n_samples)
        if stop > start:
            own_rng = np.random.default_rng([seed, i])
            ecg_mv[start:stop] = disturbance.apply(ecg_mv[start:stop], fs_hz, own_rng)
    peaks = beats - _LEAD_IN_S
    return SimulatedRecording(
        name=name,
        signal_mv=ecg_mv.astype(np.float32)[:, None],
        fs_hz=float(fs_hz),
        lead_names=("ECG",),
        r_peaks_s=peaks[(peaks >= 0) & (peaks < n_samples / fs_hz)],
        disturbances=tuple(disturbances),
    )


def simulate_demo(seed: int = 0, fs_hz: float = 250.0) -> SimulatedRecording:
    """Ninety seconds in which each disturbance has its turn, with clean stretches between."""
    return simulate(
        90,
        fs_hz,
        Heart(rate_bpm=68),
        seed=seed,
        name="demo",
        disturbances=(
            BaselineWander(10, 10, 0.6),
            ElectrodeMotion(25, 10, 5.0),
            MuscleNoise(40, 10, 0.6),
            Powerline(55, 5, 0.6),
            LeadOff(65, 5),
            Clipping(75, 5, 0.05),
            Gap(82, 2),
        ),
    )


def write_demo(folder: str | Path, *, seed: int = 0, overwrite: bool = False) -> SimulatedRecording:
    """Write :func:`simulate_demo` as WFDB record ``demo`` and return it with its truth.

    Raises
    ------
    OutputExistsError
        The record is there and ``overwrite`` is false.
    """
    from ecgqa_tflite.recording.wfdb_writer import write_wfdb  # wfdb is slow to import

    recording = simulate_demo(seed)
    write_wfdb(recording, folder, overwrite=overwrite)
    return recording


def _beat_times(until_s: float, heart: Heart, rng: np.random.Generator) -> NDArray[np.float64]:
    """Times of the R peaks, s, from before 0 to after ``until_s``."""
    mean_rr_s, rr_std_s = heart.mean_rr_s, heart.rr_std_s
    if heart.rhythm == "af":
        count = math.ceil(1.5 * until_s / mean_rr_s) + 20
        spread = 0.2
        rr = mean_rr_s * np.exp(rng.normal(-(spread**2) / 2, spread, count))
        return np.cumsum(np.maximum(rr, 0.24)) - 2 * mean_rr_s
    step_s = 0.25
    # long enough for the spectral peaks, .01 Hz wide, to have several bins
    n = max(1024, math.ceil(until_s / step_s) + 64)
    f = np.fft.rfftfreq(n, step_s)
    power = np.exp(-((f - 0.1) ** 2) / (2 * 0.01**2))
    power += 2 * np.exp(-((f - _RESPIRATION_HZ) ** 2) / (2 * 0.01**2))
    spectrum = np.sqrt(power) * np.exp(2j * np.pi * rng.uniform(size=f.size))
    tachogram = np.fft.irfft(spectrum, n)
    tachogram *= rr_std_s / tachogram.std()
    # beyond three deviations an interval is not a sinus beat; a sum of sines can come close to 0
    tachogram = mean_rr_s + np.clip(tachogram, -3 * rr_std_s, 3 * rr_std_s)
    beats = [-mean_rr_s * rng.uniform(1, 2)]
    while beats[-1] <= until_s:
        beats.append(beats[-1] + float(tachogram[min(max(int(beats[-1] / step_s), 0), n - 1)]))
    return np.array(beats)


def _waveform(
    n_samples: int,
    fs_hz: float,
    beats: NDArray[np.float64],
    heart: Heart,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The ECG of beats at ``beats`` (s, lead-in included), shape (n_samples,), mV."""
    oversampling = math.ceil(_INTEGRATION_HZ / fs_hz)
    rate = fs_hz * oversampling
    lead_in = round(_LEAD_IN_S * rate)
    t = (np.arange(lead_in + n_samples * oversampling) - lead_in) / rate + _LEAD_IN_S
    phase = np.interp(t, beats, 2 * np.pi * np.arange(beats.size))

    # the authors' own ECGSYN narrows the angles with the root of the heart rate (as Bazett's QT)
    root = math.sqrt(1.0 / heart.mean_rr_s)
    angles = _WAVE_ANGLE * np.array([math.sqrt(root), root, 1, root, math.sqrt(root)])
    widths = _WAVE_WIDTH * root
    drive = np.zeros(t.size)
    for wave, (angle, height, width) in enumerate(zip(angles, _WAVE_HEIGHT, widths, strict=True)):
        if heart.rhythm == "af" and wave == _P_WAVE:
            continue
        delta = np.remainder(phase - angle + np.pi, 2 * np.pi) - np.pi
        drive -= height * delta * np.exp(-(delta**2) / (2 * width**2))
    # z' = drive - z: exact decay, trapezoid for the drive
    h = 1.0 / rate
    z = lfilter([h / 2, h / 2 * math.exp(-h)], [1, -math.exp(-h)], drive)
    settled = z[lead_in // 2 :]
    at_beats = np.interp(beats, t, z)[(beats > t[lead_in // 2]) & (beats < t[-1])]
    middle = float(np.median(settled))
    r_mv = heart.r_amplitude_mv
    z = (z[lead_in::oversampling] - middle) * (r_mv / (np.median(at_beats) - middle))

    t = t[lead_in::oversampling]
    breath = 2 * np.pi * _RESPIRATION_HZ * t + rng.uniform(0, 2 * np.pi)
    z += _RESPIRATION_SHARE * r_mv / 2 * np.sin(breath)
    if heart.rhythm == "af":
        wobble = 2 * np.pi * 6.0 * t + 1.5 * np.sin(2 * np.pi * 0.3 * t + rng.uniform(0, 6))
        z += 0.04 * r_mv * (np.sin(wobble) + 0.4 * np.sin(2 * wobble + 1.0))
    return np.asarray(z[:n_samples], np.float64)
