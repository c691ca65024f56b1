# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON from outside: what every other reader takes too, or :class:`ValueError`, whatever is wrong.

Python's own reader takes NaN, numbers without end, half a surrogate pair, and fails on deep nesting
with an error of another kind.
"""

from __future__ import annotations

import json
import math
from typing import Any

MOST_CHARS = 1 << 26
MOST_DIGITS = 18
"""Of an integer: it fits in 64 bits."""


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        It is none, or holds an integer of more than 18 digits, a number above 1e308, a NaN, half a
        surrogate pair, or nests too deep.
    """
    if len(text) > MOST_CHARS:
        raise ValueError(f"is longer than {MOST_CHARS:,} characters")
    try:
        data = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_real)
        # Surrogates hide in escapes: writing shows them.
        json.dumps(data, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nests too deep") from None
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair") from None
    return data


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"the integer {digits[:20]}... has more than {MOST_DIGITS} digits")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:20]} is not finite")
    return number
