# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A lead as text that a page can hold: differences of int16 codes, deflated, in base64.

A day of one lead is 20 million samples, and a page of 3 MB has room for some 2 million. So a page
holds an envelope of the whole lead, and its samples where something happens, as far as its budget
goes.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.decisions import Span
from ecgqa_tflite.recording.envelope import beat_height_mv, envelope
from ecgqa_tflite.spec import Quality

LEAD_BUDGET_BYTES = 2_850_000
"""Most that one lead takes in a page: with scripts and words a page of one lead is under 3 MB."""

FINEST_BIN_S = 0.25
"""Shortest bin of the envelope: single beats stand out in it."""
MOST_BINS = 345_600
"""A day of the finest bins; a longer lead has longer ones, so that they leave room for samples."""

LEVELS_PER_BEAT = 256
"""Steps of a code from the foot of a usual beat to its top: finer than a screen's pixels."""

STRETCH_UNITS = 12
"""Segments' lengths in one piece at most: a minute is decoded at a time."""

STRIP_UNITS, STRIP_EVERY_S = 2, 3600.0
"""Of every hour a strip is kept, whatever its quality: so many segments' lengths."""

_MISSING = -32768
_LARGEST = 32767
_ESCAPE = -128
_TAG_BYTES = 80
"""Of the element around a stretch."""


@dataclass(frozen=True)
class Scale:
    """What the codes of a lead mean: mV = ``offset_mv`` + code * ``step_mv``."""

    step_mv: float
    offset_mv: float

    def codes(self, signal_mv: NDArray[np.floating]) -> NDArray[np.int16]:
        """Codes of samples; what is out of range is at its end, NaN is the code of a gap."""
        scaled = np.rint((signal_mv.astype(np.float64) - self.offset_mv) / self.step_mv)
        scaled = np.clip(scaled, -_LARGEST, _LARGEST)
        return np.where(np.isnan(scaled), _MISSING, scaled).astype(np.int16)


@dataclass(frozen=True, eq=False)
class PackedEnvelope:
    """The whole of a lead from afar.

    Attributes
    ----------
    bin_len
        Samples per bin.
    n_bins
        How many there are.
    scale
        Of these and all of the lead's codes.
    low, high
        Lowest and highest of each bin, as :func:`pack` gives them.
    """

    bin_len: int
    n_bins: int
    scale: Scale
    low: str
    high: str


@dataclass(frozen=True)
class Stretch:
    """Samples of a lead without a break.

    Attributes
    ----------
    first, n
        First sample and their number.
    text
        As :func:`pack` gives it.
    """

    first: int
    n: int
    text: str


def deflated(data: bytes) -> str:
    """Bytes as base64 of a zlib stream."""
    return base64.b64encode(zlib.compress(data)).decode()


def differences(codes: NDArray[np.int16]) -> bytes:
    """A signed byte for each step from the code before; -128, then the code itself, where larger.

    Parameters
    ----------
    codes
        Shape (n,); the code before the first is 0.
    """
    steps = np.diff(codes.astype(np.int32), prepend=0)
    plain = np.abs(steps) <= 127
    places = np.cumsum(np.where(plain, 1, 3))
    starts = places - np.where(plain, 1, 3)
    out = np.empty(int(places[-1]) if len(places) else 0, np.int8)
    out[starts] = np.where(plain, steps, _ESCAPE)
    escaped = starts[~plain]
    halves = codes[~plain].astype("<i2").view(np.int8).reshape(-1, 2)
    out[escaped + 1], out[escaped + 2] = halves[:, 0], halves[:, 1]
    return out.tobytes()


def pack(codes: NDArray[np.int16]) -> str:
    """Codes, shape (n,), as text: :func:`differences`, :func:`deflated`."""
    return deflated(differences(codes))


def packed_envelope(signal_mv: NDArray[np.floating], fs_hz: float) -> PackedEnvelope:
    """Envelope of one lead, shape (n_samples,), mV, and the scale that suits its beats."""
    bin_len = max(round(FINEST_BIN_S * fs_hz), math.ceil(len(signal_mv) / MOST_BINS), 1)
    low, high = envelope(signal_mv, bin_len)
    scale = _scale(signal_mv, fs_hz)
    return PackedEnvelope(bin_len, len(low), scale, pack(scale.codes(low)), pack(scale.codes(high)))


def _scale(signal_mv: NDArray[np.floating], fs_hz: float) -> Scale:
    """A step that is 1, 2 or 5 times a power of ten, and the middle of the lead."""
    low, high = envelope(signal_mv, max(round(fs_hz), 1))
    beat_mv = beat_height_mv(low, high) or 1.0
    finest = beat_mv / LEVELS_PER_BEAT
    decade = 10.0 ** math.floor(math.log10(finest))
    middle = (low.astype(np.float64) + high) / 2
    middle = middle[np.isfinite(middle)]
    return Scale(
        max(m * decade for m in (1, 2, 5) if m * decade <= finest * 1.001),
        float(np.median(middle)) if middle.size else 0.0,
    )


def stretches(
    signal_mv: NDArray[np.floating],
    fs_hz: float,
    runs: Sequence[Span],
    unit_s: float,
    scale: Scale,
    budget_bytes: float,
) -> Iterator[Stretch]:
    """Samples of one lead where something happens, as far as the budget goes, in order.

    First both sides of each change of quality and a strip of each hour, then the rest of what is
    low, then all else if all of it fits. Where one of these doesn't fit, what is kept of it is
    spread over the lead.

    Parameters
    ----------
    signal_mv
        Shape (n_samples,), mV.
    runs
        What was decided, merged.
    unit_s
        Samples are kept in pieces of this length, s: a segment's.
    budget_bytes
        Infinite: everything is kept.
    """
    unit_len = max(round(unit_s * fs_hz), 1)
    n_units = math.ceil(len(signal_mv) / unit_len)

    def codes(first: int, last: int) -> NDArray[np.int16]:
        return scale.codes(signal_mv[first * unit_len : last * unit_len])

    if math.isinf(budget_bytes):
        kept = np.ones(n_units, np.bool_)
    else:
        ranks = _ranks(runs, n_units, unit_len / fs_hz)
        kept = _within_budget(ranks, lambda unit: len(pack(codes(unit, unit + 1))), budget_bytes)
    for first, last in _pieces(kept):
        samples = codes(first, last)
        yield Stretch(first * unit_len, len(samples), pack(samples))


def _ranks(runs: Sequence[Span], n_units: int, unit_s: float) -> NDArray[np.int8]:
    """How soon each unit is kept: 0 first."""
    low = np.zeros(n_units, np.bool_)
    for run in runs:
        if run.quality == Quality.LOW:
            low[math.floor(run.start_s / unit_s + 1e-6) : math.ceil(run.end_s / unit_s - 1e-6)] = (
                True
            )
    changes = np.flatnonzero(np.diff(low))
    ranks = np.where(low, 1, 2).astype(np.int8)
    ranks[changes] = ranks[changes + 1] = 0
    for start_s in np.arange(0.0, n_units * unit_s, STRIP_EVERY_S):
        unit = math.floor(start_s / unit_s)
        ranks[unit : unit + STRIP_UNITS] = 0
    return ranks


def _within_budget(
    ranks: NDArray[np.int8], size_of: Callable[[int], int], budget_bytes: float
) -> NDArray[np.bool_]:
    """Which units are kept; alone each takes more than it does in its stretch."""
    kept = np.zeros(len(ranks), np.bool_)
    left = budget_bytes
    for rank in (0, 1, 2):
        units = np.flatnonzero(ranks == rank)
        chosen = []
        for unit in units[_spread(len(units))]:
            left -= size_of(int(unit)) + _TAG_BYTES
            if left < 0:
                break
            chosen.append(unit)
        if rank < 2 or len(chosen) == len(units):
            kept[chosen] = True
        if left < 0:
            break
    return kept


def _spread(n: int) -> NDArray[np.int64]:
    """0 to n - 1 such that the first of them, however many, lie all over the range."""
    bits = max(1, (n - 1).bit_length())
    i = np.arange(2**bits)
    reversed_bits = sum(((i >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    order = np.asarray(reversed_bits, np.int64)
    return order[order < n]


def _pieces(kept: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First unit and the one after the last of each piece."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]])))
    for first, last in edges.reshape(-1, 2).tolist():
        for start in range(first, last, STRETCH_UNITS):
            yield start, min(start + STRETCH_UNITS, last)
