# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Noise to mix into clean ECG: the recorded kinds of nstdb and four synthetic ones."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from ecgqa_tflite.datasets.layout import find_folder
from ecgqa_tflite.recording import read_recording

RECORDED = {"em": "electrode motion", "ma": "muscle artefact", "bw": "baseline wander"}
SYNTHETIC = {"white": "white", "pink": "1/f", "emg": "muscle bursts", "pop": "electrode pops"}
KINDS = (*RECORDED, *SYNTHETIC)

Part = Literal["train", "validation"]
VALIDATION_SHARE = 0.2
"""The last fifth of each nstdb recording goes to validation, the rest to training: a mixture of
one part shares no noise with a mixture of the other."""


@dataclass(frozen=True)
class NoiseBank:
    """Draws noise of a kind from one part (train or validation) of nstdb, or makes it.

    Attributes
    ----------
    recorded
        Kind to recording, mV, shape (n_samples, n_channels); already cut to the part.
    fs_hz
        Sampling rate of ``recorded``, Hz.
    part
        Which part it is.
    """

    recorded: dict[str, NDArray[np.float32]]
    fs_hz: float
    part: Part

    @classmethod
    def read(cls, folder: Path, part: Part) -> NoiseBank:
        """Read ``bw``, ``em`` and ``ma`` of nstdb; DatasetError if ``folder`` lacks them."""
        folder = find_folder(folder, "em.hea", "nstdb")
        recorded, fs_hz = {}, 0.0
        for kind in RECORDED:
            recording = read_recording(folder / kind)
            fs_hz = recording.fs_hz
            cut = round(len(recording.signal_mv) * (1 - VALIDATION_SHARE))
            span = slice(cut) if part == "train" else slice(cut, None)
            recorded[kind] = recording.signal_mv[span]
        return cls(recorded, fs_hz, part)

    def draw(
        self, kind: str, n_samples: int, fs_hz: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], str]:
        """Noise of ``kind`` at ``fs_hz``, arbitrary amplitude, and a name that says which piece.

        Returns
        -------
        (noise, name)
            float64, shape (n_samples,); e.g. ``em/1/train@312.40``.
        """
        if kind in RECORDED:
            return self._piece(kind, n_samples, fs_hz, rng)
        make = {"white": _white, "pink": _pink, "emg": _emg, "pop": _pops}[kind]
        return make(n_samples, fs_hz, rng), kind

    def _piece(
        self, kind: str, n_samples: int, fs_hz: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], str]:
        recording = self.recorded[kind]
        channel = int(rng.integers(recording.shape[1]))
        n_source = int(np.ceil(n_samples * self.fs_hz / fs_hz)) + 1
        start = int(rng.integers(len(recording) - n_source + 1))
        piece = recording[start : start + n_source, channel].astype(float)
        if fs_hz != self.fs_hz:
            ratio = Fraction(fs_hz / self.fs_hz).limit_denominator(1000)
            level = piece.mean()
            piece = resample_poly(piece - level, ratio.numerator, ratio.denominator) + level
        return piece[:n_samples], f"{kind}/{channel}/{self.part}@{start / self.fs_hz:.2f}"


def jump(n_samples: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """One jump of the baseline, of height 1: a step that decays, or a pulse of up to 1 s.

    What a pulled cable or a shifted electrode leaves. It takes 0-0.15 s to rise.
    """
    since = np.arange(n_samples) / fs_hz - rng.uniform(0, n_samples / fs_hz)
    rise_s = rng.uniform(0.002, 0.15)
    x = np.clip(since / rise_s, 0, 1)
    if rng.random() < 0.5:
        x = x * np.exp(-np.maximum(since, 0) / rng.choice([0.1, 0.3, 1.0, 5.0]))
    else:
        x = x - np.clip((since - rng.uniform(0.1, 1.0)) / rise_s, 0, 1)
    return np.asarray(x * rng.choice([-1.0, 1.0]))


def _white(n_samples: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_normal(n_samples)


def _pink(n_samples: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Power falling as 1/f from 0.2 Hz on."""
    f = np.fft.rfftfreq(n_samples, 1 / fs_hz)
    shape = 1 / np.sqrt(np.maximum(f, 0.2))
    phase = rng.standard_normal(len(f)) + 1j * rng.standard_normal(len(f))
    x = np.fft.irfft(phase * shape, n_samples)
    return np.asarray(x / x.std())


def _emg(n_samples: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Band-limited noise in bursts of 0.3-3 s over a weaker floor."""
    top = min(150.0, 0.45 * fs_hz)
    x = sosfilt(
        butter(2, (15.0, top), "bandpass", fs=fs_hz, output="sos"), rng.standard_normal(n_samples)
    )
    t = np.arange(n_samples) / fs_hz
    envelope = np.full(n_samples, rng.uniform(0.0, 0.3))
    at = rng.exponential(1.0)
    while at < t[-1]:
        length, rise = rng.uniform(0.3, 3.0), rng.uniform(0.05, 0.3)
        burst = np.clip(np.minimum(t - at, at + length - t) / rise, 0, 1)
        envelope += rng.uniform(0.3, 1.0) * burst
        at += length + rng.exponential(1.5)
    x = x * envelope
    return np.asarray(x / x.std())


def _pops(n_samples: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Steps that decay exponentially: what a high-pass leaves of an electrode's jumps."""
    t = np.arange(n_samples) / fs_hz
    rate_hz = rng.uniform(0.4, 3.0)
    x = 0.02 * rng.standard_normal(n_samples)
    at = 0.0
    while at < t[-1]:
        since = t - at
        on = since >= 0
        x[on] += rng.normal(0, 1) * np.exp(-since[on] / rng.choice([0.05, 0.15, 0.5, 1.5]))
        at += rng.exponential(1 / rate_hz)
    return np.asarray(x / x.std())
