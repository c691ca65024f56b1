# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The front end in float64: it states the mathematics and judges the C.

No shipped model was trained on it. Half-sample symmetric extension makes the spectrum the DCT-II
of the segment, with bins 1 / (2 * segment_s) apart at any sampling rate; ``|W|`` is evaluated at
each column's centre exactly, by summing the band there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.frontend import morse
from ecgqa_tflite.frontend.tables import BASELINE_POINTS_HZ
from ecgqa_tflite.spec import RANGE_FLOOR, FrontEnd

SHORT_POINTS, LONG_POINTS = 11, 31
"""Windows of the baseline's two medians, points: 0.22 s and 0.62 s."""
RANK = 3
"""Which of the half seconds' maxima, largest first, stands for the beats."""
CLIP = 1.5
"""What is clipped, over that maximum."""

Wavelet = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A wavelet's real spectrum over f / f0."""


def _checked(samples: ArrayLike, fs_hz: float, spec: FrontEnd) -> NDArray[np.float64]:
    x = np.asarray(samples, dtype=np.float64)
    if x.shape != (spec.segment_len(fs_hz),):
        raise ArgumentError(
            f"a segment at {fs_hz:g} Hz has shape ({spec.segment_len(fs_hz)},), not {x.shape}"
        )
    if not np.isfinite(x).all():
        raise ArgumentError("the segment has NaN or infinite samples")
    return x


def conditioned(samples: ArrayLike, spec: FrontEnd) -> NDArray[np.float64]:
    """A segment without its baseline, clipped a little above its beats.

    Two running medians (de Chazal, O'Dwyer & Reilly 2004, of 0.2 s and 0.6 s) over means of 20 ms
    are the baseline's points; what lies between a sample's two points is baseline, so that a step
    leaves nothing. The third largest of the half seconds' maxima stands for the beats: an artefact
    of up to 1 s has at most two larger ones.

    Parameters
    ----------
    samples
        One segment, shape (segment_len,), any linear unit.

    Returns
    -------
    float64, the same shape and unit; ``samples`` where the spec conditions nothing.
    """
    x = np.asarray(samples, dtype=np.float64)
    if spec.conditioning == "none":
        return x
    x = x - (x.min() + x.max()) / 2
    n_points = round(BASELINE_POINTS_HZ * spec.segment_s)
    edges = np.arange(n_points + 1) * x.size // n_points
    points = np.add.reduceat(x, edges[:-1]) / np.diff(edges)
    for width in (SHORT_POINTS, LONG_POINTS):
        padded = np.pad(points, width // 2, mode="symmetric")
        points = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    at = (np.arange(x.size) + 0.5) * n_points / x.size - 0.5
    left = np.clip(np.floor(at).astype(int), 0, n_points - 2)
    pair = np.stack([points[left], points[left + 1]])
    x = x - np.clip(x, pair.min(axis=0), pair.max(axis=0))
    n_maxima = round(2 * spec.segment_s)
    half_second = np.arange(x.size) * n_maxima // x.size
    maxima = [np.abs(x[half_second == k]).max() for k in range(n_maxima)]
    limit = CLIP * sorted(maxima)[-RANK]
    return np.asarray(np.clip(x, -limit, limit))


def spectrum(samples: ArrayLike) -> NDArray[np.float64]:
    """Amplitude of each cosine that makes up the segment: DCT-II over N, shape (N,)."""
    x = np.asarray(samples, dtype=np.float64)
    return np.asarray(scipy.fft.dct(x, type=2)) / x.size


def magnitude(
    samples: ArrayLike, fs_hz: float, spec: FrontEnd, wavelet: Wavelet | None = None
) -> NDArray[np.float64]:
    """``|W|`` at every row's centre frequency and column's centre.

    Parameters
    ----------
    samples
        One segment, shape (segment_len,), any linear unit.
    fs_hz
        Sampling rate, Hz.
    spec
        The front end.
    wavelet
        Spectrum over f / f0; None takes the spec's Morse wavelet. Given so that the machinery can
        be judged with another wavelet (pywt's complex Morlet).

    Returns
    -------
    float64, shape (rows, cols), in the unit of ``samples``.

    Raises
    ------
    ArgumentError
        Wrong length, NaN or infinity.
    SamplingRateError
        See :meth:`FrontEnd.segment_len`.
    """
    x = conditioned(_checked(samples, fs_hz, spec), spec)
    # Half of each cosine turns forward: Psi's peak of 2 makes up for it.
    amplitude = spectrum(x) / 2.0
    psi = _morse(spec, x.size) if wavelet is None else wavelet(_ratios(spec, x.size))
    return np.asarray(np.abs((psi * amplitude[None, 1:]) @ _turns(spec, x.size)))


def _bins_hz(spec: FrontEnd, n: int) -> NDArray[np.float64]:
    return np.asarray(np.arange(1, n) * spec.bin_hz)


def _ratios(spec: FrontEnd, n: int) -> NDArray[np.float64]:
    """Frequency of each bin over the centre of each row."""
    return np.asarray(_bins_hz(spec, n)[None, :] / spec.centre_frequencies_hz[:, None])


@lru_cache(maxsize=4)  # some 10 MB an entry; half of a segment's time
def _morse(spec: FrontEnd, n: int) -> NDArray[np.float64]:
    return morse.psi_at(_ratios(spec, n), spec.gamma, spec.time_bandwidth)


@lru_cache(maxsize=4)
def _turns(spec: FrontEnd, n: int) -> NDArray[np.complex128]:
    # Sample n lies at (n + 1/2) / fs, so column times need no shift.
    return np.asarray(
        np.exp(2j * np.pi * _bins_hz(spec, n)[:, None] * spec.column_times_s[None, :])
    )


def to_index(magnitudes: NDArray[np.float64], spec: FrontEnd) -> NDArray[np.uint8]:
    """Scale ``|W|`` (rows, cols) to the uint8 ``index_map`` as the spec says.

    An empty range (constant or silent segment) is all zeros.
    """
    if spec.scaling == "minmax":
        low, high = magnitudes.min(), magnitudes.max()
        if low <= high * RANGE_FLOOR:
            low = 0.0
    else:
        low, high = 0.0, magnitudes[spec.qrs_rows].max()
    if not high > low:
        return np.zeros(magnitudes.shape, dtype=np.uint8)
    levels = np.clip(np.floor((magnitudes - low) * (255.0 / (high - low)) + 0.5), 0, 255)
    return np.asarray(levels, dtype=np.uint8)


def index_map(samples: ArrayLike, fs_hz: float, spec: FrontEnd) -> NDArray[np.uint8]:
    """The segment's ``index_map``, uint8 (rows, cols); arguments and errors as :func:`magnitude`.

    A constant segment is all zeros.
    """
    x = np.asarray(samples)
    if x.size and (x == x.flat[0]).all():
        _checked(samples, fs_hz, spec)
        return np.zeros((spec.rows, spec.cols), dtype=np.uint8)
    return to_index(magnitude(samples, fs_hz, spec), spec)
