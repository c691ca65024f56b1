# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Names and texts that others chose, made harmless where they go: one function per form.

HTML is escaped by the templates' engine.
"""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Categories that a screen shows nothing of, or that steer it."""


def is_printable(text: str, most: int) -> bool:
    """Whether ``text`` is 1..``most`` characters that a screen shows."""
    return 0 < len(text) <= most and not any(unicodedata.category(c) in _HIDDEN for c in text)


def c_string(text: str) -> str:
    r"""A C string literal of the text's UTF-8 bytes, in ASCII.

    ``?`` is written ``\?``, so that no trigraph forms; what is not printable ASCII is three
    octal digits, which end where a hexadecimal escape would go on.
    """
    cells = []
    for byte in text.encode("utf-8", "replace"):
        char = chr(byte)
        if char in '\\"?':
            cells.append("\\" + char)
        else:
            cells.append(char if 32 <= byte < 127 else f"\\{byte:03o}")
    return f'"{"".join(cells)}"'


def markdown(text: str) -> str:
    """Text in a line of Markdown: no markup, no HTML, no second line."""
    escaped = re.sub(r"([\\`*_{}\[\]|!#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def without_html(text: str) -> str:
    """A Markdown document of another's with its tags shown instead of obeyed."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", terminal(text, keep="\n"))


def terminal(text: str, keep: str = "") -> str:
    r"""Text for a screen: what would steer it is shown as ``\x1b`` and its like."""
    return "".join(
        c if c in keep or unicodedata.category(c) not in _HIDDEN
        else c.encode("unicode_escape").decode("ascii")
        for c in text
    )  # fmt: skip
