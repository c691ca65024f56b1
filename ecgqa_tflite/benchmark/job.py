# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a device is given to measure, and what bench knows of a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.protocol import Protocol, Timing, peak_memory_bytes
from ecgqa_tflite.benchmark.results import STAGES, Kind, Row
from ecgqa_tflite.engine.device_source import Device, plan_device
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import ModelFolder


@dataclass(frozen=True)
class Job:
    """One row to measure; it travels to a process of its own.

    Attributes
    ----------
    target, variant
        The device's name, and one of its variants.
    segments, fs_hz
        int16 (n, segment_len), none constant, and their sampling rate, Hz.
    """

    target: str
    variant: str
    model: ModelFolder
    segments: NDArray[np.int16]
    fs_hz: float
    protocol: Protocol

    def row(self, kind: Kind, unit: str, **more: Any) -> Row:
        """A row of this job; ``more``: the other attributes of :class:`Row`."""
        return Row(
            target=self.target,
            variant=self.variant,
            model=self.model.name,
            kind=kind,
            unit=unit,
            **more,
        )

    def timed(self, times: Sequence[Timing], **more: Any) -> Row:
        """A row of times taken on this machine, in a process that has run nothing else.

        Parameters
        ----------
        times
            Of each stage, then their sum.
        more
            Other attributes of :class:`Row`.
        """
        return self.row(
            Kind.MEASURED,
            "ms",
            stages=dict(zip(STAGES, times[:-1], strict=False)),
            total=times[-1],
            process_bytes=peak_memory_bytes(),
            noise=tuple(times[-1].noise()),
            **more,
        )

    def device(self) -> Device:
        """The model as the C engine runs it; :class:`ConversionError` where it can't."""
        return plan_device(
            self.model.spec,
            tables.build(self.model.spec, self.fs_hz),
            self.model.tflite_path.read_bytes(),
            self.model.threshold_int8,
        )


@dataclass(frozen=True)
class Bench:
    """A device's rows.

    Attributes
    ----------
    place
        Where a report has them, from 0; those of the same place as their file lists them.
    variants
        Configurations, each measured in a process of its own.
    measure
        Does it. A function of a module, or a partial of one: its name travels to the process.
    missing
        Why this machine can't run it, in a line; None where it can.
    takes_s
        How long a row takes, about, s, where figures don't depend on what else runs (counts and
        estimates); None where times are taken.
    """

    place: int
    variants: Callable[[], Sequence[str]]
    measure: Callable[[Job], Row]
    missing: Callable[[], str | None] = lambda: None
    takes_s: int | None = None
