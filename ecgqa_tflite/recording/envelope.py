# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The lowest and the highest sample of each bin: what a long lead looks like from afar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def envelope(
    signal_mv: NDArray[np.floating], bin_len: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Lowest and highest of every ``bin_len`` samples.

    Parameters
    ----------
    signal_mv
        One lead, shape (n_samples,), n_samples > 0; NaN where a sample is missing.
    bin_len
        Samples per bin; the last may have fewer.

    Returns
    -------
    Two arrays of the signal's dtype and unit, shape (ceil(n_samples / bin_len),); NaN where all of
    a bin is missing.
    """
    starts = np.arange(0, len(signal_mv), bin_len)
    return np.fmin.reduceat(signal_mv, starts), np.fmax.reduceat(signal_mv, starts)


def beat_height_mv(low_mv: NDArray[np.floating], high_mv: NDArray[np.floating]) -> float:
    """Usual height of a beat, mV: the median of what bins of about a second span.

    Parameters
    ----------
    low_mv, high_mv
        An :func:`envelope` of bins that hold a beat each.

    Returns
    -------
    0 where there is no signal, or nothing but constant ones.
    """
    heights = high_mv - low_mv
    heights = heights[heights > 0]  # NaN is not
    return float(np.median(heights)) if heights.size else 0.0
