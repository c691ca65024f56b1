"""The search for TFLM's least arena: what crashes counts as what does not work."""

from __future__ import annotations

import ctypes
import faulthandler
import os
from collections.abc import Callable

import pytest

from ecgqa_tflite.export import tflm_process

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


def test_the_answer_invokes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm_process, "_allocate", needs(100_000, refuse))
    monkeypatch.setattr(tflm_process, "_invoke", needs(100_032, refuse))
    assert tflm_process.least_arena(b"") == 100_032


def test_a_network_that_never_works_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm_process, "_allocate", needs(1 << 40, refuse))
    with pytest.raises(SystemExit, match="no arena up to"):
        tflm_process.least_arena(b"")
