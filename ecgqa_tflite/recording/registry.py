# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which reader takes a file. The folder ``formats`` is the registry: no list stands elsewhere."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from pathlib import Path

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import formats
from ecgqa_tflite.recording.file import Reader, ReadOptions, RecordingFile
from ecgqa_tflite.recording.formats import wfdb
from ecgqa_tflite.recording.text import sibling
from ecgqa_tflite.recording.unreadable import why_not

HEAD_BYTES = 65536
"""Bytes of a file that readers look at to tell whose it is."""


@functools.cache
def readers() -> tuple[Reader, ...]:
    """Every reader, those that sniff broadly last."""
    found = [
        importlib.import_module(f"{formats.__name__}.{module.name}").READER
        for module in pkgutil.iter_modules(formats.__path__)
    ]
    return tuple(sorted(found, key=lambda reader: (reader.general, reader.name)))


def open_file(path: str | Path, options: ReadOptions | None = None) -> RecordingFile:
    """Open a recording; see :func:`ecgqa_tflite.recording.open_recording`."""
    options = options or ReadOptions()
    text = str(path)
    if re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE):
        raise RecordingError(f"{text}: nothing is fetched from a URL: download it first")
    path = Path(path)
    if path.is_dir():
        raise RecordingError(f"{path} is a folder, not a recording{_example(path)}")
    if "::" in str(path.absolute()):
        raise RecordingError(f"{path}: wfdb can't open a path with '::': rename it")
    found = sibling(path)
    if found is None:
        header = wfdb.find_header(path)
        if header is None:
            raise RecordingError(_missing(path))
        found = header
    try:
        return _open(found, options)
    except RecordingError:
        raise
    except MemoryError as error:
        raise RecordingError(
            f"{path} does not fit in this machine's memory: cut it into shorter records"
        ) from error
    except OSError as error:
        raise RecordingError(f"{path} can't be read: {error.strerror or error}") from error


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for reader in readers():
        if not reader.general and reader.sniff(head, path):
            return reader.open(path, options)
    reason = why_not(head, path)
    if reason:
        raise RecordingError(f"{path} {reason}")
    for reader in readers():
        if reader.general and reader.sniff(head, path):
            return reader.open(path, options)
    header = sibling(path.with_suffix(".hea"))
    if header is not None:
        wfdb.READER.open(header, options)  # says so where the record has no signal at all
        raise RecordingError(f"{path} holds no signal of record {header.stem}: name {header}")
    raise RecordingError(
        f"{path} is no recording that can be read, neither a WFDB record (header .hea and signal) "
        "nor another format that `ecgqa formats` lists; wfdb.wrsamp writes a record from an array "
        "in mV"
    )


def _example(folder: Path) -> str:
    records = sorted(p.stem for p in folder.glob("*.hea"))[:1]
    return f": name one of its records, for example {folder / records[0]}" if records else ""


def _missing(path: Path) -> str:
    """What to say of a path where nothing is."""
    beside = []
    if path.parent.is_dir():
        stem = path.stem if path.suffix else path.name
        beside = sorted(
            p.name for p in path.parent.iterdir()
            if p.is_file() and path.name and p.name != path.name
            and (p.stem == path.name or p.stem == stem)
        )  # fmt: skip
    if beside:
        return f"{path} is missing, but {', '.join(beside[:3])} is there: name that"
    message = (
        f"{path} is missing; so is {path.name}.hea: name a WFDB record by the path of its header"
    )
    message += ", with or without .hea"
    if len(path.parts) == 2 and re.fullmatch(r"[a-z][a-z0-9-]*", path.parts[0]):
        message += f"; `ecgqa data get {path.parts[0]}` fetches a set that it knows"
    return message
