# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""EDF, EDF+ and BDF, with the gaps of EDF+D exact to the sample.

Read here and not by a library: MNE reads EDF+D as continuous, pyedflib refuses it, edfio refuses a
truncated file, and none reads one signal of many by itself. Source: Kemp et al., "A simple format
for exchange of digitized polygraphic recordings" (1992), and "EDF+" (2003).
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.file import Contents, Reader, ReadOptions, RecordingFile, Signal, Start

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
MAX_SIGNALS = 4096
_FIXED = 256
_ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15[\d.]*)?\x14")
_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Bytes of label, transducer, unit, physical and digital limits, filter, samples, reserved."""


@dataclass(frozen=True)
class _Column:
    """One signal in a data record."""

    label: str
    unit: str
    gain: float
    offset: float
    per_record: int
    at: int


class EdfFile(RecordingFile):
    """An EDF or BDF file, read through a memory map."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        with path.open("rb") as file:
            self._width = 3 if file.read(1) == b"\xff" else 2
        notes: list[str] = []
        fixed, columns = _header(path, self._width, notes)
        self._record_bytes = sum(c.per_record for c in columns) * self._width
        self._columns = [c for c in columns if c.label not in ANNOTATIONS and c.per_record]
        duration_s = _duration_s(path, fixed)
        if not self._columns or not duration_s:
            raise RecordingError(
                f"{path} has no signals, annotations at most: there is nothing to assess"
            )
        header_bytes = _FIXED * (1 + len(columns))
        held = max(path.stat().st_size - header_bytes, 0)
        self.mapped = self._data = (
            np.memmap(path, np.uint8, "r", header_bytes, held) if held else np.empty(0, "u1")
        )
        self._n_records, self._tail = self._n_held(held, _integer(fixed[236:244], -1), notes)
        if not self._n_records:
            raise RecordingError(f"{path} holds no data record: fetch or export it again")
        start = _start(fixed, notes)
        stamps = next((c for c in columns if c.label in ANNOTATIONS), None)
        self._onsets_s = np.arange(self._n_records) * duration_s
        if fixed[192:236].startswith((b"EDF+D", b"BDF+D")):
            if stamps is not None:
                self._onsets_s = self._onsets(stamps, duration_s, notes)
            else:
                notes.append("discontinuous, but without time stamps: read as continuous")
        self._places: list[NDArray[np.int64]] = []
        signals = tuple(self._signal(c, duration_s) for c in self._columns)
        super().__init__(path, Contents(signals, start, tuple(notes)), options)

    def _n_held(self, held: int, announced: int, notes: list[str]) -> tuple[int, int]:
        """Data records that are read, the last perhaps cut, and bytes of one that is."""
        n_full, tail = divmod(held, self._record_bytes)
        if 0 <= announced <= n_full:
            if n_full > announced:
                notes.append(f"holds {n_full} data records, {announced} announced and read")
            return announced, 0
        if not tail and announced <= 0:  # -1: the writer didn't know
            return n_full, 0
        notes.append(
            f"truncated: {announced if announced >= 0 else 'unknown'} data records announced, "
            f"{n_full + tail / self._record_bytes:.2f} there: read to there"
        )
        return n_full + bool(tail), tail

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        column = self._columns[index]
        places = self._places[index]
        n = column.per_record
        first = max(int(np.searchsorted(places, start, side="right")) - 1, 0)
        last = int(np.searchsorted(places, stop))
        out = np.full(stop - start, np.nan)
        values = self._records(column, first, last)
        for k, place in enumerate(places[first:last].tolist()):
            low, high = max(place, start), min(place + n, stop)
            if low < high:
                out[low - start : high - start] = values[k, low - place : high - place]
        return out

    def _signal(self, column: _Column, duration_s: float) -> Signal:
        fs_hz = column.per_record / duration_s
        places = np.rint(self._onsets_s * fs_hz).astype(np.int64)
        self._places.append(places)
        n = int(places[-1]) + column.per_record
        if self._tail:
            n -= column.per_record - self._in_tail(column)
        return Signal(column.label, column.unit, fs_hz, n, self._n_records * column.per_record)

    def _in_tail(self, column: _Column) -> int:
        """Samples of a signal in the last record, which is cut."""
        return int(np.clip((self._tail - column.at) // self._width, 0, column.per_record))

    def _records(self, column: _Column, first: int, last: int) -> NDArray[np.float64]:
        """Physical values of records ``first`` to ``last``, shape (records, per_record)."""
        out = np.full((max(last - first, 0), column.per_record), np.nan)
        n_full = self._n_records - bool(self._tail)
        stop = min(last, n_full)
        size = column.per_record * self._width
        if first < stop:
            whole = self._data[: n_full * self._record_bytes].reshape(n_full, self._record_bytes)
            raw = np.ascontiguousarray(whole[first:stop, column.at : column.at + size])
            out[: stop - first] = self._digits(raw).reshape(stop - first, -1)
        if self._tail and last > n_full:
            n = self._in_tail(column)
            begin = n_full * self._record_bytes + column.at
            out[-1, :n] = self._digits(np.array(self._data[begin : begin + n * self._width]))
        return out * column.gain + column.offset

    def _digits(self, raw: NDArray[np.uint8]) -> NDArray[np.int32]:
        if self._width == 2:
            return raw.view("<i2").astype(np.int32)
        parts = raw.reshape(*raw.shape[:-1], -1, 3).astype(np.int32)
        return np.asarray(parts[..., 0] | parts[..., 1] << 8 | (parts[..., 2] << 24) >> 8, np.int32)

    def _onsets(self, column: _Column, duration_s: float, notes: list[str]) -> NDArray[np.float64]:
        """Start of each record, s from the first one's, as its first time stamp says."""
        size = column.per_record * self._width
        onsets = np.empty(self._n_records)
        lost = 0
        for k in range(self._n_records):
            at = k * self._record_bytes + column.at
            found = _ONSET.match(bytes(self._data[at : at + min(size, 64)]))
            onset = float(found[1]) if found else np.nan
            follows = onsets[k - 1] + duration_s if k else 0.0
            if not np.isfinite(onset) or (k and onset < follows - 1e-3):
                lost += 1
                onset = follows
            onsets[k] = onset
        if lost:
            notes.append(
                f"{lost} data records without a time stamp that makes sense: read as following"
            )
        onsets -= onsets[0]
        if not onsets[-1] < 2**40:
            raise RecordingError(f"{column.label}: time stamps of {onsets[-1]:g} s: corrupt file")
        gaps = int((np.diff(onsets) > duration_s + 1e-3).sum())
        if gaps:
            total = onsets[-1] + duration_s - self._n_records * duration_s
            notes.append(f"{gaps} gap{'s' * (gaps > 1)} between data records, {total:.2f} s in all")
        return onsets


def _header(path: Path, width: int, notes: list[str]) -> tuple[bytes, list[_Column]]:
    with path.open("rb") as file:
        fixed = file.read(_FIXED)
        count = _integer(fixed[252:256], -1)
        if len(fixed) < _FIXED or not 0 < count <= MAX_SIGNALS:
            raise RecordingError(f"{path}: an EDF header that names no number of signals")
        table = file.read(_FIXED * count)
    if len(table) < _FIXED * count:
        raise RecordingError(f"{path} is truncated inside its header: fetch or export it again")
    fields: list[list[bytes]] = []
    at = 0
    for size in _FIELDS:
        fields.append([table[at + i * size : at + (i + 1) * size] for i in range(count)])
        at += size * count
    columns: list[_Column] = []
    place = 0
    for i in range(count):
        column = _column(path, [field[i] for field in fields], place, notes)
        columns.append(column)
        place += column.per_record * width
    return fixed, columns


def _column(path: Path, fields: list[bytes], place: int, notes: list[str]) -> _Column:
    """One signal of the header; ``place`` is its first byte in a data record."""
    label, unit = _text(fields[0]), _text(fields[2])
    per_record = _integer(fields[8], -1)
    if not 0 <= per_record <= 2**26:
        raise RecordingError(f"{path}: {per_record} samples a record of {label}: corrupt header")
    limits = [_decimal(field) for field in fields[3:7]]
    known = [limit for limit in limits if limit is not None]
    if len(known) == 4 and known[0] != known[1] and known[2] != known[3]:
        low, high, digital_low, digital_high = known
        gain = (high - low) / (digital_high - digital_low)
        return _Column(label, unit, gain, low - gain * digital_low, per_record, place)
    if label not in ANNOTATIONS:
        notes.append(f"{label} is uncalibrated: taken as it is stored")
        unit = ""
    return _Column(label, unit, 1.0, 0.0, per_record, place)


def _duration_s(path: Path, fixed: bytes) -> float:
    """Length of a data record, s; 0 where the file holds annotations alone."""
    duration_s = _decimal(fixed[244:252])
    if duration_s is None or duration_s < 0:
        raise RecordingError(f"{path}: duration of a data record is no number: corrupt header")
    return duration_s


def _text(field: bytes) -> str:
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.replace("\0", " ").strip()


def _decimal(field: bytes) -> float | None:
    try:
        value = float(field.decode("latin-1").replace(",", ".").strip("\0 "))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _integer(field: bytes, otherwise: int) -> int:
    value = _decimal(field)
    return int(value) if value is not None and abs(value) < 2**53 else otherwise


def _start(fixed: bytes, notes: list[str]) -> Start | None:
    """Start of the recording; 01.01.00 00.00.00, which anonymisers write, is none."""
    numbers = [re.findall(r"\d+", fixed[a : a + 8].decode("latin-1")) for a in (168, 176)]
    try:
        (day, month, year), (hour, minute, second) = ([int(n) for n in part] for part in numbers)
        year += 1900 if year >= 85 else 2000
        written = re.search(rb"Startdate (\d\d)-(\w{3})-(\d{4})", fixed[88:168])
        if written:
            year = int(written[3])
        start = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        notes.append(
            f"start {fixed[168:184].decode('latin-1').strip()!r} is no date and time: ignored"
        )
        return None
    if (start.year, start.month, start.day) == (2000, 1, 1):
        return start.time() if start.time() != datetime.time() else None
    return start


def _sniff(head: bytes, path: Path) -> bool:
    if path.suffix.lower() == ".hea" or len(head) < 8:
        return False
    if head[:8] == b"\xffBIOSEMI":
        return True
    # byte 252 on: the number of signals; 184: bytes of the header
    return head[:8].strip(b"\0 ") == b"0" and bool(
        re.fullmatch(rb"[\d.+, \0]{1,8}", head[184:192] or b"x")
    )


READER = Reader("EDF, EDF+C, EDF+D, BDF", (".edf", ".bdf", ".rec"), "", _sniff, EdfFile)
