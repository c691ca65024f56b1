# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels, splits, noise and mixtures on synthetic leads; no download."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_leads import FS_HZ, pulse_train

from ecgqa_tflite.datasets.beats import count_errors, detect_beats, found_alike
from ecgqa_tflite.datasets.labelled import (
    LabelledSegments,
    LabelledSet,
    by_rate,
    first_of_identical,
)
from ecgqa_tflite.datasets.noise import KINDS, RECORDED, NoiseBank
from ecgqa_tflite.datasets.splits import held_out_groups
from ecgqa_tflite.errors import DatasetError, SamplingRateError
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.spec import FrontEnd

SPEC = FrontEnd()


def bank(part: str = "train") -> NoiseBank:
    rng = np.random.default_rng(9)
    recorded = {kind: rng.standard_normal((36_000, 2)).astype(np.float32) for kind in RECORDED}
    return NoiseBank(recorded, 360.0, part)  # type: ignore[arg-type]


def some(n: int, fs_hz: float = FS_HZ, source: str = "s") -> LabelledSegments:
    names = np.array([f"{source}/{i}" for i in range(n)], np.str_)
    return LabelledSegments(
        np.ones((n, 4), np.int16), fs_hz, np.ones(n, np.uint8), names, names, source
    )


# ---- labelled segments, splits ------------------------------------------------------------------


def test_labelled_segments_hold_together() -> None:
    segments = some(3)
    assert len(segments.take(np.array([2, 0]))) == 2
    assert list(segments.take(np.array([2, 0])).ids) == ["s/2", "s/0"]
    with pytest.raises(DatasetError, match="differ in length"):
        replace(segments, ids=segments.ids[:2])
    with pytest.raises(DatasetError, match="int16"):
        replace(segments, samples=segments.samples.astype(float))


def test_digest_depends_on_samples_and_rate() -> None:
    a = some(3)
    changed = a.samples.copy()
    changed[1, 2] = 7
    digests = {x.digest() for x in (a, replace(a, samples=changed), replace(a, fs_hz=300.0))}
    assert len(digests) == 3
    assert a.digest() == some(3, source="other").digest()


def test_parts_join_by_sampling_rate() -> None:
    joined = by_rate([some(2), some(3, 360.0), some(1)], "both")
    assert [(part.fs_hz, len(part), part.source) for part in joined.parts] == [
        (250.0, 3, "both"),
        (360.0, 3, "both"),
    ]
    with pytest.raises(DatasetError, match="no recording"):
        by_rate([some(0)], "empty")


def test_a_set_is_its_parts_one_after_the_other() -> None:
    parts = (some(2), some(3, 360.0), some(2, source="other"))
    whole = LabelledSet(parts)
    assert len(whole) == 7 == len(whole.quality) == len(whole.usable) == len(whole.group)
    assert [(part.fs_hz, place) for part, place in whole.placed()] == [
        (250.0, slice(0, 2)), (360.0, slice(2, 5)), (250.0, slice(5, 7)),
    ]  # fmt: skip
    for chosen in (np.array([1, 5, 6]), np.isin(np.arange(7), [1, 5, 6])):
        taken = whole.take(chosen)
        assert [len(part) for part in taken.parts] == [1, 2], "no part is empty"
        assert list(taken.ids) == list(whole.ids[[1, 5, 6]])
    assert whole.census()["other"] == {"segments": 2, "groups": len(set(parts[2].group))}
    assert list(whole.by_source) == ["s", "other"]
    assert len(LabelledSet(()).quality) == 0


def test_identical_signals_are_kept_once() -> None:
    a, b = np.arange(4.0), np.array([0.0, np.nan, 2.0, 3.0])
    assert list(first_of_identical([a, b, a.copy(), b.copy(), a[:3]])) == [
        True, True, False, False, True
    ]  # fmt: skip


@given(st.sets(st.text("abc123", min_size=1, max_size=4), min_size=1), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_held_out_groups_are_a_seeded_share(names: set[str], share: float) -> None:
    out = held_out_groups(names, share, seed=5)
    assert out <= names
    assert len(out) == round(share * len(names))
    assert out == held_out_groups([*reversed(sorted(names)), *names], share, seed=5)


# ---- beats --------------------------------------------------------------------------------------


def test_both_detectors_find_every_beat_of_a_clean_lead() -> None:
    lead = pulse_train(30)
    for found in detect_beats(lead.signal_mv, FS_HZ):
        known, missed, extra = count_errors(lead.beats_s, found, 5, 25)
        assert known > 20
        assert missed == extra == 0


@pytest.mark.parametrize("signal", [np.zeros(2500), np.ones(2500), np.eye(1, 2500)[0]])
def test_detectors_survive_signals_without_beats(signal: np.ndarray) -> None:
    assert all(len(found) <= 1 for found in detect_beats(signal, FS_HZ))


def test_errors_are_counted_inside_the_segment_only() -> None:
    known = np.array([0.05, 1.0, 2.0, 3.0, 4.98])
    found = np.array([1.05, 2.5, 3.0, 7.0])
    assert count_errors(known, found, 0, 5) == (3, 1, 1)
    assert count_errors(known, np.zeros(0), 0, 5) == (3, 3, 0)
    assert count_errors(np.zeros(0), found, 0, 5) == (0, 0, 3)


def test_beats_found_alike_are_the_same_and_a_hearts() -> None:
    beats = np.arange(0.5, 10, 0.8)
    assert found_alike(beats, beats + 0.02, 0, 5)
    assert not found_alike(beats, np.delete(beats, 2), 0, 5)
    assert not found_alike(np.delete(beats, 2), beats, 0, 5)
    assert not found_alike(np.zeros(0), np.zeros(0), 0, 5)
    fast, slow = np.arange(0.1, 10, 0.2), np.array([0.2, 2.5, 4.6])
    assert not found_alike(fast, fast, 0, 5)
    assert not found_alike(slow, slow, 0, 5)
    assert not found_alike(beats[beats < 2.2], beats[beats < 2.2], 0, 5)


def test_clean_spans_need_beats_and_no_bar_near() -> None:
    lead = replace(pulse_train(100), bars_s=np.array([50.0]))
    assert lead.clean(10, 15)
    assert not lead.clean(45, 50) and not lead.clean(58, 63) and lead.clean(61, 66)
    assert not lead.clean(98, 103) and not lead.clean(-1, 4)
    gap = replace(lead, beats_s=lead.beats_s[(lead.beats_s < 80) | (lead.beats_s > 84)])
    assert not gap.clean(80, 85)


# ---- noise and mixtures -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_noise_of_every_kind_at_any_rate(kind: str) -> None:
    rng = np.random.default_rng(0)
    for fs_hz in (250.0, 360.0, 500.0):
        noise, name = bank().draw(kind, 1234, fs_hz, rng)
        assert noise.shape == (1234,) and np.isfinite(noise).all() and np.ptp(noise) > 0
        assert name.startswith(kind)


def test_what_a_training_depends_on_are_samples_rates_and_labels() -> None:
    a = some(3)
    flipped = replace(a, quality=1 - a.quality)
    assert LabelledSet((a,)).digest == LabelledSet((some(3, source="other"),)).digest
    assert len({LabelledSet(parts).digest for parts in ((a,), (flipped,), (a, a), ())}) == 4


# ---- loaders, on folders written here -----------------------------------------------------------


def write_record(folder: Path, name: str, signal_mv: np.ndarray, leads: list[str]) -> None:
    import wfdb

    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name,
        fs=FS_HZ,
        units=["mV"] * len(leads),
        sig_name=leads,
        p_signal=signal_mv.astype(float),
        fmt=["16"] * len(leads),
        adc_gain=[1000.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )


def test_challenge_2011_by_lead_and_by_record_once_each(tmp_path: Path) -> None:
    from ecgqa_tflite.datasets import challenge2011

    good, noise = pulse_train(10).signal_mv, np.random.default_rng(0).normal(size=2500)
    folder = tmp_path / "set-a"
    for name, first in (("1", good), ("2", noise), ("3", noise)):
        write_record(folder, name, np.stack([first, good], axis=1), ["I", "II"])
    rows = ["record,lead,quality", "1,I,good", "1,II,good", "2,I,bad", "3,I,bad"]
    (folder / "LEADS.csv").write_text("\n".join(rows) + "\n")
    (folder / "RECORDS-acceptable").write_text("1\n")
    (folder / "RECORDS-unacceptable").write_text("2\n3\n")

    recordings = challenge2011.labelled_recordings(tmp_path)
    (by_lead,) = challenge2011.lead_segments(recordings, SPEC).parts
    assert list(by_lead.quality) == [1, 1, 1, 1, 0, 0]
    assert by_lead.ids[2] == "challenge-2011/1/II@0.00" and by_lead.ids[5].endswith("/2/I@5.00")
    assert set(by_lead.group) == {"challenge-2011/1", "challenge-2011/2"}
    (by_record,) = challenge2011.record_segments(folder, SPEC).parts
    assert len(by_record) == 8 and by_record.quality.sum() == 4
    (folder / "LEADS.csv").rename(folder / "away")
    coarse = challenge2011.labelled_recordings(tmp_path)
    assert [list(labels.values()) for _, labels in coarse] == [[1, 1], [0, 0]]
    assert challenge2011.labelled_names(tmp_path) == ["1", "2", "3"]

    (folder / "LEADS.csv").write_text("record,lead,quality\n1,I,fine\n")
    for text, says in (
        (
            "record,lead,quality\n1,I,good\n1,II,high\n",
            "line 3: quality is 'high'; must be good or",
        ),
        ("1,I,good\n", "first line must name the columns"),
        ("record,lead,quality\n1,I\n", "line 2: quality is None"),
        ("record,lead,quality\n", "names no lead"),
    ):
        (folder / "LEADS.csv").write_text(text)
        with pytest.raises(DatasetError, match=says):
            challenge2011.labelled_recordings(folder)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    from ecgqa_tflite.datasets.folders import load_folder

    rows = ["record,lead,quality", *(f"{i},I,good" for i in range(8))]
    (tmp_path / "LEADS.csv").write_text("\n".join(rows) + "\n")
    slow = Recording("3", pulse_train(10).signal_mv[:, None], 50.0, ("I",))
    write_wfdb(slow, tmp_path)
    with pytest.raises(DatasetError, match="records that are not there: 0, 1, 2, 4, 5 and 2 more"):
        load_folder(tmp_path, SPEC)
    (tmp_path / "LEADS.csv").write_text("record,lead,quality\n3,I,good\n")
    with pytest.raises(SamplingRateError, match=r"^3: sampling rate 50"):
        load_folder(tmp_path, SPEC)


def test_challenge_2017_inherits_labels_and_reads_grades(tmp_path: Path) -> None:
    from ecgqa_tflite.datasets import challenge2017

    for i, name in enumerate(("A1", "A2", "A3")):
        write_record(tmp_path, name, pulse_train(12, seed=i).signal_mv[:, None], ["ECG"])
    write_record(tmp_path, "A4", pulse_train(3).signal_mv[:, None], ["ECG"])
    (tmp_path / "REFERENCE.csv").write_text("A1,N\nA2,~\nA3,O\nA4,N\n")
    (part,) = challenge2017.segments(tmp_path, SPEC).parts
    assert list(part.quality) == [1, 1, 0, 0, 1, 1]
    assert part.ids[2] == "challenge-2017/A2@0.00"

    grades = tmp_path / "grades.csv"
    grades.write_text("record,start_s,label_v3,read_1,read_2\nA1,0,N,A,A\nA2,5,~,B,C\n")
    graded = challenge2017.read_graded(grades)
    assert list(graded.agreed) == ["A", ""]
    assert list(graded.ids) == ["challenge-2017/A1@0.00", "challenge-2017/A2@5.00"]
    grades.write_text("record,start_s,label_v3,read_1\nA1,0,N,D\n")
    with pytest.raises(DatasetError, match="A, B or C"):
        challenge2017.read_graded(grades)
    (tmp_path / "REFERENCE.csv").write_text("A1,X\n")
    with pytest.raises(DatasetError, match="N A O ~"):
        challenge2017.segments(tmp_path, SPEC)


def test_records_in_subfolders_and_short_ones(tmp_path: Path) -> None:
    from ecgqa_tflite.datasets import challenge2011, challenge2017

    write_record(tmp_path / "a" / "A0", "A1", pulse_train(6).signal_mv[:, None], ["ECG"])
    (tmp_path / "a" / "REFERENCE.csv").write_text("\ufeffA0/A1,~\n")
    (part,) = challenge2017.segments(tmp_path / "a", SPEC).parts
    assert list(part.ids) == ["challenge-2017/A1@0.00"] and list(part.quality) == [0]
    write_record(tmp_path / "b" / "x", "1", pulse_train(6).signal_mv[:, None], ["I"])
    write_record(tmp_path / "b" / "x", "2", pulse_train(3).signal_mv[:, None], ["I"])
    (tmp_path / "b" / "LEADS.csv").write_text("record,lead,quality\nx/1,I,good\nx/2,I,bad\n")
    recordings = challenge2011.labelled_recordings(tmp_path / "b")
    (part,) = challenge2011.lead_segments(recordings, SPEC).parts
    assert list(part.ids) == ["challenge-2011/1/I@0.00"]


@pytest.mark.parametrize("name", ["LEADS.csv", "REFERENCE.csv", "RECORDS-acceptable", "graded"])
def test_lists_that_are_no_text_say_so(tmp_path: Path, name: str) -> None:
    from ecgqa_tflite.datasets.challenge2017 import read_graded
    from ecgqa_tflite.datasets.folders import load_folder

    (tmp_path / name).write_bytes(b"PK\x03\x04\xff\xfe")
    (tmp_path / "RECORDS-unacceptable").write_text("")
    with pytest.raises(DatasetError, match=f"{name} is not a text file"):
        read_graded(tmp_path / name) if name == "graded" else load_folder(tmp_path, SPEC)


def test_folders_are_told_by_their_labels(tmp_path: Path) -> None:
    from ecgqa_tflite.datasets.folders import load_folder

    with pytest.raises(DatasetError, match="not a folder"):
        load_folder(tmp_path / "none", SPEC)
    with pytest.raises(DatasetError, match="no labels that are understood"):
        load_folder(tmp_path, SPEC)
    write_record(tmp_path / "inner", "A1", pulse_train(6).signal_mv[:, None], ["ECG"])
    (tmp_path / "inner" / "REFERENCE.csv").write_text("A1,N\n")
    assert [len(part) for part in load_folder(tmp_path, SPEC).parts] == [1]


def test_mitdb_leads_come_with_beats_bars_and_patient(tmp_path: Path) -> None:
    import wfdb

    from ecgqa_tflite.datasets import mitdb

    lead = pulse_train(20)
    for name in ("100", "202"):
        write_record(tmp_path, name, np.stack([lead.signal_mv] * 2, axis=1), ["MLII", "V1"])
        marks = np.r_[np.round(lead.beats_s * FS_HZ), 4999].astype(int)
        wfdb.wrann(name, "atr", marks, ["N"] * len(lead.beats_s) + ["~"], write_dir=str(tmp_path))
    assert mitdb.record_names(tmp_path) == ["100", "202"]
    first, second = mitdb.read_leads(tmp_path, "202")
    assert (first.name, second.name) == ("mitdb/202/MLII", "mitdb/202/V1")
    assert first.group == "mitdb/201"
    assert first.beats_s == pytest.approx(lead.beats_s, abs=1 / FS_HZ)
    assert first.bars_s == pytest.approx([4999 / FS_HZ])
    with pytest.raises(DatasetError, match="not the layout of mitdb"):
        mitdb.record_names(tmp_path.parent)


def test_jumps_are_of_height_one() -> None:
    from ecgqa_tflite.datasets.noise import jump

    rng = np.random.default_rng(0)
    for _ in range(50):
        x = jump(1250, FS_HZ, rng)
        assert np.isfinite(x).all() and np.abs(x).max() <= 1
