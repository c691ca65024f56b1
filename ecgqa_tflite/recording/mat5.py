# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a MATLAB 5 file is built as its format says, before scipy parses it.

scipy looks element types up without a check: a type that is none ends the process, not the call.
Source of the layout: MathWorks, "MAT-File Format" (MAT-File Level 5).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

HEADER_BYTES = 128
DEEPEST = 32
"""Structures in structures; each costs the stack of scipy's parser."""

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_NUMERIC = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13})
_TEXT = _NUMERIC | {16, 17, 18}
_CELL, _STRUCT, _OBJECT, _CHAR, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 16, 17


def is_sound(content: bytes, most_bytes: int) -> bool:
    """Whether every element of a file has a type that may stand there and lies within it.

    Parameters
    ----------
    content
        The whole file.
    most_bytes
        More than so many, unpacked, are refused.
    """
    order = ">" if content[126:128] == b"MI" else "<"
    try:
        for kind, body in _elements(content[HEADER_BYTES:], order):
            if kind == _COMPRESSED:
                unpacked = zlib.decompressobj().decompress(body, most_bytes)
                ((kind, body),) = _elements(unpacked, order)
            if kind != _MATRIX:
                return False
            _check_matrix(body, order, 0)
    except (ValueError, struct.error, zlib.error):
        return False
    return True


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and data of each element; ValueError where one does not fit in."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # up to four bytes inside the tag
            kind, size = kind & 0xFFFF, kind >> 16
            begin, end = at + 4, at + 8
            if size > 4:
                raise ValueError("a small element of more than four bytes")
        else:
            begin = at + 8
            padding = 0 if kind == _COMPRESSED else -size % 8
            end = begin + size + padding
        if begin + size > len(data):
            raise ValueError("an element beyond the end")
        yield kind, data[begin : begin + size]
        at = end


def _check_matrix(body: bytes, order: str, depth: int) -> None:
    """Raise ValueError where an array's parts are not those of its class."""
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if not body:  # an empty cell may be nothing but its tag
        return
    parts = list(_elements(body, order))
    kinds = [kind for kind, _ in parts]
    if kinds[0] != _UINT32 or len(parts[0][1]) < 8:
        raise ValueError("no array flags")
    array = struct.unpack_from(order + "I", parts[0][1])[0] & 0xFF
    begin = [_UINT32, _INT8] if array == _OPAQUE else [_UINT32, _INT32, _INT8]
    if kinds[: len(begin)] != begin:
        raise ValueError("no dimensions or name")
    allowed = {
        _CELL: {_MATRIX},
        _STRUCT: {_MATRIX, _INT32, _INT8},
        _OBJECT: {_MATRIX, _INT32, _INT8},
        _CHAR: _TEXT,
        _FUNCTION: {_MATRIX},
        _OPAQUE: {_MATRIX, _INT8},
    }.get(array, _NUMERIC)
    for kind, inner in parts[len(begin) :]:
        if kind not in allowed:
            raise ValueError(f"type {kind} in an array of class {array}")
        if kind == _MATRIX:
            _check_matrix(inner, order, depth + 1)
