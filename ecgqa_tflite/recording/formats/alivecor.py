# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""AliveCor: ``.atc`` files of the Kardia app and the JSON of its API.

Source: AliveCor, "ATC File Format Specification 1.7" (2021, github.com/alivecor/ATCpy): a
signature and a version, then blocks of a four-letter name, a length, the data and a checksum;
``fmt `` has the format (1: 16-bit), the rate in Hz and the amplitude resolution in nV (its example:
300 and 500), ``info`` the time, ``ecg `` to ``ecgc`` the leads. Checksums are not compared.
"""

from __future__ import annotations

import datetime
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

MAX_BYTES = 64 * 2**20
DEFAULT_NV = 500.0
"""Amplitude resolution of every recorder so far, for files that state none."""

_MAGIC = b"ALIVE\0\0\0"
_LEADS = {
    b"ecg ": "I", b"ecg2": "II", b"ecg3": "III", b"ecg4": "aVR", b"ecg5": "aVL", b"ecg6": "aVF",
    b"ecg7": "V1", b"ecg8": "V2", b"ecg9": "V3", b"ecga": "V4", b"ecgb": "V5", b"ecgc": "V6",
}  # fmt: skip
_JSON_LEADS = {
    "leadI": "I",
    "leadII": "II",
    "leadIII": "III",
    "AVR": "aVR",
    "AVL": "aVL",
    "AVF": "aVF",
}


def _blocks(path: Path, options: ReadOptions) -> RecordingFile:
    content = path.read_bytes()
    at = len(_MAGIC) + 4
    rate: float | None = None
    nv = DEFAULT_NV
    start: Start | None = None
    notes: list[str] = []
    leads: dict[str, NDArray[np.float64]] = {}
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        body = content[at + 8 : at + 8 + size]
        if len(body) < size:
            notes.append("truncated: read to the end of what is there")
        if kind == b"fmt " and len(body) >= 5:
            rate = float(struct.unpack_from("<H", body, 1)[0])
            nv = float(struct.unpack_from("<H", body, 3)[0]) or nv
        elif kind == b"info":
            start = _start(body[:32].split(b"\0")[0].decode("latin-1"))
        elif kind in _LEADS:
            leads[_LEADS[kind]] = np.frombuffer(body[: len(body) // 2 * 2], "<i2") * nv
        at += 8 + size + 4
    if not leads or not max(map(len, leads.values())):
        raise RecordingError(f"{path}: an .atc file without a lead: export it again")
    fs_hz = require_rate(path, options.fs_hz or rate)
    return ArrayFile(
        path, list(leads.values()), [(n, "nV", fs_hz) for n in leads], options, start, notes
    )


def _document(path: Path, options: ReadOptions) -> RecordingFile:
    try:
        document = json.loads(decode(path.read_bytes())[0])
        data = document["data"]
        kind = "raw" if data.get("raw") else "enhanced"
        body: dict[str, Any] = data[kind]
        nv = float(body["amplitudeResolution"])
        with np.errstate(over="ignore", invalid="ignore"):  # what isn't finite is missing
            leads = {
                _JSON_LEADS.get(name, str(name)): np.asarray(samples, np.float64) * nv
                for name, samples in body["samples"].items()
                if isinstance(samples, list) and samples
            }
        rate = float(body["frequency"]) or None
        if not leads or any(a.ndim != 1 for a in leads.values()):
            raise ValueError("no lead")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RecordingError(f"{path}: an ECG of Kardia that can't be understood") from error
    notes = [] if kind == "raw" else ["the app's filtered signal: the raw one is not in the file"]
    fs_hz = require_rate(path, options.fs_hz or rate)
    return ArrayFile(
        path, list(leads.values()), [(n, "nV", fs_hz) for n in leads], options,
        _start(str(document.get("recordedAt", ""))), notes,
    )  # fmt: skip


def _start(text: str) -> Start | None:
    found = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", text)
    try:
        return datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}") if found else None
    except ValueError:
        return None


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith(b"ALIVE") or (
        head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{" and b"amplitudeResolution" in head
    )


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"{path} is over {MAX_BYTES} bytes: no recording of Kardia")
    with path.open("rb") as file:
        is_blocks = file.read(5) == b"ALIVE"
    return (_blocks if is_blocks else _document)(path, options)


READER = Reader("AliveCor Kardia (.atc, JSON)", (".atc", ".json"), "", _sniff, _open)
