# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Polar Sensor Logger's ECG text files (H10: nominally 130 Hz, 73 samples a packet, uV).

The rate is that of the sensor's own stamps, whose clock is a little off 130 Hz and which need not
begin at 1970. The phone's time tells when the recording starts, no more: it jitters with radio.
"""

from __future__ import annotations

import datetime
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import timeline
from ecgqa_tflite.recording.file import (
    MAX_VALUES,
    Contents,
    Reader,
    ReadOptions,
    RecordingFile,
    Signal,
    Start,
    checked_rate,
)
from ecgqa_tflite.recording.text import decode

_STAMP = re.compile(r"sensor\s*time\s*stamp\s*\[ns\]", re.IGNORECASE)
_ECG = re.compile(r"ecg\s*\[(uV|\u00b5V|\u03bcV|mV)\]", re.IGNORECASE)


class PolarFile(RecordingFile):
    """A log of one sensor; stamps are read at once, samples when they are asked for."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        with path.open("rb") as file:
            head = file.readline(4096)
            second = file.readline(4096)
        text, encoding = decode(head)
        self._delimiter = ";" if ";" in text else "\t" if "\t" in text else ","
        names = [n.strip('\ufeff \r\n"') for n in text.split(self._delimiter)]
        self._encoding = encoding
        self._path = path
        columns = [i for i, n in enumerate(names) if _ECG.fullmatch(n)]
        stamps = [i for i, n in enumerate(names) if _STAMP.fullmatch(n)]
        if not columns or not stamps:
            raise RecordingError(f"{path}: a Polar log without columns of sensor time and ecg")
        ticks = self._column(stamps[0])
        # small numbers first: 2**53 ns are 104 days
        whole = np.nan_to_num(ticks, nan=-1.0)
        known = ticks[np.isfinite(ticks)]
        if not known.size:
            raise RecordingError(f"{path} holds no rows: record again")
        seconds = np.where(whole >= 0, (ticks - known[0]) / 1e9, np.nan)
        line = timeline.from_stamps(np.asarray(seconds, np.float64), options.fs_hz)
        if line is None:
            raise RecordingError(f"{path}: the sensor's time stamps give no sampling rate")
        checked_rate(path, line.fs_hz)
        self._line = line
        self._ecg = columns[0]
        self._rows: NDArray[np.float64] | None = None
        unit = _ECG.fullmatch(names[columns[0]])
        assert unit is not None
        signal = Signal("ECG", unit[1], line.fs_hz, line.n_samples, line.n_held)
        start = _start(decode(second)[0].split(self._delimiter)[0])
        super().__init__(path, Contents((signal,), start, tuple(line.notes())), options)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        if self._rows is None:
            self._rows = self._column(self._ecg)
        return self._line.place(self._rows, start, stop)

    def _column(self, field: int) -> NDArray[np.float64]:
        import pandas as pd

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame = pd.read_csv(
                    self._path, sep=self._delimiter, header=None, skiprows=1, usecols=[field],
                    encoding=self._encoding, encoding_errors="replace", on_bad_lines="skip",
                    low_memory=False, index_col=False, nrows=MAX_VALUES,
                )  # fmt: skip
        except (ValueError, OverflowError, pd.errors.ParserError) as error:
            raise RecordingError(f"{self._path}: a row can't be read as the others") from error
        values = frame.iloc[:, 0]
        if values.dtype == object or not pd.api.types.is_numeric_dtype(values):
            values = values.astype(str).str.replace(",", ".", regex=False)
        return np.asarray(pd.to_numeric(values, errors="coerce"), np.float64)


def _start(text: str) -> Start | None:
    try:
        return datetime.datetime.fromisoformat(text.strip().strip('"')).replace(tzinfo=None)
    except ValueError:
        return None


def _sniff(head: bytes, path: Path) -> bool:
    line = decode(head.split(b"\n", 1)[0][:4096])[0]
    return bool(_STAMP.search(line) and _ECG.search(line))


READER = Reader("Polar Sensor Logger ECG", (".txt", ".csv"), "", _sniff, PolarFile)
