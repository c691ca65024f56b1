# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Classical features: what they must not depend on, and what they must see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.experiment.features import NAMES, features
from ecgqa_tflite.segments import quantise


def beats(fs_hz: float, rate_hz: float = 1.2, seed: int | None = None) -> NDArray[np.float64]:
    """Five seconds of R peaks with T waves, mV; noise of a signal's height with a seed."""
    t = np.arange(round(5 * fs_hz)) / fs_hz
    phase = (t * rate_hz) % 1 / rate_hz
    ecg = np.exp(-(((phase - 0.2) / 0.02) ** 2)) + 0.2 * np.exp(-(((phase - 0.45) / 0.05) ** 2))
    ecg += 0.05 * np.sin(2 * np.pi * 0.3 * t)
    if seed is not None:
        ecg = ecg + np.random.default_rng(seed).standard_normal(t.size)
    return np.asarray(ecg)


def value(name: str, samples_mv: NDArray[np.float64], fs_hz: float = 250.0) -> float:
    return float(features(quantise(samples_mv)[None], fs_hz)[0, NAMES.index(name)])


def test_there_are_twenty_four() -> None:
    assert len(NAMES) == len(set(NAMES)) == 24


@given(hnp.arrays(np.int16, 625, elements=st.integers(-32768, 32767)))
@settings(max_examples=100, deadline=None)
def test_whatever_comes_the_answer_is_finite(samples: NDArray[np.int16]) -> None:
    found = features(samples[None], 125.0)
    assert found.shape == (1, 24)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("seed", [None, 3])
def test_amplitude_and_polarity_say_nothing(seed: int | None) -> None:
    samples = quantise(beats(250.0, seed=seed)) // 4
    plain = features(samples[None], 250.0)
    np.testing.assert_allclose(features(-samples[None], 250.0), plain, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(features(3 * samples[None], 250.0), plain, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("fs_hz", [125.0, 128.0, 300.0, 360.0, 500.0])
def test_the_sampling_rate_says_next_to_nothing(fs_hz: float) -> None:
    at_250, other = (features(quantise(beats(fs))[None], fs)[0] for fs in (250.0, fs_hz))
    # Coarser samples meet less of a peak's tip, and the share of samples near it is a count.
    loose = {"clipped": 0.01, "range_outliers": 0.2, "flat": 0.1, "power_above_40": 1.0}
    for name, a, b in zip(NAMES, at_250, other, strict=True):
        assert abs(a - b) <= loose.get(name, 0.03 * max(1.0, abs(a))), (name, a, b)


def test_beats_are_alike_regular_and_counted() -> None:
    ecg = beats(250.0)
    assert value("beat_rate", ecg) == pytest.approx(1.2, abs=0.01)
    assert value("envelope_lag", ecg) == pytest.approx(1 / 1.2, abs=0.01)
    assert value("envelope_autocorrelation", ecg) > 0.95
    assert value("beat_likeness", ecg) > 0.95
    assert value("beat_interval_spread", ecg) < 0.03
    assert value("weakest_stretch", ecg) > 0.95


def test_noise_is_none_of_that() -> None:
    noise = np.random.default_rng(0).standard_normal(1250)
    assert value("envelope_autocorrelation", noise) < 0.6
    assert value("beat_likeness", noise) < 0.8
    assert value("beat_interval_spread", noise) > 0.2
    assert value("qrs_kurtosis", noise) == pytest.approx(3, abs=1)
    assert value("spectral_flatness", noise) > 0.9


def test_what_a_min_max_image_hides_shows() -> None:
    ecg = beats(250.0)
    assert value("clipped", ecg) < 0.1
    assert value("clipped", np.clip(ecg, None, 0.1)) > 0.2
    assert value("flat", ecg + 0.05 * np.sin(np.arange(1250) * 0.2)) == 0
    half = ecg.copy()
    half[600:] = half[600]
    assert value("flat", half) > 0.4
    assert value("weakest_stretch", half) < 0.05


def test_powers_are_shares_of_a_tone() -> None:
    t = np.arange(1250) / 250
    for name, f_hz in (("power_1_5", 3.0), ("power_5_15", 10.0), ("power_25_40", 30.0)):
        assert value(name, np.sin(2 * np.pi * f_hz * t)) > 0.97
    assert value("power_baseline", np.sin(2 * np.pi * 0.2 * t)) > 0.5
    assert value("power_above_40", np.sin(2 * np.pi * 50 * t)) > 0.5


def test_a_constant_segment_is_all_zeros() -> None:
    assert not features(np.full((2, 625), 7, np.int16), 125.0).any()


@pytest.mark.parametrize(
    ("samples", "fs_hz"),
    [
        (np.zeros((2, 625)), 125.0),
        (np.zeros(625, np.int16), 125.0),
        (np.zeros((1, 0), np.int16), 125.0),
        (np.zeros((1, 400), np.int16), 80.0),
    ],
)
def test_what_is_no_segment_is_refused(samples: NDArray[np.int16], fs_hz: float) -> None:
    with pytest.raises(ArgumentError):
        features(samples, fs_hz)
