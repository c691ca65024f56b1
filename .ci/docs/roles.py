# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Docstrings are written with Sphinx's roles: mkdocstrings shall link them too."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):`(~?)([\w.\s]+?)`")


class Roles(griffe.Extension):
    """Turns ``:func:`~package.name``` into a link where a page documents the name."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called once all of a package is loaded."""
        todo: list[griffe.Object] = [pkg]
        while todo:
            obj = todo.pop()
            if obj.docstring is not None:
                obj.docstring.value = with_links(obj, obj.docstring.value)
            todo += [m for m in obj.members.values() if isinstance(m, griffe.Object)]


def with_links(obj: griffe.Object, text: str) -> str:
    """``text``, a docstring of ``obj``, with a link, or code alone, for each role."""

    def link(role: re.Match[str]) -> str:
        target = re.sub(r"\s", "", role[2])
        shown = target.rsplit(".", 1)[-1] if role[1] else target
        with contextlib.suppress(griffe.NameResolutionError, KeyError):
            target = obj.resolve(target)
        return f'<autoref identifier="{target}" optional><code>{shown}</code></autoref>'

    return ROLE.sub(link, text)
