# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Where records and results lie: a folder of this machine, or a store that fsspec opens.

fsspec finds the credentials (environment, configuration files, instance roles): nothing of them
passes through here.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ecgqa_tflite.errors import StorageError
from ecgqa_tflite.output import whole_file

PAUSES_S = (0.5, 2.0)
"""Waits before a store is asked again; its own client has tried several times by then."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_LASTING = (FileNotFoundError, PermissionError, ModuleNotFoundError)
T = TypeVar("T")


def is_url(path: str) -> bool:
    """Whether ``path`` lies in a store and not on this machine."""
    return _URL.match(path) is not None


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Turn whatever a disk or a store complains of into :class:`StorageError`, one line."""
    try:
        yield
    except (StorageError, ModuleNotFoundError):
        raise
    except OSError as error:
        raise StorageError(f"{where}: {error.strerror or error or type(error).__name__}") from error
    except Exception as error:  # each store has exceptions of its own
        if not is_url(where):
            raise
        raise StorageError(f"{where}: {str(error) or type(error).__name__}") from error


def filesystem(url: str) -> tuple[Any, str]:
    """Fsspec's file system of a URL, and the path in it.

    Raises
    ------
    StorageError
        Nothing opens such a URL, or not with what is installed.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ValueError, ImportError) as error:
        raise StorageError(f"{url}: {error}: pip install '.[cloud]'") from error


def persistently(where: str, ask: Callable[[], T]) -> T:
    """``ask()``, again after each of :data:`PAUSES_S` where the store fails.

    Raises
    ------
    StorageError
        It failed each time, or for a reason that lasts.
    """
    for pause_s in PAUSES_S:
        try:
            return ask()
        except _LASTING:
            break
        except Exception:  # asked again, and told the last time
            time.sleep(pause_s)
    with storage_errors(where):
        return ask()


class Folder(Protocol):
    """A place for files that appear whole or not at all; names have ``/`` between their parts."""

    url: str

    def read(self, name: str) -> bytes | None:
        """Content of a file, None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, in the place of one that is."""

    def delete(self, name: str) -> None:
        """Remove a file, where there is one."""


class LocalFolder:
    """A :class:`Folder` of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = str(path)

    def read(self, name: str) -> bytes | None:
        """See :meth:`Folder.read`."""
        with storage_errors(str(self.path / name)):
            try:
                return (self.path / name).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.write`."""
        with (
            storage_errors(str(self.path / name)),
            whole_file(self.path / name, overwrite=True) as temporary,
        ):
            temporary.write_bytes(content)

    def delete(self, name: str) -> None:
        """See :meth:`Folder.delete`."""
        with storage_errors(str(self.path / name)):
            (self.path / name).unlink(missing_ok=True)


class StoreFolder:
    """A :class:`Folder` in a store, whose uploads appear whole."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._fs, self._root = filesystem(self.url)

    def read(self, name: str) -> bytes | None:
        """See :meth:`Folder.read`."""

        def ask() -> bytes | None:
            try:
                return bytes(self._fs.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

        return persistently(f"{self.url}/{name}", ask)

    def write(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.write`."""
        persistently(
            f"{self.url}/{name}", lambda: self._fs.pipe_file(f"{self._root}/{name}", content)
        )

    def delete(self, name: str) -> None:
        """See :meth:`Folder.delete`."""

        def ask() -> None:
            if self._fs.exists(f"{self._root}/{name}"):
                self._fs.rm_file(f"{self._root}/{name}")

        persistently(f"{self.url}/{name}", ask)


def folder(url: str) -> Folder:
    """The folder at a path or URL."""
    return StoreFolder(url) if is_url(url) else LocalFolder(Path(url).absolute())


def stored_digest(info: dict[str, Any]) -> str:
    """What a store says of a file's content: its ETag or checksum, else size and time."""
    for key in ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "checksum"):
        if info.get(key):
            return f"{key.lower()}:{str(info[key]).strip(chr(34))}"
    told = sorted((k, str(v)) for k, v in info.items() if k in ("size", "mtime", "LastModified"))
    return f"stat:{hashlib.sha256(repr(told).encode()).hexdigest()}"
