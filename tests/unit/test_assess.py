# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""assess.py: the decisions, the threads, and what the spans say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ecgqa_tflite.assess import Assessor, assess
from ecgqa_tflite.decisions import Decision, merged, spans
from ecgqa_tflite.errors import ArgumentError, RecordingError, SamplingRateError
from ecgqa_tflite.frontend.colormap import image, image_s8, to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.disturbances import Gap, MuscleNoise
from ecgqa_tflite.recording.file import ArrayFile, ReadOptions
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.segments import cut, usable_rate
from ecgqa_tflite.spec import COLORMAPS, FrontEnd, Quality
from ecgqa_tflite.tflite.run import BATCH, Int8Network


def flat_between(recording: Recording, start_s: float, end_s: float) -> Recording:
    signal = recording.signal_mv.copy()
    signal[round(start_s * recording.fs_hz) : round(end_s * recording.fs_hz)] = 0.25
    return Recording(recording.name, signal, recording.fs_hz, recording.lead_names)


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Three batches and a bit, noisy in places; a gap in segment 4, segment 6 flat."""
    clean = simulate(
        5 * (3 * BATCH + 2) + 3, 300.0, seed=3, disturbances=(MuscleNoise(40, 60, 0.3), Gap(21, 1))
    )
    return flat_between(clean, 30, 35)


def test_decisions_are_what_the_parts_say_one_by_one(
    recording: Recording, small_model: ModelFolder
) -> None:
    decisions = assess(recording, small_model)
    front_end = NativeFrontEnd(small_model.spec, recording.fs_hz)
    network = Int8Network(small_model.tflite_path)
    segments = cut(recording.lead(None), recording.fs_hz, small_model.spec)
    assert len(decisions) == len(segments) == 3 * BATCH + 2
    seen = set()
    for decision, samples, status, start_s in zip(
        decisions, segments.samples, segments.status, segments.start_s, strict=True
    ):
        assert (decision.start_s, decision.end_s) == (start_s, start_s + 5)
        assert decision.reason == status
        if status != "ok":
            assert (decision.quality, decision.score) == (Quality.LOW, 0.0)
            continue
        pixels = image(front_end.index_map(samples), small_model.spec.colormap)
        score = int(network.scores(to_int8(pixels)[None])[0, 1])
        assert decision.score == (score + 128) / 256
        assert decision.quality == int(score >= small_model.threshold_int8)
        seen.add(score)
    assert len(seen) > 3, "one score for all would hide a mix-up of segments"
    assert {d.reason for d in decisions} == {"ok", "gap", "flat"}


def test_threads_and_repetition_change_nothing(
    recording: Recording, small_model: ModelFolder
) -> None:
    once = assess(recording, small_model)
    assert assess(recording, small_model, threads=3) == once


@pytest.mark.parametrize("colormap", list(COLORMAPS))
@pytest.mark.parametrize("shape", [(2, 256, 256), (3, 7, 9)])
def test_two_pixels_at_a_time_are_the_plain_colours(
    colormap: str, shape: tuple[int, int, int]
) -> None:
    index_maps = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    got = image_s8(index_maps, colormap)
    assert got.dtype == np.int8
    assert np.array_equal(got, to_int8(image(index_maps, colormap)))


def test_progress_counts_every_segment(recording: Recording, small_model: ModelFolder) -> None:
    calls: list[tuple[int, int]] = []
    decisions = assess(recording, small_model, progress=lambda *call: calls.append(call))
    assert calls[-1] == (len(decisions), len(decisions))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_an_interruption_comes_through(recording: Recording, small_model: ModelFolder) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assess(recording, small_model, progress=interrupt)


def test_a_recording_without_signal_is_low_throughout(small_model: ModelFolder) -> None:
    nothing = Recording("off", np.full((2500, 1), np.nan, np.float32), 250.0, ("I",))
    assert [(d.quality, d.reason) for d in assess(nothing, small_model)] == [(0, "gap")] * 2


def test_bad_input(small_model: ModelFolder) -> None:
    short = Recording("short", np.zeros((1249, 1), np.float32), 250.0, ("I",))
    with pytest.raises(RecordingError, match="shorter than one segment"):
        assess(short, small_model)
    slow = Recording("slow", np.zeros((5000, 1), np.float32), 50.0, ("I",))
    with pytest.raises(SamplingRateError, match="too low"):
        assess(slow, small_model)
    with pytest.raises(RecordingError, match="no lead 'V9': choose among I"):
        assess(short, small_model, lead="V9")


def test_a_rate_that_no_transform_takes_is_resampled(small_model: ModelFolder) -> None:
    odd = simulate(20, 257.0, seed=1)
    assert [d.start_s for d in assess(odd, small_model)] == [0.0, 5.0, 10.0, 15.0]


def test_scores_leave_out_what_is_not_ok(recording: Recording, small_model: ModelFolder) -> None:
    segments = cut(recording.lead(None), recording.fs_hz, small_model.spec)
    scores = Assessor(small_model, recording.fs_hz).scores(segments)
    assert scores.dtype == np.int8
    assert (scores[segments.status != "ok"] == -128).all()


# ---- as samples come in --------------------------------------------------------------------


@pytest.mark.parametrize("hop_s", [None, 1.5, 7.3])
@pytest.mark.parametrize("block", [1, 7, 100, 1499, 1500, 1501, 100_000])
def test_blocks_of_any_size_give_the_decisions_of_the_whole(
    recording: Recording, small_model: ModelFolder, hop_s: float | None, block: int
) -> None:
    """The gap and the flat part too: a gap keeps the time base."""
    part = Recording("part", recording.signal_mv[: 40 * 300], recording.fs_hz, ("I",))
    whole = assess(part, small_model, hop_s=hop_s)
    assessor = Assessor(small_model, part.fs_hz, hop_s=hop_s, threads=2)
    signal = part.lead(None)
    found, at_once = [], True
    for start in range(0, signal.size, block):
        decisions = assessor.push(signal[start : start + block])
        at_once &= all(d.end_s > start / part.fs_hz - 1e-9 for d in decisions)
        found += decisions
    assert found == whole and at_once
    assert {"ok", "gap"} <= {d.reason for d in found}


def test_reset_starts_at_0_s(recording: Recording, small_model: ModelFolder) -> None:
    assessor = Assessor(small_model, 300.0)
    signal = recording.lead(None)[:4500]
    first = assessor.push(signal[:4000])
    assessor.reset()
    assert assessor.push(signal)[:2] == first
    assert assessor.push([]) == []


def test_one_assessor_reads_its_model_once(
    recording: Recording, small_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = simulate(30, 300.0, seed=5)
    expected = [assess(r, small_model) for r in (recording, other)]
    assessor = Assessor(small_model, 300.0)
    for name in ("Cutter", "Scorer"):
        monkeypatch.delattr(sys.modules["ecgqa_tflite.assess"], name)
    monkeypatch.delattr("ecgqa_tflite.tflite.run.Int8Network._new_interpreter")
    assert [assessor.assess(r) for r in (recording, other)] == expected
    assert assessor.assess(other) == expected[1]


def test_an_assessor_is_of_one_rate(small_model: ModelFolder) -> None:
    with pytest.raises(ArgumentError, match="300 Hz, and this Assessor is for 250 Hz"):
        Assessor(small_model, 250.0).assess(simulate(10, 300.0, seed=1))
    odd = simulate(10, 257.0, seed=1)
    assert Assessor(small_model, 250.0).assess(odd) == assess(odd, small_model)
    with pytest.raises(SamplingRateError, match="resample"):
        Assessor(small_model, 257.0)
    with pytest.raises(ArgumentError, match="one lead"):
        Assessor(small_model, 250.0).push(np.zeros((3, 2)))


class OneLead(ArrayFile):
    """A recording in memory as a file, read in small pieces."""

    chunk = 777

    def __init__(self, signal: np.ndarray, fs_hz: float) -> None:
        super().__init__(Path("r"), [signal], [("I", "mV", fs_hz)], ReadOptions())


@pytest.mark.parametrize("fs_hz", [300.0, 257.0])
def test_a_lead_read_in_pieces_is_decided_as_a_whole(
    recording: Recording, small_model: ModelFolder, fs_hz: float
) -> None:
    whole = Recording("r", recording.signal_mv, fs_hz, ("I",))
    file = OneLead(recording.signal_mv[:, 0], fs_hz)
    for hop_s in (None, 1.7, 8.0):
        assessor = Assessor(small_model, usable_rate(fs_hz, small_model.spec), hop_s=hop_s)
        assert assessor.assess_lead(file) == assess(whole, small_model, hop_s=hop_s)
    with pytest.raises(ArgumentError, match="this Assessor is for"):
        Assessor(small_model, 500.0).assess_lead(file)
    with pytest.raises(RecordingError, match="shorter than one segment"):
        assessor.assess_lead(OneLead(recording.signal_mv[:300, 0], fs_hz))


# ---- spans ---------------------------------------------------------------------------------


def made(hop_s: float, qualities: str, reasons: str = "") -> list[Decision]:
    names = {"o": "ok", "g": "gap", "f": "flat"}
    return [
        Decision(
            i * hop_s,
            i * hop_s + FrontEnd().segment_s,
            Quality(int(q)),
            0.1 * (i + 1),
            names[r],  # type: ignore[arg-type]
        )
        for i, (q, r) in enumerate(zip(qualities, reasons or "o" * len(qualities), strict=True))
    ]


def edges(parts: list) -> list[tuple[float, float]]:  # type: ignore[type-arg]
    return [(p.start_s, p.end_s) for p in parts]


def test_spans_of_segments_side_by_side_are_the_segments() -> None:
    assert edges(spans(made(5, "101"))) == [(0, 5), (5, 10), (10, 15)]


def test_spans_of_overlapping_segments_meet_between_their_centres() -> None:
    assert edges(spans(made(1, "101"))) == [(0, 3), (3, 4), (4, 7)]


def test_spans_leave_spaces_between_segments_to_nobody() -> None:
    assert edges(spans(made(8, "11"))) == [(0, 5), (8, 13)]
    assert edges(merged(spans(made(8, "11")))) == [(0, 5), (8, 13)]


def test_merged_joins_what_is_alike() -> None:
    runs = merged(spans(made(5, "110000", "ooogfo")))
    assert edges(runs) == [(0, 10), (10, 15), (15, 20), (20, 25), (25, 30)]
    assert (runs[0].lowest_score, runs[0].highest_score) == (0.1, 0.2)
    assert [r.reason for r in runs] == ["ok", "ok", "gap", "flat", "ok"]
