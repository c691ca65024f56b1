# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The generalised Morse wavelet in the frequency domain.

Olhede & Walden, "Generalized Morse wavelets", IEEE Trans. Signal Process. 50(11), 2002; Lilly &
Olhede, "Generalized Morse wavelets as a superfamily of analytic wavelets", 60(11), 2012.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

PEAK = 2.0
"""Value of Psi at the peak: a cosine of amplitude A gives ``|W|`` = A in its row (L1 norm)."""


def beta(gamma: float, time_bandwidth: float) -> float:
    """Decay parameter: ``time_bandwidth / gamma``."""
    return time_bandwidth / gamma


def peak_frequency(gamma: float, time_bandwidth: float) -> float:
    """Angular peak frequency w_p = (beta / gamma) ** (1 / gamma), rad per unit of scale."""
    return float((beta(gamma, time_bandwidth) / gamma) ** (1.0 / gamma))


def psi(x: ArrayLike, gamma: float, time_bandwidth: float) -> NDArray[np.float64]:
    """Psi(x) = 2 exp(-beta ln w_p + w_p**gamma + beta ln x - x**gamma) for x > 0, else 0.

    Parameters
    ----------
    x
        Scale times angular frequency, s * w, any shape.
    gamma, time_bandwidth
        Wavelet parameters.

    Returns
    -------
    float64, the shape of ``x``; its largest value, 2, is at x = w_p.
    """
    x = np.asarray(x, dtype=np.float64)
    b, w_p = beta(gamma, time_bandwidth), peak_frequency(gamma, time_bandwidth)
    out = np.zeros_like(x)
    positive = x > 0
    z = x[positive]
    out[positive] = PEAK * np.exp(-b * np.log(w_p) + w_p**gamma + b * np.log(z) - z**gamma)
    return out


def psi_at(ratio: ArrayLike, gamma: float, time_bandwidth: float) -> NDArray[np.float64]:
    """Psi over f / f0, the frequency relative to a row's centre; 2 at ratio 1."""
    x = np.asarray(ratio, dtype=np.float64) * peak_frequency(gamma, time_bandwidth)
    return psi(x, gamma, time_bandwidth)


def cwt_scale(
    f_hz: ArrayLike, fs_hz: float, gamma: float, time_bandwidth: float
) -> NDArray[np.float64]:
    """Scale s, in samples, whose centre frequency is ``f_hz``: f = (w_p / s) / (2 pi) * fs."""
    f_hz = np.asarray(f_hz, dtype=np.float64)
    return peak_frequency(gamma, time_bandwidth) / (2.0 * np.pi * f_hz) * fs_hz
