# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples as they come in: decoded, resampled and decided like a recording."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgqa_tflite.assess import assess
from ecgqa_tflite.errors import RecordingError, SamplingRateError
from ecgqa_tflite.live import decide
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.file import ReadOptions
from ecgqa_tflite.recording.samples import Decoder, Int16Decoder, TextDecoder, blocks, chunks
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.segments import Resampler, at_usable_rate
from ecgqa_tflite.spec import FrontEnd


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        yield data[start:stop]


def decoded(decoder: Decoder, parts: Iterator[bytes]) -> NDArray[np.float32]:
    found = [decoder.push(part) for part in parts]
    return np.concatenate([x for x in (*found, decoder.finish()) if len(x)])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_pieces_of_any_size(cuts: list[int]) -> None:
    counts = np.arange(-30, 30, dtype=np.int16).reshape(-1, 2) * 100
    counts[3] = -32768
    expected = counts.astype(np.float32) / np.float32(200)
    expected[3] = np.nan
    options = ReadOptions(channels=2, counts_per_mv=200.0)
    found = decoded(Int16Decoder(options), pieces(counts.tobytes() + b"\1", cuts))
    np.testing.assert_array_equal(found, expected)
    lines = "I;II\n" + "".join("\n" if i == 3 else f"{a};{b}\n" for i, (a, b) in enumerate(counts))
    text = TextDecoder(ReadOptions(counts_per_mv=200.0))
    np.testing.assert_allclose(decoded(text, pieces(lines.encode(), cuts)), expected, rtol=1e-6)
    assert text.names == ("I", "II") and text.n_bad == 0


def test_a_text_as_devices_send_it() -> None:
    decoder = TextDecoder(ReadOptions(unit="uV", columns=("2", "ecg")))
    found = decoded(
        decoder, iter([b"\xef\xbb\xbf", b"t, ecg, resp\r\n1,250,7\r\n2,nan,8\n3\n4,x,9"])
    )
    expected = np.array([[7, 250], [8, np.nan], [np.nan, np.nan], [9, np.nan]]) / 1000
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert decoder.names == ("resp", "ecg") and decoder.n_bad == 2


@pytest.mark.parametrize(
    ("decoder", "data", "says"),
    [
        (TextDecoder(ReadOptions()), b"\0" * 70_000, "int16"),
        (TextDecoder(ReadOptions(columns=("5",))), b"1,2\n", "no column 5: there are ch0, ch1"),
    ],
)
def test_what_is_no_stream(decoder: Decoder, data: bytes, says: str) -> None:
    with pytest.raises(RecordingError, match=says):
        decoder.push(data)


@pytest.mark.parametrize("fs_hz", [130.0, 200.1, 257.0, 511.5, 977.0])
@pytest.mark.parametrize(
    "gaps", [[], [(0, 7)], [(900, 903)], [(901, 940), (941, 1900)], [(2400, 9999)]]
)
def test_a_stream_is_resampled_as_a_recording(fs_hz: float, gaps: list[tuple[int, int]]) -> None:
    """To the bit, in pieces of any size."""
    signal = simulate(24, fs_hz, seed=3).signal_mv[:, 0] + np.float32(2)
    for start, end in gaps:
        signal[start:end] = np.nan
    whole, rate = at_usable_rate(signal, fs_hz, FrontEnd())
    assert rate == 250 and whole.size == math.ceil(signal.size * 250 / fs_hz)
    for seed, longest in ((0, 25), (1, 3000)):
        resampler, rng = Resampler(fs_hz), np.random.default_rng(seed)
        edges = np.cumsum(rng.integers(0, longest, 8 * signal.size // longest))
        edges = [0, *edges[edges < signal.size].tolist(), signal.size]
        parts = [resampler.push(signal[a:b]) for a, b in itertools.pairwise(edges)]
        np.testing.assert_array_equal(np.concatenate([*parts, resampler.finish()]), whole)


def test_a_gap_reaches_no_further_when_resampled() -> None:
    """Beside a gap is what would be there at the recording's own start and end."""
    fs_hz, start, end = 130.0, 1040, 1170
    signal = simulate(20, fs_hz, seed=3).signal_mv[:, 0].astype(np.float64)
    parts = [at_usable_rate(x, fs_hz, FrontEnd())[0] for x in (signal[:start], signal[end:])]
    signal[start:end] = np.nan
    whole, _ = at_usable_rate(signal, fs_hz, FrontEnd())
    assert np.isnan(whole[2000:2250]).all() and not np.isnan(whole[2250:]).any()
    np.testing.assert_allclose(whole[:1998], parts[0][:1998], atol=1e-12)
    np.testing.assert_allclose(whole[2250:], parts[1], atol=1e-12)


def test_an_offset_stays_one_when_resampled() -> None:
    whole, _ = at_usable_rate(np.full(5000, 300.0), 257.0, FrontEnd())
    np.testing.assert_allclose(whole, 300.0, atol=1e-9)


@pytest.mark.parametrize(
    ("fs_hz", "hop_s"), [(250.0, None), (250.0, 1.0), (360.0, 7.0), (130.0, 2.0)]
)
def test_the_same_decisions_as_of_the_recording(
    small_model: ModelFolder, fs_hz: float, hop_s: float | None
) -> None:
    signal = simulate(40, fs_hz, seed=5).signal_mv[:, :1].copy()
    signal[round(12 * fs_hz) : round(13 * fs_hz)] = np.nan
    signal[round(22 * fs_hz) : round(24 * fs_hz)] = 0.1
    both = np.hstack([signal, signal[::-1]])
    edges = np.unique(np.r_[0, np.random.default_rng(1).integers(0, len(both), 60), len(both)])
    parts = (both[a:b] for a, b in itertools.pairwise(edges))
    found = list(decide(parts, small_model, fs_hz, hop_s))
    assert found == list(decide([both], small_model, fs_hz, hop_s)), "pieces change the order"
    recording = Recording("r", both, fs_hz, ("I", "II"))
    for lead in (0, 1):
        expected = assess(recording, small_model, lead=lead, hop_s=hop_s)
        mine = [decision for column, decision in found if column == lead]
        assert mine == expected
    assert {d.reason for _, d in found} >= ({"gap", "held"} if hop_s != 7 else {"held"})


def test_a_rate_that_no_stream_can_have(small_model: ModelFolder) -> None:
    with pytest.raises(SamplingRateError, match="fewer digits"):
        list(decide([np.zeros((9, 1), np.float32)], small_model, 250.017))


def test_silence_is_missing_samples() -> None:
    came = [(0.0, b"1\n2\n"), (0.5, b""), (1.0, b""), (1.1, b"3\n"), (1.6, b"")]
    found = np.concatenate(list(blocks(iter(came), TextDecoder(ReadOptions()), 10.0)))[:, 0]
    expected = [1, 2, *[np.nan] * 10, 3, *[np.nan] * 5]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_what_comes_after_a_silence_is_where_it_belongs() -> None:
    came = [(0.0, b"1\n2\n"), (0.5, b""), (1.0, b""), (1.42, b"3\n4\n"), (1.5, b"5\n")]
    found = np.concatenate(list(blocks(iter(came), TextDecoder(ReadOptions()), 10.0)))[:, 0]
    np.testing.assert_array_equal(found, np.array([1, 2, *[np.nan] * 12, 3, 4, 5], np.float32))
    late = [(0.0, b"1\n"), (0.5, b""), (0.6, b"2\n" * 9)]  # held up, not lost
    found = np.concatenate(list(blocks(iter(late), TextDecoder(ReadOptions()), 10.0)))[:, 0]
    assert np.isnan(found).sum() == 5 and found.size == 15


def test_chunks_tell_silence_and_errors() -> None:
    go, sent = threading.Event(), iter([b"a", b"b"])

    def read() -> bytes:
        data = next(sent, None)
        if data == b"b":
            assert go.wait(20)
        if data is None:
            raise OSError("unplugged")
        return data

    came = chunks(read, 0.05)
    assert next(came)[1] == b"a"
    assert next(came)[1] == b""
    go.set()
    assert next(data for _, data in came if data) == b"b"
    with pytest.raises(OSError, match="unplugged"):
        for _ in came:
            time.sleep(0)
