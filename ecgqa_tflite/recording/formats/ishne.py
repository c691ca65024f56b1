# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""ISHNE Holter files. Source: Badilini, "The ISHNE Holter Standard Output File Format" (1998)."""

from __future__ import annotations

import datetime
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.file import (
    Contents,
    Reader,
    ReadOptions,
    RecordingFile,
    Signal,
    Start,
    checked_rate,
)

MAGIC = b"ISHNE1.0"
_FIXED = 522  # magic, checksum and the fixed header
_MISSING = -32768
_NAMES = (
    "unknown", "generic", "X", "Y", "Z", "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3",
    "V4", "V5", "V6", "ES", "AS", "AI",
)  # fmt: skip


class IshneFile(RecordingFile):
    """An ISHNE file, read through a memory map."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        with path.open("rb") as file:
            head = file.read(_FIXED)
        if len(head) < _FIXED:
            raise RecordingError(f"{path} is truncated inside its header: fetch or export it again")
        # offsets in the format's text count from the magic, as these do
        variable, samples, _, data_at = struct.unpack_from("<iiii", head, 10)
        (n_leads,) = struct.unpack_from("<h", head, 156)
        (fs_hz,) = struct.unpack_from("<h", head, 272)
        notes: list[str] = []
        if not 1 <= n_leads <= 12:
            raise RecordingError(f"{path}: {n_leads} leads: an ISHNE file has 1 to 12")
        if not 0 <= variable <= path.stat().st_size - _FIXED:
            raise RecordingError(f"{path}: variable block of {variable} bytes: corrupt header")
        expected = _FIXED + variable
        if data_at != expected:
            notes.append(
                f"data at byte {data_at} according to the header, at {expected} after the variable "
                "block: read from there"
            )
        rate = checked_rate(path, options.fs_hz or fs_hz)
        self.mapped = np.memmap(path, np.uint8, "r")
        data = self.mapped[expected:]
        n = _n_samples(path, samples, data.size // (2 * n_leads), n_leads, notes)
        self._frames = data[: n * n_leads * 2].view("<i2").reshape(n, n_leads)
        described = _leads(head, n_leads)
        self._nv = [nv or 1.0 for _, nv in described]
        if not all(nv for _, nv in described):
            notes.append("a lead states no resolution: uncalibrated")
        signals = tuple(Signal(name, "nV" if nv else "", rate, n, n) for name, nv in described)
        super().__init__(path, Contents(signals, _start(head), tuple(notes)), options)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        digits = self._frames[start:stop, index]
        values = digits * self._nv[index]
        values[digits == _MISSING] = np.nan
        return np.asarray(values, np.float64)


def _leads(head: bytes, n_leads: int) -> list[tuple[str, float]]:
    """Name of each lead and nV of a count, 0 where the file states none."""
    codes = struct.unpack_from("<12h", head, 158)[:n_leads]
    resolutions = struct.unpack_from("<12h", head, 206)[:n_leads]
    return [
        (_NAMES[code] if 1 < code < len(_NAMES) else f"ch{i}", float(max(resolution, 0)))
        for i, (code, resolution) in enumerate(zip(codes, resolutions, strict=True))
    ]


def _n_samples(path: Path, stated: int, held: int, n_leads: int, notes: list[str]) -> int:
    """Samples of a lead that are read, of ``held`` that are there."""
    # writers disagree whether the size counts the samples of one lead or of all
    if stated > held and stated // n_leads != held:
        notes.append(f"truncated: {stated} samples announced, {held} a lead there: read to there")
    n = min(stated, held) if stated > 0 else held
    if not n:
        raise RecordingError(f"{path} holds no samples: fetch or export it again")
    return n


def _start(head: bytes) -> Start | None:
    day, month, year = struct.unpack_from("<hhh", head, 138)
    hour, minute, second = struct.unpack_from("<hhh", head, 150)
    try:
        return datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith((MAGIC, b"ANN  1.0"))


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    with path.open("rb") as file:
        if not file.read(8).startswith(MAGIC):
            raise RecordingError(f"{path} holds ISHNE annotations, no signal: name the .ecg file")
    return IshneFile(path, options)


READER = Reader("ISHNE Holter", (".ecg",), "", _sniff, _open)
