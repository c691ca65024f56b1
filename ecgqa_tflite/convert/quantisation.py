# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How a float network is to be quantised, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ArgumentError

METHODS = ("ptq", "qat", "none")
"""After training; by a training more; not at all: float32 between int8 ends."""

DEAD = "dead"
"""What may be left out: channels that hold one value on every segment that is looked at."""


def share_of(prune: str | None) -> float | None:
    """The share of channels that ``--prune`` names; None: none, or :data:`DEAD`.

    Raises
    ------
    ArgumentError
        It is neither.
    """
    if prune in (None, DEAD):
        return None
    try:
        share = float(str(prune))
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ArgumentError(f"--prune {prune}: {DEAD}, or a share of channels between 0 and 1")
    return share


@dataclass(frozen=True)
class Quantisation:
    """How a network becomes what a device runs.

    Attributes
    ----------
    method
        One of :data:`METHODS`.
    calibrate
        WFDB recordings to quantise on, with ``ptq``; None: an int8 network stays as it is.
    data
        Labelled recordings to train on, with ``qat``: see
        :func:`~ecgqa_tflite.convert.retrain.training_data`.

    Raises
    ------
    ArgumentError
        These don't go together.
    """

    method: str = "ptq"
    calibrate: Path | None = None
    data: Path | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ArgumentError(f"--quantize {self.method}: choose among {', '.join(METHODS)}")
        if (self.data is not None) != (self.method == "qat"):
            raise ArgumentError("--quantize qat and --data FOLDER go together")
        if self.calibrate is not None and self.method != "ptq":
            raise ArgumentError("--calibrate goes with --quantize ptq")


@dataclass(frozen=True, eq=False)
class Made:
    """A network for a device and what was measured with it, for a model folder.

    Attributes
    ----------
    threshold_int8
        A segment is of high quality from this score of class 1.
    calibration_ids
        Segments that ranges were measured on.
    licence
        What the network itself says; None where it doesn't.
    """

    tflite: bytes
    threshold_int8: int
    metrics: dict[str, Any]
    calibration_ids: tuple[str, ...] = ()
    licence: str | None = None
