# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Names and text as people's files have them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def encoding_of(head: bytes) -> str:
    """UTF-8, UTF-16 with a byte order mark, else Latin-1, of text that begins with ``head``."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character that the end of the head cuts is none
            return "latin-1"
    return "utf-8"


def decode(content: bytes) -> tuple[str, str]:
    """Text and its encoding; bytes that make no sense become U+FFFD."""
    encoding = encoding_of(content)
    if encoding == "utf-8":
        try:
            return content.decode(), encoding
        except UnicodeDecodeError:
            encoding = "latin-1"
    return content.decode(encoding, "replace"), encoding


def sibling(path: Path) -> Path | None:
    """The file ``path``, or the one whose name differs in case or Unicode form alone."""
    if path.is_file():
        return path
    wanted = _plain(path.name)
    try:
        alike = [p for p in path.parent.iterdir() if _plain(p.name) == wanted and p.is_file()]
    except OSError:
        return None
    return alike[0] if len(alike) == 1 else None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
