"""WFDB records, read through the ``wfdb`` package.

What comes in is not trusted: sizes that a header claims are held against the files that are there
before anything is allocated, files outside the record's folder are refused, and whatever ``wfdb``
stumbles over becomes a :class:`~ecgqa_tflite.errors.RecordingError`. The header's checksums are not
compared: many published records carry none (challenge-2017 has 0 everywhere).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray
from wfdb.io._signal import BYTES_PER_SAMPLE, COMPRESSED_FMTS

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import Recording

MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "v": 1e3, "nv": 1e-6}
"""Units of an ECG, lower case, and what one of them is in mV."""

MAX_VALUES = 2**29
"""Most samples times leads that are read: 24 h of twelve leads at 500 Hz, 2 GiB of float32."""

GAP_ALLOWANCE = 2**26
"""Samples times leads of gaps that a record may hold beyond four times what its files hold; a
header of a few bytes can claim any gap, so a claim alone must not take the memory."""

MAX_HEADER_BYTES = 4 * 2**20
MAX_HEADER_LINE = 1024
MAX_SIGNALS = 1024
MAX_SEGMENTS = 20_000

FLAC_SAMPLES_PER_BYTE = 8192
"""More than FLAC makes of a byte: a constant block of 65,535 samples takes about ten."""

CHUNK_FRAMES = 2**18
"""Frames decoded at a time: wfdb decodes into float64, several times what is kept."""

FILE_SUFFIXES = (".hea", ".dat", ".mat")

# name[/segments] signals [fs[/counter]] [samples] ...: wfdb reads a prefix of anything
_RECORD_LINE = re.compile(r"[-\w]+(/\d+)?\s+\d+(\s+\d*\.?\d+\.?(/\S*)?(\s+\d+(\s.*)?)?)?")
# wfdb drops bytes that are not ASCII, which would turn microvolts into volts
_MICROVOLT = re.compile(rb"/(?:\xc2\xb5|\xce\xbc|\xb5)V\b")
# these end a line to str.splitlines, which wfdb uses, and to nobody else
_OTHER_LINE_ENDS = re.compile(rb"[\x0b\x0c\x1c-\x1e]")


@dataclass(frozen=True)
class _Lead:
    """One decoded signal: ``samples_mv`` float32, ``per_frame`` samples in each frame."""

    per_frame: int
    samples_mv: NDArray[np.float32]


def read_wfdb(path: str | Path) -> Recording:
    """Read a WFDB record, single- or multi-segment, every signal format that ``wfdb`` decodes.

    Signals in volts (mV, uV, nV, V; a missing unit means mV, as WFDB has it) become leads; others
    (pressure, respiration) are left out and named in ``other_signals``. Where leads have different
    sampling rates the recording has the highest, and slower leads are interpolated linearly:
    averaging down to the frame rate, as WFDB tools do, would cost an ECG its QRS. Invalid samples
    and segments that lack a lead are NaN.

    Parameters
    ----------
    path
        The record, with or without ``.hea``, ``.dat`` or ``.mat``.

    Raises
    ------
    RecordingError
        A header or signal that is missing, corrupt, truncated, empty or larger than
        ``MAX_VALUES``; no signal in volts.
    """
    header_path = _find_header(Path(path))
    try:
        return _read(header_path)
    except MemoryError as error:
        raise RecordingError(
            f"{header_path} does not fit in this machine's memory: cut it into shorter records"
        ) from error


def _read(header_path: Path) -> Recording:
    header = _read_header(header_path)
    if isinstance(header, wfdb.MultiRecord):
        leads, frames, others = _read_segments(header_path, header)
    else:
        frames = _n_frames(header_path, header)
        leads, others = _read_signals(header_path, header, frames), _other_signals(header)
    if not leads:
        raise RecordingError(
            f"{header_path}: no signal in mV, uV or V ({', '.join(others) or 'no signal at all'}): "
            "if one is an ECG, state its unit in the header"
        )
    top = max(lead.per_frame for lead in leads.values())
    signal_mv = np.empty((frames * top, len(leads)), np.float32)
    for column, lead in enumerate(leads.values()):
        signal_mv[:, column] = _to_rate(lead, top)
    return Recording(
        name=header_path.stem,
        signal_mv=signal_mv,
        fs_hz=float(header.fs) * top,
        lead_names=tuple(leads),
        other_signals=others,
    )


def _find_header(path: Path) -> Path:
    """The ``.hea`` file of the record that ``path`` names."""
    if path.is_dir():
        records = sorted(p.stem for p in path.glob("*.hea"))[:3]
        example = f": name one of its records, for example {path / records[0]}" if records else ""
        raise RecordingError(f"{path} is a folder, not a recording{example}")
    candidates = [path.with_name(path.name + ".hea")]
    if path.suffix in FILE_SUFFIXES:
        candidates.insert(0, path.with_suffix(".hea"))
    for candidate in candidates:
        if candidate.is_file():
            if "::" in str(candidate.absolute()):
                raise RecordingError(f"{candidate}: wfdb can't open a path with '::': rename it")
            return candidate
    if path.is_file():
        raise RecordingError(
            f"{path} is not a WFDB record (header .hea and signal); wfdb.wrsamp writes one from an "
            f"array in mV"
        )
    raise RecordingError(
        f"{candidates[0]} is missing: name a WFDB record by the path of its header, "
        "with or without .hea"
    )


def _read_header(path: Path) -> Any:
    """``wfdb.Record`` or ``wfdb.MultiRecord`` with the header's fields, no signal, all checked."""
    try:
        if path.stat().st_size > MAX_HEADER_BYTES:
            raise RecordingError(f"{path} is over {MAX_HEADER_BYTES} bytes: not a WFDB header")
        content = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path} can't be read: {error.strerror}") from error
    lines = [line.strip() for line in content.splitlines()]
    lines = [line for line in lines if line and not line.startswith(b"#")]
    if _OTHER_LINE_ENDS.search(content):
        raise RecordingError(f"{path} is not a WFDB header: it holds control characters")
    # long lines make wfdb's regular expressions backtrack for minutes
    if not lines or max(map(len, lines)) > MAX_HEADER_LINE:
        raise RecordingError(f"{path} is not a WFDB header: no record line, or one too long")
    if not _RECORD_LINE.fullmatch(lines[0].decode("ascii", "replace")):
        raise RecordingError(f"{path}: corrupt record line; fetch or write the record again")
    multi = b"/" in lines[0].split()[0]
    if not multi and len(lines) > 1 + MAX_SIGNALS:
        raise RecordingError(f"{path}: more than {MAX_SIGNALS} signals")
    try:
        header = wfdb.rdheader(str(path.with_suffix("").absolute()))
    except Exception as error:  # wfdb raises whatever its parsing met
        raise RecordingError(f"{path}: corrupt header: {_one_line(error)}") from error
    if not header.fs or not 0 < header.fs < 1e6:
        raise RecordingError(f"{path}: sampling rate {header.fs} Hz: corrupt header")
    if multi:
        if not 1 <= header.n_seg <= MAX_SEGMENTS:
            raise RecordingError(f"{path}: {header.n_seg} segments: must be 1 to {MAX_SEGMENTS}")
        if len(header.seg_name) != header.n_seg:
            raise RecordingError(
                f"{path}: {header.n_seg} segments announced, {len(header.seg_name)} listed"
            )
        return header
    if header.n_sig != len(lines) - 1:
        raise RecordingError(
            f"{path}: {header.n_sig} signals announced, {len(lines) - 1} described: corrupt header"
        )
    for i, line in enumerate(lines[1:]):
        if header.units[i] == "V" and _MICROVOLT.search(line):
            header.units[i] = "uV"
        if not (np.isfinite(header.adc_gain[i]) and header.adc_gain[i] != 0):
            raise RecordingError(f"{path}: gain {header.adc_gain[i]} of signal {i}: corrupt header")
        if not 1 <= header.samps_per_frame[i] <= 10_000:
            raise RecordingError(f"{path}: {header.samps_per_frame[i]} samples per frame: corrupt")
    return header


def _n_frames(header_path: Path, header: Any) -> int:
    """Frames (samples of the slowest signal) of a single-segment record, which its files hold."""
    if not header.n_sig:
        raise RecordingError(f"{header_path} describes no signal")
    files: dict[str, list[int]] = {}
    for i, name in enumerate(header.file_name):
        files.setdefault(name, []).append(i)
    frames = header.sig_len
    if frames == 0:
        raise RecordingError(f"{header_path} says that the record holds no samples")
    for name, signals in files.items():
        if name != Path(name).name or name in ("", ".", "..", "~"):
            raise RecordingError(f"{header_path}: signal file {name!r} is not a plain file name")
        formats = {header.fmt[i] for i in signals}
        fmt = header.fmt[signals[0]]
        if len(formats) > 1 or fmt not in BYTES_PER_SAMPLE:
            raise RecordingError(f"{header_path}: signal format {'/'.join(formats)} of {name}")
        # wfdb takes a file's signals by their distance from its first one
        if signals != list(range(signals[0], signals[0] + len(signals))):
            raise RecordingError(f"{header_path}: the signals of {name} are not listed together")
        path = header_path.with_name(name)
        if not path.is_file():
            raise RecordingError(f"{path} is missing: put it beside {header_path.name}")
        size = path.stat().st_size
        if fmt in COMPRESSED_FMTS:
            if frames is None:
                raise RecordingError(f"{header_path} must state the number of samples of {name}")
            # what it holds shows when it is decoded; this is what it can't hold
            held = size * FLAC_SAMPLES_PER_BYTE // header.samps_per_frame[signals[0]]
        else:
            per_frame = sum(header.samps_per_frame[i] for i in signals) * BYTES_PER_SAMPLE[fmt]
            held = int((size - (header.byte_offset[signals[0]] or 0)) / per_frame)
        if frames is None:
            frames = held
        if held < max(frames, 1):
            raise RecordingError(
                f"{path} is truncated: {frames} samples per signal announced, {max(held, 0)} "
                "there; fetch or write the record again"
            )
    if any(skew and not 0 <= skew <= frames for skew in header.skew):
        raise RecordingError(f"{header_path}: a skew is longer than the record: corrupt header")
    return int(frames)


def _read_signals(header_path: Path, header: Any, frames: int) -> dict[str, _Lead]:
    """The leads of a single-segment record by name, ``frames`` frames of each."""
    wanted = [i for i in range(header.n_sig) if _is_voltage(header, i)]
    if not wanted:
        return {}
    per_frame = [header.samps_per_frame[i] for i in wanted]
    _refuse_huge(header_path, frames * max(per_frame) * len(wanted))
    scales = [MV_PER_UNIT[header.units[i].lower()] for i in wanted]
    signals = [np.empty(frames * n, np.float32) for n in per_frame]
    # format 8 stores differences, and a header without a length lets wfdb find it: both in one go
    whole = not header.sig_len or "8" in header.fmt
    step = frames if whole else CHUNK_FRAMES
    record = str(header_path.with_suffix("").absolute())
    for start in range(0, frames, step):
        stop = min(start + step, frames)
        try:
            chunk = wfdb.rdrecord(
                record,
                sampfrom=start,
                sampto=stop if header.sig_len else None,
                channels=wanted,
                smooth_frames=False,
            )
            for signal, n, scale, values in zip(
                signals, per_frame, scales, chunk.e_p_signal, strict=True
            ):
                np.multiply(values, scale, out=signal[start * n : stop * n], casting="same_kind")
        except Exception as error:  # a decoder's complaint, whatever its type
            raise RecordingError(
                f"{header_path}: the signal can't be decoded: {_one_line(error)}"
            ) from error
    names = [_signal_names(header)[i] for i in wanted]
    return {
        name: _Lead(n, signal) for name, n, signal in zip(names, per_frame, signals, strict=True)
    }


def _read_segments(header_path: Path, header: Any) -> tuple[dict[str, _Lead], int, tuple[str, ...]]:
    """Leads by name, frames and left-out signals of a multi-segment record; NaN between them."""
    lengths = [int(length) for length in header.seg_len]
    frames = sum(lengths)
    if header.sig_len not in (None, frames):
        raise RecordingError(
            f"{header_path}: segments of {frames} samples in a record of {header.sig_len}"
        )
    if not frames:
        raise RecordingError(f"{header_path} says that the record holds no samples")
    parts: dict[str, Any] = {}
    longest = dict(sorted(zip(header.seg_name, lengths, strict=True), key=lambda item: item[1]))
    for name in dict.fromkeys(header.seg_name):
        if name == "~":
            continue
        if name != Path(name).name or name in ("", ".", ".."):
            raise RecordingError(f"{header_path}: segment {name!r} is not a plain record name")
        path = header_path.with_name(name + ".hea")
        if not path.is_file():
            raise RecordingError(f"{path} is missing: put it beside {header_path.name}")
        part = _read_header(path)
        if isinstance(part, wfdb.MultiRecord):
            raise RecordingError(f"{path}: a segment can't have segments of its own")
        if part.fs != header.fs:
            raise RecordingError(f"{path}: {part.fs} Hz in a record of {header.fs} Hz")
        # the layout of a variable-layout record is a header without samples
        if longest[name] and _n_frames(path, part) < longest[name]:
            raise RecordingError(
                f"{path} holds fewer than the {longest[name]} samples that {header_path.name} "
                "announces"
            )
        parts[name] = part
    rates: dict[str, int] = {}
    others: dict[str, None] = {}
    for part in parts.values():
        others.update(dict.fromkeys(_other_signals(part)))
        for i, name in enumerate(_signal_names(part)):
            if _is_voltage(part, i):
                rates[name] = max(rates.get(name, 1), part.samps_per_frame[i])
    held = sum(length for n, length in zip(header.seg_name, lengths, strict=True) if n != "~")
    width = sum(rates.values())
    _refuse_huge(header_path, frames * max(rates.values(), default=1) * len(rates))
    if frames * width > 4 * held * width + GAP_ALLOWANCE:
        raise RecordingError(
            f"{header_path}: {frames} samples, of which its segments hold {held}: corrupt header"
        )
    out = {n: _Lead(r, np.full(frames * r, np.nan, np.float32)) for n, r in rates.items()}
    start = 0
    for name, length in zip(header.seg_name, lengths, strict=True):
        if name != "~" and length:
            read = _read_signals(header_path.with_name(name + ".hea"), parts[name], length)
            for lead_name, lead in read.items():
                rate = rates[lead_name]
                span = slice(start * rate, (start + length) * rate)
                out[lead_name].samples_mv[span] = _to_rate(lead, rate)
        start += length
    return out, frames, tuple(others)


def _to_rate(lead: _Lead, per_frame: int) -> NDArray[np.float32]:
    """The lead's samples at ``per_frame`` a frame, interpolated linearly where that is more."""
    if lead.per_frame == per_frame:
        return lead.samples_mv
    n = lead.samples_mv.size // lead.per_frame * per_frame
    times = np.arange(n) * (lead.per_frame / per_frame)
    held = np.arange(lead.samples_mv.size)
    return np.asarray(np.interp(times, held, lead.samples_mv), np.float32)


def _signal_names(header: Any) -> list[str]:
    """A name for every signal: the header's, made different where they repeat or lack."""
    names: list[str] = []
    for i, given in enumerate(header.sig_name if header.n_sig else []):
        base = (given or "").strip() or f"ch{i}"
        name, count = base, 2
        while name in names:
            name, count = f"{base}#{count}", count + 1
        names.append(name)
    return names


def _is_voltage(header: Any, i: int) -> bool:
    return header.units[i].lower() in MV_PER_UNIT


def _other_signals(header: Any) -> tuple[str, ...]:
    """Signals that are not in volts, as ``name (unit)``."""
    return tuple(
        f"{name} ({header.units[i]})"
        for i, name in enumerate(_signal_names(header))
        if not _is_voltage(header, i)
    )


def _refuse_huge(path: Path, n_values: int) -> None:
    if n_values > MAX_VALUES:
        raise RecordingError(
            f"{path} claims {n_values} samples, more than {MAX_VALUES}: cut it into shorter records"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
