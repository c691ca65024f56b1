# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Conditioning: the C against an integer definition in NumPy, and against the float reference."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import REPO
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ecgqa_tflite.errors import SpecError
from ecgqa_tflite.frontend import reference, tables
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd

SPEC = FrontEnd(conditioning="baseline")
RATES_HZ = (100, 125, 128, 250, 256, 300, 360, 500, 512, 1000, 1024)


def conditioned(samples: NDArray[np.int16], segment_s: float = 5.0) -> NDArray[np.int16]:
    """The definition, step by step, in 64-bit integers."""
    x = samples.astype(np.int64)
    n, n_points = x.shape[1], round(50 * segment_s)
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    shift = np.array([max(15 - int(r).bit_length(), 0) for r in (high - low)[:, 0]])
    x = (x - ((low + high + 1) >> 1)) << shift[:, None]
    edges = np.arange(n_points + 1) * n // n_points
    counts = np.diff(edges)
    points = (np.add.reduceat(x, edges[:-1], axis=1) + counts // 2) // counts
    for width in (11, 31):
        padded = np.pad(points, ((0, 0), (width // 2, width // 2)), mode="symmetric")
        points = np.sort(sliding_window_view(padded, width, axis=1), axis=2)[..., width // 2]
    i = np.arange(n)
    left = np.clip(((2 * i + 1) * n_points - n) // (2 * n), 0, n_points - 2)
    a, b = points[:, left], points[:, left + 1]
    y = x - np.clip(x, np.minimum(a, b), np.maximum(a, b))
    n_maxima = round(2 * segment_s)
    starts = -(-np.arange(n_maxima) * n // n_maxima)
    third = np.sort(np.maximum.reduceat(np.abs(y), starts, axis=1), axis=1)[:, -3, None]
    limit = np.minimum(third * 3 >> 1, 32767)
    return np.clip(y, -limit, limit).astype(np.int16)


def ecg(fs_hz: float, **more: object) -> NDArray[np.int16]:
    recording = simulate(duration_s=40, fs_hz=fs_hz, seed=1, **more)
    n = SPEC.segment_len(fs_hz)
    lead = recording.lead(None)
    return quantise(np.reshape(lead[: lead.size // n * n], (-1, n)))


def test_the_c_s_numbers_are_python_s() -> None:
    text = "".join(
        (REPO / "firmware_bridge/src" / name).read_text() for name in ("condition.h", "condition.c")
    )

    def value(name: str) -> int:
        found = re.search(rf"#define {name} (\d+)u", text)
        assert found is not None, name
        return int(found[1])

    assert value("POINTS_HZ") == tables.BASELINE_POINTS_HZ
    assert value("ECGQA_CONDITION_MIN_POINTS") == tables.BASELINE_MIN_POINTS
    medians = tuple(value(f"ECGQA_CONDITION_{which}_POINTS") for which in ("SHORT", "LONG"))
    assert medians == (reference.SHORT_POINTS, reference.LONG_POINTS)
    assert value("ECGQA_CONDITION_RANK") == reference.RANK


@pytest.mark.parametrize("fs_hz", RATES_HZ)
def test_the_c_is_the_definition(fs_hz: int) -> None:
    front_end, rng = NativeFrontEnd(SPEC, fs_hz), np.random.default_rng(fs_hz)
    n = front_end.segment_len
    step = np.where(np.arange(n) > n // 3, 32767, -32768)
    samples = np.concatenate(
        [
            ecg(fs_hz),
            rng.integers(-32768, 32768, (5, n)),
            np.cumsum(rng.integers(-200, 201, (5, n)), axis=1).clip(-32768, 32767),
            rng.integers(-3, 4, (5, n)),
            [step, -step - 1, np.zeros(n), np.full(n, -32768)],
            1000 * np.eye(4, n),
        ]
    ).astype(np.int16)
    expected = conditioned(samples)
    assert np.array_equal(front_end.conditioned(samples), expected)
    # by definition: the image of a segment is that of its conditioned samples as they are
    maps = front_end.index_maps(samples, threads=1)
    assert np.array_equal(front_end.index_maps(samples, threads=1, two_pass=True), maps)
    plain = NativeFrontEnd(FrontEnd(), fs_hz)
    assert np.array_equal(plain.index_maps(expected, threads=1), maps)
    assert np.array_equal(plain.conditioned(samples), samples)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_c_is_the_definition_for_any_samples(data: st.DataObject) -> None:
    values = st.integers(-32768, 32767)
    knots = data.draw(st.lists(values, min_size=2, max_size=60))
    x = np.interp(np.linspace(0, 1, 625), np.linspace(0, 1, len(knots)), knots)
    samples = np.rint(x).astype(np.int16)[None]
    assert np.array_equal(NativeFrontEnd(SPEC, 125).conditioned(samples), conditioned(samples))


@pytest.mark.parametrize("fs_hz", [125, 250, 500])
def test_the_float_reference_agrees(fs_hz: int) -> None:
    """Within 1 % of the largest sample: points are rounded to a 2**15th of the range."""
    samples = ecg(fs_hz)
    for x, y in zip(samples, NativeFrontEnd(SPEC, fs_hz).conditioned(samples), strict=True):
        expected = reference.conditioned(x, SPEC)
        scale = np.abs(y).max() / np.abs(expected).max()
        assert np.abs(expected * scale - y).max() <= 0.01 * np.abs(y).max()


def test_one_artefact_leaves_the_image() -> None:
    """A step of ten times the R peaks' height, a spike of five"""
    fs_hz = 250
    front_end = NativeFrontEnd(SPEC, fs_hz)
    n = front_end.segment_len
    clean_mv = simulate(duration_s=5, fs_hz=fs_hz, seed=2).lead(None)[:n]
    t = np.arange(n) / fs_hz
    spike = np.where((t >= 2.30) & (t < 2.31), 5.0, 0.0)
    artefacts = {"step": 10.0 * (t > 2.3), "spike": spike}
    alone = front_end.index_map(quantise(clean_mv)).astype(int)
    for name, artefact in artefacts.items():
        found = front_end.index_map(quantise(clean_mv + artefact)).astype(int)
        away = np.abs((np.arange(SPEC.cols) + 0.5) / SPEC.cols * 5 - 2.3) > 0.6
        assert np.abs(found - alone)[:150, away].mean() < 0.5, name


def test_the_shortest_segment_keeps_its_beats() -> None:
    """Two half seconds have no third largest maximum: everything would be clipped to nothing."""
    spec = FrontEnd(conditioning="baseline", segment_s=1.5, f_min_hz=3.0)
    walk = np.cumsum(np.random.default_rng(1).integers(-90, 91, (5, 375)), axis=1).astype(np.int16)
    found = NativeFrontEnd(spec, 250).conditioned(walk)
    np.testing.assert_array_equal(found, conditioned(walk, 1.5))
    assert found.any(axis=1).all()


def test_what_cannot_be_conditioned_is_refused() -> None:
    short = FrontEnd(conditioning="baseline", segment_s=1.0, f_min_hz=3.0)
    with pytest.raises(SpecError, match=r"needs a segment of 1\.5 s or more"):
        tables.build(short, 250)
    with pytest.raises(SpecError, match="rows up to 16 Hz or more"):
        tables.build(FrontEnd(conditioning="baseline", f_max_hz=12.0), 250)
