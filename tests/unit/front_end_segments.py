# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments that a front end must survive: full scale, steps, silence, and real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

LOW, HIGH = -32768, 32767


def edge_cases(fs_hz: int) -> dict[str, NDArray[np.int16]]:
    """Name to segment, int16 (5 * fs_hz,)."""
    n = 5 * fs_hz
    t = np.arange(n) / fs_hz
    rng = np.random.default_rng(5)
    cases: dict[str, NDArray[np.int16]] = {
        f"constant {value}": np.full(n, value) for value in (0, LOW, HIGH)
    }
    for place, at in {"the start": 0, "one": 1, "the middle": n // 2, "the end": n - 1}.items():
        for value in (LOW, 1, HIGH):
            cases[f"spike of {value} at {place}"] = np.where(np.arange(n) == at, value, 0)
    cases["step"] = np.where(np.arange(n) < n // 2, LOW, HIGH)
    cases["alternating"] = np.where(np.arange(n) % 2, HIGH, LOW)
    cases["ramp"] = np.linspace(LOW, HIGH, n)
    cases["impulse a second"] = np.where(np.arange(n) % fs_hz == 0, 20000, 0)
    cases["large step, tiny noise"] = np.where(t < 2.5, -30000, 30000) + rng.integers(-3, 4, n)
    cases["one LSB off"] = np.where(np.arange(n) == n // 3, 12346, 12345)
    cases["2 LSB"] = rng.integers(0, 2, n)
    cases["white noise, full scale"] = rng.integers(LOW, HIGH + 1, n)
    cases["extremes only"] = rng.choice([LOW, HIGH], n)
    for f_hz in (1, 5):
        cases[f"square {f_hz} Hz"] = np.where((t * f_hz) % 1 < 0.5, HIGH, LOW)
    for f_hz in (0.66, 1, 2.5, 7.3, 12, 25, 39, 45, 49, 60):
        cases[f"sine {f_hz} Hz"] = np.rint(HIGH * np.sin(2 * np.pi * f_hz * t))
    return {name: np.asarray(x).astype(np.int16) for name, x in cases.items()}


def real_segments(
    shared_data: Callable[[str], Path], n: int, seed: int = 0
) -> list[tuple[NDArray[np.int16], int]]:
    """Half challenge-2011 (any lead, noisy ones too), a third mitdb, the rest pure nstdb noise;
    constant ones left out. (samples int16, fs_hz) each."""
    rng = np.random.default_rng(seed)
    out: list[tuple[NDArray[np.int16], int]] = []
    for name, folder, share in (
        ("challenge-2011", "set-a", n // 2),
        ("mitdb", ".", n // 3),
        ("nstdb", ".", n - n // 2 - n // 3),
    ):
        root = shared_data(name) / folder
        records = sorted(p.with_suffix("") for p in root.glob("*.hea"))
        wanted = len(out) + share
        while len(out) < wanted:
            record = str(records[rng.integers(len(records))])
            header = wfdb.rdheader(record)
            length = 5 * int(header.fs)
            start = int(rng.integers(header.sig_len - length + 1))
            lead = int(rng.integers(header.n_sig))
            read = wfdb.rdrecord(
                record, sampfrom=start, sampto=start + length, channels=[lead], physical=False
            )
            samples = read.d_signal[:, 0].astype(np.int16)
            if samples.max() > samples.min():
                out.append((samples, int(header.fs)))
    return out
