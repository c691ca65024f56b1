"""What every target has: a module of this package with the four names of :class:`Target`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.protocol import Protocol, Timing, peak_memory_bytes
from ecgqa_tflite.benchmark.results import STAGES, Kind, Row
from ecgqa_tflite.engine.device_source import Device, plan_device
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import ModelFolder


@dataclass(frozen=True)
class Job:
    """What a target is given.

    Attributes
    ----------
    target, variant
        Its own name, and one of its ``variants``.
    segments, fs_hz
        int16 (n, segment_len), none constant, and their sampling rate, Hz.
    """

    target: str
    variant: str
    model: ModelFolder
    segments: NDArray[np.int16]
    fs_hz: float
    protocol: Protocol

    def timed(self, times: Sequence[Timing], **more: Any) -> Row:
        """A row of times taken on this machine, in a process that has run nothing else.

        Parameters
        ----------
        times
            Of each stage, then their sum.
        more
            Other attributes of :class:`Row`.
        """
        return Row(
            target=self.target,
            variant=self.variant,
            model=self.model.name,
            kind=Kind.MEASURED,
            unit="ms",
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


class Target(Interface):
    """A module that measures."""

    def missing(self, target: str) -> str | None:
        """Why this machine can't run it, in a line; None where it can."""

    def variants(self, target: str) -> Sequence[str]:
        """Configurations, each measured in a process of its own."""

    def measure(self, job: Job) -> Row:
        """Do it."""
