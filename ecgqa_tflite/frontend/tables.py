# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The integer front end's tables, made from the spec: every constant that the C uses.

The arrays carry the C names and types (``firmware_bridge/include/ecgqa/cwt.h``); ``native`` hands
them to the host library by pointer and ``export`` writes the same arrays as C, so there is nothing
to drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import SpecError
from ecgqa_tflite.frontend import morse
from ecgqa_tflite.spec import FFT_RADICES, FrontEnd

CWT_FORMAT = 3
"""Format number of the tables, ``ECGQA_CWT_FORMAT``; a test holds it against the header."""

PSI_LEN = 256
TAPS = 8
PSI_RANGE = (0.45, 1.56)
"""f / f0 where the wavelet is above 2 of 32768; bins outside are left out."""

PSI_ENTRIES = PSI_LEN / (PSI_RANGE[1] - PSI_RANGE[0])
"""Entries of the wavelet's table per unit of f / f0."""

SPARE_BANDWIDTH = 1.11
"""Real points of a row's short transform over its centre bin, at least: the width of PSI_RANGE, so
that the band fits; a power of two, so up to twice that."""

TAPS_SUM_MAX = 27000
"""Sum of a phase's taps in size, Q14, up to which no magnitude can overflow (``magnitude_of``)."""

BASELINE_POINTS_HZ, BASELINE_MIN_POINTS = 50, 75
"""Points of the baseline a second, and the fewest: three half seconds (``condition.h``)."""

LOG2_FFT_MIN, LOG2_FFT_MAX = 3, 11

ROW_DTYPE = np.dtype(
    [
        ("psi_step_q16", "<u4"),
        ("first_bin", "<u2"),
        ("last_bin", "<u2"),
        ("centre_bin", "<u2"),
        ("log2_fft", "u1"),
        ("in_range", "u1"),
    ]
)
"""``ecgqa_cwt_row_t``."""


@dataclass(frozen=True)
class Tables:
    """``ecgqa_cwt_tables_t``: scalars, then the arrays it points to, by their C names."""

    format: int
    segment_len: int
    rows: int
    cols: int
    n_bins: int
    forward_points: int
    n_stages: int
    max_log2_fft: int
    subtract_min: int
    conditioning: int
    segment_ms: int
    psi_first_q16: int
    spec_hash: int
    radices: NDArray[np.uint8]
    forward_order: NDArray[np.uint16]
    quarter_sine_q31: NDArray[np.int32]
    twiddle_cos_q31: NDArray[np.int32]
    twiddle_sin_q31: NDArray[np.int32]
    bit_reversal: NDArray[np.uint16]
    psi_q15: NDArray[np.int16]
    taps_q14: NDArray[np.int16]
    row: NDArray[np.void]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays: what the tables take of the flash."""
        return sum(a.nbytes for a in vars(self).values() if isinstance(a, np.ndarray))


def _q31(x: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.clip(np.rint(x * 2.0**31), -(2**31), 2**31 - 1).astype(np.int32)


def segment_ms(segment_s: float) -> int:
    """Duration of a segment as the C has it, ms."""
    return max(1, round(1000 * segment_s))


def _radices(points: int) -> list[int]:
    """Stages of the forward transform: fours first, then a two, threes and fives."""
    out: list[int] = []
    for radix in (4, *FFT_RADICES):
        while points % radix == 0:
            out.append(radix)
            points //= radix
    return out


def _input_order(radices: list[int]) -> NDArray[np.uint16]:
    """Where input i goes so that in-place stages of these radices leave natural order."""
    order = np.zeros(1, dtype=np.int64)
    span = 1
    # A stage of radix p interleaves p transforms of `span` points: input p * i + q is input i of
    # the q-th, which lies at q * span.
    for radix in radices:
        order = np.array([q * span + order[i] for i in range(span) for q in range(radix)])
        span *= radix
    return order.astype(np.uint16)


def _taps(cols: int, gamma: float, time_bandwidth: float) -> NDArray[np.int16]:
    """Least-squares interpolation of W between the short transform's points, Q14 (cols, TAPS).

    Phase p takes 8 samples, at -3 .. 4, to p / cols. The error is weighted with the wavelet's
    power, averaged over the ratios of transform length to centre bin that occur.
    """
    turns = np.linspace(-0.6, 0.6, 481)  # frequency from the band's centre, turns a sample
    weight = np.zeros_like(turns)
    for ratio in np.linspace(SPARE_BANDWIDTH, 2 * SPARE_BANDWIDTH, 9):
        f = 1.0 + turns * ratio
        inside = (f > PSI_RANGE[0]) & (f < PSI_RANGE[1])
        weight += np.where(inside, morse.psi_at(f, gamma, time_bandwidth) ** 2, 0.0) / ratio
    weight += weight[::-1]  # a symmetric weight makes the taps real
    at = np.arange(TAPS) - (TAPS // 2 - 1)
    basis = np.exp(2j * np.pi * turns[:, None] * at)
    normal = ((basis.conj().T * weight) @ basis).real
    target = np.exp(2j * np.pi * turns[:, None] * np.arange(cols) / cols)
    taps = np.linalg.solve(normal, ((basis.conj().T * weight) @ target).real).T
    taps_q14 = np.ascontiguousarray(np.rint(taps * 2.0**14).astype(np.int16))
    if np.abs(taps_q14.astype(int)).sum(axis=1).max() > TAPS_SUM_MAX:
        raise SpecError(
            f"gamma {gamma:g}, time_bandwidth {time_bandwidth:g}: band too wide to interpolate"
        )
    return taps_q14


def _rows(spec: FrontEnd, n: int, psi_first_q16: int) -> NDArray[np.void]:
    """Each row's bins of a segment of ``n`` samples, and its short transform; ``ROW_DTYPE``."""
    centre = spec.centre_frequencies_hz / spec.bin_hz
    row = np.zeros(spec.rows, dtype=ROW_DTYPE)
    step = np.rint(PSI_ENTRIES / centre * 2**16).astype(np.int64)
    row["psi_step_q16"] = step
    row["first_bin"] = -(-psi_first_q16 // step)
    last = (psi_first_q16 + (PSI_LEN << 16) - 1) // step
    row["last_bin"] = np.minimum(last, n - 1)
    row["centre_bin"] = np.rint(centre)
    row["log2_fft"] = np.maximum(
        LOG2_FFT_MIN, np.ceil(np.log2(centre * SPARE_BANDWIDTH)).astype(int) - 1
    )
    row["in_range"] = 1
    if spec.scaling == "qrs":
        row["in_range"] = np.isin(np.arange(spec.rows), spec.qrs_rows)
    return row


def _require_rows(spec: FrontEnd, row: NDArray[np.void]) -> None:
    width = row["last_bin"].astype(int) - row["first_bin"]
    if row["first_bin"].min() < 1 or width.min() < 0:
        raise SpecError(
            f"f_min_hz {spec.f_min_hz:g}: a segment of {spec.segment_s:g} s is too short for its "
            f"wavelet; raise f_min_hz"
        )
    if row["log2_fft"].max() > LOG2_FFT_MAX or (width >= 2 << row["log2_fft"].astype(int)).any():
        raise SpecError(
            f"f_max_hz {spec.f_max_hz:g}: too high for segments of {spec.segment_s:g} s; lower it, "
            f"or take shorter segments"
        )


def _require_points(spec: FrontEnd, n_bins: int) -> None:
    """The baseline's points lie where the spectrum will; three half seconds have a maximum each."""
    points = round(BASELINE_POINTS_HZ * spec.segment_s)
    if spec.conditioning != "none" and not BASELINE_MIN_POINTS <= points <= n_bins + 1:
        raise SpecError(
            f"conditioning of {spec.segment_s:g} s needs a segment of "
            f"{BASELINE_MIN_POINTS / BASELINE_POINTS_HZ:g} s or more and rows up to "
            f"{0.5 * BASELINE_POINTS_HZ / PSI_RANGE[1]:.3g} Hz or more; or conditioning none"
        )


@lru_cache(maxsize=32)
def build(spec: FrontEnd, fs_hz: float) -> Tables:
    """Tables for segments sampled at ``fs_hz``; the same object for the same arguments.

    Raises
    ------
    SamplingRateError
        See :meth:`FrontEnd.segment_len`.
    SpecError
        A row's wavelet is too long or too short for a segment, or its band too wide.
    """
    n = spec.segment_len(fs_hz)
    points = n // 2 if n % 2 == 0 else n
    radices = _radices(points)

    psi_first_q16 = round(PSI_RANGE[0] * PSI_ENTRIES * 2**16)
    row = _rows(spec, n, psi_first_q16)
    _require_rows(spec, row)
    _require_points(spec, int(row["last_bin"].max()))
    max_log2_fft = int(row["log2_fft"].max())
    circle = 2 << max_log2_fft
    angle = 2.0 * np.pi * np.arange(3 * circle // 4) / circle
    reversal = np.zeros(1, dtype=np.uint16)
    for _ in range(max_log2_fft):
        reversal = np.concatenate([2 * reversal, 2 * reversal + 1]).astype(np.uint16)
    ratio = PSI_RANGE[0] + np.arange(PSI_LEN + 1) / PSI_ENTRIES
    psi = morse.psi_at(ratio, spec.gamma, spec.time_bandwidth) / morse.PEAK

    tables = Tables(
        format=CWT_FORMAT,
        segment_len=n,
        rows=spec.rows,
        cols=spec.cols,
        n_bins=int(row["last_bin"].max()),
        forward_points=points,
        n_stages=len(radices),
        max_log2_fft=max_log2_fft,
        subtract_min=int(spec.scaling == "minmax"),
        conditioning=int(spec.conditioning == "baseline"),
        segment_ms=segment_ms(spec.segment_s),
        psi_first_q16=psi_first_q16,
        spec_hash=int(spec.short_hash, 16),
        radices=np.array(radices, dtype=np.uint8),
        forward_order=_input_order(radices),
        quarter_sine_q31=_q31(np.sin(np.pi / 2.0 * np.arange(n + 1) / n)),
        twiddle_cos_q31=_q31(np.cos(angle)),
        twiddle_sin_q31=_q31(-np.sin(angle)),
        bit_reversal=reversal,
        psi_q15=np.minimum(np.rint(psi * 2.0**15), 2**15 - 1).astype(np.int16),
        taps_q14=_taps(spec.cols, spec.gamma, spec.time_bandwidth),
        row=row,
    )
    for array in vars(tables).values():
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return tables
