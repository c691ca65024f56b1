# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The search for TFLM's least arena: what crashes counts as what does not work."""

from __future__ import annotations

import ctypes
import faulthandler
import os
from collections.abc import Callable

import pytest
from conftest import require_module

from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.tflite import tflm, tflm_process
from ecgqa_tflite.tflite.read import read_tflite

pytestmark = pytest.mark.thorough

Attempt = Callable[[bytes, int], None]


def needs(least: int, how: Callable[[], object]) -> Attempt:
    """An attempt that ends badly with fewer bytes."""

    def attempt(_: bytes, arena: int) -> None:
        if arena < least:
            how()

    return attempt


def abort() -> None:
    faulthandler.disable()  # pytest's, in the process that dies: no tracebacks between the dots
    os.abort()


def write_through_null() -> None:
    faulthandler.disable()
    ctypes.memset(0, 0, 1)


def refuse() -> None:
    raise RuntimeError("Failed to allocate tail memory")


@pytest.mark.parametrize("how", [refuse, abort, write_through_null])
@pytest.mark.parametrize("least", [16, 16 * 1025, 420_464])
def test_the_least_arena_is_found_past_crashes(
    how: Callable[[], object], least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflm_process, "_allocate", needs(least, how))
    monkeypatch.setattr(tflm_process, "_invoke", needs(least, how))
    assert tflm_process.least_arena(b"") == -(-least // 16) * 16


def test_the_shipped_inception_v1_has_an_arena() -> None:
    require_module("tflite_micro")  # which crashes on InceptionV1 where an arena is too small
    data = open_model("inception_v1").tflite_path.read_bytes()
    assert tflm.find_arena(data, read_tflite(data)).least_bytes > 1_000_000


def test_the_answer_invokes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm_process, "_allocate", needs(100_000, refuse))
    monkeypatch.setattr(tflm_process, "_invoke", needs(100_032, refuse))
    assert tflm_process.least_arena(b"") == 100_032


def test_a_network_that_never_works_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm_process, "_allocate", needs(1 << 40, refuse))
    with pytest.raises(SystemExit, match="no arena up to"):
        tflm_process.least_arena(b"")
