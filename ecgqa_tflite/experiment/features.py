# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Classical signal-quality features of a segment, for baselines that no network is part of.

Twenty-four numbers of the kinds that the literature has used since before networks (Li, Mark &
Clifford 2008; Clifford et al. 2012; Orphanidou et al. 2015; Zhao & Zhang 2018): the shape of the
amplitudes, where the power lies, clipping and flat stretches, and how alike and how regular the
beats are. None depends on amplitude, polarity or sampling rate: each segment is first taken to
:data:`FS_HZ` through its cosine transform, whose coefficients are 0.1 Hz apart at any rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from ecgqa_tflite.errors import ArgumentError

FS_HZ = 125.0
"""Rate at which features are computed, Hz."""
WIDE_HZ = (0.5, 40.0)
"""Band that holds an ECG."""
QRS_HZ = (5.0, 25.0)
"""Band in which QRS complexes stand out."""
POWER_BANDS_HZ = ((0.5, 1.0), (1.0, 5.0), (5.0, 15.0), (15.0, 25.0), (25.0, 40.0))
"""Bands whose shares of the power in :data:`WIDE_HZ` are features."""
BEAT_LAG_S = (0.3, 1.5)
"""Beats are this far apart: 200 to 40 per minute."""

NAMES = (
    "skewness",
    "kurtosis",
    "qrs_kurtosis",
    "range_outliers",
    "power_0.5_1",
    "power_1_5",
    "power_5_15",
    "power_15_25",
    "power_25_40",
    "power_above_40",
    "power_baseline",
    "spectral_flatness",
    "spectral_entropy",
    "clipped",
    "flat",
    "zero_crossings",
    "qrs_autocorrelation",
    "envelope_autocorrelation",
    "envelope_lag",
    "beat_rate",
    "beat_interval_spread",
    "beat_height_spread",
    "beat_likeness",
    "weakest_stretch",
)
"""Names of the features, in their order."""

_EDGE_HZ = 1.0  # a band fades out over this much, or its filter would ring
_CLIPPED = 1 / 256  # of the range, from an extreme: such samples count as clipped
_FLAT = 0.02  # of a lively window's range: a window with less is flat
_ENVELOPE_S = 0.1
_SHORTEST_BEAT_S = 0.25
_PEAK_HEIGHT = 0.35  # of the 95th percentile of the envelope
_TEMPLATE_S = 0.2  # on each side of a beat
_STRETCH_S = 1.5
_TINY = 1e-12


def features(samples: NDArray[np.int16], fs_hz: float) -> NDArray[np.float64]:
    """Features of many segments.

    Parameters
    ----------
    samples
        int16, shape (n, segment_len).
    fs_hz
        Their sampling rate, Hz, more than twice the upper end of :data:`WIDE_HZ`.

    Returns
    -------
    float64, shape (n, 24): columns as in :data:`NAMES`, all finite. A constant segment's are zeros.

    Raises
    ------
    ArgumentError
        Wrong type or shape, or a sampling rate that is too low.
    """
    samples = np.asarray(samples)
    if samples.dtype != np.int16 or samples.ndim != 2 or not samples.shape[1]:
        raise ArgumentError(f"segments are int16 (n, length), not {samples.dtype} {samples.shape}")
    if not fs_hz > 2 * WIDE_HZ[1]:
        raise ArgumentError(f"sampling rate {fs_hz:g} Hz: must be above {2 * WIDE_HZ[1]:g} Hz")
    out = np.zeros((len(samples), len(NAMES)))
    for row, segment in zip(out, samples, strict=True):
        if np.ptp(segment.astype(np.int32)):
            row[:] = _one(segment.astype(np.float64), fs_hz)
    return out


def _one(raw: NDArray[np.float64], fs_hz: float) -> list[float]:
    duration_s = len(raw) / fs_hz
    spectrum = dct(raw, norm="ortho")
    f_hz = np.arange(len(raw)) / (2 * duration_s)
    power = spectrum**2
    wide, qrs = (_band(spectrum, f_hz, band, duration_s) for band in (WIDE_HZ, QRS_HZ))
    envelope = uniform_filter1d(np.abs(qrs), round(_ENVELOPE_S * FS_HZ))
    values = [
        abs(_moment(wide, 3)),
        _moment(wide, 4),
        _moment(qrs, 4),
        float(np.ptp(raw) / (np.ptp(np.percentile(raw, (2, 98))) + _TINY)),
        *_spectral(power, f_hz),
        _clipped(raw),
        _flat(raw, duration_s),
        float(np.count_nonzero(np.diff(wide > 0)) / duration_s),
        _autocorrelation(qrs)[0],
        *_autocorrelation(envelope - envelope.mean()),
        *_beats(qrs, envelope, duration_s),
        _weakest_stretch(envelope),
    ]
    return [float(np.clip(value, -1e6, 1e6)) for value in values]


def _band(
    spectrum: NDArray[np.float64],
    f_hz: NDArray[np.float64],
    band_hz: tuple[float, float],
    duration_s: float,
) -> NDArray[np.float64]:
    """The signal inside a band, at :data:`FS_HZ`, zero phase."""
    low, high = band_hz
    edge = min(_EDGE_HZ, low)
    gain = np.clip((f_hz - low + edge) / edge, 0, 1) * np.clip((high - f_hz) / _EDGE_HZ + 1, 0, 1)
    n = round(duration_s * FS_HZ)
    kept = np.zeros(n)
    shared = min(n, len(spectrum))
    kept[:shared] = (spectrum * gain)[:shared]
    return np.asarray(idct(kept, norm="ortho"))


def _moment(x: NDArray[np.float64], order: int) -> float:
    """Standardised moment: 3 is skewness, 4 kurtosis (3 for a normal distribution)."""
    x = x - x.mean()
    spread = np.sqrt(np.mean(x**2)) + _TINY
    return float(np.mean((x / spread) ** order))


def _spectral(power: NDArray[np.float64], f_hz: NDArray[np.float64]) -> list[float]:
    inside = (f_hz >= WIDE_HZ[0]) & (f_hz < WIDE_HZ[1])
    wide = power[inside] + _TINY
    total = wide.sum()
    shares = [power[(f_hz >= a) & (f_hz < b)].sum() / total for a, b in POWER_BANDS_HZ]
    above = power[(f_hz >= WIDE_HZ[1]) & (f_hz < FS_HZ / 2)].sum() / total
    baseline = power[(f_hz > 0) & (f_hz < WIDE_HZ[0])].sum() / total
    # A periodogram's bins scatter by themselves: flatness and entropy want bands 1 Hz wide.
    edges = np.arange(WIDE_HZ[0], WIDE_HZ[1] + 0.5)
    smooth = np.histogram(f_hz[inside], edges, weights=wide)[0] + _TINY
    p = smooth / smooth.sum()
    flatness = np.exp(np.mean(np.log(p))) / p.mean()
    entropy = -np.sum(p * np.log(p)) / np.log(len(p))
    return [*shares, np.log10(above + 1e-6), np.log10(baseline + 1e-6), flatness, entropy]


def _clipped(raw: NDArray[np.float64]) -> float:
    """Share of the samples that lie at an extreme of the segment."""
    low, high = raw.min(), raw.max()
    near = (high - low) * _CLIPPED
    return float(np.mean((raw <= low + near) | (raw >= high - near)))


def _flat(raw: NDArray[np.float64], duration_s: float) -> float:
    """Share of 0.1-s windows that hardly move beside the lively ones."""
    windows = np.array_split(raw, round(10 * duration_s))
    ranges = np.array([np.ptp(window) for window in windows])
    return float(np.mean(ranges <= _FLAT * np.percentile(ranges, 90)))


def _autocorrelation(x: NDArray[np.float64]) -> tuple[float, float]:
    """Highest autocorrelation at a lag that beats may have, and that lag, s.

    Each lag is normalised by the power of the two stretches that overlap.
    """
    first, last = (round(lag * FS_HZ) for lag in BEAT_LAG_S)
    n = len(x)
    spectrum = np.fft.rfft(x, 2 * n)
    products = np.fft.irfft(np.abs(spectrum) ** 2)[first : last + 1]
    energy = np.concatenate([[0.0], np.cumsum(x**2)])
    lags = np.arange(first, last + 1)
    head, tail = energy[n - lags], energy[n] - energy[lags]
    correlation = products / (np.sqrt(head * tail) + _TINY)
    best = int(np.argmax(correlation))
    return float(correlation[best]), float(lags[best] / FS_HZ)


def _beats(
    qrs: NDArray[np.float64], envelope: NDArray[np.float64], duration_s: float
) -> tuple[float, float, float, float]:
    """Rate (per second), spread of intervals and of heights (over their means), likeness."""
    peaks, found = find_peaks(
        envelope,
        height=_PEAK_HEIGHT * np.percentile(envelope, 95),
        distance=round(_SHORTEST_BEAT_S * FS_HZ),
    )
    rate = len(peaks) / duration_s
    if len(peaks) < 3:
        return rate, 1.0, 1.0, 0.0
    intervals, heights = np.diff(peaks), found["peak_heights"]
    spread = float(np.std(intervals) / np.mean(intervals))
    return rate, spread, float(np.std(heights) / np.mean(heights)), _likeness(qrs, peaks)


def _likeness(qrs: NDArray[np.float64], peaks: NDArray[Any]) -> float:
    """Mean correlation of each beat with the average beat (Orphanidou et al. 2015)."""
    half = round(_TEMPLATE_S * FS_HZ)
    reach = round(_ENVELOPE_S / 2 * FS_HZ)
    whole = peaks[(peaks >= half + reach) & (peaks < len(qrs) - half - reach)]
    if len(whole) < 2:
        return 0.0
    # The envelope is blunt: what lines beats up is the highest sample under its peak.
    near = np.abs(qrs[whole[:, None] + np.arange(-reach, reach + 1)])
    whole = whole - reach + near.argmax(axis=1)
    beats = qrs[whole[:, None] + np.arange(-half, half)]
    beats = beats - beats.mean(axis=1, keepdims=True)
    template = beats.mean(axis=0)
    scale = np.linalg.norm(beats, axis=1) * np.linalg.norm(template) + _TINY
    return float(np.mean(beats @ template / scale))


def _weakest_stretch(envelope: NDArray[np.float64]) -> float:
    """Highest envelope in the weakest stretch over the median stretch: a beat lost shows."""
    windows = np.lib.stride_tricks.sliding_window_view(envelope, round(_STRETCH_S * FS_HZ))
    highest = windows.max(axis=1)
    return float(highest.min() / (np.median(highest) + _TINY))
