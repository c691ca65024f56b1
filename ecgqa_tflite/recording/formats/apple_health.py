# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Apple Health ECGs: CSV of the Health export, in any language, and JSON of exporting apps."""

from __future__ import annotations

import datetime
import io
import json
import re
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
    checked_rate,
    require_rate,
)
from ecgqa_tflite.recording.text import decode

MAX_BYTES = 64 * 2**20
"""An ECG of the watch lasts 30 s."""

_RATE = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(?:hertz|hz|hercio\w*|h\u00e9rc\w*|\u8d6b|\u30d8\u30eb\u30c4)",
    re.IGNORECASE,
)
_SAMPLE = re.compile(r'"?\s*[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?\s*"?')
_UNIT = re.compile(
    r"[,;]\s*\"?((?:[\u00b5\u03bcumn]|micro|milli)?V(?:olts?)?)\"?\s*$", re.IGNORECASE
)
_LEAD = re.compile(
    r"(?:lead|ableitung|d\u00e9rivation|derivaci\u00f3n|derivazione|afleiding)\b.*?\b(I{1,3}|\d)\b",
    re.IGNORECASE,
)


def _table(path: Path, options: ReadOptions) -> RecordingFile:
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"{path} is over {MAX_BYTES} bytes: no ECG of Apple Health")
    text, _ = decode(path.read_bytes())
    lines = text.splitlines()
    first = _first_sample(lines)
    if first is None:
        raise RecordingError(f"{path}: an ECG of Apple Health without samples: export it again")
    above = "\n".join(lines[:first])
    rate = _RATE.search(above)
    unit = next((m[1] for line in lines[:first] if (m := _UNIT.search(line))), "")
    lead = next((m[1] for line in lines[:first] if (m := _LEAD.search(line))), "I")
    fs_hz = require_rate(
        path, options.fs_hz or (float(rate[1].replace(",", ".")) if rate else None)
    )
    samples = _samples(lines[first:])
    notes = [] if unit else ["no unit stated: uV, as Apple Health writes"]
    return ArrayFile(path, [samples], [(lead, unit or "uV", fs_hz)], options, _start(above), notes)


def _first_sample(lines: list[str]) -> int | None:
    """The first of the numbers that stand alone on their lines to the end."""
    for i, line in enumerate(lines):
        if line.strip() and _SAMPLE.fullmatch(line.strip().rstrip(",;")):
            return i
    return None


def _samples(lines: list[str]) -> NDArray[np.float32]:
    def value(line: str) -> float:
        plain = line.strip().strip(";").rstrip(",").strip('" ')
        try:
            return float(plain.replace(",", "."))
        except ValueError:
            return np.nan

    return np.array([value(line) for line in lines if line.strip()], np.float32)


def _start(text: str) -> Start | None:
    found = re.search(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", text)
    try:
        return datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}") if found else None
    except ValueError:
        return None


def _document(path: Path, options: ReadOptions) -> RecordingFile:
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"{path} is over {MAX_BYTES} bytes: no ECG of Apple Health")
    try:
        found = list(_ecgs(json.load(io.StringIO(decode(path.read_bytes())[0]))))
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path} is no whole JSON document: export it again") from error
    if not found:
        raise RecordingError(f"{path}: no ECG with voltageMeasurements in it")
    ecg = found[0]
    notes = [f"{len(found)} ECGs in the file: the first is read"] if len(found) > 1 else []
    try:
        points = ecg["voltageMeasurements"]
        values = np.array([_voltage(point) for point in points], np.float32)
        head = points[0] if isinstance(points[0], dict) else {"unit": "V"}
        unit = "uV" if "microVolts" in head else str(head.get("units", head.get("unit", "")))
        rate = float(ecg.get("samplingFrequency") or 0) or None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"{path}: an ECG whose measurements can't be understood") from error
    fs_hz = require_rate(path, options.fs_hz or rate)
    return ArrayFile(
        path, [values], [("I", unit, fs_hz)], options, _start(str(ecg.get("start", ""))), notes
    )


def _voltage(point: Any) -> float:
    """A measurement: an object, or time and voltage."""
    if isinstance(point, list):
        return float(point[1])
    value = point.get("voltage", point.get("microVolts"))
    if isinstance(value, dict):
        value = value.get("value", value.get("_value"))
    return np.nan if value is None else float(value)


def _ecgs(thing: Any, depth: int = 0) -> Any:
    """Every object that holds voltage measurements, however deep exporters put it."""
    if depth > 8:
        return
    if isinstance(thing, dict):
        if isinstance(thing.get("voltageMeasurements"), list) and thing["voltageMeasurements"]:
            yield thing
            return
        thing = list(thing.values())
    if isinstance(thing, list):
        for part in thing:
            yield from _ecgs(part, depth + 1)


def _is_document(head: bytes) -> bool:
    return (
        head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"[") and b"voltageMeasurements" in head
    )


def _sniff(head: bytes, path: Path) -> bool:
    if _is_document(head):
        return True
    text, _ = decode(head[:4096])
    # the words differ by language; a rate in hertz above a column of numbers does not
    lines = text.splitlines()
    first = _first_sample(lines)
    above = [line for line in lines[: first or 0] if line.strip()]
    return (
        first is not None
        and 4 <= len(above) <= 20
        and bool(_RATE.search("\n".join(above)))
        and all(re.match(r'"?[^,;"]{1,60}"?[,;]', line) for line in above)
    )


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    with path.open("rb") as file:
        head = file.read(65536)
    opened = (_document if _is_document(head) else _table)(path, options)
    checked_rate(path, opened.leads[0].fs_hz)
    return opened


READER = Reader("Apple Health ECG (CSV, JSON)", (".csv", ".json"), "", _sniff, _open)
