# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The fuzzers' corpora, and a few inputs more, on the functions that take outside data."""

from __future__ import annotations

from pathlib import Path

import fuzz
import pytest
from targets import usable


@pytest.mark.thorough
@pytest.mark.parametrize("target", fuzz.TARGETS, ids=lambda t: t.name)
def test_corpus_and_a_few_inputs_more(target: fuzz.Target, tmp_path: Path) -> None:
    usable("host-clang")
    assert 0 < target.corpus.stat().st_size < 64 * 1024
    fuzz.run(target, 3000, tmp_path)
