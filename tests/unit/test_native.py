# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The integer front end against the float64 reference, and against itself."""

import platform
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from front_end_segments import edge_cases, real_segments
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa_tflite import errors
from ecgqa_tflite.errors import ArgumentError, EcgqaError
from ecgqa_tflite.frontend import native, reference, tables
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.spec import MAX_SEGMENT_LEN, RANGE_FLOOR, FrontEnd

pytestmark = pytest.mark.slow

SPECS = {
    "wearable": FrontEnd.preset("wearable"),
    "seed": FrontEnd.preset("seed"),
    "minmax": FrontEnd.preset("wearable", scaling="minmax"),
    "small": FrontEnd.preset("wearable", rows=113, cols=113),
    "224": FrontEnd.preset("wearable", rows=224, cols=224),
}
RATES_HZ = (125, 128, 250, 256, 300, 360, 500, 512, 1000)


def difference(front_end, samples):
    """Index map of the C less that of the reference."""
    wanted = reference.index_map(samples, front_end.fs_hz, front_end.spec)
    return front_end.index_map(samples).astype(int) - wanted.astype(int)


def synthetic(fs_hz, seed=0):
    """Beats, wander and noise, int16."""
    rng = np.random.default_rng(seed)
    t = np.arange(5 * fs_hz) / fs_hz
    x = np.exp(-(((t % 0.8) - 0.4) ** 2) / 4e-4) + 0.4 * np.sin(2 * np.pi * 0.3 * t + seed)
    return np.rint(1000 * (x + rng.normal(0, 0.05, t.size))).astype(np.int16)


@pytest.mark.parametrize(
    ("name", "fs_hz"),
    [(name, fs) for name, spec in SPECS.items() for fs in RATES_HZ if fs >= spec.fs_min_hz],
)
@pytest.mark.requirement("FE-2")
def test_every_rate_and_spec_follows_the_reference(name, fs_hz):
    d = difference(NativeFrontEnd(SPECS[name], fs_hz), synthetic(fs_hz))
    assert np.abs(d).max() <= 2
    assert (np.abs(d) <= 1).mean() > 0.9999
    assert (d == 0).mean() > 0.93  # one segment; over many it is 98 %


@pytest.mark.parametrize("fs_hz", [125, 250, 500])
@pytest.mark.parametrize("name", edge_cases(125))
def test_edge_cases_stay_within_two_levels(name, fs_hz):
    front_end = NativeFrontEnd(FrontEnd(scaling="minmax"), fs_hz)
    samples = edge_cases(fs_hz)[name]
    d = difference(front_end, samples)
    assert np.abs(d).max() <= 2, name
    if samples.min() == samples.max():
        assert not front_end.index_map(samples).any()


@pytest.mark.parametrize("fs_hz", [125, 250, 300])
def test_edge_cases_scaled_by_the_qrs_band_stay_within_three_levels(fs_hz):
    """Three, where the QRS band holds a thousandth of the segment: the rest is clipped away."""
    front_end = NativeFrontEnd(FrontEnd(), fs_hz)
    worst = {name: np.abs(difference(front_end, x)).max() for name, x in edge_cases(fs_hz).items()}
    assert max(worst.values()) <= 3
    assert sum(level > 2 for level in worst.values()) <= 2


@pytest.fixture(scope="module")
def real_magnitudes(shared_data):
    """300 real segments, noisy ones too, their rates and |W|, which no scaling changes."""
    segments = real_segments(shared_data, 300)
    return [(x, fs_hz, reference.magnitude(x, fs_hz, FrontEnd())) for x, fs_hz in segments]


@pytest.mark.parametrize("scaling", ["minmax", "qrs"])
@pytest.mark.requirement("FE-2")
def test_real_segments_follow_the_reference(real_magnitudes, scaling):
    """>= 300 segments, noisy ones too: 96 % of pixels equal, 99.999 % within 1, none over 2."""
    spec = FrontEnd(scaling=scaling)
    front_ends = {fs: NativeFrontEnd(spec, fs) for fs in {fs for _, fs, _ in real_magnitudes}}
    found = [
        front_ends[fs_hz].index_map(x).astype(int) - reference.to_index(magnitude, spec)
        for x, fs_hz, magnitude in real_magnitudes
    ]
    d = np.abs(found)
    assert len(d) >= 300
    equal, near = (d == 0).mean(), (d <= 1).mean()
    print(f"{scaling}, {len(d)} segments: {equal:.4%} of pixels equal, {near:.6%} within 1")
    assert equal >= 0.96
    assert near >= 0.99999
    assert d.max() <= 2


@pytest.mark.parametrize(
    ("name", "fs_hz"),
    [(name, fs) for name, spec in SPECS.items() for fs in (125, 250, 1000) if fs >= spec.fs_min_hz],
)
def test_every_way_gives_the_same_bytes(name, fs_hz):
    """Rows side by side in SIMD lanes of any width, one after the other, and as a device does."""
    front_end = NativeFrontEnd(SPECS[name], fs_hz)
    samples = np.array([*edge_cases(fs_hz).values(), *(synthetic(fs_hz, s) for s in range(8))])
    expected = front_end.index_maps(samples, two_pass=True)
    for lanes in front_end.lanes:
        assert (front_end.index_maps(samples, lanes=lanes) == expected).all()


@pytest.mark.parametrize(("rows", "cols"), [(8, 8), (9, 31), (15, 32), (16, 33), (17, 500)])
def test_any_number_of_rows_and_columns_fits_the_lanes(rows, cols):
    front_end = NativeFrontEnd(FrontEnd(rows=rows, cols=cols, scaling="minmax"), 250)
    samples = np.array([synthetic(250, s) for s in range(3)])
    expected = front_end.index_maps(samples, lanes=1)
    for lanes in front_end.lanes:
        assert (front_end.index_maps(samples, lanes=lanes) == expected).all()


@pytest.mark.parametrize("conditioning", ["baseline", "none"])
@pytest.mark.parametrize("fs_hz", [100, 128, 250, 300, 360, 512, 1000])
def test_segments_side_by_side_are_as_alone(fs_hz, conditioning):
    """Every radix, whole and half as many points, and batches that aren't full."""
    spec = FrontEnd(rows=9, cols=12, conditioning=conditioning)
    front_end = NativeFrontEnd(spec, fs_hz)
    samples = np.array([*edge_cases(fs_hz).values(), *(synthetic(fs_hz, s) for s in range(20))])
    maps = np.array([front_end.index_map(s) for s in samples])
    reasons = [front_end.reasons(s[None])[0] for s in samples]
    assert len(set(reasons)) > 1
    for n in (1, 2, 5, 16, 17, len(samples)):
        assert (front_end.reasons(samples[-n:]) == reasons[-n:]).all()
        for lanes in front_end.lanes:
            assert (front_end.index_maps(samples[-n:], threads=1, lanes=lanes) == maps[-n:]).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    fs_hz=st.sampled_from([100, 125, 128, 200, 250, 256, 300, 360, 400, 500, 512, 600, 1000]),
    scaling=st.sampled_from(["qrs", "minmax"]),
    conditioning=st.sampled_from(["none", "baseline"]),
    rows=st.integers(8, 40),
    cols=st.integers(8, 70),
    n=st.integers(1, 20),
)
def test_any_segments_are_the_same_bytes_in_any_lanes(
    seed, fs_hz, scaling, conditioning, rows, cols, n
):
    rng = np.random.default_rng(seed)
    spec = FrontEnd(rows=rows, cols=cols, scaling=scaling, conditioning=conditioning)
    front_end = NativeFrontEnd(spec, fs_hz)
    size = 2.0 ** rng.integers(0, 16, (n, 1))
    steps = rng.integers(-1, 2, (n, 1)) * 10 + rng.normal(size=(n, front_end.segment_len))
    walk = np.where(rng.random((n, 1)) < 0.5, steps, np.cumsum(steps, axis=1)) * size
    samples = np.clip(walk + rng.normal(size=(n, 1)) * size, -32768, 32767).astype(np.int16)
    expected = np.array([front_end.index_maps(s[None], lanes=1)[0] for s in samples])
    reasons = np.array([front_end.reasons(s[None])[0] for s in samples])
    assert (front_end.reasons(samples) == reasons).all()
    for lanes in front_end.lanes:
        assert (front_end.index_maps(samples, threads=1, lanes=lanes) == expected).all()


def test_lanes_are_there_where_the_core_has_them():
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    x86 = [n for flag, n in (("avx512bw", 16), ("avx2", 8)) if f" {flag} " in flags]
    there = [4] if platform.machine() == "aarch64" else x86
    if there:
        assert NativeFrontEnd(FrontEnd(), 250).lanes == (*there, 1)


@pytest.mark.parametrize("scaling", ["qrs", "minmax"])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 2, 30, 1000, 32767]),
    offset=st.integers(-32768, 32767),
)
def test_any_samples_give_the_reference_within_two_levels(scaling, seed, size, offset):
    rng = np.random.default_rng(seed)
    walk = rng.integers(-size, size + 1, 625)
    if seed % 2:
        walk = np.cumsum(walk)
    samples = np.clip(walk + offset, -32768, 32767).astype(np.int16)
    front_end = NativeFrontEnd(FrontEnd(rows=64, cols=64, scaling=scaling), 125)
    assert np.abs(difference(front_end, samples)).max() <= 2
    expected = front_end.index_maps(samples[None], two_pass=True)
    for lanes in front_end.lanes:
        assert (front_end.index_maps(samples[None], lanes=lanes) == expected).all()


@pytest.mark.requirement("IN-1")
def test_offset_and_a_power_of_two_of_gain_change_nothing():
    front_end = NativeFrontEnd(FrontEnd(), 250)
    x = synthetic(250)
    index_map = front_end.index_map(x)
    assert (front_end.index_map((x + 12345).astype(np.int16)) == index_map).all()
    assert (
        np.abs(front_end.index_map((x * 8).astype(np.int16)).astype(int) - index_map) <= 1
    ).all()


def test_threads_share_the_work_and_change_nothing():
    front_end = NativeFrontEnd(FrontEnd(rows=64, cols=64), 250)
    samples = np.array([synthetic(250, s) for s in range(13)])
    one = front_end.index_maps(samples, threads=1)
    for threads in (2, 5, 50, None):
        assert (front_end.index_maps(samples, threads=threads) == one).all()
    results = {}
    workers = [
        threading.Thread(target=lambda i=i: results.update({i: front_end.index_maps(samples)}))
        for i in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all((results[i] == one).all() for i in range(4))


def test_out_is_written_to_and_no_segments_are_no_error():
    front_end = NativeFrontEnd(FrontEnd(rows=16, cols=16), 250)
    out = np.full((2, 16, 16), 7, dtype=np.uint8)
    samples = np.array([synthetic(250), np.zeros(1250, np.int16)])
    assert front_end.index_maps(samples, out=out) is out
    assert out[0].any() and not out[1].any()
    assert front_end.index_maps(samples[:0]).shape == (0, 16, 16)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((1, 1249), np.int16),
        np.zeros((1, 1250), np.int32),
        np.zeros((1, 1250)),
        np.zeros(1250, np.int16),
    ],
)
def test_what_is_no_batch_of_segments_is_refused(bad):
    with pytest.raises(ArgumentError, match="1250"):
        NativeFrontEnd(FrontEnd(), 250).index_maps(bad)
    with pytest.raises(ArgumentError, match="out"):
        NativeFrontEnd(FrontEnd(), 250).index_maps(
            np.zeros((1, 1250), np.int16), out=np.empty((1, 2, 3), np.uint8)
        )


def test_status_codes_and_exceptions_are_one_list():
    header = (firmware_bridge_dir() / "include/ecgqa/status.h").read_text()
    codes = {int(v): text for v, text in re.findall(r'X\(ECGQA_\w+, (-?\d+),\s*"(.+?)"\)', header)}
    assert codes[0] == "ok" and len(codes) == header.count("X(ECGQA_")
    assert all(native.status_text(value) == text for value, text in codes.items())
    assert native.status_text(-99) == "unknown status"
    classes = {c.status: c for c in EcgqaError.__subclasses__() if c.status is not None}
    assert classes.keys() == codes.keys() - {0}
    for cls in classes.values():
        name = re.search(r"``(ECGQA_ERR_\w+)``", cls.__doc__ or "")
        assert name and f"X({name.group(1)}, {cls.status}," in header
    assert errors.WorkspaceError.status == -2


@pytest.mark.parametrize(
    ("size", "tone_hz", "phase"),
    [
        (15797, 1.229, 2.215), (7192, 1.271, 3.916), (14139, 1.342, 2.169), (28341, 1.173, 3.35),
        (8177, 1.164, 2.488), (29700, 1.07, 3.727), (15769, 0.89, 3.49), (14650, 1.192, 3.124),
    ],
)  # fmt: skip
def test_the_smallest_int16_is_mirrored_without_a_flip(size, tone_hz, phase):
    """W of these holds -32768 near an end of the segment, which has no negative in int16."""
    spec = FrontEnd(scaling="minmax")
    time_s = np.arange(1250) / 250
    segment = np.rint(size * np.sin(6.283185307 * tone_hz * time_s + phase)).astype(np.int16)
    (found,) = NativeFrontEnd(spec, 250.0).index_maps(segment[None])
    error = np.abs(found.astype(int) - reference.index_map(segment, 250.0, spec))
    assert error.max() <= 1


@pytest.mark.parametrize(
    ("changes", "says"), [({"f_min_hz": 0.05}, "raise f_min_hz"), ({"f_max_hz": 400.0}, "lower it")]
)
def test_a_spec_whose_rows_do_not_fit_a_segment_is_refused(changes, says):
    with pytest.raises(errors.SpecError, match=says):
        tables.build(FrontEnd(**changes, scaling="minmax"), 1000.0)


def test_format_numbers_agree_with_the_header():
    header = (firmware_bridge_dir() / "include/ecgqa/cwt.h").read_text()
    assert f"#define ECGQA_CWT_FORMAT {tables.CWT_FORMAT}\n" in header
    assert f"#define ECGQA_CWT_PSI_LEN {tables.PSI_LEN}u\n" in header
    assert f"#define ECGQA_CWT_TAPS {tables.TAPS}u\n" in header
    assert f"#define ECGQA_CWT_MAX_SEGMENT_LEN {MAX_SEGMENT_LEN}u\n" in header
    assert f"#define ECGQA_CWT_MAX_LOG2_FFT {tables.LOG2_FFT_MAX}u\n" in header
    assert 2.0 ** -int(re.search(r"RANGE_FLOOR_LOG2 (\d+)", header).group(1)) == RANGE_FLOOR


def test_the_workspace_is_as_laid_out_by_hand():
    """250 Hz: keep 400 or so, scratch, network and samples, each where ``ecgqa.c`` puts it."""
    made = tables.build(FrontEnd(), 250)
    library = native.library()
    pointer = native.ctypes.addressof(c := native.c_tables(made))
    keep, analyse, row = (
        getattr(library, f"ecgqa_cwt_{name}_bytes")(native.ctypes.c_void_p(pointer))
        for name in ("keep", "analyse_scratch", "row_scratch")
    )
    assert c.segment_len == 1250 and analyse > row
    samples, start = 2 * 1250, -(-keep // 8) * 8

    def found(network, idle_at, idle, collect=False):
        return native.workspace_bytes(
            made, network, idle_at=idle_at, idle_bytes=idle, collect=collect
        )

    # All of the scratch in the network's idle part, and samples behind it or behind the network.
    assert found(20_000, 0, 9000) == start + 20_000
    assert found(20_000, 0, 9000, collect=True) - start == -(-(20_000 + samples) // 8) * 8
    assert (
        found(10_000, 8000, 10_000) - start == -(-(8000 + -(-analyse // 8) * 8 + samples) // 8) * 8
    )
    # No idle part: the network lies behind the rows' scratch.
    assert found(20_000, 0, 0) - start == -(-row // 8) * 8 + 20_000
    for network in (0, 2**28 + 1):
        with pytest.raises(ArgumentError, match="no place on a device"):
            found(network, 0, 0)


def test_tables_are_made_once_and_can_not_be_changed():
    made = tables.build(FrontEnd(), 250)
    assert made is tables.build(FrontEnd(), 250)
    with pytest.raises(ValueError, match="read-only"):
        made.psi_q15[0] = 1
