# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Raw samples: interleaved signed 16-bit integers, little endian, and nothing else."""

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

SUFFIXES = (".bin", ".raw", ".int16", ".i16", ".s16", ".pcm")


class RawFile(RecordingFile):
    """A file without a header, read through a memory map."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        rate = require_rate(path, options.fs_hz)
        channels = options.channels or 1
        frame = 2 * channels
        n, rest = divmod(path.stat().st_size, frame)
        if not n:
            raise RecordingError(f"{path} holds no sample of {channels} channels")
        self.mapped = self._frames = np.memmap(path, "<i2", "r", 0, (n, channels))
        self._gain = options.counts_per_mv or 1.0
        notes = [f"{rest} bytes at the end are no whole sample: left out"] if rest else []
        unit = "mV" if options.counts_per_mv else ""
        signals = tuple(Signal(f"ch{i}", unit, rate, n, n) for i in range(channels))
        super().__init__(path, Contents(signals, None, tuple(notes)), options)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        return self._frames[start:stop, index] / self._gain

    def _guessed(self, unit: str, mv_per_unit: float) -> str:
        return (
            f"no scale stated, taken as {1 / mv_per_unit:g} counts per mV by its size; see "
            f"--counts-per-mv"
        )


READER = Reader(
    "Raw 16-bit integers, little endian",
    SUFFIXES,
    "--fs; --channels where it is not one; --counts-per-mv or --unit",
    lambda head, path: path.suffix.lower() in SUFFIXES,
    RawFile,
    general=True,
    takes=("channels", "counts_per_mv"),
)
