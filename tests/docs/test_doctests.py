# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Examples in docstrings run as they stand, in an empty folder."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from conftest import REPO

PACKAGE = REPO / "ecgqa_tflite"


def with_examples() -> list[str]:
    """Dotted names of the modules whose docstrings hold examples."""
    found = sorted(
        p for p in PACKAGE.rglob("*.py") if "\n>>> " in p.read_text().replace("    ", "")
    )
    names = [".".join(p.relative_to(REPO).with_suffix("").parts) for p in found]
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("name", with_examples())
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tested = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tested.attempted > 0 and tested.failed == 0


def test_the_whole_face_has_examples() -> None:
    import ecgqa_tflite

    for name in ecgqa_tflite._HOME:
        assert ">>> " in (getattr(ecgqa_tflite, name).__doc__ or ""), name
