# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Baselines of the experiment: same currency as the networks, same answers however run."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from conftest import require_module
from numpy.typing import NDArray

from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.experiment import baselines
from ecgqa_tflite.segments import quantise


@pytest.fixture(autouse=True)
def _extra() -> None:
    require_module("joblib")
    require_module("sklearn")


def segments(n: int, seed: int, fs_hz: float = 250.0) -> LabelledSegments:
    """Half beats under little noise, half noise alone; the last one holds nothing."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(5 * fs_hz)) / fs_hz
    high = np.arange(n) % 2 == 0
    rate = rng.uniform(0.8, 2, (n, 1))
    beats = np.exp(-(((((t + rng.uniform(0, 1, (n, 1))) * rate) % 1 / rate - 0.2) / 0.02) ** 2))
    samples = quantise(np.where(high[:, None], beats, 0) + rng.normal(0, 0.1, (n, t.size)))
    samples[-1] = 0
    ids = np.array([f"set/{i}@0.00" for i in range(n)])
    return LabelledSegments(samples, fs_hz, high.astype(np.uint8), ids, ids, "set")


def test_the_forest_tells_beats_from_noise_on_another_device() -> None:
    validation, test = baselines.random_forest_scores(
        LabelledSet((segments(80, 0),)),
        LabelledSet((segments(20, 1),)),
        LabelledSet((segments(21, 2, 300.0), segments(10, 3, 500.0))),
    )
    assert validation.shape == (20,) and test.shape == (31,)
    assert test[:20:2].min() > 0.5 > test[1:20:2].max()
    assert test[20] == validation[-1] == 0  # nothing there: lowest


def test_the_forest_is_the_seed_s_whatever_the_workers() -> None:
    sets = [LabelledSet((segments(n, seed),)) for seed, n in enumerate((70, 30, 30))]
    told: list[tuple[str, int, int]] = []
    one = baselines.random_forest_scores(
        *sets, seed=4, progress=lambda *told_now: told.append(told_now)
    )
    two = baselines.random_forest_scores(*sets, seed=4, workers=2)
    other = baselines.random_forest_scores(*sets, seed=5)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[1], other[1])
    assert told[:2] == [("classical features", 64, 70), ("classical features", 70, 70)]


class Stub(ModuleType):
    """Stands for NeuroKit2, which is slow and need not be there."""

    def ecg_clean(self, signal: NDArray[np.float64], sampling_rate: int) -> NDArray[np.float64]:
        assert sampling_rate == 250 and np.abs(signal).max() < 40
        return signal

    def ecg_quality(
        self, cleaned: NDArray[np.float64], sampling_rate: int, method: str
    ) -> str | NDArray[np.float64]:
        if method == "zhao2018":
            return "Excellent"
        if np.median(np.abs(cleaned - np.median(cleaned))) < 0.2 * np.ptp(cleaned):  # beats
            return np.where(np.arange(cleaned.size) < 100, np.nan, 0.75)
        raise ValueError("cannot convert float NaN to integer")


def test_neurokit_s_answers_become_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", Stub("neurokit2"))
    part = segments(5, 0)
    part.samples[1] = quantise(np.sin(np.arange(1250)))
    part.samples[3] = part.samples[2]
    five = LabelledSet((part,))
    assert baselines.neurokit_scores(five).tolist() == [0.75, 0, 0.75, 0.75, 0]
    assert baselines.neurokit_scores(five, method="templatematch")[[1, 4]].tolist() == [-1, -1]
    assert baselines.neurokit_scores(five, method="zhao2018").tolist() == [2, 2, 2, 2, 0]


def test_neurokit_missing_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(ToolError, match="pip install neurokit2"):
        baselines.neurokit_scores(LabelledSet((segments(2, 0),)))


def test_no_segments_no_scores() -> None:
    assert baselines.feature_matrix(LabelledSet(())).shape == (0, 24)
