# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The WFDB reader: records come back exactly, and bad ones say what is wrong in one line."""

from __future__ import annotations

import datetime
import os
import shutil
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgqa_tflite.errors import OutputExistsError, RecordingError
from ecgqa_tflite.recording import Recording, file, open_recording, read_recording
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb

RNG = np.random.default_rng(0)


def write(
    folder: Path,
    name: str = "rec",
    fmt: str = "16",
    n: int = 600,
    units: tuple[str, ...] = ("mV", "mV"),
    names: tuple[str, ...] = ("I", "II"),
    codes: np.ndarray | None = None,
) -> np.ndarray:
    """A record of random codes at 250 Hz, gain 200 a unit, baseline 5; its codes."""
    bits = {"80": 8, "212": 12, "16": 16, "24": 24, "32": 31, "508": 8, "516": 16, "524": 24}[fmt]
    if codes is None:
        top = 2 ** (bits - 1)
        codes = RNG.integers(-top + 1, top, (n, len(units)))
    wfdb.wrsamp(
        name,
        fs=250,
        units=list(units),
        sig_name=list(names),
        d_signal=codes,
        fmt=[fmt] * len(units),
        adc_gain=[200.0] * len(units),
        baseline=[5] * len(units),
        write_dir=str(folder),
    )
    return codes


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("fmt", ["80", "212", "16", "24", "32", "508", "516", "524"])
def test_every_format_comes_back_exactly(tmp_path: Path, fmt: str) -> None:
    codes = write(tmp_path, fmt=fmt, n=601)
    recording = read_recording(tmp_path / "rec")
    np.testing.assert_array_equal(recording.signal_mv, ((codes - 5) / 200).astype(np.float32))
    assert recording.signal_mv.dtype == np.float32
    assert recording.fs_hz == 250.0
    assert recording.lead_names == ("I", "II")
    assert recording.name == "rec"


@pytest.mark.parametrize("fmt", ["212", "16", "8"])
def test_chunks_join_exactly(tmp_path: Path, fmt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fmt == "8":  # first differences, which wfdb reads but does not write
        differences = RNG.integers(-128, 128, (1000, 2)).astype(np.int8)
        (tmp_path / "rec.dat").write_bytes(differences.tobytes())
        (tmp_path / "rec.hea").write_text(
            "rec 2 250 1000\nrec.dat 8 200(5)/mV 12 0 0 0 0 I\nrec.dat 8 200(5)/mV 12 0 0 0 0 II\n"
        )
        codes = np.cumsum(differences, axis=0, dtype=np.int64)
    else:
        codes = write(tmp_path, fmt=fmt, n=1000)
    monkeypatch.setattr(file.RecordingFile, "chunk", 77)
    recording = read_recording(tmp_path / "rec")
    np.testing.assert_array_equal(recording.signal_mv, ((codes - 5) / 200).astype(np.float32))


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
def test_a_record_may_be_named_with_its_suffix(tmp_path: Path, suffix: str) -> None:
    write(tmp_path)
    assert read_recording(str(tmp_path / f"rec{suffix}")).duration_s == 2.4


def test_a_name_with_a_dot(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.copy(tmp_path / "rec.hea", tmp_path / "rec.v1.hea")
    assert read_recording(tmp_path / "rec.v1").name == "rec.v1"


def test_relative_paths_and_odd_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a [1] b*? c::d"
    folder.mkdir()
    write(folder)
    monkeypatch.chdir(folder)
    assert read_recording("rec").duration_s == 2.4


@pytest.mark.parametrize(
    ("unit", "factor"), [("mV", 1.0), ("uV", 1e-3), ("V", 1e3), ("nV", 1e-6), ("mv", 1.0)]
)
def test_units_become_millivolts(tmp_path: Path, unit: str, factor: float) -> None:
    codes = write(tmp_path, units=(unit, unit))
    np.testing.assert_allclose(
        read_recording(tmp_path / "rec").signal_mv, (codes - 5) / 200 * factor, rtol=1e-6
    )


@pytest.mark.parametrize("micro", ["\u00b5V".encode(), "\u03bcV".encode(), b"\xb5V"])
def test_a_micro_sign_is_not_dropped(tmp_path: Path, micro: bytes) -> None:
    codes = write(tmp_path, units=("V", "V"))
    header = tmp_path / "rec.hea"
    header.write_bytes(header.read_bytes().replace(b"/V", b"/" + micro))
    np.testing.assert_allclose(
        read_recording(tmp_path / "rec").signal_mv, (codes - 5) / 200 * 1e-3, rtol=1e-6
    )


def test_no_unit_means_millivolts(tmp_path: Path) -> None:
    codes = write(tmp_path)
    replace(tmp_path / "rec.hea", "/mV", "")
    np.testing.assert_array_equal(
        read_recording(tmp_path / "rec").signal_mv, ((codes - 5) / 200).astype(np.float32)
    )


def test_signals_that_are_no_ecg_are_left_out_and_named(tmp_path: Path) -> None:
    codes = write(tmp_path, units=("mmHg", "mV"), names=("ABP", "II"))
    recording = read_recording(tmp_path / "rec")
    assert recording.lead_names == ("II",)
    assert recording.other_signals == ("ABP (mmHg)",)
    np.testing.assert_array_equal(
        recording.lead("II"), ((codes[:, 1] - 5) / 200).astype(np.float32)
    )
    with pytest.raises(RecordingError, match=r"choose among II; no ECG: ABP \(mmHg\)"):
        recording.lead("ABP")


def test_only_unknown_units_are_refused(tmp_path: Path) -> None:
    write(tmp_path, units=("adu", "NU"))
    with pytest.raises(RecordingError, match=r"no signal in mV, uV or V \(I \(adu\), II \(NU\)\)"):
        read_recording(tmp_path / "rec")


def test_invalid_samples_are_nan(tmp_path: Path) -> None:
    codes = RNG.integers(-100, 100, (600, 2))
    codes[10:20, 0] = -32768
    write(tmp_path, codes=codes)
    missing = np.isnan(read_recording(tmp_path / "rec").signal_mv)
    np.testing.assert_array_equal(missing, codes == -32768)


def test_repeated_and_missing_names_become_different(tmp_path: Path) -> None:
    write(tmp_path, names=("ECG", "second"))
    replace(tmp_path / "rec.hea", "second", "ECG")
    assert read_recording(tmp_path / "rec").lead_names == ("ECG", "ECG#2")
    replace(tmp_path / "rec.hea", " ECG", "")
    assert read_recording(tmp_path / "rec").lead_names == ("ch0", "ch1")


def test_the_fastest_lead_gives_the_rate(tmp_path: Path) -> None:
    fast, slow = RNG.integers(-100, 100, 800), RNG.integers(-100, 100, 200)
    wfdb.wrsamp(
        "rec", fs=100, units=["mV", "mV"], sig_name=["fast", "slow"], e_d_signal=[fast, slow],
        samps_per_frame=[4, 1], fmt=["16", "16"], adc_gain=[100.0] * 2, baseline=[0, 0],
        write_dir=str(tmp_path),
    )  # fmt: skip
    recording = read_recording(tmp_path / "rec")
    assert recording.fs_hz == 400.0
    np.testing.assert_array_equal(recording.lead("fast"), (fast / 100).astype(np.float32))
    np.testing.assert_array_equal(recording.lead("slow")[::4], (slow / 100).astype(np.float32))
    np.testing.assert_allclose(
        recording.lead("slow")[2:-4:4], (slow[:-1] + slow[1:]) / 200, atol=1e-6
    )


def test_a_header_without_a_length(tmp_path: Path) -> None:
    codes = write(tmp_path)
    replace(tmp_path / "rec.hea", "250 600", "250")
    assert read_recording(tmp_path / "rec").signal_mv.shape == codes.shape


def test_skew_shifts_and_leaves_nan(tmp_path: Path) -> None:
    codes = write(tmp_path)
    header = tmp_path / "rec.hea"
    header.write_text(header.read_text().replace("rec.dat 16 ", "rec.dat 16:7 ", 1))
    signal = read_recording(tmp_path / "rec").signal_mv
    np.testing.assert_array_equal(signal[:-7, 0], ((codes[7:, 0] - 5) / 200).astype(np.float32))
    assert np.isnan(signal[-7:, 0]).all()
    assert not np.isnan(signal[:, 1]).any()


# ---- multi-segment records ------------------------------------------------------------------


def test_fixed_layout(tmp_path: Path) -> None:
    first, second = write(tmp_path, "s1", n=300), write(tmp_path, "s2", n=200, fmt="212")
    (tmp_path / "multi.hea").write_text("multi/3 2 250 600\ns1 300\n~ 100\ns2 200\n")
    recording = read_recording(tmp_path / "multi")
    assert recording.lead_names == ("I", "II")
    assert np.isnan(recording.signal_mv[300:400]).all()
    held = np.concatenate([first, second])
    np.testing.assert_array_equal(
        np.delete(recording.signal_mv, np.s_[300:400], axis=0),
        ((held - 5) / 200).astype(np.float32),
    )


def test_variable_layout(tmp_path: Path) -> None:
    first = write(tmp_path, "s1", n=300, units=("mV", "mmHg"), names=("II", "ABP"))
    second = write(tmp_path, "s2", n=200, units=("mV", "uV"), names=("V", "II"))
    (tmp_path / "layout.hea").write_text(
        "layout 3 250 0\n~ 0 200/mV 0 0 0 0 0 II\n~ 0 200/mV 0 0 0 0 0 V\n"
        "~ 0 1/mmHg 0 0 0 0 0 ABP\n"
    )
    (tmp_path / "multi.hea").write_text("multi/3 3 250 500\nlayout 0\ns1 300\ns2 200\n")
    recording = read_recording(tmp_path / "multi")
    assert recording.lead_names == ("II", "V")
    assert recording.other_signals == ("ABP (mmHg)",)
    two = recording.lead("II")
    np.testing.assert_allclose(two[:300], (first[:, 0] - 5) / 200, rtol=1e-6)
    np.testing.assert_allclose(two[300:], (second[:, 1] - 5) / 200 * 1e-3, rtol=1e-6)
    assert np.isnan(recording.lead("V")[:300]).all()
    assert not np.isnan(recording.lead("V")[300:]).any()


@pytest.mark.parametrize(
    ("master", "says"),
    [
        ("multi/2 2 250 600\ns1 300\ns2 200\n", "segments of 500 samples in a record of 600"),
        ("multi/3 2 250 500\ns1 300\ns2 200\n", "3 segments announced, 2 listed"),
        ("multi/1 2 250 200\ngone 200\n", "gone.hea is missing"),
        ("multi/1 2 250 300\nmulti 300\n", "segments of its own"),
        ("multi/1 2 500 300\ns1 300\n", "250 Hz in a record of 500 Hz"),
        ("multi/1 2 250 300\n../s1 300\n", "no plain record name"),
        ("multi/1 2 250 99999999999999\n~ 99999999999999\n", "no signal in mV"),
        ("multi/2 2 250 99999999999999\ns1 300\n~ 99999999999699\n", "claims"),
        ("multi/2 2 250 260000300\ns1 300\n~ 260000000\n", "of which it holds 300"),
        ("multi/1 2 250 0\ns1 0\n", "no samples"),
        ("multi/2 2 250 300000300\ns1 300\ns1 300000000\n", "of which it holds 300|claims"),
        ("multi/0 2 250 0\n", "0 segments"),
    ],
)
def test_bad_multi_segment_headers(tmp_path: Path, master: str, says: str) -> None:
    write(tmp_path, "s1", n=300)
    write(tmp_path, "s2", n=200)
    (tmp_path / "multi.hea").write_text(master)
    refused(tmp_path / "multi", says)


# ---- bad input ------------------------------------------------------------------------------


def refused(path: Path, says: str) -> None:
    """One line that says ``says``, without taking memory."""
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match=says) as caught:
            read_recording(path)
        assert "\n" not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_nothing_there(tmp_path: Path) -> None:
    refused(tmp_path / "rec", "rec is missing; so is rec.hea: name a WFDB record")
    refused(tmp_path, "is a folder")
    write(tmp_path)
    refused(tmp_path, "for example .*rec")


def test_a_missing_signal_file(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "rec.dat").unlink()
    refused(tmp_path / "rec", "rec.dat is missing: put it beside rec.hea")


@pytest.mark.parametrize("fmt", ["16", "212", "24", "80"])
def test_a_truncated_signal_file(tmp_path: Path, fmt: str) -> None:
    write(tmp_path, fmt=fmt)
    os.truncate(tmp_path / "rec.dat", (tmp_path / "rec.dat").stat().st_size // 2)
    recording = read_recording(tmp_path / "rec")
    assert recording.signal_mv.shape == (300, 2)
    assert not np.isnan(recording.signal_mv).any()
    assert recording.notes == (
        "rec.dat is truncated: 600 samples a signal announced, 300 there: read to there",
    )


def test_one_byte_short_costs_one_frame(tmp_path: Path) -> None:
    write(tmp_path)
    os.truncate(tmp_path / "rec.dat", (tmp_path / "rec.dat").stat().st_size - 1)
    assert read_recording(tmp_path / "rec").signal_mv.shape == (599, 2)


def test_one_file_of_two_truncated_leaves_a_gap(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.copy(tmp_path / "rec.dat", tmp_path / "other.dat")
    lines = (tmp_path / "rec.hea").read_text().splitlines()
    both = [lines[0].replace("rec 2", "rec 4"), *lines[1:3]]
    both += [line.replace("rec.dat", "other.dat") + "b" for line in lines[1:3]]
    (tmp_path / "rec.hea").write_text("\n".join(both) + "\n")
    os.truncate(tmp_path / "other.dat", 400)
    recording = read_recording(tmp_path / "rec")
    missing = np.isnan(recording.signal_mv)
    assert missing[:, :2].sum() == 0
    assert not missing[:100, 2:].any()
    assert missing[100:, 2:].all()
    assert recording.notes[0].endswith("100 there: the rest is a gap")


def test_a_missing_segment_is_a_gap(tmp_path: Path) -> None:
    write(tmp_path, "s1", n=300)
    write(tmp_path, "s2", n=200)
    (tmp_path / "multi.hea").write_text("multi/3 2 250 850\ns1 300\ngone 200\ns2 350\n")
    recording = read_recording(tmp_path / "multi")
    missing = np.isnan(recording.signal_mv).all(axis=1)
    assert np.flatnonzero(np.diff(missing.astype(int))).tolist() == [299, 499, 699]
    assert recording.notes == (
        "segment gone is missing: read as a gap",
        "segment s2 holds 200 samples a signal, fewer than the 350 announced: the rest is a gap",
    )
    (tmp_path / "s1.dat").unlink()
    recording = read_recording(tmp_path / "multi")
    assert np.isnan(recording.signal_mv[:500]).all()
    assert "s1.dat is missing" in recording.notes[0]


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("rec 2 250 600", "rec 2 250 0", None),
        ("rec 2 250 600", "rec 2", "250 Hz, WFDB's default"),
        ("rec 2 250 600", "rec 2 250 600 2006", "'2006' in rec.hea is no time or date"),
        ("rec 2 250 600", "rec.mat 2 250 600", None),
        ("rec 2 250 600", "a/b 2 250 600", "refused"),
        ("rec 2 250 600", "Patient A 2 250 600", "refused"),
        ("200.0(5)/mV 16 0", "0(5)/mV 16 0", "uncalibrated"),
    ],
)
def test_headers_as_published(tmp_path: Path, old: str, new: str, note: str | None) -> None:
    write(tmp_path)
    text = (tmp_path / "rec.hea").read_text()
    assert old in text
    (tmp_path / "rec.hea").write_bytes(b"\xef\xbb\xbf" + text.replace(old, new).encode())
    if note == "refused":
        refused(tmp_path / "rec", "corrupt record line")
        return
    recording = read_recording(tmp_path / "rec")
    assert recording.signal_mv.shape == (600, 2)
    assert recording.fs_hz == 250
    assert bool(note) == bool(recording.notes)
    assert not note or note in recording.notes[0]


@pytest.mark.parametrize(
    ("when", "start"),
    [
        ("08:30:00 01/02/2000", datetime.datetime(2000, 2, 1, 8, 30)),
        ("12-May-2020 12:33:59", datetime.datetime(2020, 5, 12, 12, 33, 59)),
        ("23:15.5", datetime.time(0, 23, 15, 500000)),
        ("10:00:00.25", datetime.time(10, 0, 0, 250000)),
    ],
)
def test_start(tmp_path: Path, when: str, start: object) -> None:
    write(tmp_path)
    replace(tmp_path / "rec.hea", "250 600", f"250 600 {when}")
    assert read_recording(tmp_path / "rec").start == start


@pytest.mark.parametrize("name", ["P01.night1", "Patient A 1", "se\u00f1al", "x.mat"])
def test_record_names_as_people_have_them(tmp_path: Path, name: str) -> None:
    codes = write(tmp_path)
    stem = unicodedata.normalize("NFD", name)
    text = (tmp_path / "rec.hea").read_text().replace("rec.dat", f"{name}.dat")
    (tmp_path / f"{stem}.HEA").write_text(text.replace("rec ", f"{name} ", 1))
    (tmp_path / "rec.dat").rename(tmp_path / f"{stem}.dat")
    np.testing.assert_array_equal(
        read_recording(tmp_path / name).signal_mv, ((codes - 5) / 200).astype(np.float32)
    )


def test_signals_in_a_folder_of_the_record_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "sig").mkdir()
    (tmp_path / "rec.dat").rename(tmp_path / "sig" / "rec.dat")
    replace(tmp_path / "rec.hea", "rec.dat", "sig/rec.dat")
    assert read_recording(tmp_path / "rec").duration_s == 2.4


def test_a_signal_file_beside_the_one_named(tmp_path: Path) -> None:
    write(tmp_path)
    replace(tmp_path / "rec.hea", "rec.dat", "rec")
    refused(tmp_path / "rec", "signal file .*rec is missing: rec.dat is beside it")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_lead_names_keep_their_letters(tmp_path: Path, encoding: str) -> None:
    write(tmp_path)
    text = (tmp_path / "rec.hea").read_text().replace(" II\n", " D\u00e9rivation II\n")
    (tmp_path / "rec.hea").write_bytes(text.encode(encoding))
    assert read_recording(tmp_path / "rec").lead_names == ("I", "D\u00e9rivation II")


def test_a_header_without_signals(tmp_path: Path) -> None:
    (tmp_path / "nsr001.hea").write_text("nsr001 0 128 11640000\n#Age: 60\n")
    refused(tmp_path / "nsr001", "has no signals")
    (tmp_path / "nsr001.ecg").write_bytes(bytes([0x12, 4, 0x30, 4, 0, 0]))
    refused(tmp_path / "nsr001.ecg", "has no signals")


def test_utf16_and_edf_headers(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("a 1 250 600\n", encoding="utf-16")
    refused(tmp_path / "a", "UTF-16 text: save it as UTF-8")
    (tmp_path / "b.hea").write_text("0       X X X X".ljust(256))
    refused(tmp_path / "b", "EDF file, not a WFDB header")


def test_only_the_lead_asked_for_takes_memory(tmp_path: Path) -> None:
    write(tmp_path, units=("mV",) * 3, names=("a", "b", "c"), n=400_000)
    whole = read_recording(tmp_path / "rec").lead("b")
    opened = open_recording(tmp_path / "rec")
    tracemalloc.start()
    try:
        one = opened.recording("b")
        assert tracemalloc.get_traced_memory()[1] < 4 * 400_000 + 40 * file.CHUNK
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(one.lead(), whole)
    np.testing.assert_array_equal(opened.lead("b"), whole)
    assert one.lead_names == ("b",)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e-3), ("V", 1e3)])
def test_the_unit_asked_for_wins(tmp_path: Path, unit: str, factor: float) -> None:
    codes = write(tmp_path, units=("NU", "mmHg"))
    recording = read_recording(tmp_path / "rec", options=file.ReadOptions(unit=unit))
    assert recording.lead_names == ("I",)
    np.testing.assert_allclose(recording.lead("I"), (codes[:, 0] - 5) / 200 * factor, rtol=1e-6)


def test_the_rate_asked_for_wins(tmp_path: Path) -> None:
    write(tmp_path)
    recording = read_recording(tmp_path / "rec", options=file.ReadOptions(fs_hz=500))
    assert recording.fs_hz == 500
    assert recording.notes == ("read at 500 Hz as asked; the file says 250 Hz",)


def test_a_truncated_compressed_file(tmp_path: Path) -> None:
    write(tmp_path, fmt="516", n=6000)
    os.truncate(tmp_path / "rec.dat", 5000)
    refused(tmp_path / "rec", "can't be decoded")


def test_an_empty_signal_file(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "rec.dat").write_bytes(b"")
    refused(tmp_path / "rec", "rec.dat holds no samples")
    replace(tmp_path / "rec.hea", "250 600", "250")
    refused(tmp_path / "rec", "rec.dat holds no samples")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("250 600", "2x0 600", "corrupt record line"),
        ("250 600", "0 600", "sampling rate"),
        ("250 600", "-250 600", "corrupt record line"),
        ("250 600", "1e9 600", "sampling rate"),
        ("250 600", "9999999999 600", "sampling rate"),
        ("250 600", "9" * 400 + " 600", "corrupt header"),
        ("rec 2 ", "rec 3 ", "3 signals announced, 2 described"),
        ("rec 2 ", "rec 99999999999 ", "99999999999 signals announced"),
        ("rec 2 250 600", "", "corrupt record line"),
        ("rec.dat", "../rec.dat", "no plain file name"),
        ("rec.dat", "/etc/passwd", "no plain file name"),
        ("rec.dat", "..", "corrupt header|no plain file name"),
        ("rec.dat", "~", "no plain file name"),
        ("rec.dat 16", "rec.dat 17", "signal format 17"),
        ("rec.dat 16", "rec.dat 16x99999999999", "per frame"),
        ("rec.dat 16", "rec.dat 16x0", "per frame"),
        ("rec.dat 16", "rec.dat 16:99999999999", "skew"),
        ("rec.dat 16", "rec.dat 16+99999999999", "holds no samples"),
        ("rec.dat 16", "rec.dat 516", "can't be decoded"),
        ("250 600\nrec.dat 16 ", "250 99999999\nrec.dat 516 ", "rec.dat"),
        (" I\n", " I\x1crec.dat 16 200 12 0 0 0 0 V\n", "control characters"),
        ("rec.dat 16 200.0", "rec.dat 16 1e999", "gain"),
    ],
)
def test_bad_headers(tmp_path: Path, old: str, new: str, says: str) -> None:
    write(tmp_path)
    replace(tmp_path / "rec.hea", old, new)
    refused(tmp_path / "rec", says)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"# only a comment\n", b"\x00\xff" * 100, b"rec 2 250 600 " + b"9" * 5000,
     b"rec 2000 250 5\n" + b"rec.dat 16\n" * 2000, b"a" * 5_000_000],
)  # fmt: skip
def test_headers_that_are_none(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / "rec.hea").write_bytes(content)
    refused(tmp_path / "rec", "rec.hea")


def test_a_header_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "rec.hea").mkdir()
    refused(tmp_path / "rec", "missing")
    os.mkfifo(tmp_path / "pipe.hea")
    refused(tmp_path / "pipe", "missing")


def test_signals_of_one_file_must_stand_together(tmp_path: Path) -> None:
    write(tmp_path, units=("mV",) * 3, names=("a", "b", "c"))
    shutil.copy(tmp_path / "rec.dat", tmp_path / "other.dat")
    lines = (tmp_path / "rec.hea").read_text().splitlines()
    lines[2] = lines[2].replace("rec.dat", "other.dat")
    (tmp_path / "rec.hea").write_text("\n".join(lines))
    refused(tmp_path / "rec", "not listed together")


def test_more_samples_than_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setattr(file, "MAX_VALUES", 1000)
    refused(tmp_path / "rec", "claims 1200 samples, more than 1000: cut it")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_header_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """No other exception, whatever a few bytes become."""
    header = tmp_path / "rec.hea"
    if not (tmp_path / "whole.hea").exists():
        write(tmp_path)
        header.rename(tmp_path / "whole.hea")
    content = bytearray((tmp_path / "whole.hea").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b"9" * 12, b"/", b" ", b"~", b"-"]))
        )
    header.write_bytes(bytes(content))
    try:
        assert read_recording(tmp_path / "rec").signal_mv.size
    except RecordingError as error:
        assert "\n" not in str(error)


# ---- what we write --------------------------------------------------------------------------


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    recording = simulate(20, 250, seed=3)
    signal = np.repeat(recording.signal_mv, 2, axis=1)
    signal[100:200, 0] = np.nan
    signal[:, 1] = signal[:, 1] * 100 + 3  # beyond 16 bits of 1 uV
    write_wfdb(Recording("r", signal, 250.0, ("a", "b")), tmp_path)
    back = read_recording(tmp_path / "r")
    np.testing.assert_array_equal(np.isnan(back.signal_mv), np.isnan(signal))
    np.testing.assert_allclose(back.lead("a"), signal[:, 0], atol=0.00051)
    np.testing.assert_allclose(back.lead("b"), signal[:, 1], atol=0.0041)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.dat", "r.hea"]
    with pytest.raises(OutputExistsError):
        write_wfdb(back, tmp_path)
    write_wfdb(back, tmp_path, overwrite=True)
    np.testing.assert_array_equal(read_recording(tmp_path / "r").signal_mv, back.signal_mv)


def test_names_that_wfdb_has_not(tmp_path: Path) -> None:
    recording = simulate(1, 250, name="../x")
    with pytest.raises(ValueError, match="letters, digits"):
        write_wfdb(recording, tmp_path)
    with pytest.raises(ValueError, match="whitespace"):
        write_wfdb(Recording("r", recording.signal_mv, 250.0, (" a",)), tmp_path)
    assert not list(tmp_path.iterdir())


# ---- real records ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folder", "fs_hz", "n_leads", "seconds"),
    [
        ("challenge-2017", "training2017", 300, 1, (9, 62)),
        ("challenge-2011", "set-a", 500, 12, (10, 10)),
        ("mitdb", "", 360, 2, (1805, 1806)),
        ("nstdb", "", 360, 2, (1805, 1806)),
    ],
)
def test_real_records(
    shared_data: Callable[[str], Path],
    name: str,
    folder: str,
    fs_hz: float,
    n_leads: int,
    seconds: tuple[float, float],
) -> None:
    headers = sorted((shared_data(name) / folder).glob("*.hea"))
    for header in headers[:: max(1, len(headers) // 7)]:
        recording = read_recording(header)
        assert recording.fs_hz == fs_hz
        assert len(recording.lead_names) == n_leads
        assert seconds[0] <= recording.duration_s <= seconds[1]
        assert np.nanmax(np.abs(recording.signal_mv)) <= 165  # int16 at 5 uV
        expected, _ = wfdb.rdsamp(str(header.with_suffix("")))
        np.testing.assert_array_equal(recording.signal_mv, expected.astype(np.float32))


@pytest.mark.parametrize(
    "start", [None, datetime.time(8, 30), datetime.datetime(2026, 3, 1, 8, 30)]
)
def test_the_writer_says_when_it_starts(
    start: datetime.time | datetime.datetime | None, tmp_path: Path
) -> None:
    recording = Recording("r", np.zeros((250, 1), np.float32), 250, ("I",), start=start)
    assert read_recording(write_wfdb(recording, tmp_path)).start == start
