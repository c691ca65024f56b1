# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which reader takes a file. The folder ``formats`` is the registry: no list stands elsewhere."""

from __future__ import annotations

import functools
import glob
import importlib
import pkgutil
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import formats
from ecgqa_tflite.recording.file import Reader, ReadOptions, RecordingFile
from ecgqa_tflite.recording.formats import delimited, wfdb
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
    if re.match(r"[a-z][a-z0-9+.-]+:/", text, re.IGNORECASE):  # a Path has one slash
        raise RecordingError(f"{text}: nothing is fetched from a URL: download it first")
    path = Path(path)
    if path.is_dir() and wfdb.find_header(path) is None:
        raise RecordingError(f"{path} is a folder, not a recording{_example(path)}")
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


def expanded(names: Sequence[str]) -> list[Path]:
    """See :func:`ecgqa_tflite.recording.expanded`."""
    found: dict[Path, Path] = {}
    for name in names:
        # where nothing is inside, opening it says so
        for recording in _recordings(_inside(name)) or [Path(name)]:
            whole = wfdb.find_header(recording) or recording
            found.setdefault(whole.absolute(), recording)
    return list(found.values())


def _inside(name: str) -> list[Path]:
    """Files of a folder or pattern; none for what names a recording."""
    path = Path(name)
    if wfdb.find_header(path) is not None:
        return []
    if path.is_dir():
        return _below(path)
    if not glob.has_magic(name) or sibling(path) is not None:
        return []
    found = [Path(p) for p in glob.glob(name, recursive=True)]
    return found + [p for folder in found if folder.is_dir() for p in _below(folder)]


def _below(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if not _hidden(p.relative_to(folder))]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _recordings(paths: Iterable[Path]) -> list[Path]:
    """Which of many files are recordings, sorted.

    A WFDB record is its header; neither its signal files nor the segments of a longer record are
    recordings of their own.
    """
    found: list[Path] = []
    parts: set[Path] = set()
    for path in sorted(p for p in set(paths) if p.is_file()):
        if path.suffix.lower() == ".hea":
            found.append(path)
            parts |= wfdb.parts_of(path)
        elif _reader_of(path, _head(path)) not in (None, wfdb.READER):
            found.append(path)
    return [path for path in found if path not in parts]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _reader_of(path: Path, head: bytes) -> Reader | None:
    """The reader of a file, None where it is none's or of a kind that is known and not read."""
    for general in (False, True):
        for reader in readers():
            if reader.general == general and reader.sniff(head, path):
                return reader
        if why_not(head, path):
            return None
    return None


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    head = _head(path)
    reader = _reader_of(path, head)
    if reader is None and path.suffix.lower() in (".csv", ".tsv") and not why_not(head, path):
        reader = delimited.READER  # it says what kind of table is wanted
    if reader is not None:
        _refuse_idle(path, reader, options)
        opened = reader.open(path, options)
        opened.format = reader.name
        return opened
    reason = why_not(head, path)
    if reason:
        raise RecordingError(f"{path} {reason}")
    header = sibling(path.with_suffix(".hea"))
    if header is not None:
        wfdb.READER.open(header, options)  # says so where the record has no signal at all
        raise RecordingError(f"{path} holds no signal of record {header.stem}: name {header}")
    raise RecordingError(
        f"{path} is no recording that can be read, neither a WFDB record (header .hea and signal) "
        "nor another format that `ecgqa formats` lists; wfdb.wrsamp writes a record from an array "
        "in mV"
    )


def _refuse_idle(path: Path, reader: Reader, options: ReadOptions) -> None:
    """Raise where an option would have no effect on this format."""
    for name in ("columns", "channels", "counts_per_mv"):
        if getattr(options, name) not in (None, ()) and name not in reader.takes:
            option = {"columns": "column"}.get(name, name.replace("_", "-"))
            raise RecordingError(f"{path} is read as {reader.name}, which --{option} is not for")


def _example(folder: Path) -> str:
    records = sorted(p.stem for p in folder.glob("*.hea"))[:1]
    if records:
        return f": name one of its records, for example {folder / records[0]}"
    return ", and holds none: `ecgqa formats` lists what is read"


def _missing(path: Path) -> str:
    """What to say of a path where nothing is."""
    if path.is_symlink():
        return f"{path} is a link to {path.readlink()}, which is missing"
    if glob.has_magic(str(path)):
        return f"{path} holds no recording: `ecgqa formats` lists what is read"
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
