# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays, ``.npy``: samples, or samples by leads (either way round)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.file import (
    Contents,
    Reader,
    ReadOptions,
    RecordingFile,
    Signal,
    require_rate,
)

MAX_LEADS = 1024


class NumpyFile(RecordingFile):
    """An array, read through a memory map; nothing in it is executed."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # numpy evaluates the header and raises whatever that met
            raise RecordingError(
                f"{path}: no array of numbers, or a truncated one: save it again"
            ) from error
        rate = require_rate(path, options.fs_hz)
        self.mapped = array
        self._leads = leads_of(path, array)
        signals = tuple(
            Signal(f"ch{i}", "", rate, len(lead), len(lead)) for i, lead in enumerate(self._leads)
        )
        super().__init__(path, Contents(chosen(path, signals, options)), options)
        self._order = [int(s.name.removeprefix("ch")) for s in self.signals]

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        with np.errstate(over="ignore", invalid="ignore"):
            # what a wider float holds beyond float64 becomes infinite or NaN, and so is missing
            return np.asarray(self._leads[self._order[index]][start:stop], np.float64)


def leads_of(path: Path, array: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Each lead of an array of samples, or of samples by leads, either way round.

    Raises
    ------
    RecordingError
        Not real numbers, more than two axes, no sample or more than ``MAX_LEADS`` leads.
    """
    array = np.squeeze(array)
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2) or not array.size:
        raise RecordingError(
            f"{path}: an array of {array.dtype}, shape {array.shape}: give real numbers, "
            "samples or samples by leads"
        )
    if array.ndim == 1:
        return [array]
    by_lead = array if array.shape[0] <= array.shape[1] else array.T
    if len(by_lead) > MAX_LEADS:
        raise RecordingError(f"{path}: {len(by_lead)} leads: at most {MAX_LEADS} are read")
    return list(by_lead)


def chosen(path: Path, signals: tuple[Signal, ...], options: ReadOptions) -> tuple[Signal, ...]:
    """The signals that ``options.columns`` names, all where it names none."""
    if not options.columns:
        return signals
    names = [s.name for s in signals]
    out = []
    for column in options.columns:
        text = str(column)
        if text not in names and not (text.isdigit() and int(text) < len(names)):
            raise RecordingError(f"{path} has no column {text!r}: choose among {', '.join(names)}")
        out.append(signals[names.index(text) if text in names else int(text)])
    return tuple(dict.fromkeys(out))


READER = Reader(
    "NumPy array",
    (".npy",),
    "--fs; --unit where it is not mV",
    lambda head, path: head.startswith(b"\x93NUMPY"),
    NumpyFile,
    takes=("columns",),
)
