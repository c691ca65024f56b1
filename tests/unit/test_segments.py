# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments: the int16 rule, windows and hops, gaps and flat stretches, odd sampling rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from ecgqa_tflite.errors import ArgumentError, RecordingError, SamplingRateError
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.segments import BY_REASON, Cutter, SegmentStatus, cut, quantise
from ecgqa_tflite.spec import FrontEnd

SPEC = FrontEnd()
FINEST_MV = 0.25e-3
LEVELS = np.array([0.0, 1.0, 1.0001, 1.3, np.nan, np.inf, -np.inf], np.float32).tolist()

finite = st.floats(-1e30, 1e30, allow_nan=False)


def lsb_mv(segment: NDArray[np.floating]) -> float:
    """The rule, written another way: the first power of two at which the range fits."""
    half_range = (segment.max() - segment.min()) / 2
    lsb = FINEST_MV
    while half_range > 32767 * lsb:
        lsb *= 2
    return lsb


@given(arrays(np.float64, st.integers(1, 40), elements=finite))
def test_quantise_keeps_range_and_resolution(segment: NDArray[np.float64]) -> None:
    codes = quantise(segment)
    assert codes.dtype == np.int16
    lsb = lsb_mv(segment)
    middle = (segment.max() + segment.min()) / 2
    tolerance = 0.5 * lsb * (1 + 1e-9) + 1e-12 * np.abs(segment).max()
    assert np.all(np.abs(codes.astype(float) * lsb + middle - segment) <= tolerance)
    # no bit is left unused: a step finer would not fit
    if lsb > FINEST_MV:
        assert np.abs(codes.astype(int)).max() >= 16383


@given(
    arrays(np.float64, 30, elements=st.floats(-5, 5)),
    st.integers(0, 10),
    st.sampled_from([0.0, 4.0, -64.0]),
)
@pytest.mark.requirement("IN-1")
def test_offset_never_matters(segment: NDArray[np.float64], seed: int, offset: float) -> None:
    # on a grid that both can hold exactly
    segment = np.rint(segment * 1024) / 1024
    np.testing.assert_array_equal(quantise(segment), quantise(segment + offset))


@given(arrays(np.int16, 50, elements=st.integers(-32767, 32767)))
def test_codes_of_one_microvolt_survive(codes: NDArray[np.int16]) -> None:
    """A converter's own codes come back as a multiple of themselves, the middle apart."""
    back = quantise(codes * 1e-3).astype(int)
    steps = np.diff(codes.astype(int))
    scale = 1e-3 / lsb_mv(codes * 1e-3)
    assert np.abs(np.diff(back) - steps * scale).max() <= 1


@pytest.mark.parametrize("k", range(-2, 20))
def test_the_edge_of_each_step(k: int) -> None:
    edge = 32767 * 2.0**k * 1e-3
    # .5 % beyond, for edges are not exact binary fractions of a mV
    assert quantise(np.array([-edge, edge]) * 0.995)[1] == round(32767 * 0.995)
    assert quantise(np.array([-edge, edge]) * 1.005)[1] == round(32767 / 2 * 1.005)


def test_quantise_in_one_go_or_one_by_one() -> None:
    block = np.random.default_rng(0).normal(size=(7, 3, 50)) * np.logspace(-4, 3, 7)[:, None, None]
    whole = quantise(block)
    for i in np.ndindex(7, 3):
        np.testing.assert_array_equal(whole[i], quantise(block[i]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_quantise_refuses_missing_samples(bad: float) -> None:
    with pytest.raises(RecordingError, match="missing samples"):
        quantise(np.array([0.0, bad, 1.0]))
    with pytest.raises(RecordingError, match="empty"):
        quantise(np.zeros((3, 0)))


@settings(deadline=None)
@given(
    seconds=st.floats(5, 40),
    fs_hz=st.sampled_from([100.0, 125.0, 128.0, 250.0, 256.0, 300.0, 360.0, 500.0, 512.0, 1000.0]),
    hop_s=st.one_of(st.none(), st.floats(0.01, 12)),
    batch=st.integers(1, 50),
)
def test_cut_covers(seconds: float, fs_hz: float, hop_s: float | None, batch: int) -> None:
    n = int(np.ceil(seconds * fs_hz))
    signal = np.arange(n, dtype=np.float32)
    segments = cut(signal, fs_hz, SPEC, hop_s)
    segment_len = SPEC.segment_len(fs_hz)
    hop_len = segment_len if hop_s is None else round(hop_s * fs_hz)
    starts = np.rint(segments.start_s * fs_hz).astype(int)
    np.testing.assert_array_equal(starts, np.arange(len(segments)) * hop_len)
    np.testing.assert_allclose(segments.start_s * fs_hz, starts, atol=1e-6)
    # every window that fits, and none that doesn't
    assert starts[-1] + segment_len <= n < starts[-1] + hop_len + segment_len
    assert segments.samples.shape == (len(segments), segment_len)
    assert segments.fs_hz == fs_hz
    for i in {0, len(segments) // 2, len(segments) - 1}:
        window = signal[starts[i] : starts[i] + segment_len]
        np.testing.assert_array_equal(segments.samples[i], quantise(window))
    cutter = Cutter(fs_hz, SPEC, hop_s)
    batches = list(cutter.push(signal, batch=batch))
    assert max(map(len, batches)) <= batch
    assert cutter.n_segments(n) == len(segments)
    np.testing.assert_array_equal(np.concatenate([b.samples for b in batches]), segments.samples)
    np.testing.assert_array_equal(np.concatenate([b.start_s for b in batches]), segments.start_s)


@settings(deadline=None)
@given(
    hop_s=st.one_of(st.none(), st.floats(0.05, 12)),
    blocks=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
    gap=st.integers(0, 9000),
)
def test_blocks_of_any_size_are_cut_as_one(
    hop_s: float | None, blocks: list[int], gap: int
) -> None:
    """Each segment comes with the block that completes it; the caller's block may change after."""
    signal = np.random.default_rng(0).normal(size=sum(blocks) + 1250).astype(np.float32)
    signal[gap : gap + 3] = np.nan
    whole = cut(signal, 250.0, SPEC, hop_s)
    cutter = Cutter(250.0, SPEC, hop_s)
    found, n = [], 0
    for size in (*blocks, 1250):
        block = signal[n : n + size].copy()
        n += size
        found += list(cutter.push(block))
        block[:] = 9
        ready = cutter.n_segments(n) if n >= 1250 else 0
        assert sum(map(len, found)) == ready
    np.testing.assert_array_equal(np.concatenate([f.samples for f in found]), whole.samples)
    np.testing.assert_array_equal(np.concatenate([f.start_s for f in found]), whole.start_s)
    np.testing.assert_array_equal(np.concatenate([f.status for f in found]), whole.status)


@given(
    arrays(
        np.float32,
        5000,
        elements=st.sampled_from(LEVELS),
        fill=st.sampled_from([0.0, 1.0]),
    )
)
def test_status_says_what_is_there(signal: NDArray[np.float32]) -> None:
    segments = cut(signal, 250.0, SPEC)
    for i, window in enumerate(signal.reshape(-1, 1250).astype(np.float64)):
        if not np.isfinite(window).all():
            expected = SegmentStatus.GAP
        elif window.max() - window.min() <= FINEST_MV:
            expected = SegmentStatus.FLAT
        else:
            found = NativeFrontEnd(SPEC, 250.0).reasons(quantise(window)[None])
            expected = SegmentStatus(BY_REASON[found[0]])
        assert segments.status[i] == expected
        assert segments.ok[i] == (expected is SegmentStatus.OK)
        assert segments.samples[i].any() == (expected is SegmentStatus.OK)


@pytest.mark.requirement("SIG-1")
def test_a_gap_spoils_only_the_windows_that_touch_it() -> None:
    signal = np.sin(np.arange(5000) / 20)
    signal[2500] = np.nan
    clean = cut(np.sin(np.arange(5000) / 20), 250.0, SPEC, 1.0)
    segments = cut(signal, 250.0, SPEC, 1.0)
    touched = (segments.start_s <= 10) & (segments.start_s + 5 > 10)
    np.testing.assert_array_equal(segments.status == SegmentStatus.GAP, touched)
    np.testing.assert_array_equal(segments.samples[~touched], clean.samples[~touched])


def test_shorter_than_a_segment() -> None:
    with pytest.raises(RecordingError, match=r"4.998 s long .*shorter than one segment of 5 s"):
        cut(np.zeros(2999), 600.0, SPEC)
    with pytest.raises(RecordingError, match="0 s long "):
        cut(np.zeros(0), 250.0, SPEC)


@pytest.mark.parametrize("hop_s", [0.0, -1.0, float("nan"), float("inf"), 0.001])
def test_bad_hops(hop_s: float) -> None:
    with pytest.raises(ArgumentError, match="at least one sample"):
        cut(np.zeros(2000), 250.0, SPEC, hop_s)


def test_bad_shapes_and_batches() -> None:
    with pytest.raises(ArgumentError, match="one lead"):
        cut(np.zeros((2000, 2)), 250.0, SPEC)
    with pytest.raises(ArgumentError, match="batch"):
        list(Cutter(250.0, SPEC).push(np.zeros(2000), batch=0))
    with pytest.raises(ArgumentError, match="real numbers"):
        Cutter(250.0, SPEC).push(["a"])


@pytest.mark.parametrize("fs_hz", [91.0, 0.0, -250.0, float("nan"), float("inf")])
def test_rates_that_no_resampling_helps(fs_hz: float) -> None:
    with pytest.raises(SamplingRateError):
        cut(np.zeros(5000), fs_hz, SPEC)


def test_a_spec_that_250_hz_does_not_serve_either() -> None:
    with pytest.raises(SamplingRateError, match="too low"):
        cut(np.zeros(50_000), 401.3, FrontEnd(f_max_hz=120.0))


@pytest.mark.parametrize("fs_hz", [111.0, 249.89, 257.0, 333.3, 977.0, 999.9, 2000.0])
def test_odd_rates_are_resampled(fs_hz: float) -> None:
    """An 8-Hz tone stays where it is, to its last second, offset and all."""
    t = np.arange(round(120 * fs_hz)) / fs_hz
    segments = cut((300 + np.sin(2 * np.pi * 8 * t)).astype(np.float32), fs_hz, SPEC)
    assert segments.fs_hz == 250.0
    assert len(segments) in (23, 24)
    assert segments.ok.all()
    for i in (0, 11, len(segments) - 1):
        time = segments.start_s[i] + np.arange(1250) / 250
        tone = quantise(np.sin(2 * np.pi * 8 * time)).astype(int)
        error = np.abs(segments.samples[i][50:-50] - tone[50:-50])
        assert error.max() < 0.005 * tone.max()


@pytest.mark.parametrize("fs_hz", [333.33, 499.99])
def test_resampling_does_not_drift(fs_hz: float) -> None:
    """A gap an hour in is where it was."""
    signal = np.zeros(round(3605 * fs_hz), np.float32)
    signal[round(3600 * fs_hz) :] = 1.0
    segments = cut(signal, fs_hz, SPEC)
    step = np.flatnonzero(np.abs(np.diff(segments.samples[720].astype(int))) > 1000)
    assert segments.start_s[720] == 3600.0 and len(segments) == 721
    assert step.size == 0 or step.max() < 5


def test_resampling_keeps_gaps() -> None:
    fs_hz = 257.0
    t = np.arange(round(40 * fs_hz)) / fs_hz
    signal = np.sin(2 * np.pi * 3 * t)
    signal[(t >= 12) & (t < 13)] = np.nan
    signal[-1] = np.inf
    segments = cut(signal, fs_hz, SPEC, 1.0)
    touched = (segments.start_s + 5 > 12) & (segments.start_s < 13)
    np.testing.assert_array_equal(segments.status[:-1] == SegmentStatus.GAP, touched[:-1])
    assert (cut(np.full(5000, np.nan), fs_hz, SPEC).status == SegmentStatus.GAP).all()
