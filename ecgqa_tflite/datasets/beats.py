# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Where beats are, where a detector finds them, and how many it loses.

Two well-kept detectors, XQRS and GQRS of ``wfdb.processing``, judge what noise does to the beats of
a segment: a human's "R peaks can't be identified" in a form that can be computed.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import wfdb.processing
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

DETECTOR_FS_HZ = 180.0
"""The detectors look at 5-25 Hz and cost by the sample, so they get this rate."""
TOLERANCE_S = 0.10
"""A detection this close to a known beat finds it."""
PLAUSIBLE_RR_S = (0.3, 2.0)
"""Between beats of a heart, as a rule."""
QRS_BAND_HZ = (5.0, 25.0)
"""Band in which signal-to-noise ratios are stated."""


def detect_beats(signal_mv: NDArray[Any], fs_hz: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Beat times that XQRS and GQRS find.

    Parameters
    ----------
    signal_mv
        One lead, shape (n_samples,), finite; 10 s or more, because both detectors adapt.
    fs_hz
        Sampling rate, Hz.

    Returns
    -------
    tuple of two float64 arrays
        Times from the start, s, by XQRS and by GQRS.
    """
    if not np.ptp(signal_mv) > 0:
        return np.zeros(0), np.zeros(0)
    ratio = Fraction(DETECTOR_FS_HZ / fs_hz).limit_denominator(1000)
    x = resample_poly(np.asarray(signal_mv, float), ratio.numerator, ratio.denominator)
    found = []
    for detector in (_xqrs, _gqrs):
        # Both end in an IndexError on some signals that hold no peak at all: no beat found.
        try:
            found.append(np.asarray(detector(x), float) / DETECTOR_FS_HZ)
        except IndexError:
            found.append(np.zeros(0))
    return found[0], found[1]


def _xqrs(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(wfdb.processing.xqrs_detect(x, DETECTOR_FS_HZ, verbose=False))


def _gqrs(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(wfdb.processing.gqrs_detect(x, DETECTOR_FS_HZ))


def count_errors(
    known_s: NDArray[Any], found_s: NDArray[Any], start_s: float, stop_s: float
) -> tuple[int, int, int]:
    """Compare found beats with known ones inside a segment.

    Beats within the tolerance of the segment's edges are not judged: a detection belonging to one
    may lie outside. Each known beat takes the nearest detection.

    Returns
    -------
    (known, missed, extra)
        Known beats judged, known beats without a detection, detections without a known beat.
    """
    inside = known_s[(known_s >= start_s + TOLERANCE_S) & (known_s <= stop_s - TOLERANCE_S)]
    found = found_s[(found_s >= start_s + TOLERANCE_S) & (found_s <= stop_s - TOLERANCE_S)]
    missed = int(np.sum(_distance(inside, found_s) > TOLERANCE_S))
    extra = int(np.sum(_distance(found, known_s) > TOLERANCE_S))
    return len(inside), missed, extra


def found_alike(one_s: NDArray[Any], other_s: NDArray[Any], start_s: float, stop_s: float) -> bool:
    """Whether two detectors find the same beats in a segment, at intervals that a heart may have.

    Neither finds a beat that the other doesn't, and from the segment's start over its beats to its
    end no time is longer, between beats none shorter than :data:`PLAUSIBLE_RR_S`.
    """
    n, missed, extra = count_errors(one_s, other_s, start_s, stop_s)
    inside = one_s[(one_s >= start_s) & (one_s <= stop_s)]
    around = np.diff(np.r_[start_s, inside, stop_s])
    shortest, longest = PLAUSIBLE_RR_S
    return bool(
        n
        and not missed
        and not extra
        and around.max() <= longest
        and around[1:-1].min(initial=longest) >= shortest
    )


def _distance(times: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Distance of each time to the nearest of ``others`` (sorted), s."""
    if not len(others):
        return np.full(len(times), np.inf)
    at = np.searchsorted(others, times)
    before = others[np.clip(at - 1, 0, len(others) - 1)]
    after = others[np.clip(at, 0, len(others) - 1)]
    return np.asarray(np.minimum(np.abs(times - before), np.abs(times - after)))


def qrs_band(signal_mv: NDArray[Any], fs_hz: float) -> NDArray[np.float64]:
    """The signal in the QRS band (zero phase, 4th order), along the last axis."""
    return np.asarray(sosfiltfilt(_qrs_filter(fs_hz), np.asarray(signal_mv, float), axis=-1))


@cache
def _qrs_filter(fs_hz: float) -> NDArray[np.float64]:
    return np.asarray(butter(2, QRS_BAND_HZ, "bandpass", fs=fs_hz, output="sos"))
