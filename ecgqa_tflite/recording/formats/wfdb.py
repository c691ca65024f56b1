# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""WFDB records: the header is parsed here, as published ones are; ``wfdb`` decodes the signals.

What comes in is not trusted: sizes that a header claims are held against the files that are there
before anything is allocated, files outside the record's folder are refused, and whatever ``wfdb``
stumbles over becomes a :class:`~ecgqa_tflite.errors.RecordingError`. The header's checksums are not
compared: many published records carry none (challenge-2017 has 0 everywhere). Source of the rules:
header(5) and signal(5) of the WFDB Applications Guide.
"""

from __future__ import annotations

import datetime
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.file import (
    Contents,
    Reader,
    ReadOptions,
    RecordingFile,
    Signal,
    Start,
)
from ecgqa_tflite.recording.leads import distinct, mv_per_unit
from ecgqa_tflite.recording.text import decode, sibling

MAX_HEADER_BYTES = 4 * 2**20
MAX_HEADER_LINE = 1024
MAX_SIGNALS = 1024
MAX_SEGMENTS = 20_000

FLAC_SAMPLES_PER_BYTE = 8192
"""More than FLAC makes of a byte: a constant block of 65,535 samples takes about ten."""

BYTES_PER_SAMPLE = {
    "8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5,
    "310": 4 / 3, "311": 4 / 3,
}  # fmt: skip
"""By format, as signal(5) has them."""

COMPRESSED = ("508", "516", "524")
"""FLAC."""

FILE_SUFFIXES = (".hea", ".dat", ".mat")

DEFAULT_FS_HZ = 250.0
DEFAULT_GAIN = 200.0

_RECORD_REST = re.compile(
    r"(?:/(?P<segments>\d+))?\s+(?P<signals>\d+)"
    r"(?:\s+(?P<fs>\d*[.,]?\d+\.?(?:[eE][-+]?\d+)?)(?:/\S*)?(?:\s+(?P<length>\d+)(?:\s+(?P<when>.*))?)?)?"
)
_SIGNAL_REST = re.compile(
    r"(?P<format>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?"
    r"(?:\s+(?P<gain>[-+]?\d*\.?\d+\.?(?:[eE][-+]?\d+)?)(?:\((?P<baseline>[-+]?\d+)\))?"
    r"(?:/(?P<unit>\S*))?(?:\s+(?P<numbers>(?:[-+]?\d+\s+){0,4}[-+]?\d+))?)?(?:\s+(?P<name>.*))?"
)
_TIME = re.compile(r"(?<![\d:])(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?:\.(\d{1,6})\d*)?(?![\d:])")
_DATE = re.compile(r"(?<!\d)(\d{1,2})([/.-])(\d{1,2}|[A-Za-z]{3})\2(\d{4})(?!\d)")
_ISO_DATE = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# these end a line to str.splitlines and to nobody else
_OTHER_LINE_ENDS = re.compile(rb"[\x0b\x0c\x1c-\x1e]")


@dataclass
class _Described:
    """One signal line."""

    file: str
    fmt: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    first: int
    unit: str
    name: str


@dataclass
class _Header:
    """A header file."""

    path: Path
    fs_hz: float
    frames: int | None
    start: Start | None = None
    signals: list[_Described] = field(default_factory=list)
    segments: list[tuple[str, int]] | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """A segment: where it starts, how long it is, what each signal file holds, in frames."""

    header: _Header
    start: int
    stop: int
    held: dict[str, int]


class WfdbFile(RecordingFile):
    """A WFDB record, single- or multi-segment."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        header = _read_header(path, options.fs_hz)
        notes = header.notes
        self._parts = _segments(header) if header.segments is not None else [_whole(header)]
        total = max((part.stop for part in self._parts), default=0)
        if not total:
            raise RecordingError(f"{path} holds no samples: nothing can be assessed")
        # by name and whether it is a voltage: segments describe the same signal in other units
        self._keys: list[tuple[str, bool]] = []
        self._rates: list[int] = []
        units: dict[tuple[str, bool], str] = {}
        held: dict[tuple[str, bool], int] = {}
        for part in self._parts:
            for described, name in zip(part.header.signals, _names(part.header), strict=True):
                key = (name, mv_per_unit(described.unit) is not None)
                if key not in units:
                    units[key] = described.unit
                    self._keys.append(key)
                    self._rates.append(described.per_frame)
                at = self._keys.index(key)
                self._rates[at] = max(self._rates[at], described.per_frame)
                held[key] = held.get(key, 0) + part.held.get(described.file, 0)
        signals = tuple(
            Signal(name, units[name, v], header.fs_hz * rate, total * rate, held[name, v] * rate)
            for (name, v), rate in zip(self._keys, self._rates, strict=True)
        )
        self._decoder = _Decoder()
        if any(
            s.fmt == "8" for p in self._parts for s in p.header.signals
        ):  # first differences: from the start or not at all
            self.chunk = max(s.n_samples for s in signals)
        super().__init__(path, Contents(signals, header.start, tuple(notes)), options)

    @property
    def files(self) -> tuple[Path, ...]:
        """Header, headers of segments and signal files."""
        found = [self.path]
        for part in self._parts:
            found.append(part.header.path)
            found += [_signal_path(part.header, name) for name in part.held]
        return tuple(dict.fromkeys(found))

    def read(self, index: int, start: int, stop: int) -> NDArray[np.floating]:
        """Samples of a signal; see :meth:`RecordingFile.read`."""
        rate = self._rates[index]
        out = np.full(stop - start, np.nan)
        first, last = start // rate, -(-stop // rate)
        for part in self._parts:
            begin, end = max(first, part.start), min(last, part.stop)
            if begin >= end:
                continue
            values = self._decode(part, index, begin - part.start, end - part.start)
            if values is None:
                continue
            at = begin * rate - start
            low, high = max(at, 0), min(at + values.size, out.size)
            out[low:high] = values[low - at : high - at]
        return out

    def _decode(self, part: _Part, index: int, begin: int, end: int) -> NDArray[np.float64] | None:
        """Frames of one segment at the lead's rate and in its unit; None where it has no such."""
        key, rate = self._keys[index], self._rates[index]
        for described, name in zip(part.header.signals, _names(part.header), strict=True):
            if (name, mv_per_unit(described.unit) is not None) == key:
                break
        else:
            return None
        held = part.held.get(described.file, 0)
        values = np.full((end - begin) * described.per_frame, np.nan)
        reach = min(end, held)
        if begin < reach:
            got = self._decoder.frames(part.header, described, held, begin, reach)
            values[: got.size] = got
        own, unit = mv_per_unit(described.unit), mv_per_unit(self.signals[index].unit)
        if own != unit and own is not None and unit is not None:
            values *= own / unit
        if described.per_frame == rate:
            return values
        times = np.arange((end - begin) * rate) * (described.per_frame / rate)
        return np.asarray(np.interp(times, np.arange(values.size), values), np.float64)


class _Decoder:
    """Hands signal files to wfdb under headers that it reads; published ones it often refuses.

    A header of our own and a link to the signal file stand in a temporary folder, so that wfdb's
    public functions do, whatever the names, dates, gains and units of the real header are.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ecgqa-", ignore_cleanup_errors=True)
        self._records: dict[tuple[Path, Path], str] = {}

    def frames(
        self, header: _Header, wanted: _Described, held: int, begin: int, end: int
    ) -> NDArray[np.float64]:
        """Physical values of one signal, frames ``begin`` to ``end`` of a segment."""
        path = _signal_path(header, wanted.file)
        group = [s for s in header.signals if s.file == wanted.file]
        key = (header.path, path)
        try:
            if key not in self._records:
                self._records[key] = self._describe(path, group, held)
            (values,) = wfdb.rdrecord(
                self._records[key],
                sampfrom=begin,
                sampto=end,
                channels=[next(i for i, s in enumerate(group) if s is wanted)],
                smooth_frames=False,
            ).e_p_signal
        except Exception as error:  # a decoder's complaint, whatever its type
            raise RecordingError(
                f"{header.path}: {path.name} can't be decoded as format {wanted.fmt}: "
                f"{' '.join(str(error).split()) or type(error).__name__}"
            ) from error
        digits = np.asarray(values, np.float64)  # at a gain of 1; NaN where WFDB's code says so
        return np.asarray((digits - wanted.baseline) / wanted.gain, np.float64)

    def _describe(self, path: Path, group: list[_Described], held: int) -> str:
        """Name of a record that holds one signal file, ``held`` frames long."""
        name = str(Path(self._folder.name) / f"s{len(self._records)}")
        try:
            os.symlink(path.absolute(), f"{name}.dat")
        except OSError:  # Windows lets few users link symbolically
            os.link(path, f"{name}.dat")
        stem = Path(name).name
        lines = [f"{stem} {len(group)} 1 {held}"] + [
            f"{stem}.dat {s.fmt}x{s.per_frame}:{s.skew}+{s.offset} 1(0)/mV 0 0 {s.first} 0 0"
            for s in group
        ]
        Path(f"{name}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
        return name


def _whole(header: _Header) -> _Part:
    """A record of one segment, as far as its files hold it."""
    if not header.signals:
        raise RecordingError(
            f"{header.path} has no signals, annotations at most: there is nothing to assess"
        )
    held = _held(header)
    frames = header.frames
    longest = max(held.values())
    if longest < 1:
        raise RecordingError(f"{header.path}: {', '.join(held)} holds no samples: fetch it again")
    if frames is None:
        frames = min(held.values())
    for name, n in held.items():
        if n < frames:
            header.notes.append(
                f"{name} is truncated: {frames} samples a signal announced, {n} there"
                + (": read to there" if n == longest else ": the rest is a gap")
            )
        elif n > frames and not _compressed(header, name) and n - frames > 1:
            header.notes.append(f"{name} holds {n} samples a signal, {frames} announced and read")
    frames = min(frames, longest)
    if any(s.skew > frames for s in header.signals):
        raise RecordingError(f"{header.path}: a skew is longer than the record")
    return _Part(header, 0, frames, {name: min(n, frames) for name, n in held.items()})


def _compressed(header: _Header, file: str) -> bool:
    return any(s.fmt in COMPRESSED for s in header.signals if s.file == file)


def _held(header: _Header) -> dict[str, int]:
    """Frames that each signal file holds."""
    files: dict[str, list[int]] = {}
    for i, signal in enumerate(header.signals):
        files.setdefault(signal.file, []).append(i)
    held: dict[str, int] = {}
    for name, where in files.items():
        group = [header.signals[i] for i in where]
        fmt = group[0].fmt
        formats = sorted({s.fmt for s in group})
        if len(formats) > 1 or fmt not in (*BYTES_PER_SAMPLE, *COMPRESSED):
            raise RecordingError(f"{header.path}: signal format {'/'.join(formats)} of {name}")
        if where != list(range(where[0], where[0] + len(where))):
            raise RecordingError(f"{header.path}: the signals of {name} are not listed together")
        size = _signal_path(header, name).stat().st_size
        per_frame = sum(s.per_frame for s in group)
        if fmt in COMPRESSED:
            if header.frames is None:
                raise RecordingError(f"{header.path} must state the number of samples of {name}")
            # what it holds shows when it is decoded; this is what it can't hold
            most = size * FLAC_SAMPLES_PER_BYTE // group[0].per_frame
            if most < header.frames:
                raise RecordingError(
                    f"{name} is truncated: {header.frames} samples announced, {most} at most there"
                )
            held[name] = header.frames
        else:
            bytes_per_frame = per_frame * BYTES_PER_SAMPLE[fmt]
            held[name] = max(int((size - group[0].offset) / bytes_per_frame), 0)
    return held


def _signal_path(header: _Header, name: str) -> Path:
    """Where a signal file is; a file outside the record's folder is refused."""
    folder = header.path.parent
    parts = Path(name).parts
    if (
        not parts
        or Path(name).is_absolute()
        or re.match(r"[A-Za-z]:|\\", name)
        or {"..", "~"} & set(parts)
        or "::" in name
    ):
        raise RecordingError(
            f"{header.path}: signal file {name!r} is no plain file name: files outside the "
            "record's folder are not read"
        )
    found = sibling(folder.joinpath(*parts))
    if found is not None:
        return found
    wanted = folder / name
    beside = [
        p.name for s in (".mat", ".dat") if (p := wanted.with_name(wanted.name + s)).is_file()
    ]
    packed = [p.name for s in (".gz", ".xz") if (p := wanted.with_name(wanted.name + s)).is_file()]
    if beside:
        remedy = (
            f"{beside[0]} is beside it: if that is the signal, write its name in {header.path.name}"
        )
    elif packed:
        remedy = f"unpack {packed[0]}"
    else:
        remedy = f"put it beside {header.path.name}"
    raise RecordingError(f"signal file {wanted} is missing: {remedy}")


def _segments(header: _Header) -> list[_Part]:
    """The segments of a record, those that are missing as gaps."""
    assert header.segments is not None
    frames = sum(length for _, length in header.segments)
    if header.frames not in (None, frames):
        raise RecordingError(
            f"{header.path}: segments of {frames} samples in a record of {header.frames}"
        )
    if not frames:
        raise RecordingError(f"{header.path} says that the record holds no samples")
    known = _named_segments(header, header.segments)
    parts: list[_Part] = []
    start = 0
    for name, length in header.segments:
        found = known.get(name)
        if found is not None:
            segment, there = found
            held = {file: min(n, length) for file, n in there.items()}
            parts.append(_Part(segment, start, start + length, held))
            fewest = min(held.values(), default=length)
            if fewest < length:
                header.notes.append(
                    f"segment {name} holds {fewest} samples a signal, fewer than the {length} "
                    "announced: the rest is a gap"
                )
        start += length
    if not any(part.held for part in parts):
        _refuse_empty(header, [name for name, found in known.items() if found is None])
    # the record's end may be a gap
    parts.append(_Part(_Header(header.path, header.fs_hz, None), frames, frames, {}))
    return parts


def _named_segments(
    header: _Header, segments: list[tuple[str, int]]
) -> dict[str, tuple[_Header, dict[str, int]] | None]:
    """What each segment that is named holds, once however often it comes."""
    known: dict[str, tuple[_Header, dict[str, int]] | None] = {}
    for name, length in segments:
        if name != "~" and name not in known:
            known[name] = _segment(header, name, length)
    return known


def _refuse_empty(header: _Header, missing: list[str]) -> None:
    """Say of a record without a sample why it has none."""
    if missing:
        raise RecordingError(
            f"{header.path.with_name(missing[0] + '.hea')} is missing, and so is every other "
            f"segment: put them beside {header.path.name}"
        )
    raise RecordingError(
        f"{header.path} has no segment with a signal, gaps alone: no signal in mV, uV or V"
    )


def _segment(header: _Header, name: str, length: int) -> tuple[_Header, dict[str, int]] | None:
    """A segment's header and the frames of its files, none for a layout; None if it is missing."""
    if name != Path(name).name or name in ("", ".", ".."):
        raise RecordingError(f"{header.path}: segment {name!r} is no plain record name")
    path = sibling(header.path.with_name(name + ".hea"))
    if path is None:
        header.notes.append(f"segment {name} is missing: read as a gap")
        return None
    part = _read_header(path)
    if part.segments is not None:
        raise RecordingError(f"{path}: a segment can't have segments of its own")
    if part.fs_hz != header.fs_hz:
        raise RecordingError(f"{path}: {part.fs_hz:g} Hz in a record of {header.fs_hz:g} Hz")
    if not length or not part.signals:  # the layout of a variable-layout record has no samples
        return part, {}
    try:
        held = _held(part)
    except RecordingError as error:
        if "is missing" not in str(error):
            raise
        header.notes.append(f"{error}: read as a gap")
        return part, {}
    header.notes += part.notes
    return part, held


def _read_header(path: Path, fs_hz: float | None = None) -> _Header:
    """A header, every field checked; ``fs_hz`` stands for a rate that can't be."""
    lines = _lines(path)
    header, n_signals, n_segments = _record_line(path, lines[0], fs_hz)
    if n_segments is not None:
        if not 1 <= n_segments <= MAX_SEGMENTS:
            raise RecordingError(f"{path}: {n_segments} segments: must be 1 to {MAX_SEGMENTS}")
        header.segments = [_segment_line(path, line) for line in lines[1:]]
        if len(header.segments) != n_segments:
            raise RecordingError(
                f"{path}: {n_segments} segments announced, {len(header.segments)} listed"
            )
        return header
    if len(lines) > 1 + MAX_SIGNALS:
        raise RecordingError(f"{path}: more than {MAX_SIGNALS} signals")
    if n_signals != len(lines) - 1:
        raise RecordingError(
            f"{path}: {n_signals} signals announced, {len(lines) - 1} described: add or remove "
            "signal lines"
        )
    header.signals = [_signal_line(header, i, line) for i, line in enumerate(lines[1:])]
    return header


def _lines(path: Path) -> list[str]:
    """A header's lines without comments, at least the record line."""
    try:
        if path.stat().st_size > MAX_HEADER_BYTES:
            raise RecordingError(f"{path} is over {MAX_HEADER_BYTES} bytes: not a WFDB header")
        content = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path} can't be read: {error.strerror}") from error
    if content[:8].strip() in (b"0", b"\xffBIOSEMI"):
        raise RecordingError(f"{path} is an EDF file, not a WFDB header: rename it to .edf")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RecordingError(f"{path} is UTF-16 text: save it as UTF-8")
    if _OTHER_LINE_ENDS.search(content) or b"\0" in content:
        raise RecordingError(f"{path} is not a WFDB header: it holds control characters")
    text, _ = decode(content)
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines or max(map(len, lines)) > MAX_HEADER_LINE:
        raise RecordingError(f"{path} is not a WFDB header: no record line, or one too long")
    return lines


def _record_line(path: Path, line: str, fs_hz: float | None) -> tuple[_Header, int, int | None]:
    """Record line: name[/segments] signals [fs[/counter[(base)]] [samples [time [date]]]]."""
    stem = path.stem
    name = stem if re.match(re.escape(stem) + r"[/\s]", line) else re.split(r"[/\s]", line)[0]
    fields = _RECORD_REST.fullmatch(line[len(name) :])
    if not name or fields is None:
        raise RecordingError(
            f"{path}: corrupt record line {line[:60]!r}: name, number of signals, sampling rate "
            "and number of samples are wanted; fetch or write the record again"
        )
    header = _Header(path, DEFAULT_FS_HZ, int(fields["length"] or 0) or None)
    if fields["fs"] is None:
        header.notes.append(
            f"no sampling rate in {path.name}: {DEFAULT_FS_HZ:g} Hz, WFDB's default"
        )
    else:
        header.fs_hz = float(fields["fs"].replace(",", "."))
    if not 0 < header.fs_hz < 1e6:
        if fs_hz is None:
            raise RecordingError(
                f"{path}: sampling rate {header.fs_hz} Hz: corrupt header, write the right one or "
                "give it with --fs HZ"
            )
        header.fs_hz = fs_hz
    if fields["when"]:
        header.start, ignored = _start(fields["when"])
        if ignored:
            header.notes.append(f"start {ignored!r} in {path.name} is no time or date: ignored")
    return header, int(fields["signals"]), int(fields["segments"]) if fields["segments"] else None


def _start(text: str) -> tuple[Start | None, str]:
    """Time and date in whatever order they stand, and what is neither."""
    time: datetime.time | None = None
    date: datetime.date | None = None
    rest = text
    try:
        if found := _TIME.search(rest):
            rest = rest.replace(found[0], " ", 1)
            hour, minute, second, fraction = found.groups()
            if second is None:  # MM:SS
                hour, minute, second = "0", hour, minute
            time = datetime.time(
                int(hour), int(minute), int(second), int((fraction or "0").ljust(6, "0"))
            )
        if found := _ISO_DATE.search(rest):
            rest = rest.replace(found[0], " ", 1)
            date = datetime.date(*map(int, found.groups()))
        elif found := _DATE.search(rest):
            rest = rest.replace(found[0], " ", 1)
            month = found[3].lower()
            number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month)
            date = datetime.date(int(found[4]), number, int(found[1]))
    except ValueError:
        return time, text.strip()
    if time is not None and date is not None:
        return datetime.datetime.combine(date, time), rest.strip()
    return time, (rest.strip() if date is None else text.strip())


def _segment_line(path: Path, line: str) -> tuple[str, int]:
    fields = re.fullmatch(r"(\S.*?)\s+(\d+)", line)
    if fields is None:
        raise RecordingError(f"{path}: segment line {line[:40]!r}: name and samples are wanted")
    return fields[1], int(fields[2])


def _signal_line(header: _Header, number: int, line: str) -> _Described:
    """Signal line: file format[xn][:skew][+offset] [gain[(baseline)][/unit] [bits [zero ...]]]."""
    file, fields = _fields(header.path, number, line)
    numbers = [int(n) for n in (fields["numbers"] or "").split()]
    zero = numbers[1] if len(numbers) > 1 else 0
    first = numbers[2] if len(numbers) > 2 else zero
    per_frame = int(fields["per_frame"] or 1)
    if not 1 <= per_frame <= 10_000:
        raise RecordingError(f"{header.path}: {per_frame} samples per frame of signal {number}")
    return _Described(
        file=file,
        fmt=fields["format"],
        per_frame=per_frame,
        skew=int(fields["skew"] or 0),
        offset=int(fields["offset"] or 0),
        gain=_gain(header, number, float(fields["gain"] or 0)),
        baseline=int(fields["baseline"]) if fields["baseline"] else zero,
        first=first,
        unit=(fields["unit"] or "mV").replace("^", ""),
        name=fields["name"] or "",
    )


def _fields(path: Path, number: int, line: str) -> tuple[str, re.Match[str]]:
    """File name and the fields after it; file names hold spaces, now and then."""
    for gap in re.finditer(r"\s+(?=\d)", line):
        file = line[: gap.start()]
        fields = _SIGNAL_REST.fullmatch(line[gap.end() :])
        one_name = " " not in file or re.search(r"\.\w+$", file) or (path.parent / file).is_file()
        if fields is not None and one_name:
            return file, fields
    raise RecordingError(f"{path}: signal line {number} can't be understood: {line[:40]!r}")


def _gain(header: _Header, number: int, stated: float) -> float:
    if not np.isfinite(stated):
        raise RecordingError(
            f"{header.path}: gain {stated} of signal {number}: write the right one"
        )
    if stated:
        return stated
    header.notes.append(
        f"signal {number} is uncalibrated: taken as {DEFAULT_GAIN:g} counts per mV, WFDB's default"
    )
    return DEFAULT_GAIN


def _names(header: _Header) -> list[str]:
    return distinct(s.name for s in header.signals)


def _sniff(head: bytes, path: Path) -> bool:
    if path.suffix.lower() == ".hea":
        return True
    if (
        path.suffix.lower() not in FILE_SUFFIXES
        and sibling(path.with_name(path.name + ".hea")) is None
    ):
        return False
    return find_header(path) is not None


def find_header(path: Path) -> Path | None:
    """The header of the record that ``path`` names, with or without one of ``FILE_SUFFIXES``."""
    # a shell that completes r.hea and r.dat leaves "r."
    candidates = [path.with_name((path.name.rstrip(".") or path.name) + ".hea")]
    if path.suffix.lower() in FILE_SUFFIXES:
        candidates.insert(0, path.with_suffix(".hea"))
    for candidate in candidates:
        found = sibling(candidate)
        if found is not None:
            return found
    return None


def parts_of(header: Path) -> set[Path]:
    """Files beside a header that it names: signal files and headers of segments."""
    try:
        found = _read_header(header)
    except RecordingError:
        return set()
    names = [f"{name}.hea" for name, _ in found.segments or []]
    return {header.parent / name for name in [*names, *(s.file for s in found.signals)]}


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    header = find_header(path)
    if header is None:
        raise RecordingError(
            f"{path.with_name(path.name + '.hea')} is missing: name a WFDB record by the path of "
            "its header, with or without .hea"
        )
    return WfdbFile(header, options)


READER = Reader("WFDB record", FILE_SUFFIXES, "", _sniff, _open)
