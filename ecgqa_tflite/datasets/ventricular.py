# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Tachycardia and fibrillation made by rule: more of them than there are records.

What can be told beat by beat repeats one complex with small changes; what can't changes its
interval and height at every turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.noise import NoiseBank

Signal = NDArray[np.float64]


def harmonic(
    monomorphic: bool, n_samples: int, fs_hz: float, bank: NoiseBank, rng: np.random.Generator
) -> Signal:
    """Waves of a few harmonics: tachycardia where they repeat, fibrillation where they don't.

    Monomorphic: 110-240 per minute, three to five harmonics, intervals and heights within a few
    per cent. Else: 160-360 per minute, one or two harmonics, intervals within 25 % and heights
    within 50 % (standard deviations).
    """
    n_turns = 80
    if monomorphic:
        rr = 60 / rng.uniform(110, 240) * (1 + 0.03 * rng.standard_normal(n_turns))
        heights, n_harmonics = 1 + 0.06 * rng.standard_normal(n_turns), int(rng.integers(3, 6))
    else:
        changes = np.clip(1 + 0.25 * rng.standard_normal(n_turns), 0.5, 1.8)
        rr = 60 / rng.uniform(160, 360) * changes
        heights = np.clip(1 + 0.5 * rng.standard_normal(n_turns), 0.2, 2.0)
        n_harmonics = int(rng.integers(1, 3))
    turns = np.cumsum(rr) - 1 - rng.uniform(0, rr[0])
    phase = np.interp(np.arange(n_samples) / fs_hz, turns, np.arange(n_turns))
    x = np.zeros(n_samples)
    for h in range(n_harmonics):
        x += (
            rng.uniform(0.5, 1)
            / (1 + 0.7 * h)
            * np.sin(2 * np.pi * ((h + 1) * phase + rng.random()))
        )
    return _on_baseline(x * np.interp(phase, np.arange(n_turns), heights), fs_hz, bank, rng)


def _on_baseline(x: Signal, fs_hz: float, bank: NoiseBank, rng: np.random.Generator) -> Signal:
    """With recorded wander up to as high as itself and a little noise."""
    height = float(np.ptp(x))
    wander, _ = bank.draw("bw", len(x), fs_hz, rng)
    wander *= rng.uniform(0, height) / max(float(np.ptp(wander)), 1e-9)
    noise = rng.uniform(0.003, 0.03) * height * rng.standard_normal(len(x))
    return np.asarray(x + wander + noise)
