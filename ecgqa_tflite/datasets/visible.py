# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether beats can be told: by where they are known to be, how they stand out, how they repeat.

All of it looks at the QRS band's envelope of a conditioned segment, as a network does: a step or
a wander under the beats hides nothing there. It takes a millisecond a segment, where two detectors
take a second.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ecgqa_tflite.datasets.beats import qrs_band
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd

SMOOTHED_S = 0.08
NEAR_S = 0.09
"""A beat's peak is looked for so far from where it is known to be."""
AWAY_S = 0.15
"""From here on, a peak is no beat's."""
EDGE_S = 0.1
"""Nothing is judged so near the segment's ends."""
LOST, SPURIOUS = 0.5, 0.7
"""Of the median beat's envelope: a beat below the first is lost, another peak above the second is
taken for a beat."""
REFRACTORY_S = 0.25
MAX_BEATS = 17
LONGEST_RR_S = 2.2
PERIOD_S = (0.22, 0.75)
"""Beat intervals of a tachycardia."""


@cache
def _front_end(fs_hz: float, segment_len: int) -> NativeFrontEnd:
    spec = FrontEnd(segment_s=segment_len / fs_hz, conditioning="baseline")
    return NativeFrontEnd(spec, fs_hz)


def conditioned(signal_mv: NDArray[Any], fs_hz: float) -> NDArray[np.int16]:
    """What the front end makes of segments before any transform, whatever the network's spec says.

    Parameters
    ----------
    signal_mv
        mV, (segment_len,) or (n, segment_len), finite.
    """
    rows = np.atleast_2d(quantise(signal_mv))
    found = _front_end(fs_hz, rows.shape[1]).conditioned(rows)
    return found.reshape(np.shape(signal_mv))


def envelope(samples: NDArray[Any], fs_hz: float) -> NDArray[np.float64]:
    """Root mean square of the QRS band over 80 ms, along the last axis."""
    power = qrs_band(samples, fs_hz) ** 2
    smooth = uniform_filter1d(power, round(SMOOTHED_S * fs_hz), axis=-1)
    # running sums round to below 0
    return np.asarray(np.sqrt(np.maximum(smooth, 0.0)))


def beat_errors(
    envelope_: NDArray[np.float64], fs_hz: float, beats_s: NDArray[Any]
) -> tuple[int, int] | None:
    """Known beats that don't stand out, and peaks that would be taken for beats.

    Parameters
    ----------
    envelope_
        Of one segment, (n_samples,).
    beats_s
        Times of its beats and of those just outside, s from its start.

    Returns
    -------
    (lost, spurious)
        None where no beat lies inside.
    """
    n, end = len(envelope_), len(envelope_) / fs_hz
    inside = beats_s[(beats_s > EDGE_S) & (beats_s < end - EDGE_S)]
    if not len(inside):
        return None
    near = round(NEAR_S * fs_hz)
    at = np.rint(inside * fs_hz).astype(int)
    peaks = np.array([envelope_[max(i - near, 0) : i + near + 1].max() for i in at])
    typical = np.median(peaks)
    t = np.arange(n) / fs_hz
    free = (t > EDGE_S) & (t < end - EDGE_S)
    free &= np.abs(t[:, None] - beats_s).min(axis=1) > AWAY_S
    hot = np.flatnonzero(free & (envelope_ > SPURIOUS * typical)) / fs_hz
    spurious, last = 0, -np.inf
    for time in hot:
        if time - last > REFRACTORY_S:
            spurious, last = spurious + 1, time
    return int(np.sum(peaks < LOST * typical)), spurious


def errors_of(signal_mv: NDArray[Any], fs_hz: float, beats_s: NDArray[Any]) -> tuple[int, int]:
    """:func:`beat_errors` of a segment, mV, as conditioned; every sample lost where it has none."""
    found = beat_errors(envelope(conditioned(signal_mv, fs_hz), fs_hz), fs_hz, beats_s)
    return found or (len(signal_mv), 0)


def contrast(envelope_: NDArray[np.float64], fs_hz: float) -> float:
    """How far beats stand out that nobody marked: 1 for noise, 2 and more for a clear rhythm.

    Peaks are taken highest first, none within 0.25 s of another; the largest ratio of one to the
    next, after at least three, parts beats from the rest. 0 where the beats so found leave a gap.
    """
    rest, refractory = envelope_.copy(), round(REFRACTORY_S * fs_hz)
    peaks: list[tuple[float, int]] = []
    while len(peaks) < MAX_BEATS + 2:
        at = int(np.argmax(rest))
        if not rest[at] > 0:
            break
        peaks.append((float(rest[at]), at))
        rest[max(at - refractory, 0) : at + refractory] = 0
    heights = np.array([height for height, _ in peaks])
    if len(heights) < 4:
        return 0.0
    ratio = heights[:-1] / heights[1:]
    last = 2 + int(np.argmax(ratio[2:MAX_BEATS]))
    times = np.sort([at for _, at in peaks[: last + 1]]) / fs_hz
    return float(ratio[last]) if np.diff(times).max() < LONGEST_RR_S else 0.0


def periodicity(samples: NDArray[Any], fs_hz: float) -> float:
    """Autocorrelation at the best period of a tachycardia, up to about 1; 0 where there is none."""
    x = np.asarray(samples, float) - np.mean(samples)
    n = len(x)
    spectrum = np.fft.rfft(x, 2 * n)
    products = np.fft.irfft(spectrum * np.conj(spectrum))[:n] / (n - np.arange(n))
    if not products[0] > 0:
        return 0.0
    first, stop = (round(s * fs_hz) for s in PERIOD_S)
    lags = products[first:stop] / products[0]
    best = int(np.argmax(lags))
    return float(lags[best]) if 0 < best < len(lags) - 1 else 0.0
