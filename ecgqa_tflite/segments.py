# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments: windows of one lead as the int16 samples that the integer front end takes.

A device hands its converter's codes to the front end; a recording comes in millivolts. The rule
that makes codes of millivolts is written here once: each segment is centred at mid-range and
rounded to the finest least significant bit of the form 2**k uV, k >= -2, at which it fits int16.
Amplitude never matters to the image (every scalogram is scaled to its own extremes), resolution
does, and a quarter of a microvolt is finer than any converter this is used with.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy.signal import firwin, resample_poly

from ecgqa_tflite.errors import ArgumentError, RecordingError, SamplingRateError
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.spec import FrontEnd

FINEST_LSB_EXPONENT = -2
"""Smallest k of the least significant bit 2**k uV."""

RESAMPLED_FS_HZ = 250.0
"""Rate, Hz, for recordings whose own rate the fixed-point transform can't take."""

_UV_PER_MV = 1000.0
_INT16_MAX = 32767
_RESAMPLED_AT_ONCE = 2**18  # samples: what works on them takes several times their memory
_BATCH = 256  # segments worked on at a time: float64 copies stay within a few MB


class SegmentStatus(enum.StrEnum):
    """What can be said of a segment before any network sees it."""

    OK = "ok"
    GAP = "gap"
    """At least one sample is missing (NaN or infinite)."""
    FLAT = "flat"
    """Constant: no two samples differ by more than the finest least significant bit."""
    HELD = "held"
    """1 s or so holds one value, or a few least significant bits of dither; or 1.5 s hold mains hum
    and nothing else, that isn't there in the rest."""
    CLIPPED = "clipped"
    """A tenth of the samples or more lie on the segment's extremes."""
    SMOOTH = "smooth"
    """Next to nothing is as steep as a QRS complex: a pulse wave, breathing, bare wander."""


def signal_status(samples: NDArray[np.int16], front_end: NativeFrontEnd) -> NDArray[np.str_]:
    """What a device finds in segments before any network.

    Parameters
    ----------
    samples
        int16, shape (n, segment_len).

    Returns
    -------
    str, shape (n,): values of :class:`SegmentStatus`, all but ``gap``.
    """
    return np.asarray(BY_REASON[front_end.reasons(samples)])


BY_REASON = np.array(["ok", "flat", "held", "clipped", "gap", "smooth"])
"""By their number in ``firmware_bridge/include/ecgqa/reason.h``; a test holds the two together."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments of one lead, as a structure of arrays.

    Attributes
    ----------
    samples
        int16, shape (n, segment_len); 0 where the status is not ``OK``.
    start_s
        float64, shape (n,): start of each segment from the start of the recording, s.
    status
        str, shape (n,): values of :class:`SegmentStatus`.
    fs_hz
        Sampling rate of ``samples``, Hz; not the recording's where that had to be resampled.
    """

    samples: NDArray[np.int16]
    start_s: NDArray[np.float64]
    status: NDArray[np.str_]
    fs_hz: float

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Mask, shape (n,), of the segments that can be given to a network."""
        return np.asarray(self.status == SegmentStatus.OK.value)


def quantise(segment_mv: ArrayLike) -> NDArray[np.int16]:
    """Millivolts to int16, each segment by itself.

    The middle of the segment's range becomes 0; the least significant bit is 2**k uV with the
    smallest k >= -2 that fits; halves round to even.

    Parameters
    ----------
    segment_mv
        Shape (..., segment_len), mV, finite.

    Returns
    -------
    int16, the same shape.

    Raises
    ------
    RecordingError
        A sample is NaN or infinite.
    """
    block = np.asarray(segment_mv, np.float64)
    if not block.shape or not block.shape[-1]:
        raise RecordingError("an empty segment can't be quantised: give at least one sample")
    low, high = block.min(axis=-1, keepdims=True), block.max(axis=-1, keepdims=True)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise RecordingError("a segment with missing samples can't be quantised: leave it out")
    return _quantise(block, low, high)


def _quantise(
    block: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.int16]:
    """:func:`quantise` with the extremes known; overwrites ``block``."""
    # halves before sums: the ends may be as far apart as float64 goes
    middle = low / 2 + high / 2
    half_range = high / 2 - low / 2
    # frexp: half range over int16's = m * 2**e with m in [.5, 1), so 2**e is enough, and it is the
    # least unless m is exactly .5
    mantissa, exponent = np.frexp(half_range / (_INT16_MAX / _UV_PER_MV))
    exponent -= mantissa == 0.5
    k = np.maximum(exponent, FINEST_LSB_EXPONENT)
    block = block - middle
    block *= np.ldexp(_UV_PER_MV, -k)
    # the quotient above was rounded: at the very edge it may be a hair over
    np.clip(np.rint(block, out=block), -_INT16_MAX, _INT16_MAX, out=block)
    return block.astype(np.int16)


class Cutter:
    """Cuts one lead that comes in blocks of any size into segments, each as soon as it is whole.

    Parameters
    ----------
    fs_hz
        Sampling rate, Hz; one that the integer transform takes (:func:`usable_rate`).
    spec
        Says how long a segment is.
    hop_s
        From one start to the next, s, rounded to whole samples (a device's ``hop_len``);
        ``spec.segment_s`` where None.

    Raises
    ------
    SamplingRateError
        See :meth:`FrontEnd.segment_len`.
    ArgumentError
        The hop is not at least one sample.
    """

    def __init__(self, fs_hz: float, spec: FrontEnd, hop_s: float | None = None) -> None:
        self.fs_hz = fs_hz
        self.segment_s = spec.segment_s
        self.front_end = NativeFrontEnd(spec, fs_hz)
        self.segment_len = self.hop_len = spec.segment_len(fs_hz)
        if hop_s is not None:
            if not (math.isfinite(hop_s) and hop_s > 0 and round(hop_s * fs_hz) >= 1):
                raise ArgumentError(f"hop {hop_s} s: must be at least one sample ({1 / fs_hz:g} s)")
            self.hop_len = round(hop_s * fs_hz)
        self.reset()

    def reset(self) -> None:
        """Start anew: the next sample is the first one."""
        self._rest: NDArray[Any] = np.empty(0, np.float32)
        self._to_skip = 0  # samples between two segments that are still to come
        self._n_cut = 0

    def n_segments(self, n_samples: int) -> int:
        """Segments in so many samples.

        Raises
        ------
        RecordingError
            There is none.
        """
        if n_samples < self.segment_len:
            raise RecordingError(
                f"the recording is {n_samples / self.fs_hz:.4g} s long ({n_samples} samples), "
                f"shorter than one segment of {self.segment_s:g} s ({self.segment_len} samples): "
                f"give a longer one"
            )
        return (n_samples - self.segment_len) // self.hop_len + 1

    def push(self, samples_mv: ArrayLike, *, batch: int = _BATCH) -> Iterator[Segments]:
        """Take samples in; the segments that they complete, ``batch`` at most at a time.

        Parameters
        ----------
        samples_mv
            Shape (n_samples,), mV; NaN or infinite where a sample is missing.

        Raises
        ------
        ArgumentError
            Not one lead of real numbers; nothing has been taken in.
        """
        if batch < 1:
            raise ArgumentError(f"batch {batch}: must be at least 1")
        samples = np.asarray(samples_mv)
        if samples.ndim != 1:
            raise ArgumentError(
                f"signal of shape {samples.shape}: give one lead, shape (n_samples,)"
            )
        if samples.dtype.kind not in "fiu":
            raise ArgumentError(f"signal of {samples.dtype}: give real numbers, mV")
        skipped = min(self._to_skip, samples.size)
        samples = samples[skipped:]
        block = np.concatenate([self._rest, samples]) if self._rest.size else samples
        n = max(0, (block.size - self.segment_len) // self.hop_len + 1)
        used = n * self.hop_len
        self._to_skip += max(0, used - block.size) - skipped
        self._rest = block[used:].copy()  # the caller may write to its own again
        first, self._n_cut = self._n_cut, self._n_cut + n
        if n == 0:
            return iter(())
        windows = sliding_window_view(block, self.segment_len)[:: self.hop_len]
        return _batches(windows, first, self, batch)


def _batches(
    windows: NDArray[Any], n_before: int, cutter: Cutter, batch: int
) -> Iterator[Segments]:
    for start in range(0, len(windows), batch):
        block = windows[start : start + batch].astype(np.float64)
        # NaN and infinity show in the extremes, so that no pass over every sample looks for them
        low, high = block.min(axis=1, keepdims=True), block.max(axis=1, keepdims=True)
        whole = np.isfinite(low) & np.isfinite(high)
        if not whole.all():
            block[~whole[:, 0]] = 0.0
            low, high = np.where(whole, low, 0.0), np.where(whole, high, 0.0)
        samples = _quantise(block, low, high)
        status = signal_status(samples, cutter.front_end)
        status[~whole[:, 0]] = SegmentStatus.GAP.value
        samples[status != SegmentStatus.OK.value] = 0
        first = n_before + start
        start_s = np.arange(first, first + len(samples), dtype=np.float64) * cutter.hop_len
        yield Segments(samples, start_s / cutter.fs_hz, status, cutter.fs_hz)


def cut(signal_mv: ArrayLike, fs_hz: float, spec: FrontEnd, hop_s: float | None = None) -> Segments:
    """Cut one lead into segments.

    Parameters
    ----------
    signal_mv
        Shape (n_samples,), mV; NaN or infinite where a sample is missing.
    fs_hz
        Its sampling rate, Hz. A rate that ``spec.segment_len`` refuses only because a segment is
        no whole number of samples or has a prime factor above 5 is resampled to
        ``RESAMPLED_FS_HZ``; gaps stay gaps.
    spec
        Says how long a segment is.
    hop_s
        From one start to the next, s, rounded to whole samples (a device's ``hop_len``);
        ``spec.segment_s`` where None. The last, partial window is dropped.

    Raises
    ------
    RecordingError
        The signal is shorter than one segment.
    SamplingRateError
        The rate is too low for the spec, or not a positive number.
    ArgumentError
        The signal is not one lead, or the hop is not at least one sample.
    """
    signal, rate = at_usable_rate(np.asarray(signal_mv), fs_hz, spec)
    cutter = Cutter(rate, spec, hop_s)
    parts = list(cutter.push(signal))
    cutter.n_segments(signal.size)
    return Segments(
        np.concatenate([p.samples for p in parts]),
        np.concatenate([p.start_s for p in parts]),
        np.concatenate([p.status for p in parts]),
        rate,
    )


def usable_rate(fs_hz: float, spec: FrontEnd) -> float:
    """``fs_hz``, or ``RESAMPLED_FS_HZ`` where the integer transform can't take it.

    Raises
    ------
    SamplingRateError
        As :func:`cut`.
    """
    try:
        spec.segment_len(fs_hz)
    except SamplingRateError:
        if not (math.isfinite(fs_hz) and fs_hz >= spec.fs_min_hz):
            raise
        spec.segment_len(RESAMPLED_FS_HZ)  # a spec that refuses this too says so
        return RESAMPLED_FS_HZ
    return fs_hz


def at_usable_rate(
    signal_mv: NDArray[Any], fs_hz: float, spec: FrontEnd
) -> tuple[NDArray[Any], float]:
    """A whole lead at its :func:`usable_rate`, mV, and that rate, Hz; gaps stay gaps."""
    rate = usable_rate(fs_hz, spec)
    if rate == fs_hz:
        return signal_mv, rate
    resampler = Resampler(fs_hz)
    starts = range(0, signal_mv.size, _RESAMPLED_AT_ONCE)
    parts = [resampler.push(signal_mv[start : start + _RESAMPLED_AT_ONCE]) for start in starts]
    return np.concatenate([*parts, resampler.finish()]), rate


class Resampler:
    """A lead at ``RESAMPLED_FS_HZ``, the same in whatever pieces its samples come.

    A windowed sinc, every phase of which has gain 1 at 0 Hz, so that an offset stays one. Each
    stretch between gaps is as if its first and last sample went on; an output beside a missing
    sample is missing.

    Parameters
    ----------
    fs_hz
        Sampling rate of what is pushed, Hz.

    Attributes
    ----------
    period
        Samples after which the filter's phases repeat: about so many are kept.
    """

    def __init__(self, fs_hz: float) -> None:
        # exact for rates of two decimals up to 1 kHz; the filter's length grows with the period
        ratio = Fraction(RESAMPLED_FS_HZ / fs_hz).limit_denominator(100_000)
        self._fs_hz, self._up, self.period = fs_hz, ratio.numerator, ratio.denominator
        half = 10 * max(self._up, self.period)
        taps = firwin(2 * half + 1, 1 / max(self._up, self.period), window=("kaiser", 5.0))
        for phase in range(self._up):
            taps[phase :: self._up] /= taps[phase :: self._up].sum() * self._up
        self._taps = taps
        self._reach = half // self._up + 2  # samples on each side that an output depends on
        self._kept: NDArray[np.float64] = np.empty(0)
        self._n_out = 0  # outputs of what is kept that were handed out

    def push(self, samples_mv: NDArray[Any]) -> NDArray[np.float64]:
        """The outputs that more samples, shape (n,), mV, NaN where missing, can't change."""
        self._kept = np.concatenate([self._kept, samples_mv])
        sure = self._kept.size - self._reach
        if sure <= 0:
            return np.empty(0)
        out = self._next((sure * self._up - 1) // self.period + 1)
        # whole periods go, so that the phase stays; twice the reach, for the gap before an output
        used = self._n_out * self.period // self._up - 2 * self._reach
        periods = max(used // self.period, 0)
        self._kept = self._kept[periods * self.period :]
        self._n_out -= periods * self._up
        return out

    def finish(self) -> NDArray[np.float64]:
        """The outputs up to the last sample."""
        if not self._kept.size:
            return np.empty(0)
        return self._next(-(-self._kept.size * self._up // self.period))

    def _next(self, stop: int) -> NDArray[np.float64]:
        first, self._n_out = self._n_out, max(self._n_out, stop)
        missing = ~np.isfinite(self._kept)
        out = resample_poly(
            _bridged(self._kept, missing, self._reach),
            self._up,
            self.period,
            window=self._taps,
            padtype="edge",
        )[first:stop]
        position = np.arange(first, first + out.size) * (self._fs_hz / RESAMPLED_FS_HZ)
        left = np.minimum(position.astype(np.int64), missing.size - 1)
        right = np.minimum(left + (position > left), missing.size - 1)
        out[missing[left] | missing[right]] = np.nan
        return np.asarray(out, np.float64)


def _bridged(
    signal: NDArray[np.float64], missing: NDArray[np.bool_], reach: int
) -> NDArray[np.float64]:
    """``signal`` with gaps filled: ``reach`` samples as before the gap, the others as after it.

    One NaN would spread over the filter's whole length.
    """
    if not missing.any():
        return signal
    index = np.arange(signal.size)
    before = np.maximum.accumulate(np.where(missing, -1, index))
    after = np.minimum.accumulate(np.where(missing, signal.size, index)[::-1])[::-1]
    holds = (before >= 0) & ((index - before <= reach) | (after == signal.size))
    source = np.where(holds, before, np.minimum(after, signal.size - 1))
    return np.where(missing[source], 0.0, signal[source])
