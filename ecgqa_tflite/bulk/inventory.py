# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which records a list of paths and globs names, and which files each is made of."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ecgqa_tflite.bulk.storage import (
    filesystem,
    is_url,
    persistently,
    storage_errors,
    stored_digest,
)
from ecgqa_tflite.errors import ArgumentError, StorageError
from ecgqa_tflite.model_folder import sha256_of
from ecgqa_tflite.progress import Count
from ecgqa_tflite.recording.text import decode

HEADER = ".hea"
LONGEST_HEADER = 4 * 2**20
"""Bytes; what is longer is no WFDB header, and reading it will say so."""

THREADS = min(8, os.cpu_count() or 1)
"""Files are hashed, or stores asked, so many at a time."""


UNREAD = "unread"
"""Digest of a file that was there and could not be read."""


@dataclass(frozen=True)
class File:
    """A file of a record.

    Attributes
    ----------
    name
        Relative to the record's folder.
    size
        Bytes.
    digest
        ``sha256:`` and 64 hex digits, or what its store says of the content, or ``UNREAD``.
    """

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Found:
    """A record: its path or URL, and its files, that of the path first."""

    path: str
    files: tuple[File, ...]


def find(patterns: Sequence[str], progress: Count | None = None) -> list[Found]:
    """Every record that ``patterns`` name, sorted, each once.

    Signal files and segments of a WFDB record are part of it, matched or not. Local files are
    read once, for their checksums; a store is asked for those it has.

    Raises
    ------
    ArgumentError
        A pattern that nothing matches, or a folder.
    StorageError
        A store does not answer.
    """
    paths = sorted({path for pattern in patterns for path in _matches(pattern)})
    with ThreadPoolExecutor(THREADS) as pool:
        names = list(pool.map(_names, paths))
        part = {_beside(p, n) for p, own in zip(paths, names, strict=True) for n in own[1:]}
        records = [(p, own) for p, own in zip(paths, names, strict=True) if p not in part]
        found: list[Found] = []
        for record in pool.map(lambda r: Found(r[0], _described(*r)), records):
            found.append(record)
            if progress is not None:
                progress(len(found), len(records))
    return found


def describe(path: str) -> File:
    """Size and digest of one file as they are now; its name is the path's last part."""
    name = PurePosixPath(path).name
    if is_url(path):
        fs, inside = filesystem(path)
        info: dict[str, Any] = persistently(path, lambda: _fresh_info(fs, inside))
        return File(name, int(info.get("size") or 0), stored_digest(info))
    with storage_errors(path):
        return File(name, os.path.getsize(path), f"sha256:{sha256_of(Path(path))}")


def _fresh_info(fs: Any, path: str) -> dict[str, Any]:
    fs.invalidate_cache()  # a listing of this morning says nothing of now
    return dict(fs.info(path))


def _described(path: str, names: Iterable[str]) -> tuple[File, ...]:
    return tuple(_file(_beside(path, name), name) for name in names)


def _file(path: str, name: str) -> File:
    try:
        return replace(describe(path), name=name)
    except StorageError:
        if is_url(path):
            raise
        return File(name, 0, UNREAD)  # one file of many; the run says why


def _beside(path: str, name: str) -> str:
    return path[: path.rfind("/") + 1] + name


def _matches(pattern: str) -> list[str]:
    """Files that a path or glob names, as absolute paths or URLs."""
    if is_url(pattern):
        fs, inside = filesystem(pattern)
        if glob.has_magic(inside):
            found = persistently(pattern, lambda: fs.glob(inside, detail=True))
            files = [name for name, info in found.items() if info.get("type") != "directory"]
        else:
            files = [inside]
        matches = [str(fs.unstrip_protocol(name)) for name in files]
    else:
        if os.path.isdir(pattern):
            raise ArgumentError(f"{pattern} is a folder: give a glob, such as '{pattern}/**/*.hea'")
        literal = os.path.exists(pattern) or os.path.exists(pattern + HEADER)
        names = [pattern] if literal else glob.glob(pattern, recursive=True)
        files = [n if os.path.exists(n) else n + HEADER for n in names if not os.path.isdir(n)]
        matches = [os.path.abspath(name) for name in files]
    if not matches:
        raise ArgumentError(f"{pattern}: no file is there; put globs in quotes")
    return matches


def _names(path: str) -> list[str]:
    """Names of a record's files, its own first."""
    own = PurePosixPath(path).name
    if not own.endswith(HEADER):
        return [own]
    return list(dict.fromkeys([own, *_named(path, own, _reader(path))]))


def _reader(path: str) -> Callable[[str], bytes | None]:
    """From the name of a file beside ``path`` to its content, where it is there and small."""
    if is_url(path):
        fs, _ = filesystem(path)

        def read(name: str) -> bytes | None:
            def ask() -> bytes | None:
                try:
                    return bytes(fs.cat_file(_beside(path, name), start=0, end=LONGEST_HEADER))
                except FileNotFoundError:
                    return None

            return persistently(_beside(path, name), ask)

        return read

    def read_local(name: str) -> bytes | None:
        place = _beside(path, name)
        with storage_errors(place):
            if not os.path.isfile(place) or os.path.getsize(place) > LONGEST_HEADER:
                return None
            return Path(place).read_bytes()

    return read_local


def _named(path: str, header: str, read: Callable[[str], bytes | None]) -> list[str]:
    """Files that a header names and that are there: signals, segments and their signals.

    What a header says is not trusted: nothing outside the record's folder is looked at.
    """
    lines = [line.strip() for line in decode(read(header) or b"")[0].splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        return []
    segmented = "/" in lines[0].split()[0]
    found = []
    for line in lines[1:]:
        name = line.split()[0] + HEADER if segmented else re.split(r"\s+(?=\d)", line)[0]
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or not _exists(_beside(path, name)):
            continue
        found.append(name)
        if segmented and name != header:
            found += _named(path, name, lambda n: None if n == header else read(n))
    return found


def _exists(path: str) -> bool:
    if is_url(path):
        fs, inside = filesystem(path)
        return bool(persistently(path, lambda: fs.exists(inside)))
    return os.path.isfile(path)
