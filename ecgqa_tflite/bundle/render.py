# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that are the same for every model but for names and numbers: jinja2 templates."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).with_name("templates")
SUFFIX = ".jinja"

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=lambda name: name is not None and name.endswith(f".html{SUFFIX}"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(name: str, /, **words: Any) -> str:
    """The text of a template, named by its path in :data:`FOLDER` without the suffix."""
    return _ENVIRONMENT.get_template(name + SUFFIX).render(**words)


def write_folder(name: str, out: Path, /, **words: Any) -> None:
    """Write every file of a folder of :data:`FOLDER`: rendered, or as it is where it has no words.

    Parameters
    ----------
    out
        An existing folder.
    """
    for path in sorted((FOLDER / name).iterdir()):
        if path.suffix == SUFFIX:
            text = render(f"{name}/{path.stem}", **words)
            (out / path.stem).write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(path, out / path.name)
