# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A Raspberry Pi: LiteRT on Linux."""

from __future__ import annotations

from pathlib import Path

from ecgqa_tflite.benchmark.job import Bench
from ecgqa_tflite.benchmark.protocol import BOARD
from ecgqa_tflite.devices import _linux, _litert
from ecgqa_tflite.devices._device import BundleKind, Device, Parts, Prepared


def prepare(parts: Parts) -> Prepared:
    """Nothing beyond the runner, which is a template."""
    return _linux.prepared(parts, {"name": "raspberry-pi"})


def missing() -> str | None:
    """Only a Raspberry Pi is one."""
    try:
        board = Path(BOARD).read_text(errors="replace")
    except OSError:
        board = ""
    if "Raspberry Pi" in board:
        return None
    return "this machine is not a Raspberry Pi: run the same command on one (pip install .)"


DEVICES = (
    Device(
        "raspberry-pi",
        BundleKind(
            place=2,
            summary="LiteRT on Linux, any board with a C compiler and Python",
            bundle="runner in Python that needs numpy and LiteRT alone; the same in C++ as an "
            "example",
            proof="the bundle's own runner on the golden segments, built and run here",
            firmware=False,
            templates="linux",
            prepare=prepare,
            prove=_linux.prove,
            files=_linux.RUNNER,
            runs_float=True,
        ),
        Bench(1, _litert.variants, _litert.measure, missing),
    ),
)
