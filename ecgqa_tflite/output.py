# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Outputs appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgqa_tflite.errors import ArgumentError, OutputExistsError

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
BUILT = "build/"
"""What a bundle's own Makefile makes beside the files of its manifest."""


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise :class:`OutputExistsError` where ``path`` exists and may not be replaced.

    Of a folder nothing goes but what its own list of files names: a user's files are spared.
    """
    if os.path.lexists(path) and not overwrite:  # a link that leads nowhere is there too
        raise OutputExistsError(f"{path} exists already: name another output or pass --overwrite")
    if not path.is_dir():
        return
    listed = _listed(path)
    found = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if not p.is_dir())
    built = (BUILT,) if MANIFEST in listed else ()
    if foreign := [n for n in found if n not in listed and not n.startswith(built)]:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise OutputExistsError(
            f"{path} holds files that this tool has not written ({foreign[0]}{more}): name another "
            f"output, or move them"
        )


def _listed(folder: Path) -> set[str]:
    """Files that a folder of ours says it holds, its list among them; none where there is none."""
    listed: set[str] = set()
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        names = {m[1] for line in lines if (m := re.fullmatch(r"[0-9a-f]{64} [ *](.+)", line))}
        listed |= names | ({SUMS} if names else set())
    except (OSError, ValueError):
        pass
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        listed |= {*manifest["files"], MANIFEST}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    return listed


def refuse_unwritable(path: Path) -> None:
    """Raise :class:`ArgumentError` where no folder ``path`` can be made, before any work."""
    if path.is_file():
        raise ArgumentError(f"{path} is a file, and a folder is to be written: name another output")
    _refuse_unwritable_place(path)


def refuse_unwritable_file(path: Path) -> None:
    """Raise :class:`ArgumentError` where no file ``path`` can be made, before any work."""
    if path.is_dir():
        raise ArgumentError(f"{path} is a folder, and a file is to be written: name another output")
    refuse_special(path)
    _refuse_unwritable_place(path)


def refuse_special(path: Path) -> None:
    """Raise :class:`ArgumentError` for a device or pipe: a file would take its place."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ArgumentError(
            f"{path} is no file but a device or pipe, which is not replaced: name a file"
        )


def _refuse_unwritable_place(path: Path) -> None:
    place = next(p for p in path.absolute().parents if p.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ArgumentError(f"{path}: nothing can be written in {place}: name another output")


def refuse_swallowing(path: Path, *inputs: Path | None) -> None:
    """Raise :class:`ArgumentError` where replacing ``path`` would remove an input with it."""
    whole = path.resolve()
    for given in (Path.cwd(), *(x for x in inputs if x is not None and x.exists())):
        if given.resolve().is_relative_to(whole):
            raise ArgumentError(
                f"{path} holds {given}, which would go with it: name another output"
            )


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise :class:`ArgumentError` where an output is a file that is read."""
    read = [path for path in inputs if path.exists()]
    for out in outputs:
        if out.exists() and any(out.samefile(path) for path in read):
            raise ArgumentError(f"{out} is part of the recording itself: name another output")


@contextmanager
def whole_file(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it becomes ``path`` if the block succeeds.

    The temporary name keeps the suffix, so that writers which choose a format by it work.

    Raises
    ------
    OutputExistsError
        ``path`` exists and ``overwrite`` is false; nothing has been written.
    ArgumentError
        It is a device or pipe.
    """
    path = Path(path)
    refuse_special(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(
    path: str | Path, overwrite: bool = False, *, carried: bool = False
) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it becomes ``path`` if the block succeeds.

    A folder that is replaced is moved aside first and removed last, so an interruption leaves
    the old or the new one, whole.

    Parameters
    ----------
    carried
        The block copies what is there, so files that no list names may be there.

    Raises
    ------
    OutputExistsError
        ``path`` exists and ``overwrite`` is false, or it is or holds what this package has not
        written; nothing has been written.
    """
    path = Path(path)
    if not carried:
        refuse_existing(path, overwrite)
    if path.is_file():
        raise OutputExistsError(f"{path} is a file, and a folder is to be written: name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        old = None
        try:
            if os.path.lexists(path):
                old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
                os.replace(path, old / path.name)
            os.replace(temporary, path)
        finally:
            if old is not None:
                if not os.path.lexists(path):
                    os.replace(old / path.name, path)
                shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    """The process's umask, which mkstemp and mkdtemp ignore."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
