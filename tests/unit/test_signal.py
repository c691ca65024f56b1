# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What samples show before any network: flat, held, clipped, smooth; the C against NumPy."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from conftest import REPO
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.segments import BY_REASON, SegmentStatus, cut, quantise
from ecgqa_tflite.spec import FrontEnd

SPEC = FrontEnd()
SIZES = [1, 2, 5, 900]
"""Values that a run takes."""


def reason(x: NDArray[np.int16], segment_s: float = 5.0) -> str:
    """The definition of one segment's reason."""
    x = x.astype(int)
    n, spread = x.size, int(np.ptp(x))
    if spread == 0:
        return "flat"
    slots = round(10 * segment_s)
    edges = np.arange(slots + 1) * n // slots
    for first in range(slots - 9):
        window = x[edges[first] : edges[first + 10]]
        span = int(np.ptp(window))
        if span * 100 <= spread or (span * 16 <= spread and np.unique(window).size <= 4):
            return "held"
    ms = round(1000 * segment_s)
    if is_hum([x[a:b] for a, b in pairwise(edges)], max(1, (2 * n * 4 + ms) // (2 * ms)), spread):
        return "held"
    run = max(2, (2 * n * 12 + ms) // (2 * ms))
    on_rails = 0
    for rail in (x.min(), x.max()):
        lengths = [len(m) for m in re.findall("1+", "".join("01"[int(v == rail)] for v in x))]
        on_rails += sum(length for length in lengths if length >= run)
    if 10 * on_rails >= n:
        return "clipped"
    return "smooth" if is_smooth(x, max(1, (2 * n * 10 + ms) // (2 * ms)), ms) else "ok"


def is_smooth(x: NDArray[np.int_], block: int, ms: int) -> bool:
    """At most a 200th of the energy over the slow mean is over three steep ones in turn."""
    blocks = x[: x.size // block * block].reshape(-1, block).sum(axis=1) * 16

    def towards_zero(x: NDArray[np.int_], by: int) -> NDArray[np.int_]:
        return np.asarray(np.sign(x) * (np.abs(x) // by))

    def over_mean(y: NDArray[np.int_], n: int, half_ms: int) -> NDArray[np.int_]:
        width = 2 * ((2 * n * half_ms + ms) // (2 * ms)) + 1
        if y.size < width:
            return y[:0]
        sums = np.lib.stride_tricks.sliding_window_view(y, width).sum(axis=1)
        return y[width // 2 :][: sums.size] - towards_zero(sums, width)

    steep = blocks
    for _ in range(3):
        steep = over_mean(steep, blocks.size, 45)
    fours = x[: x.size // (4 * block) * 4 * block].reshape(-1, 4 * block).sum(axis=1) * 16
    slow = over_mean(towards_zero(fours, 4), fours.size, 350)
    energies = [sum(int(v) ** 2 for v in y) // max(y.size, 1) for y in (steep, slow)]
    return steep.size > 0 and energies[1] > 0 and energies[0] * 200 <= energies[1]


def tone_energy(x: NDArray[np.int_], mean: int, lag: int) -> int:
    """Energy of a slot that is one tone of 35-65 Hz, 0 of any other."""
    crossings = int((np.diff(x >= mean) != 0).sum())
    sides, here = (x - mean)[: -2 * lag] + (x - mean)[2 * lag :], (x - mean)[lag:-lag]
    energy, around, fitted = (
        abs(int(u @ v)) for u, v in ((here, here), (sides, sides), (sides, here))
    )
    bits = max(0, max(energy, around).bit_length() - 30)
    e, a, f = (value >> bits for value in (energy, around, fitted))
    return energy if 7 <= crossings <= 13 and a * e <= f * f + e * e // 2 else 0


def is_hum(slots: list[NDArray[np.int_]], lag: int, spread: int) -> bool:
    """1.4 s of hum on one level, and none like it in more than an eighth of the rest."""
    means = [int(int(x.sum()) / len(x)) for x in slots]  # towards zero
    energies = [tone_energy(x, m, lag) for x, m in zip(slots, means, strict=True)]
    best: list[int] = []
    run: list[int] = []
    for i, energy in enumerate(energies):
        levels = [means[k] for k in [*run, i]]
        if not energy:
            run = []
        elif (max(levels) - min(levels)) * 32 <= spread:
            run = [*run, i]
        else:
            run = [i]
        best = run if len(run) > len(best) else best
    if len(best) < 14:
        return False
    least = min(energies[k] for k in best) // 4
    tones = sum(energy > 0 and energy >= least for energy in energies)
    return (tones - len(best)) * 8 <= len(slots) - len(best)


def ecg(fs_hz: float) -> NDArray[np.int16]:
    n = SPEC.segment_len(fs_hz)
    return quantise(np.reshape(simulate(duration_s=60, fs_hz=fs_hz, seed=4).lead(None), (-1, n)))


def reasons(samples: NDArray[np.int16], fs_hz: float) -> list[str]:
    found: list[str] = BY_REASON[NativeFrontEnd(SPEC, fs_hz).reasons(samples)].tolist()
    return found


def test_reasons_are_the_header_s() -> None:
    header = (REPO / "firmware_bridge/include/ecgqa/reason.h").read_text()
    listed = re.findall(r'X\((\w+), (\d+), "(\w+)"\)', header)
    assert [text for _, _, text in listed] == BY_REASON.tolist()
    assert [int(value) for _, value, _ in listed] == list(range(len(listed)))
    assert {text for _, _, text in listed} == {status.value for status in SegmentStatus}
    assert all(name.lower() == text for name, _, text in listed)


@pytest.mark.parametrize("fs_hz", [100, 125, 250, 360, 500, 1000])
@pytest.mark.requirement("SIG-1")
def test_lost_signal_is_told(fs_hz: int) -> None:
    clean, rng = ecg(fs_hz), np.random.default_rng(fs_hz)
    n = clean.shape[1]
    assert set(reasons(clean, fs_hz)) == {"ok"}
    held, dither, zeros = clean.copy(), clean.copy(), clean.copy()
    start, length = round(1.3 * fs_hz), round(1.5 * fs_hz)
    part = slice(start, start + length)
    held[:, part] = held[:, start, None]
    dither[:, part] = dither[:, start, None] + rng.integers(0, 2, (len(clean), length))
    zeros[:, part] = 0
    for lost in (held, dither, zeros):
        assert set(reasons(lost, fs_hz)) == {"held"}
    limit = np.abs(clean).max(axis=1, keepdims=True) // 20
    clipped = np.clip(clean, -limit, limit)
    assert set(reasons(clipped, fs_hz)) <= {"clipped", "held"}
    square = np.where(np.arange(n) // (n // 10) % 2, 1000, -1000).astype(np.int16)[None]
    assert reasons(square, fs_hz) == ["clipped"]
    assert reasons(np.full((1, n), 7, np.int16), fs_hz) == ["flat"]
    for samples in (clean, held, dither, zeros, clipped):
        assert reasons(samples, fs_hz) == [reason(x) for x in samples]


def hum(n: int, fs_hz: float, hz: float, mv: float, phase: float) -> NDArray[np.float64]:
    return mv * np.sin(2 * np.pi * hz * np.arange(n) / fs_hz + phase)


@pytest.mark.parametrize("fs_hz", [125, 250, 300, 360, 500, 1000])
@pytest.mark.requirement("SIG-1")
def test_nothing_but_hum_is_held(fs_hz: int) -> None:
    """1.5 s of it in clean ECG, wherever it starts; hum over ECG or over a pause is neither."""
    n = SPEC.segment_len(fs_hz)
    clean = np.reshape(simulate(duration_s=60, fs_hz=fs_hz, seed=4).lead(None), (-1, n))
    rng = np.random.default_rng(fs_hz)
    for hz in (50.0, 60.0):
        for mv in (0.02, 0.1, 0.3):
            lost, under = clean.copy(), clean + hum(n, fs_hz, hz, mv, 1.0)
            for row in lost:
                start, length = int(rng.integers(n - 1.5 * fs_hz)), round(1.5 * fs_hz)
                part = slice(start, start + length)
                row[part] = row[start] + hum(length, fs_hz, hz, mv, rng.uniform(0, 6))
            paused = under.copy()
            stop = round(1.8 * fs_hz)
            paused[:, :stop] = clean[:, :1] + hum(stop, fs_hz, hz, mv, 1.0)
            assert set(reasons(quantise(lost), fs_hz)) == {"held"}
            assert "held" not in reasons(quantise(under), fs_hz)
            for signal in (lost, under, paused):
                samples = quantise(signal)
                assert reasons(samples, fs_hz) == [reason(x) for x in samples]


@pytest.mark.parametrize("pause_s", [1.5, 2.5, 3.5, 4.0])
@pytest.mark.parametrize("noise_mv", [0.005, 0.02, 0.05])
def test_a_pause_is_not_held(pause_s: float, noise_mv: float) -> None:
    """Baseline noise, and P waves, where the beats should be."""
    clean = np.reshape(simulate(duration_s=60, fs_hz=250, seed=4).lead(None), (-1, 1250))
    rng = np.random.default_rng(round(1000 * noise_mv))
    t = np.arange(round(pause_s * 250)) / 250
    for p_wave_mv in (0.0, 0.15):
        paused = clean + 0.0
        paused[:, 100 : 100 + len(t)] = p_wave_mv * np.exp(-(((t % 0.8 - 0.4) / 0.03) ** 2))
        paused += noise_mv * rng.standard_normal(paused.shape)
        assert set(reasons(quantise(paused), 250)) == {"ok"}


def pulses(t: NDArray[np.float64], hz: float, half_s: float) -> NDArray[np.float64]:
    """Bells at a rate, 1 high, of a width at 1/e of that, each with a smaller one behind."""
    turn = (t % (1 / hz)) - 0.35 / hz
    second = 0.3 * np.exp(-(((turn - 0.28 / hz) / half_s) ** 2))
    return np.asarray(np.exp(-((turn / half_s) ** 2)) + second)


@pytest.mark.parametrize("fs_hz", [100, 125, 250, 300, 360, 500, 1000])
@pytest.mark.requirement("SIG-1")
def test_a_pulse_wave_is_smooth(fs_hz: int) -> None:
    """A photoplethysmogram and breathing are; ECG isn't, whatever wanders or steps under it."""
    t, rng = np.arange(SPEC.segment_len(fs_hz)) / fs_hz, np.random.default_rng(fs_hz)
    for hz in (0.8, 1.0, 1.5, 2.0):
        for noise in (0.002, 0.005, 0.01):
            wave = pulses(t, hz, 0.1) + noise * rng.standard_normal(len(t))
            samples = quantise(wave[None])
            assert reasons(samples, fs_hz) == ["smooth"] == [reason(samples[0])]
    breath = quantise(np.sin(2 * np.pi * 0.3 * t)[None])
    assert reasons(breath, fs_hz) == ["smooth"]
    clean = np.reshape(simulate(duration_s=60, fs_hz=fs_hz, seed=4).lead(None), (-1, len(t)))
    height = np.ptp(clean)
    for under in (0 * t, 2 * height * np.sin(2 * np.pi * 0.4 * t), 12 * height * (t > 2.2)):
        samples = quantise(clean + under)
        assert set(reasons(samples, fs_hz)) == {"ok"}
        assert reasons(samples, fs_hz) == [reason(x) for x in samples]


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.requirement("SIG-1")
def test_smooth_in_the_c_is_the_definition(data: st.DataObject) -> None:
    """Pulses under noise of every size, at full scale and at a few codes, on any baseline."""
    fs_hz = data.draw(st.sampled_from([100, 125, 250, 360, 1000]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    t = np.arange(SPEC.segment_len(fs_hz)) / fs_hz
    wave = pulses(t, data.draw(st.floats(0.5, 4.0)), data.draw(st.floats(0.02, 0.2)))
    wave = wave + 10 ** data.draw(st.floats(-4.0, 0.0)) * rng.standard_normal(len(t))
    size = 10 ** data.draw(st.floats(0.5, 4.6))
    x = size * (wave + data.draw(st.floats(-2.0, 2.0)) * t)
    samples = np.clip(np.rint(x), -32768, 32767).astype(np.int16)
    assert reasons(samples[None], fs_hz) == [reason(samples)]


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.requirement("SIG-1")
def test_hum_in_the_c_is_the_definition(data: st.DataObject) -> None:
    """Stretches of tones, of noise and of both, full scale to a few codes, on any level."""
    fs_hz = data.draw(st.sampled_from([100, 125, 250, 360, 1000]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = SPEC.segment_len(fs_hz)
    x = np.zeros(0)
    while x.size < n:
        length = round(data.draw(st.floats(0.05, 3.0)) * fs_hz)
        size = 10 ** data.draw(st.floats(0.0, 4.5))
        tone = hum(length, fs_hz, data.draw(st.sampled_from([30.0, 50.0, 60.0, 70.0])), size, 0.3)
        noise = size * data.draw(st.sampled_from([0.0, 0.1, 0.3, 1.0]))
        level = size * data.draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, -1.0]))
        x = np.concatenate([x, level + tone + noise * rng.standard_normal(length)])
    samples = np.clip(np.rint(x[:n]), -32768, 32767).astype(np.int16)
    assert reasons(samples[None], fs_hz) == [reason(samples)]


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.requirement("SIG-1")
def test_the_c_is_the_definition(data: st.DataObject) -> None:
    """Runs of a value, of few values and of noise, in any order."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    parts = []
    while sum(map(len, parts)) < 625:
        length = data.draw(st.integers(1, 200))
        level, size = (
            data.draw(st.integers(-3000, 3000)),
            data.draw(st.sampled_from(SIZES)),
        )
        parts.append(level + rng.integers(0, size, length))
    samples = np.concatenate(parts)[:625].astype(np.int16)
    assert reasons(samples[None], 125) == [reason(samples)]


def test_nothing_but_a_ramp_is_flat_with_conditioning() -> None:
    """Fewer than three half seconds hold anything else: nothing is left to look at."""
    front_end = NativeFrontEnd(FrontEnd(conditioning="baseline"), 250)
    ramp = (20 * np.arange(1250)).astype(np.int16)[None]
    assert BY_REASON[front_end.reasons(ramp)].tolist() == ["flat"]
    assert not front_end.index_maps(ramp, threads=1).any()


def test_nothing_but_a_baseline_is_smooth() -> None:
    x = np.rint(3000 * np.sin(np.linspace(0, 3, 1250))).astype(np.int16)[None]
    for conditioning in ("none", "baseline"):
        front_end = NativeFrontEnd(FrontEnd(conditioning=conditioning), 250)
        assert BY_REASON[front_end.reasons(x)].tolist() == ["smooth"]


def test_a_cut_says_the_status_and_keeps_no_lost_samples() -> None:
    signal = simulate(duration_s=15, fs_hz=250, seed=5).lead(None).copy()
    signal[1500:1900] = signal[1500]
    signal[2600] = np.nan
    segments = cut(signal, 250, SPEC)
    assert segments.status.tolist() == ["ok", "held", "gap"]
    assert segments.samples[0].any() and not segments.samples[1:].any()
