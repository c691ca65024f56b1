# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Structs of constants as generated C: numbers, their digest, pointers, the pointers once more.

What ``firmware_bridge/src/seal.c`` checks when a device starts.
"""

from __future__ import annotations

import struct
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecgqa_tflite.engine.golden import fnv1a

LINE_CHARS = 100
"""Of a generated line, at most."""


@dataclass(frozen=True)
class Number:
    """A field, or a small struct or array of fields of one type.

    Attributes
    ----------
    name
        The field's.
    code
        Its type, as :mod:`struct` has it: ``B``, ``b``, ``H``, ``I``, ``i`` or ``Q``.
    values
        One, or those within braces.
    """

    name: str
    code: str
    values: tuple[int, ...]

    @property
    def packed(self) -> bytes:
        """As it lies in memory, little-endian."""
        return struct.pack(f"<{len(self.values)}{self.code}", *self.values)

    @property
    def text(self) -> str:
        """Its initialiser."""
        cells = [f"UINT64_C(0x{v:016x})" if self.code == "Q" else str(v) for v in self.values]
        return cells[0] if len(cells) == 1 else f"{{{', '.join(cells)}}}"


def digest(numbers: Sequence[Number]) -> int:
    """FNV-1a of the numbers, which have no padding among them."""
    return fnv1a(b"".join(number.packed for number in numbers))


def body(numbers: Sequence[Number], pointers: Mapping[str, str], indent: str = "    ") -> str:
    """What stands between the braces of a struct's initialiser, a field a line.

    Parameters
    ----------
    pointers
        Identifier or ``NULL`` by the field's name.
    """
    cells = [(n.name, n.text) for n in numbers]
    return lines([*cells, ("digest", f"{digest(numbers)}u"), *twice(pointers)], indent)


def twice(pointers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Cells of the pointers, and of ``again``."""
    if not pointers:
        return []
    return [*pointers.items(), ("again", f"{{{', '.join(pointers.values())}}}")]


def lines(cells: Sequence[tuple[str, str]], indent: str = "    ") -> str:
    """Name and initialiser of each field, a field a line as far as it goes into one."""
    return "\n".join(
        textwrap.fill(
            f"{text}, /* {name} */", LINE_CHARS, initial_indent=indent,
            subsequent_indent=f"{indent} ", break_long_words=False, break_on_hyphens=False,
        )
        for name, text in cells
    )  # fmt: skip
