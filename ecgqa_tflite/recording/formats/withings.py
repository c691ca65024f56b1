# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Withings ECGs: ``raw_ecg`` files of the data export, and the signal of its public API.

The export has one row per recording: start and a bracketed list of samples; the API answers with
``signal`` and ``sampling_frequency``. Devices count in uV or in mV and the files do not say which:
it is told by size. Source: Withings public API, Heart v2 Get.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.file import (
    ArrayFile,
    Reader,
    ReadOptions,
    RecordingFile,
    Start,
    require_rate,
)
from ecgqa_tflite.recording.text import decode

MAX_BYTES = 256 * 2**20


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"{path} is over {MAX_BYTES} bytes: cut it")
    text = decode(path.read_bytes())[0].strip()
    notes: list[str] = []
    try:
        fields = (
            _document(text) if text[:1] in "{[" and "signal" in text[:4096] else _row(text, notes)
        )
        samples = np.asarray(fields["signal"], np.float64)
        if samples.ndim != 1 or not samples.size:
            raise ValueError("no samples")
        rate = float(fields.get("sampling_frequency") or 0)
        duration_s = float(fields.get("duration") or 0)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, csv.Error) as error:
        raise RecordingError(f"{path}: an ECG of Withings that can't be understood") from error
    if not 0 < rate < 1e6 and 0 < duration_s < 1e6:
        rate = round(samples.size / duration_s)
        notes.append(f"{rate} Hz from the duration stated")
    fs_hz = require_rate(path, options.fs_hz or rate or None)
    return ArrayFile(
        path, [samples], [("I", "", fs_hz)], options,
        _start(fields.get("start")), notes,
    )  # fmt: skip


def _document(text: str) -> dict[str, Any]:
    document = json.loads(text)
    body = document.get("body", document)
    if isinstance(body.get("signal"), dict):
        body = {**body, **body["signal"]}
    return dict(body)


def _row(text: str, notes: list[str]) -> dict[str, Any]:
    """The export's CSV: the longest list of the first row that has one."""
    csv.field_size_limit(MAX_BYTES)
    rows = [r for r in csv.reader(io.StringIO(text)) if r]
    header = [c.strip().casefold() for c in rows[0]]
    recordings = [row for row in rows if any(map(_is_list, row))]
    if len(recordings) > 1:
        notes.append(f"{len(recordings)} ECGs in the file: the first is read")
    row = recordings[0]
    cells = {} if row is rows[0] else dict(zip(header, row, strict=False))
    longest = max(filter(_is_list, row), key=len)
    return {
        "signal": [float(v) for v in longest.strip().strip("[]").split(",") if v.strip()],
        "start": cells.get("start") or cells.get("date") or row[0],
        "sampling_frequency": cells.get("frequency") or cells.get("sampling_frequency"),
        "duration": cells.get("duration"),
    }


def _is_list(cell: str) -> bool:
    return cell.lstrip().startswith("[")


def _start(value: Any) -> Start | None:
    try:
        return datetime.datetime.fromisoformat(str(value).strip('" ')).replace(tzinfo=None)
    except ValueError:
        return None


_NUMBER = rb"\s*-?\d+(?:\.\d+)?\s*"
_SAMPLES = re.compile(rb"\[" + _NUMBER + rb"(?:," + _NUMBER + rb"){15}")
"""More in a row than a list in somebody's program has."""


def _sniff(head: bytes, path: Path) -> bool:
    if re.match(rb"\s*\{", head):
        return b'"signal"' in head and (b"sampling_frequency" in head or b"wearposition" in head)
    name = path.name.casefold()
    first = head[:2000]
    return bool(_SAMPLES.search(head)) and (
        "ecg" in name or b"signal" in first or b"ecg" in first.lower()
    )


READER = Reader("Withings ECG (export, API)", (".csv", ".json"), "", _sniff, _open)
