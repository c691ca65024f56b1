# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples that come in one after the other: bytes of a pipe or a serial port to millivolts."""

from __future__ import annotations

import math
import queue
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.file import ReadOptions
from ecgqa_tflite.recording.leads import distinct, mv_per_unit

Form = Literal["text", "int16"]

MISSING_S16 = -32768
"""The 16-bit number that stands for a missing sample, as in WFDB's format 16."""

LONGEST_LINE = 1 << 16
"""Bytes without a line's end at which a text is no text."""

_SPLIT = re.compile(r"[;,\t ]+")
_WAITING = 64  # chunks that may wait before the source has to


class Decoder(ABC):
    """Bytes to samples, whatever pieces they come in.

    Attributes
    ----------
    names
        Of the leads, known once the first samples are.
    n_bad
        Lines that held no sample; each counts as a missing one.
    """

    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.names: tuple[str, ...] = ()
        self.n_bad = 0

    @abstractmethod
    def push(self, data: bytes) -> NDArray[np.float32]:
        """The whole samples that ``data`` completes, shape (n, leads), mV; NaN: missing.

        Raises
        ------
        RecordingError
            This is no stream of samples.
        """

    def finish(self) -> NDArray[np.float32]:
        """What the last bytes hold, now that no more come."""
        return np.empty((0, len(self.names)), np.float32)

    def _chosen(self, names: list[str]) -> list[int]:
        """Columns of the leads that are wanted; sets :attr:`names`."""
        wanted = []
        for column in self.options.columns or range(len(names)):
            text = str(column)
            if text in names:
                wanted.append(names.index(text))
            elif text.isdigit() and int(text) < len(names):
                wanted.append(int(text))
            else:
                raise RecordingError(f"no column {text}: there are {', '.join(names)}")
        self.names = tuple(distinct([names[i] for i in wanted]))
        return wanted


class Int16Decoder(Decoder):
    """Interleaved signed 16-bit integers, little endian; -32768 is a missing sample."""

    def __init__(self, options: ReadOptions) -> None:
        super().__init__(options)
        self._channels = options.channels or 1
        self._columns = self._chosen([f"ch{i}" for i in range(self._channels)])
        unit = mv_per_unit(options.unit or "mV") or 1.0
        self._mv = unit / (options.counts_per_mv or 1.0)
        self._rest = b""

    def push(self, data: bytes) -> NDArray[np.float32]:
        """See :meth:`Decoder.push`."""
        data = self._rest + data
        whole = len(data) // (2 * self._channels) * 2 * self._channels
        self._rest = data[whole:]
        counts = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)[:, self._columns]
        samples = counts.astype(np.float32) * np.float32(self._mv)
        samples[counts == MISSING_S16] = np.nan
        return samples


class TextDecoder(Decoder):
    """A line per time, its numbers apart by commas, semicolons, tabs or spaces.

    An empty line, and what is no number, is a missing sample. The first line may name the leads.
    """

    def __init__(self, options: ReadOptions) -> None:
        super().__init__(options)
        self._mv = (mv_per_unit(options.unit or "mV") or 1.0) / (options.counts_per_mv or 1.0)
        self._columns: list[int] = []
        self._rest = b""

    def push(self, data: bytes) -> NDArray[np.float32]:
        """See :meth:`Decoder.push`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise RecordingError(
                f"{LONGEST_LINE} bytes without a line's end are no text: is it --form int16?"
            )
        return self._samples(lines)

    def finish(self) -> NDArray[np.float32]:
        """See :meth:`Decoder.finish`."""
        lines, self._rest = ([self._rest] if self._rest.strip() else []), b""
        return self._samples(lines)

    def _samples(self, lines: list[bytes]) -> NDArray[np.float32]:
        rows = [row for line in lines if (row := self._row(line)) is not None]
        return np.array(rows, np.float32).reshape(len(rows), len(self.names)) * np.float32(self._mv)

    def _row(self, line: bytes) -> list[float] | None:
        """The wanted numbers of a line; None where it is before the first sample."""
        text = line.decode("utf-8", "replace").strip().strip("\ufeff")
        cells = [cell.strip().strip('"') for cell in _SPLIT.split(text)] if text else []
        numbers = [_number(cell) for cell in cells]
        if not self._columns:
            if not cells:
                return None
            if any(x is None for x in numbers):
                self._columns = self._chosen(distinct(cells))
                return None
            self._columns = self._chosen([f"ch{i}" for i in range(len(cells))])
        row = [numbers[i] if i < len(numbers) else None for i in self._columns]
        self.n_bad += bool(cells) and any(x is None for x in row)
        return [math.nan if x is None else x for x in row]


DECODERS: dict[Form, type[Decoder]] = {"text": TextDecoder, "int16": Int16Decoder}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def chunks(
    read: Callable[[], bytes], timeout_s: float | None, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[float, bytes]]:
    """What ``read`` gives as it comes, each with when; empty bytes each ``timeout_s`` of silence.

    Parameters
    ----------
    read
        Waits for some bytes, and gives none when there will be no more. Runs in a thread of its
        own: no system can wait for pipes, files and ports alike.
    """
    came: queue.Queue[tuple[float, bytes] | Exception] = queue.Queue(_WAITING)

    def pump() -> None:
        try:
            while data := read():
                came.put((clock(), data))
            came.put((clock(), b""))
        except Exception as error:  # told where it is waited for
            came.put(error)

    threading.Thread(target=pump, daemon=True).start()
    while True:
        try:
            found = came.get(timeout=timeout_s)
        except queue.Empty:
            yield clock(), b""
            continue
        if isinstance(found, Exception):
            raise found
        if not found[1]:
            return
        yield found


def blocks(
    came: Iterator[tuple[float, bytes]], decoder: Decoder, fs_hz: float
) -> Iterator[NDArray[np.float32]]:
    """Samples as they come, shape (n, leads), mV; where the source was silent, as many NaN.

    Parameters
    ----------
    came
        :func:`chunks`: after a silence the time base goes on by the clock, so that what comes
        later is where it belongs.
    """
    last, filled, silent = math.nan, 0, False
    for now, data in came:
        samples = decoder.push(data)
        silent = silent or not data
        if silent and decoder.names and math.isfinite(last):
            # what comes after a silence ends now: it takes up some of the time itself
            n = max(0, round((now - last) * fs_hz) - filled - len(samples))
            filled += n
            yield np.full((n, len(decoder.names)), np.nan, np.float32)
        if data:
            last, filled, silent = now, 0, False
            yield samples
    yield decoder.finish()
