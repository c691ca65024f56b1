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

try:
    import fcntl
except ImportError:  # Windows: what a killed writer left stays there
    fcntl = None  # type: ignore[assignment]

from ecgqa_tflite.errors import ArgumentError, OutputExistsError

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
TEMPORARY = ".ecgqa"
"""In the names of what is being written: .NAME.ecgqa beside NAME."""
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

    The temporary name keeps the suffix, so that writers which choose a format by it work. What a
    writer that was killed left under it goes.

    Raises
    ------
    OutputExistsError
        ``path`` exists and ``overwrite`` is false, before or after; it stays as it is.
    ArgumentError
        It is a device or pipe.
    """
    path = Path(path)
    refuse_special(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path.with_name(f".{path.stem}{TEMPORARY}{path.suffix}"), folder=False) as temporary:
        yield temporary
        refuse_existing(path, overwrite)  # another run may have been faster
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)


@contextmanager
def whole_folder(
    path: str | Path, overwrite: bool = False, *, carried: bool = False
) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it becomes ``path`` if the block succeeds.

    A folder that is replaced is moved aside first and removed last, so an interruption leaves
    the old or the new one, whole. Where a writer was killed in between, the next one brings the
    old one back before it begins.

    Parameters
    ----------
    carried
        The block copies what is there, so files that no list names may be there.

    Raises
    ------
    OutputExistsError
        ``path`` exists and ``overwrite`` is false, or it is or holds what this package has not
        written, before or after; it stays as it is.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}{TEMPORARY}-old")
    if not os.path.lexists(path) and aside.is_dir():
        with _held(aside, folder=True, emptied=False) as held:
            if (held / path.name).is_dir() and not os.path.lexists(path):
                os.replace(held / path.name, path)
    if not carried:
        refuse_existing(path, overwrite)
    if path.is_file():
        raise OutputExistsError(f"{path} is a file, and a folder is to be written: name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        _held(path.with_name(f".{path.name}{TEMPORARY}"), folder=True) as temporary,
        _held(aside, folder=True) as old,
    ):
        yield temporary
        if not carried:
            refuse_existing(path, overwrite)  # another run may have been faster
        temporary.chmod(0o777 & ~_umask())
        try:
            if os.path.lexists(path):
                os.replace(path, old / path.name)
            os.replace(temporary, path)
        finally:
            if not os.path.lexists(path) and os.path.lexists(old / path.name):
                os.replace(old / path.name, path)


@contextmanager
def _held(place: Path, *, folder: bool, emptied: bool = True) -> Iterator[Path]:
    """``place``, empty and locked, or a name of one's own where another writer has it.

    One name for one output, so that what a killed writer left is found by the next; the system
    takes the lock of a process that dies.
    """
    lock = _lock(place, folder)
    if lock is None:
        prefix = f"{place.stem}-"
        if folder:
            place = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
        else:
            handle, name = tempfile.mkstemp(place.suffix, prefix, place.parent)
            os.close(handle)
            place = Path(name)
    try:
        if emptied:
            _empty(place)
        yield place
    finally:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _lock(place: Path, folder: bool) -> int | None:
    """A descriptor that locks ``place``, which is made where it is not there; None: not to be had.

    Nothing that isn't ours is taken: no link, nor what another user put there.
    """
    if fcntl is None:
        return None
    handle = None
    try:
        if folder:
            place.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_CREAT
        handle = os.open(place, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found, named = os.fstat(handle), os.lstat(place)
        mine = found.st_uid == os.geteuid() and (folder or found.st_nlink == 1)
        if mine and os.path.samestat(found, named):  # it wasn't renamed before it was locked
            return handle
    except OSError:  # someone has it, or there is no room: who writes will be told
        pass
    if handle is not None:
        os.close(handle)
    return None


def _empty(place: Path) -> None:
    """Remove what lies in a folder or file that stays."""
    if not place.is_dir():
        os.truncate(place, 0)
        return
    for child in place.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _umask() -> int:
    """The process's umask, which mkstemp and mkdtemp ignore."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
