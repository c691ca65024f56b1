# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings: ECG in millivolts with its rate and lead names, whatever file it came from."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.leads import lead_index

if TYPE_CHECKING:
    from ecgqa_tflite.recording.file import ReadOptions, RecordingFile

__all__ = ["Recording", "expanded", "open_recording", "read_recording"]


@dataclass(frozen=True, eq=False)
class Recording:
    """An ECG recording.

    Attributes
    ----------
    name
        What the recording is called, for messages and tables.
    signal_mv
        float32, shape (n_samples, n_leads), mV; NaN where the recording holds no sample.
    fs_hz
        Sampling rate of every lead, Hz.
    lead_names
        One name per column, all different.
    other_signals
        Signals of the file that are no ECG and were left out, with their units: ``ABP (mmHg)``.
    start
        When it starts, where the file says; a time of day where it has no date.
    notes
        One line for each thing in the file that was amended or assumed.

    Raises
    ------
    RecordingError
        The parts don't fit together, there is no sample, or the rate is not a positive number.
    """

    name: str
    signal_mv: NDArray[np.float32]
    fs_hz: float
    lead_names: tuple[str, ...]
    other_signals: tuple[str, ...] = ()
    start: datetime.datetime | datetime.time | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.signal_mv.ndim != 2 or self.signal_mv.shape[1] != len(self.lead_names):
            raise RecordingError(
                f"{self.name}: signal of shape {self.signal_mv.shape} for "
                f"{len(self.lead_names)} leads: give (n_samples, n_leads)"
            )
        if not self.signal_mv.size:
            raise RecordingError(f"{self.name} holds no samples: nothing can be assessed")
        if len(set(self.lead_names)) != len(self.lead_names):
            raise RecordingError(f"{self.name}: lead names repeat: {', '.join(self.lead_names)}")
        if not (math.isfinite(self.fs_hz) and self.fs_hz > 0):
            raise RecordingError(
                f"{self.name}: sampling rate {self.fs_hz} Hz: must be a positive number"
            )

    @property
    def duration_s(self) -> float:
        """Length of the recording, s."""
        return float(self.signal_mv.shape[0] / self.fs_hz)

    def lead_index(self, lead: str | int | None = None) -> int:
        """Column of a lead.

        Parameters
        ----------
        lead
            A name (case matters only where it tells two leads apart), a column number from 0
            (also as text, so that a command line can hand it on), or None for the first lead whose
            name is an ECG's, else the first whose name is no other signal's (EEG, respiration).

        Raises
        ------
        RecordingError
            There is no such lead; the message names those there are.
        """
        return lead_index(self.name, self.lead_names, lead, self.other_signals)

    def lead(self, lead: str | int | None = None) -> NDArray[np.float32]:
        """One lead's samples, float32, shape (n_samples,), mV; see :meth:`lead_index`."""
        return self.signal_mv[:, self.lead_index(lead)]


def expanded(names: Sequence[str]) -> list[Path]:
    """Recordings that are named, by folders and patterns (``*``, ``?``, ``[``) too; each once.

    A folder or pattern without a recording comes back as it is: opening it says what is wrong.
    """
    from ecgqa_tflite.recording import registry

    return registry.expanded(names)


def open_recording(path: str | Path, *, options: ReadOptions | None = None) -> RecordingFile:
    """Read the header of a recording in any format of :func:`registry.readers`.

    Its leads, rates, start and notes are known then; ``.lead(name)`` reads one lead and
    ``.recording(...)`` some or all of them.

    Raises
    ------
    RecordingError
        Missing, no recording, or corrupt; the message says what to do.
    """
    # wfdb takes half a second to import, and commands that read nothing shouldn't wait for it
    from ecgqa_tflite.recording import registry

    return registry.open_file(path, options)


def read_recording(path: str | Path, *, options: ReadOptions | None = None) -> Recording:
    """Read every lead of a recording; WFDB records are named with or without their suffix.

    Raises
    ------
    RecordingError
        Missing, corrupt or empty; the message says what to do.

    Examples
    --------
    A file that says neither its rate nor its unit is told both:

    >>> from pathlib import Path
    >>> import ecgqa_tflite as eq
    >>> from ecgqa_tflite.recording.file import ReadOptions
    >>> rows = ["ecg", *(str(n * n % 250) for n in range(2500))]
    >>> _ = Path("watch.csv").write_text("\\n".join(rows))
    >>> recording = eq.read_recording("watch.csv", options=ReadOptions(fs_hz=250, unit="uV"))
    >>> recording.lead_names, recording.duration_s, recording.signal_mv.shape
    (('ecg',), 10.0, (2500, 1))
    """
    return open_recording(path, options=options).recording()
