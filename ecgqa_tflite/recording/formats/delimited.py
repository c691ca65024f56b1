# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Delimited text (CSV, TSV, columns): delimiter, decimal comma and time column are found."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
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
from ecgqa_tflite.recording.leads import likelihood, mv_per_unit
from ecgqa_tflite.recording.text import encoding_of

SUFFIXES = (".csv", ".tsv", ".txt", ".asc", ".tab", ".dat")
HEAD_LINES = 200
MAX_LINE = 100_000
ROWS = 2**17
"""Rows parsed at a time."""

_DELIMITERS = (";", "\t", ",", "|", " ")
_NUMBER = r"[-+]?(?:\d+(?:{0}\d*)?|{0}\d+)(?:[eE][-+]?\d+)?"
_POINT, _COMMA = (re.compile(_NUMBER.format(re.escape(d))) for d in ".,")
_MISSING = frozenset({"", "-", "nan", "na", "n/a", "null", "none", "inf", "-inf"})
_STAMP = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|[\[']?\d+:\d\d)"
)
_TIME_NAME = re.compile(
    r"time|zeit|temps|tiempo|tempo|stamp|date|datum|uhr|elapsed|^t$|^t[ _\[(/]|"
    r"^(?:milli|micro|nano)?sec|^ms$|^s$"
)
_COUNT_NAME = re.compile(r"nseq|sample|index|^#|^n$|^nr|count|unnamed|^id$|row|^di$|^o\d$")
_RATE_LINE = re.compile(
    r"(?:sampl\w*[ _-]?(?:rate|freq\w*)|abtastrate|^fs|frequency|frequence)[^\d\n]{0,30}?"
    r"(\d+(?:[.,]\d+)?)",
    re.IGNORECASE,
)
ALIKE = 0.02
"""Share by which a rate that was asked for may differ from the file's without a word."""
_TICKS = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}


@dataclass(frozen=True)
class Layout:
    """How a table of text is laid out."""

    delimiter: str
    decimal: str
    skip: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    preamble: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    encoding: str


def layout(head: bytes, *, whole: bool) -> Layout | None:
    """The layout of a text that begins with ``head``, None where it is no table of numbers."""
    encoding = encoding_of(head)
    text = head.decode(encoding, "replace")
    if "\0" in text:
        return None
    lines = re.split(r"\r\n|\n|\r", text)
    if not whole and len(lines) > 1:
        lines.pop()
    lines = lines[:HEAD_LINES]
    if not lines or max(map(len, lines)) > MAX_LINE:
        return None
    body = [i for i, line in enumerate(lines) if line.strip()]
    tail = body[len(body) // 2 :] if len(body) > 6 else body[-max(1, len(body) - 1) :]
    fits = []
    for rank, (delimiter, decimal) in enumerate(itertools.product(_DELIMITERS, ".,")):
        fit = _fit(lines, tail, delimiter, decimal)
        if fit is not None:
            fits.append((*fit, -rank, delimiter, decimal))
    if not fits:
        return None
    _, width, _, delimiter, decimal = max(fits)
    return _laid_out(lines, width, delimiter, decimal, encoding)


def _fit(
    lines: list[str], tail: list[int], delimiter: str, decimal: str
) -> tuple[float, int] | None:
    """How well the rows ``tail`` fall into numbers, and how many fields they have; None: not."""
    if delimiter == decimal:
        return None
    rows = [_fields(lines[i], delimiter) for i in tail]
    if not rows:
        return None
    width, alike = Counter(map(len, rows)).most_common(1)[0]
    cells = [c for row in rows if len(row) == width for c in row]
    good = sum(_is_value(c, decimal) for c in cells) / max(len(cells), 1)
    share = good * alike / len(rows)
    if share < 0.7 or not any(_is_number(c, decimal) for c in cells):
        return None
    # of two ways that both fit, the one whose header has as many fields, then the wider
    header = 0.5 if _header_width(lines, tail[0], delimiter) == width else 0.0
    return round(share, 2) + header, width


def _laid_out(
    lines: list[str], width: int, delimiter: str, decimal: str, encoding: str
) -> Layout | None:
    """The layout once delimiter and decimal mark are known."""
    tables = [(i, _fields(line, delimiter)) for i, line in enumerate(lines) if line.strip()]
    wide = [(i, row) for i, row in tables if len(row) == width]
    first = next((at for at, (_, row) in enumerate(wide) if _is_row(row, decimal)), None)
    if first is None:
        return None
    above = [_plain(row) for _, row in wide[:first]]
    names, units = _titles([row for row in above if not row[0].startswith("# {")], width)
    skip = wide[first][0]
    rows = tuple(tuple(row) for _, row in wide[first:])
    return Layout(delimiter, decimal, skip, names, units, tuple(lines[:skip]), rows, encoding)


def _is_row(row: list[str], decimal: str) -> bool:
    return any(_is_number(c, decimal) for c in row) and all(_is_value(c, decimal) for c in row)


def _titles(above: list[list[str]], width: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of the columns, from the rows above the numbers."""
    names, units = [""] * width, [""] * width
    if above and _are_units(above[-1]):
        units = above.pop()
    if above:
        names = above[-1]
    split = [_split_unit(name) for name in names]
    return (
        tuple(name for name, _ in split),
        tuple(unit.strip("()[]") or found for unit, (_, found) in zip(units, split, strict=True)),
    )


class DelimitedFile(RecordingFile):
    """A table of text; the columns asked for are parsed when they are first read."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        with path.open("rb") as file:
            head = file.read(2**18)
            whole = not file.read(1)
        found = layout(head, whole=whole)
        if found is None:
            raise RecordingError(
                f"{path} is text, but no table of numbers: one row per sample and one column per "
                "lead are wanted"
            )
        self._layout = found
        self._path = path
        self._progress = options.progress
        notes: list[str] = []
        rate, names = _stated(found)
        if options.fs_hz is not None:
            notes += self._contradicted(names, rate, options.fs_hz)
        time, unit_s = self._time_column(names, options, stated=rate is not None)
        line, start = self._timeline(time, unit_s, options, rate, notes)
        self._line = line
        self._fields = self._lead_fields(path, options, names, time)
        self._kept: dict[int, NDArray[np.float32]] = {}
        signals = tuple(
            Signal(names[i], found.units[i], line.fs_hz, line.n_samples, line.n_held)
            for i in self._fields
        )
        super().__init__(path, Contents(signals, start, (*notes, *line.notes())), options)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        if index not in self._kept:
            self._kept.clear()  # one column at a time
            self._kept[index] = self._column(self._fields[index])
        return self._line.place(self._kept[index], start, stop)

    def _contradicted(self, names: list[str], rate: float | None, asked_hz: float) -> list[str]:
        """What the file says of its rate, by its first rows, where that is not what was asked."""
        time, ticks = self._stamps(names, stated=rate is not None)
        if time is not None:
            first = np.array([row[time] for row in self._layout.rows], np.object_)
            line = timeline.from_stamps(self._values(first) / ticks if ticks else _seconds(first))
            rate = None if line is None else line.fs_hz
        if rate is None or abs(asked_hz / rate - 1) < ALIKE:
            return []
        return [f"read at {asked_hz:g} Hz as asked; the file says {rate:.6g} Hz"]

    def _time_column(
        self, names: list[str], options: ReadOptions, *, stated: bool
    ) -> tuple[int | None, float]:
        """Column with time stamps and its ticks per second; none where the rate was asked for."""
        return (None, 1.0) if options.fs_hz is not None else self._stamps(names, stated=stated)

    def _stamps(self, names: list[str], *, stated: bool) -> tuple[int | None, float]:
        """Column with time stamps and how many of its ticks make a second; 0 for dates."""
        found = self._layout
        for i, name in enumerate(names):
            values = [row[i] for row in found.rows]
            plain = name.casefold().strip()
            called_time = bool(_TIME_NAME.search(plain))
            if _COUNT_NAME.search(plain) and not called_time:
                continue
            if sum(map(_is_stamp, values)) > len(values) / 2:
                return i, 0.0
            if not called_time and not (i == 0 and len(names) > 1 and not stated):
                continue
            numbers = _numbers(values, found.decimal)
            numbers = numbers[np.isfinite(numbers)]
            if _goes_on(numbers) and (called_time or _may_be_time(name, numbers)):
                return i, _ticks(numbers, found.units[i])
        return None, 1.0

    def _timeline(
        self,
        time: int | None,
        ticks: float,
        options: ReadOptions,
        rate: float | None,
        notes: list[str],
    ) -> tuple[timeline.Timeline, Start | None]:
        if time is None:
            known = options.fs_hz or rate
            if known is None:
                raise RecordingError(
                    f"{self._path} has no time column and states no sampling rate: give it with "
                    "--fs HZ"
                )
            n = sum(len(block) for block in self._blocks([0]))
            if not n:
                raise RecordingError(f"{self._path} holds no rows")
            return timeline.regular(n, checked_rate(self._path, known)), None
        stamps = np.asarray(self._column(time, ticks), np.float64)
        line = timeline.from_stamps(stamps)
        if line is None or not 0 < line.fs_hz < 1e6:
            raise RecordingError(
                f"{self._path}: column {self._layout.names[time] or time} gives no sampling rate: "
                "give it with --fs HZ"
            )
        notes.append(
            f"{line.fs_hz:g} Hz from the time stamps in column {self._layout.names[time] or time}"
        )
        return line, _first_time(stamps)

    def _lead_fields(
        self, path: Path, options: ReadOptions, names: list[str], time: int | None
    ) -> list[int]:
        if options.columns:
            return list(dict.fromkeys(_named(path, names, str(c)) for c in options.columns))
        chosen = [i for i, name in enumerate(names) if i != time and self._is_signal(i, name)]
        if not chosen:
            raise RecordingError(f"{path}: no column of samples: name one with --column")
        return sorted(chosen, key=lambda i: not _names_ecg(names[i]))

    def _is_signal(self, field: int, name: str) -> bool:
        """Whether a column may hold samples, not times, dates or counts."""
        found = self._layout
        values = [row[field] for row in found.rows]
        numbers = _numbers(values, found.decimal)
        if any(map(_is_stamp, values[:1])) or not np.isfinite(numbers).any():
            return False
        if len(found.names) == 1:
            return True
        plain = name.casefold()
        return not (_TIME_NAME.search(plain) or _COUNT_NAME.search(plain) or _counts(numbers))

    def _column(self, field: int, ticks: float | None = None) -> NDArray[np.floating]:
        """Every row of one column; of a time column in s."""
        # grown in place: parts and what they are joined to would take twice the memory
        rows: NDArray[np.floating] = np.empty(0, np.float32 if ticks is None else np.float64)
        total = 0
        for block in self._blocks([field]):
            start, total = total, total + len(block)
            if total > MAX_VALUES:
                raise RecordingError(f"{self._path} has more than {MAX_VALUES} rows: cut it")
            rows.resize(total, refcheck=False)
            if ticks is None:
                rows[start:] = self._values(block)
            elif ticks:
                rows[start:] = self._values(block) / ticks
            else:
                rows[start:] = _seconds(block)
        return rows

    def _values(self, block: NDArray[np.object_]) -> NDArray[np.float64]:
        import pandas as pd

        if block.dtype.kind in "fiu":
            return block.astype(np.float64)
        texts = pd.Series(block).astype(str).str.strip("[]'\" ")
        if self._layout.decimal == ",":
            texts = texts.str.replace(",", ".", regex=False)
        return np.asarray(pd.to_numeric(texts, errors="coerce"), np.float64)

    def _blocks(self, fields: list[int]) -> Iterator[NDArray[np.object_]]:
        """One column, some rows at a time."""
        import pandas as pd

        found = self._layout
        size = self._path.stat().st_size
        try:
            with warnings.catch_warnings(), self._path.open("rb") as file:
                warnings.simplefilter("ignore")
                reader = pd.read_csv(
                    file,
                    sep=r"\s+" if found.delimiter == " " else found.delimiter,
                    header=None,
                    names=list(range(len(found.names))),
                    usecols=fields,
                    skiprows=found.skip,
                    skip_blank_lines=True,
                    decimal=found.decimal,
                    encoding=found.encoding,
                    encoding_errors="replace",
                    on_bad_lines="skip",
                    chunksize=ROWS,
                    skipinitialspace=True,
                    index_col=False,
                    low_memory=False,
                )
                with reader:
                    for frame in reader:
                        if self._progress is not None:
                            self._progress(file.tell(), size)
                        yield frame.iloc[:, 0].to_numpy()
        except (ValueError, OverflowError, pd.errors.ParserError) as error:
            raise RecordingError(
                f"{self._path}: a row can't be read as the others: {' '.join(str(error).split())}"
            ) from error


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter=delimiter))
        except (csv.Error, StopIteration):
            return line.split(delimiter)
    return line.rstrip("\r\n").split(delimiter)


def _is_number(text: str, decimal: str) -> bool:
    return bool((_POINT if decimal == "." else _COMMA).fullmatch(text.strip("[]'\" ")))


def _is_value(text: str, decimal: str) -> bool:
    plain = text.strip("[]'\" ")
    return _is_number(plain, decimal) or plain.casefold() in _MISSING or bool(_STAMP.match(plain))


def _numbers(texts: list[str], decimal: str) -> NDArray[np.float64]:
    def value(text: str) -> float:
        plain = text.strip("[]'\" ")
        return float(plain.replace(",", ".")) if _is_number(plain, decimal) else np.nan

    return np.array([value(t) for t in texts], np.float64)


def _header_width(lines: list[str], first: int, delimiter: str) -> int:
    """Fields of the first line that has letters, above the rows looked at; 0 where none has."""
    for line in lines[:first]:
        if line.strip() and not line.startswith("#") and re.search(r"[^\W\d_]{2}", line):
            return len(_fields(line, delimiter))
    return 0


def _plain(row: list[str]) -> list[str]:
    return [cell.strip("'\" \ufeff").lstrip("#%").strip() for cell in row]


def _are_units(row: list[str]) -> bool:
    return any(mv_per_unit(c) is not None for c in row) and all(
        len(c) <= 16 and not re.search(r"ecg|ekg", c, re.IGNORECASE) for c in row
    )


def _split_unit(name: str) -> tuple[str, str]:
    """``ECG [uV]``, ``ecg (mV)`` or ``ecg_uV`` as name and unit."""
    found = re.fullmatch(r"(.*\S)\s*[\[(]([^\])]{1,12})[\])]", name)
    if found:
        return found[1], found[2]
    found = re.fullmatch(r"(.*\w)[_ /](\w{1,2}V|ms|us|ns|s)", name)
    return (found[1], found[2]) if found else (name, "")


def _is_stamp(text: str) -> bool:
    return bool(_STAMP.match(text.strip("[]'\" ")))


def _goes_on(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers grow, but for a few and for those that share a stamp."""
    steps = np.diff(numbers)
    return bool(
        len(steps) >= 2 and np.median(steps) >= 0 and (steps >= 0).mean() >= 0.9 and steps.any()
    )


def _may_be_time(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether a first column that is not called time may be it; one that counts samples is not."""
    if name and not _never_signal(numbers):
        return False
    return set(np.diff(numbers).tolist()) != {1.0}


def _named(path: Path, names: list[str], column: str) -> int:
    """Index of a column that is named, or numbered from 0."""
    if column in names:
        return names.index(column)
    if column.isdigit() and int(column) < len(names):
        return int(column)
    listed = ", ".join(n or str(i) for i, n in enumerate(names))
    raise RecordingError(f"{path} has no column {column!r}: choose among {listed}")


def _names_ecg(name: str) -> bool:
    return likelihood(name) == 2


def _never_signal(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers only grow, as no ECG does."""
    return bool((np.diff(numbers) >= 0).all() and numbers[-1] > numbers[0])


def _counts(numbers: NDArray[np.float64]) -> bool:
    """Whether a column counts samples, from 0 again now and then."""
    steps = np.diff(numbers[np.isfinite(numbers)])
    return bool(len(steps) > 8 and (steps == 1).mean() > 0.9)


def _ticks(numbers: NDArray[np.float64], unit: str) -> float:
    """Ticks of a second: as the unit says, else what gives a rate that an ECG can have."""
    stated = {"msec": "ms", "sec": "s", "seconds": "s", "milliseconds": "ms", "\u00b5s": "us"}
    plain = unit.casefold().strip()
    plain = stated.get(plain, plain)
    if plain in _TICKS:
        return _TICKS[plain]
    size = abs(float(numbers[0]))
    for ticks, least in ((1e9, 1e17), (1e6, 1e14), (1e3, 1e11), (1.0, 1e8)):  # since 1970
        if size > least:
            return ticks
    line = timeline.from_stamps(numbers)
    if line is not None:
        for ticks in (1.0, 1e3, 1e6, 1e9):
            if 20 <= line.fs_hz * ticks <= 20_000:
                return ticks
    return 1.0


def _seconds(block: NDArray[np.object_]) -> NDArray[np.float64]:
    """Dates or times of day as s; a day later where the time goes back past midnight."""
    import pandas as pd

    texts = pd.Series(block).astype(str).str.strip("[]'\" ")
    clock = texts.str.extract(r"^(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)$")
    if clock[2].notna().mean() > 0.5:
        parts = clock.apply(lambda c: pd.to_numeric(c.str.replace(",", "."), errors="coerce"))
        seconds = parts[0].fillna(0) * 3600 + parts[1] * 60 + parts[2]
        values = np.asarray(seconds, np.float64)
        back = np.concatenate([[False], np.diff(values) < -43_200])
        return values + 86_400.0 * np.cumsum(back)
    texts = texts.str.replace(r"(\d),(\d{1,9})(?=$|[Z+-])", r"\1.\2", regex=True)
    dates = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
    if dates.isna().mean() > 0.5:
        dates = pd.to_datetime(texts, errors="coerce", utc=True, format="mixed", dayfirst=True)
    values = dates.to_numpy("datetime64[ns]")
    seconds = values.astype(np.int64) / 1e9
    seconds[np.isnat(values)] = np.nan
    return np.asarray(seconds, np.float64)


def _first_time(stamps: NDArray[np.float64]) -> Start | None:
    first = next((x for x in stamps if np.isfinite(x)), np.nan)
    if not 1e8 < first < 4e9:
        return None
    return datetime.datetime.fromtimestamp(float(first), datetime.UTC).replace(tzinfo=None)


def _stated(found: Layout) -> tuple[float | None, list[str]]:
    """Rate and column names that lines above the table state."""
    names = list(found.names)
    rate: float | None = None
    for line in found.preamble:
        if line.startswith("# {"):
            rate, names = _open_signals(line, names, rate)
        elif rate is None and (stated := _RATE_LINE.search(line)):
            value = float(stated[1].replace(",", "."))
            rate = value if 10 <= value <= 100_000 else None
    return rate, names


def _open_signals(
    line: str, names: list[str], rate: float | None
) -> tuple[float | None, list[str]]:
    """The header of biosignalsplux and BITalino's OpenSignals."""
    try:
        device = next(iter(json.loads(line[2:]).values()))
        columns, sensors = list(device["column"]), list(device.get("sensor", []))
        rate = float(device["sampling rate"])
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError):
        return rate, names
    if len(columns) <= len(names):  # rows end in a tab
        names = [str(c) for c in columns] + [""] * (len(names) - len(columns))
        at = len(columns) - len(sensors)
        for i, sensor in enumerate(sensors):
            if at + i >= 0:
                names[at + i] = str(sensor)
    return rate, names


def _sniff(head: bytes, path: Path) -> bool:
    if path.suffix.lower() in (".bin", ".raw"):
        return False
    return layout(head, whole=len(head) < 65536) is not None


READER = Reader(
    "Delimited text (CSV, TSV, columns)",
    SUFFIXES,
    "--fs where it has no time column and states no rate",
    _sniff,
    DelimitedFile,
    general=True,
    takes=("columns",),
)
