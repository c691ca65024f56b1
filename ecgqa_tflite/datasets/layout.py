# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Finding a published set inside a folder and reading its lists, with errors that help."""

from __future__ import annotations

from pathlib import Path

from ecgqa_tflite.errors import DatasetError


def read_text(path: Path) -> str:
    """A text file of a set, UTF-8 with or without byte order mark.

    Raises
    ------
    DatasetError
        It can't be read, or is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a text file (UTF-8)") from error


def find_folder(folder: Path, marker: str, name: str) -> Path:
    """The folder that holds ``marker``: ``folder``, ``folder/name``, or one below either.

    Publishers unpack to ``challenge-2017/training2017``, downloads to one level more or less; both
    are taken.

    Raises
    ------
    DatasetError
        The folder doesn't exist or holds no ``marker``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; get the set with: ecgqa data get {name}")
    for base in (folder / name, folder):
        if (base / marker).exists():
            return base
        below = sorted(base.glob(f"*/{marker}")) if base.is_dir() else []
        if len(below) == 1:
            return below[0].parent
    raise DatasetError(
        f"{folder} holds no {marker}: not the layout of {name}; "
        f"get the set with: ecgqa data get {name}"
    )
