# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""MATLAB arrays, ``.mat`` up to version 7, that are no WFDB record's signal file."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import mat5
from ecgqa_tflite.recording.file import ArrayFile, Reader, ReadOptions, RecordingFile, require_rate
from ecgqa_tflite.recording.formats.numpy_file import leads_of

MAX_BYTES = 2**30
_RATE = re.compile(r"^(?:fs|srate|sr|sf|freq\w*|samp\w*(?:rate|freq\w*|fs)|hz)$", re.IGNORECASE)
_SIGNAL = re.compile(r"ecg|ekg|^val$|^data$|^sig|^lead|^x$|^y$", re.IGNORECASE)


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    variables = _flat(_content(path))
    numeric = {
        name: value
        for name, value in variables
        if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.size > 1
    }
    if not numeric:
        raise RecordingError(f"{path}: no array of numbers in it: save the ECG as one")
    name = _variable(path, numeric, options)
    leads = leads_of(path, numeric[name])
    rate = require_rate(path, options.fs_hz or _rate(variables))
    notes = [f"variable {name} of {', '.join(numeric)}"] if len(numeric) > 1 else []
    names = [name] if len(leads) == 1 else [f"{name}[{i}]" for i in range(len(leads))]
    return ArrayFile(path, leads, [(n, "", rate) for n in names], options, None, notes)  # type: ignore[arg-type]


def _content(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"{path} is over {MAX_BYTES} bytes: cut it")
    content = path.read_bytes()
    if content.startswith(b"MATLAB 5.0") and not mat5.is_sound(content, MAX_BYTES):
        raise RecordingError(f"{path}: a .mat file that is corrupt or truncated")
    try:
        # struct_as_record keeps what is in it data; no object is made
        return dict(loadmat(io.BytesIO(content), squeeze_me=True, struct_as_record=True))
    except NotImplementedError as error:
        raise RecordingError(f"{path} is an HDF5 .mat (version 7.3): save it with -v7") from error
    except Exception as error:  # scipy raises whatever its parsing met
        raise RecordingError(f"{path}: a .mat file that is corrupt or truncated") from error


def _rate(variables: list[tuple[str, Any]]) -> float | None:
    """The first variable that is named as a rate and can be one, Hz."""
    for key, value in variables:
        number = isinstance(value, (int, float, np.number))
        if number and _RATE.match(key.rsplit(".")[-1]) and 10 <= value <= 1e5:
            return float(value)
    return None


def _variable(path: Path, numeric: dict[str, Any], options: ReadOptions) -> str:
    if options.columns:
        wanted = str(options.columns[0])
        if wanted not in numeric:
            raise RecordingError(
                f"{path} has no variable {wanted!r}: choose among {', '.join(numeric)}"
            )
        return wanted
    named = [n for n in numeric if _SIGNAL.search(n.rsplit(".")[-1])]
    return max(named or numeric, key=lambda n: numeric[n].size)


def _flat(content: dict[str, Any], prefix: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    """Variables by name, those inside structures as ``structure.field``."""
    found: list[tuple[str, Any]] = []
    for name, value in content.items():
        if name.startswith("__"):
            continue
        if isinstance(value, np.void | np.ndarray) and value.dtype.names and depth < 4:
            inner = value if isinstance(value, np.void) else (value.flat[0] if value.size else None)
            if inner is not None:
                fields = {n: _plain(inner[n]) for n in value.dtype.names}
                found += _flat(fields, f"{prefix}{name}.", depth + 1)
        else:
            found.append((prefix + name, value))
    return found


def _plain(value: Any) -> Any:
    """What a field holds that squeezing left in an array without axes."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _sniff(head: bytes, path: Path) -> bool:
    if head.startswith(b"MATLAB 5.0") or head.startswith(b"MATLAB 7"):
        return True
    return path.suffix.lower() == ".mat" and not head.startswith(b"\x89HDF")


READER = Reader(
    "MATLAB array (to version 7)",
    (".mat",),
    "--fs where no variable states it",
    _sniff,
    _open,
    takes=("columns",),
)
