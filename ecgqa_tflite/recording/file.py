# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a reader hands out: a file whose header is known, its signals read when asked for."""

from __future__ import annotations

import datetime
import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ArgumentError, RecordingError
from ecgqa_tflite.progress import Count
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.leads import distinct, lead_index, mv_per_unit

MAX_VALUES = 2**29
"""Most samples times leads read at once: 24 h of twelve leads at 500 Hz, 2 GiB of float32."""

GAP_ALLOWANCE = 2**26
"""Samples of gaps that a lead may hold beyond four times what its file holds; a header of a few
bytes can claim any gap, so a claim alone must not take the memory."""

CHUNK = 2**18
"""Samples decoded at a time: decoders work in float64, several times what is kept."""

LOOK_S = 60.0
"""Seconds that are looked at where a unit is told by the size of the signal."""

Start = datetime.datetime | datetime.time
"""When a recording starts; a time of day where the file has no date."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of a file, over what the file says.

    Attributes
    ----------
    fs_hz
        Sampling rate of the fastest lead, Hz.
    unit
        What the numbers are in: V, mV, uV or nV.
    columns
        Names or numbers (from 0) of the columns of a text file or array that are leads.
    channels
        Interleaved channels of a raw file.
    counts_per_mv
        Counts of 1 mV in a raw file.
    progress
        Told how much of a file was read, by formats that must be parsed before a lead is known.
    """

    fs_hz: float | None = None
    unit: str | None = None
    columns: tuple[str | int, ...] = ()
    channels: int | None = None
    counts_per_mv: float | None = None
    progress: Count | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.fs_hz is not None and not 0 < self.fs_hz < 1e6:
            raise ArgumentError(f"sampling rate {self.fs_hz} Hz: give one above 0 and below 1 MHz")
        if self.unit is not None and mv_per_unit(self.unit) is None:
            raise ArgumentError(f"unit {self.unit!r}: give V, mV, uV or nV")
        if self.channels is not None and not 1 <= self.channels <= 1024:
            raise ArgumentError(f"{self.channels} channels: give 1 to 1024")
        if self.counts_per_mv is not None and not 0 < self.counts_per_mv < 1e12:
            raise ArgumentError(f"{self.counts_per_mv} counts per mV: give a positive number")


@dataclass(frozen=True)
class Signal:
    """One signal of a file.

    Attributes
    ----------
    name
        As the file has it, made different where names repeat.
    unit
        As the file has it; empty where it states none.
    fs_hz
        Sampling rate, Hz.
    n_samples
        Samples from the start of the recording to its end, gaps included.
    n_held
        Those of them that the file holds.
    """

    name: str
    unit: str
    fs_hz: float
    n_samples: int
    n_held: int

    def __str__(self) -> str:
        return f"{self.name} ({self.unit or 'no unit'})"


@dataclass(frozen=True)
class Contents:
    """What a header says.

    Attributes
    ----------
    signals
        Every signal of the file, no ECG or not.
    start
        When the recording starts, where the file says.
    notes
        One line for each thing that was amended or assumed.
    """

    signals: tuple[Signal, ...]
    start: Start | None = None
    notes: tuple[str, ...] = ()


class RecordingFile(ABC):
    """A recording whose header was read; samples are read when a lead is asked for.

    Attributes
    ----------
    path, name
        The file and what the recording is called.
    signals
        All signals, the names all different.
    leads
        Those that are voltages and so may be an ECG.
    start, notes
        As in :class:`Contents`.

    Raises
    ------
    RecordingError
        No signal can be an ECG.
    """

    chunk = CHUNK
    """Samples read at a time."""

    format = ""
    """Name of the format that it was read as."""

    mapped: NDArray[np.generic] | None = None
    """What a reader maps, if it does: what was read of it doesn't stay in memory."""

    def __init__(self, path: Path, contents: Contents, options: ReadOptions) -> None:
        self.path = path
        self.name = path.stem
        self.start = contents.start
        self._notes = list(contents.notes)
        self._options = options
        names = distinct(s.name for s in contents.signals)
        self.signals = tuple(
            replace(s, name=n) for s, n in zip(contents.signals, names, strict=True)
        )
        self._lead_columns = self._choose()
        top = max(self.signals[i].fs_hz for i in self._lead_columns)
        if options.fs_hz is not None and options.fs_hz != top:
            self._notes.append(f"read at {options.fs_hz:g} Hz as asked; the file says {top:g} Hz")
            factor = options.fs_hz / top
            self.signals = tuple(replace(s, fs_hz=s.fs_hz * factor) for s in self.signals)
        self._scales: dict[int, float] = {}

    @abstractmethod
    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples ``start`` to ``stop`` of signal ``index``, in its unit, NaN in gaps."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was amended or assumed, a line each; reading a lead may add to it."""
        return tuple(dict.fromkeys(self._notes))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return (self.path,)

    @property
    def leads(self) -> tuple[Signal, ...]:
        """Signals that may be an ECG."""
        return tuple(self.signals[i] for i in self._lead_columns)

    @property
    def other_signals(self) -> tuple[str, ...]:
        """Signals that are no voltage, with their units."""
        return tuple(str(s) for i, s in enumerate(self.signals) if i not in self._lead_columns)

    @property
    def duration_s(self) -> float:
        """Length of the longest lead, s."""
        return max(s.n_samples / s.fs_hz for s in self.leads)

    def lead_index(self, lead: str | int | None = None) -> int:
        """Index into ``leads``: by name, by number from 0; None is the likeliest ECG."""
        return lead_index(self.name, [s.name for s in self.leads], lead, self.other_signals)

    def lead(self, lead: str | int | None = None) -> NDArray[np.float32]:
        """One lead, float32, shape (n_samples,), mV, at its own rate; nothing else is read."""
        index = self._lead_columns[self.lead_index(lead)]
        signal = self.signals[index]
        self._refuse_huge([signal], signal.n_samples)
        out = np.empty(signal.n_samples, np.float32)
        self._fill(index, out)
        return out

    def blocks(self, lead: str | int | None = None) -> Iterator[NDArray[np.float32]]:
        """One lead in pieces, float32, mV, so that its length costs no memory; as :meth:`lead`."""
        index = self._lead_columns[self.lead_index(lead)]
        signal = self.signals[index]
        self._refuse_gaps(signal)
        scale = self._mv_per_unit(index)
        for start in range(0, signal.n_samples, self.chunk):
            part = np.empty(min(self.chunk, signal.n_samples - start), np.float32)
            self._scaled(index, start, scale, part)
            yield part

    def recording(self, *leads: str | int | None) -> Recording:
        """The leads named, or all, as one recording at the rate of the fastest of them.

        Slower leads are interpolated linearly.

        Raises
        ------
        RecordingError
            No such lead, a signal that can't be decoded, more than ``MAX_VALUES`` samples.
        """
        wanted = [self._lead_columns[self.lead_index(n)] for n in leads] or self._lead_columns
        wanted = list(dict.fromkeys(wanted))
        signals = [self.signals[i] for i in wanted]
        fs_hz = max(s.fs_hz for s in signals)
        n = max(round(s.n_samples / s.fs_hz * fs_hz) for s in signals)
        self._refuse_huge(signals, n)
        try:
            signal_mv = np.empty((n, len(wanted)), np.float32)
            for column, (index, signal) in enumerate(zip(wanted, signals, strict=True)):
                if (signal.n_samples, signal.fs_hz) == (n, fs_hz):
                    self._fill(index, signal_mv[:, column])
                else:
                    own = np.empty(signal.n_samples, np.float32)
                    self._fill(index, own)
                    times = np.arange(n) * (signal.fs_hz / fs_hz)
                    signal_mv[:, column] = np.interp(times, np.arange(own.size), own)
        except MemoryError as error:
            raise RecordingError(
                f"{self.path} does not fit in this machine's memory: cut it into shorter records"
            ) from error
        return Recording(
            name=self.name,
            signal_mv=signal_mv,
            fs_hz=fs_hz,
            lead_names=tuple(s.name for s in signals),
            other_signals=self.other_signals,
            start=self.start,
            notes=self.notes,
        )

    def _fill(self, index: int, out: NDArray[np.float32]) -> None:
        scale = self._mv_per_unit(index)
        for start in range(0, out.size, self.chunk):
            self._scaled(index, start, scale, out[start : start + self.chunk])

    def _scaled(self, index: int, start: int, scale: float, out: NDArray[np.float32]) -> None:
        """Samples from ``start`` on in mV, into ``out``; what float32 can't hold is missing."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.read(index, start, start + out.size)
            np.multiply(values, scale, out=out, casting="same_kind")
        _give_back(self.mapped)
        out[~np.isfinite(out)] = np.nan

    def _choose(self) -> list[int]:
        """Columns of the signals that may be an ECG."""
        units = [s.unit for s in self.signals]
        chosen = [i for i, u in enumerate(units) if not u or mv_per_unit(u) is not None]
        if not chosen and self._options.unit is not None:
            chosen = [i for i, u in enumerate(units) if u.casefold() in UNCALIBRATED]
        if not chosen:
            listed = ", ".join(map(str, self.signals)) or "no signal at all"
            raise RecordingError(
                f"{self.path}: no signal in mV, uV or V ({listed}): if one is an ECG, state its "
                "unit in the header or with --unit: the quality does not depend on the scale"
            )
        return chosen

    def _mv_per_unit(self, index: int) -> float:
        signal = self.signals[index]
        stated = mv_per_unit(signal.unit)
        if self._options.unit is not None:
            asked = mv_per_unit(self._options.unit)
            assert asked is not None  # ReadOptions saw to it
            if stated is not None and stated != asked:
                self._notes.append(
                    f"{signal.name} read in {self._options.unit} as asked; the file says "
                    f"{signal.unit}"
                )
            return asked
        if stated is not None:
            return stated
        if index not in self._scales:
            self._scales[index] = self._guess(index)
        return self._scales[index]

    def _guess(self, index: int) -> float:
        """MV per unit, told by the size of the signal's first minute."""
        signal = self.signals[index]
        head = self.read(index, 0, min(signal.n_samples, round(LOOK_S * signal.fs_hz), self.chunk))
        head = head[np.isfinite(head)]
        size = float(np.ptp(np.percentile(head, [1, 99]))) if head.size else 0.0
        unit, scale = "mV", 1.0
        if size >= 50:
            unit, scale = "uV", 1e-3
        elif 0 < size < 0.02:
            unit, scale = "V", 1e3
        self._notes.append(f"{signal.name}: {self._guessed(unit, scale)}")
        return scale

    def _guessed(self, unit: str, mv_per_unit: float) -> str:
        """What is said of a scale that was told by the signal's size."""
        return f"no unit stated, taken as {unit} by its size; see --unit"

    def _refuse_huge(self, signals: Sequence[Signal], n: int) -> None:
        if n * len(signals) > MAX_VALUES:
            raise RecordingError(
                f"{self.path} claims {n * len(signals)} samples, more than {MAX_VALUES}: cut it "
                "into shorter records, or read one lead"
            )
        for signal in signals:
            self._refuse_gaps(signal)

    def _refuse_gaps(self, signal: Signal) -> None:
        if signal.n_samples > 4 * signal.n_held + GAP_ALLOWANCE:
            raise RecordingError(
                f"{self.path}: {signal.n_samples} samples, of which it holds "
                f"{signal.n_held}: corrupt header"
            )


def _give_back(mapped: NDArray[np.generic] | None) -> None:
    """Take the pages of a map from this process's memory; they lie in the file."""
    pages = getattr(mapped, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


UNCALIBRATED = frozenset(
    {"nu", "adu", "counts", "count", "raw", "lsb", "adc", "units", "au", "a.u."}
)
"""Units, casefolded, that say that nobody knows the scale."""


class ArrayFile(RecordingFile):
    """A recording whose signals lie in memory, for formats that can't be read in pieces."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[NDArray[np.floating]],
        signals: Sequence[tuple[str, str, float]],
        options: ReadOptions,
        start: Start | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """``columns`` by signal, and each one's name, unit and rate in Hz."""
        self._columns = columns
        found = tuple(
            Signal(name, unit, fs_hz, len(c), len(c))
            for c, (name, unit, fs_hz) in zip(columns, signals, strict=True)
        )
        super().__init__(path, Contents(found, start, tuple(notes)), options)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        return np.asarray(self._columns[index][start:stop])


@dataclass(frozen=True)
class Reader:
    """How one format is told and opened; each module in ``formats`` has one, called ``READER``.

    Attributes
    ----------
    name
        The format's, for people.
    suffixes
        Lower case, with the dot.
    needs
        What the user must give or install, empty for nothing.
    takes
        Fields of :class:`ReadOptions` that it honours beside ``fs_hz`` and ``unit``.
    sniff
        Called with a file's first ``HEAD_BYTES`` bytes and its path.
    open
        Reads the header; raises RecordingError where it makes no sense.
    general
        Sniffs so broadly that others are asked first.
    """

    name: str
    suffixes: tuple[str, ...]
    needs: str
    sniff: Callable[[bytes, Path], bool]
    open: Callable[[Path, ReadOptions], RecordingFile]
    general: bool = False
    takes: tuple[str, ...] = ()


def require_rate(path: Path, fs_hz: float | None) -> float:
    """``fs_hz``, or the message of a file that states none."""
    if fs_hz is None:
        raise RecordingError(f"{path} states no sampling rate: give it with --fs HZ")
    return checked_rate(path, fs_hz)


def checked_rate(path: Path, fs_hz: float) -> float:
    """``fs_hz`` where it can be a rate.

    Raises
    ------
    RecordingError
        It can't.
    """
    if not 0 < fs_hz < 1e6:
        raise RecordingError(f"{path}: sampling rate {fs_hz} Hz: give the right one with --fs HZ")
    return float(fs_hz)
