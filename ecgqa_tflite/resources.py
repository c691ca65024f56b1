# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the files that travel with the package are, and those that can be made again."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _find(name: str) -> Path:
    """``name`` inside the installed package, or beside it in a checkout."""
    for parent in (_PACKAGE, _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"{name}/ is missing from this installation; reinstall ecgqa-tflite")


def firmware_bridge_dir() -> Path:
    """Folder of the C99 library's sources."""
    return _find("firmware_bridge")


def models_dir() -> Path:
    """Folder of the shipped models."""
    return _find("models")


def default_cache() -> Path:
    """``ecgqa`` in the user's cache folder (``$XDG_CACHE_HOME``, else ``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ecgqa"


UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for a file of the cache that is missing, cut short or damaged."""
