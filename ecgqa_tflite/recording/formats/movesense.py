# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Movesense ECGs: the JSON of its apps (``/Meas/ECG``) and of the showcase app.

Each packet has a time stamp in ms and some samples: counts, or mV where it gives ``ECGmV``.
Sources: Movesense API, resource /Meas/ECG (movesense-device-lib, meas/ecg.yaml); a count is
1/20/2**17 V, as Movesense's own staff say (stackoverflow.com/a/68001451).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import timeline
from ecgqa_tflite.recording.file import (
    ArrayFile,
    Reader,
    ReadOptions,
    RecordingFile,
    checked_rate,
    require_rate,
)
from ecgqa_tflite.recording.text import decode

MAX_BYTES = 512 * 2**20
UV_PER_COUNT = 1e6 / 20 / 2**17
"""0.38147 uV."""


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"{path} is over {MAX_BYTES} bytes: cut it")
    try:
        document = json.loads(decode(path.read_bytes())[0])
        packets, in_mv = _packets(document)
        stamps = np.concatenate([np.full(len(s), t / 1e3) for t, s in packets])
        samples = np.concatenate([np.asarray(s, np.float64) for _, s in packets])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RecordingError(
            f"{path}: ECG packets of Movesense that can't be understood"
        ) from error
    line = timeline.from_stamps(stamps, options.fs_hz)
    notes = [] if line is None else line.notes()
    if line is None:
        line = timeline.regular(len(samples), require_rate(path, options.fs_hz))
    checked_rate(path, line.fs_hz)
    if line.n_samples > 4 * len(samples) + 2**22:
        raise RecordingError(f"{path}: time stamps leave gaps of {line.n_samples} samples: corrupt")
    column = line.place(samples if in_mv else samples * UV_PER_COUNT, 0, line.n_samples)
    if not in_mv:
        notes.append(f"counts of {UV_PER_COUNT:.3f} uV, the sensor's usual scale")
    signals = [("ECG", "mV" if in_mv else "uV", line.fs_hz)]
    return ArrayFile(path, [column], signals, options, None, notes)


def _packets(document: Any) -> tuple[list[tuple[float, list[float]]], bool]:
    """(stamp in ms, samples) of each packet, and whether samples are mV."""
    rows = document
    if isinstance(document, dict):
        rows = document.get("data", document.get("Data", [document]))
    packets: list[tuple[float, list[float]]] = []
    in_mv = False
    for row in rows if isinstance(rows, list) else [rows]:
        body = row.get("ecg") or row.get("ECG") or row.get("Body") or row
        if not isinstance(body, dict):
            continue
        samples = body.get("Samples", body.get("samples", body.get("ECGmV")))
        in_mv = in_mv or "ECGmV" in body or str(body.get("Unit", "")) == "mV"
        if isinstance(samples, list) and samples:
            packets.append((float(body.get("Timestamp") or body.get("timestamp") or 0), samples))
    if not packets:
        raise ValueError("no packet")
    return packets, in_mv


def _sniff(head: bytes, path: Path) -> bool:
    begin = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if begin[:1] not in (b"{", b"["):
        return False
    return b"amples" in head and b"imestamp" in head and (b"ecg" in head or b"ECG" in head)


READER = Reader("Movesense ECG (JSON)", (".json",), "", _sniff, _open)
