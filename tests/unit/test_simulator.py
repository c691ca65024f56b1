# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The simulator: what it says is true of what it draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import welch

from ecgqa_tflite.errors import ArgumentError, OutputExistsError
from ecgqa_tflite.recording import read_recording
from ecgqa_tflite.recording.disturbances import (
    BaselineWander,
    Clipping,
    Disturbance,
    ElectrodeMotion,
    Gap,
    LeadOff,
    MuscleNoise,
    Powerline,
)
from ecgqa_tflite.recording.simulator import Heart, Rhythm, simulate, simulate_demo, write_demo
from ecgqa_tflite.segments import SegmentStatus, cut
from ecgqa_tflite.spec import FrontEnd

ALL = (BaselineWander, ElectrodeMotion, MuscleNoise, Powerline, LeadOff, Clipping, Gap)


def added(disturbance: Disturbance, seed: int = 1, fs_hz: float = 500.0) -> np.ndarray:
    """What a disturbance adds to 20 s, mV."""
    clean = simulate(20, fs_hz, seed=seed)
    disturbed = simulate(20, fs_hz, seed=seed, disturbances=[disturbance])
    return disturbed.lead().astype(float) - clean.lead()


@pytest.mark.parametrize("fs_hz", [100.0, 128.0, 250.0, 360.0, 1000.0])
@pytest.mark.parametrize("rate_bpm", [45.0, 75.0, 140.0])
@pytest.mark.parametrize("rhythm", ["sinus", "af"])
def test_r_peaks_are_where_it_says(fs_hz: float, rate_bpm: float, rhythm: Rhythm) -> None:
    recording = simulate(40, fs_hz, Heart(rate_bpm, rhythm=rhythm), seed=2)
    ecg = recording.lead()
    assert ecg.shape == (round(40 * fs_hz),)
    peaks = recording.r_peaks_s
    assert len(peaks) == pytest.approx(40 * rate_bpm / 60, rel=0.12)
    for peak in peaks[(peaks > 0.1) & (peaks < 39.9)]:
        first = round((peak - 0.1) * fs_hz)
        found = (first + np.argmax(ecg[first : round((peak + 0.1) * fs_hz)])) / fs_hz
        assert abs(found - peak) <= 1 / fs_hz + 0.002
        assert ecg[round(found * fs_hz)] == pytest.approx(1.0, abs=0.6)


def test_rhythms_differ() -> None:
    sinus, af = (simulate(120, 250, Heart(rhythm=r), seed=3) for r in ("sinus", "af"))
    assert np.diff(sinus.r_peaks_s).std() < 0.06
    assert np.diff(af.r_peaks_s).std() > 0.1

    def p_wave(ecg: np.ndarray, peaks: np.ndarray) -> float:
        """Height of the mean beat 0.25 to 0.12 s before R over what comes before it, mV."""
        beats = [ecg[round((p - 0.4) * 250) : round(p * 250)][:99] for p in peaks[2:]]
        mean = np.mean(beats, axis=0)
        return float(mean[40:70].max() - np.median(mean[5:20]))

    assert p_wave(sinus.lead(), sinus.r_peaks_s) > 0.1
    assert p_wave(af.lead(), af.r_peaks_s) < 0.05


def test_rr_variability_is_asked_for() -> None:
    assert np.diff(simulate(60, 250, Heart(rr_std_s=0.0)).r_peaks_s).std() < 1e-9
    rr = np.diff(simulate(600, 250, Heart(rr_std_s=0.05)).r_peaks_s)
    assert rr.std() == pytest.approx(0.05, rel=0.3)
    assert rr.mean() == pytest.approx(1.0, rel=0.02)


def test_the_seed_decides() -> None:
    one, same, other = (simulate_demo(seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.signal_mv, same.signal_mv)
    assert not np.array_equal(one.signal_mv, other.signal_mv, equal_nan=True)


@pytest.mark.parametrize("kind", ALL)
def test_a_disturbance_stays_in_its_span(kind: type[Disturbance]) -> None:
    change = added(kind(5, 10))
    inside = np.zeros(change.size, bool)
    inside[5 * 500 : 15 * 500] = True
    assert not change[~inside].any()
    assert np.isnan(change[inside]).all() if kind is Gap else change[inside].any()


def test_disturbances_compose_and_do_not_move_each_other() -> None:
    first, second = ElectrodeMotion(2, 5), MuscleNoise(10, 5)
    both = simulate(20, 250, disturbances=[first, second]).lead()
    alone = simulate(20, 250, disturbances=[first]).lead()
    np.testing.assert_array_equal(both[:2500], alone[:2500])
    clipped = simulate(20, 250, disturbances=[first, Clipping(0, 20, 0.2)]).lead()
    np.testing.assert_array_equal(clipped, np.clip(alone, np.float32(-0.2), np.float32(0.2)))


def test_amplitudes_mean_what_they_say() -> None:
    assert np.abs(added(BaselineWander(5, 10, 0.7))).max() == pytest.approx(0.7, rel=1e-3)
    assert np.abs(added(ElectrodeMotion(5, 10, 3.0))).max() == pytest.approx(3.0, rel=1e-3)
    noise = added(MuscleNoise(5, 10, 0.4))[2500:7500]
    assert math.sqrt(np.mean(noise**2)) == pytest.approx(0.4, rel=1e-3)
    hum = added(Powerline(5, 10, 0.2))[2500:7500]
    assert np.abs(hum).max() == pytest.approx(0.2, rel=0.12)
    flat = simulate(20, 500, disturbances=[LeadOff(5, 10, 0.01)]).lead()[2500:7500]
    assert flat.std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
@pytest.mark.parametrize(
    ("fs_hz", "kind", "band"),
    [
        (500.0, "mains", None),
        (500.0, "muscle", (15, 180)),
        (100.0, "muscle", (15, 50)),
        (500.0, "wander", (0, 1)),
    ],
)
def test_bands(fs_hz: float, kind: str, band: tuple[float, float] | None, mains_hz: float) -> None:
    disturbance = {
        "mains": Powerline(0, 20, mains_hz=mains_hz),
        "muscle": MuscleNoise(0, 20),
        "wander": BaselineWander(0, 20),
    }[kind]
    f, power = welch(added(disturbance, fs_hz=fs_hz), fs_hz, nperseg=int(10 * fs_hz))
    low, high = band or (mains_hz - 1, mains_hz + 1)
    assert power[(f >= low) & (f <= high)].sum() > 0.9 * power.sum()


def test_disturbed_seconds() -> None:
    recording = simulate(
        9.5, 250, disturbances=[Gap(1.0, 1.0), LeadOff(3.5, 1.0), Clipping(7, 0), Gap(9.2, 99)]
    )
    np.testing.assert_array_equal(np.flatnonzero(recording.disturbed_seconds), [1, 3, 4, 9])
    assert recording.disturbed_seconds.size == 10
    assert not simulate(10, 250).disturbed_seconds.any()


def test_demo_is_written_with_its_truth(tmp_path: Path) -> None:
    truth = write_demo(tmp_path)
    back = read_recording(tmp_path / "demo")
    np.testing.assert_allclose(back.signal_mv, truth.signal_mv, atol=0.00051, equal_nan=True)
    assert 0.3 < truth.disturbed_seconds.mean() < 0.7
    assert {d.kind for d in truth.disturbances} == {kind.kind for kind in ALL}
    segments = cut(back.lead(), back.fs_hz, FrontEnd())
    gaps = segments.start_s[segments.status == SegmentStatus.GAP]
    np.testing.assert_array_equal(gaps, [80.0])
    with pytest.raises(OutputExistsError):
        write_demo(tmp_path)
    write_demo(tmp_path, overwrite=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"duration_s": 0.0}, {"duration_s": -1.0}, {"duration_s": float("nan")},
        {"duration_s": 1e12}, {"fs_hz": 10.0}, {"fs_hz": float("inf")},
    ],
)  # fmt: skip
def test_bad_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        simulate(**{"duration_s": 10.0, "fs_hz": 250.0, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate_bpm": 0.0}, {"rate_bpm": 400.0}, {"rr_std_s": -0.1}, {"rr_std_s": 1.0},
        {"rhythm": "jazz"}, {"r_amplitude_mv": 0.0}, {"r_amplitude_mv": float("nan")},
    ],
)  # fmt: skip
def test_hearts_that_there_are_none_of(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Heart(**arguments)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("numbers", [(-1, 1, 1), (0, -1, 1), (0, 1, -1), (0, float("inf"), 1)])
def test_bad_disturbances(kind: type[Disturbance], numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ArgumentError, match=kind.__name__):
        kind(*numbers)


@pytest.mark.parametrize("kind", ALL)
def test_a_disturbance_of_one_sample(kind: type[Disturbance]) -> None:
    recording = simulate(1, 250, disturbances=[kind(0.5, 0.004)])
    assert recording.signal_mv.shape == (250, 1)
    assert kind is Gap or np.isfinite(recording.signal_mv).all()
