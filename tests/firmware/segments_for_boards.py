# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments that boards are given: real ones, good and bad, and those that break integer code."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecgqa_tflite.recording import read_recording
from ecgqa_tflite.segments import cut
from ecgqa_tflite.spec import FrontEnd

FS_HZ = 250.0
SEGMENT_LEN = 1250


@cache
def real_segments(challenge_2011: Path, per_class: int = 12) -> NDArray[np.int16]:
    """4 segments of each of ``per_class`` acceptable and as many unacceptable recordings.

    int16, shape (8 * per_class, 1250): two leads, 10 s each, brought from 500 Hz to 250 Hz.
    """
    folder = challenge_2011 / "set-a"
    segments = []
    for listing in ("RECORDS-acceptable", "RECORDS-unacceptable"):
        for record in (folder / listing).read_text().split()[:per_class]:
            recording = read_recording(folder / record)
            for lead in ("II", "V2"):
                signal = resample_poly(np.nan_to_num(recording.lead(lead)), 1, 2)
                segments.append(cut(signal, FS_HZ, FrontEnd()).samples)
    return np.concatenate(segments)


def edge_segments() -> NDArray[np.int16]:
    """Flat, full-scale, single-sample, square, alternating, 1-LSB and hum segments; (n, 1250)."""
    t = np.arange(SEGMENT_LEN)
    low, high = -(2**15), 2**15 - 1
    rows = [
        np.zeros(SEGMENT_LEN),
        np.full(SEGMENT_LEN, low),
        np.where(t == 600, high, low),
        np.where(t == 0, 1, 0),
        np.where(t % 2 == 0, low, high),
        np.where(t // 125 % 2 == 0, low, high),
        np.rint(high * np.sin(2 * np.pi * 17.0 * t / FS_HZ)),
        np.rint(1.5 * np.sin(2 * np.pi * 1.2 * t / FS_HZ)),
        np.random.default_rng(0).integers(low, high + 1, SEGMENT_LEN),
        np.rint(high * np.sin(2 * np.pi * 50.0 * t / FS_HZ)),
        np.where(t < 400, np.rint(900 * np.sin(2 * np.pi * 60.0 * t / FS_HZ)), t * 37 % 9973),
    ]
    return np.array(rows).astype(np.int16)


def fnv1a(data: bytes) -> int:
    """FNV-1a, 32 bits, as the boards print it."""
    digest = 2166136261
    for byte in data:
        digest = (digest ^ byte) * 16777619 & 0xFFFFFFFF
    return digest
