# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Every format: a known signal comes back, gaps where they were, and damage is said in one line."""

from __future__ import annotations

import datetime
import importlib.util
import itertools
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import mutated_recordings
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from conftest import require_module
from recording_files import MAKERS, Made, ecg, edf_bytes, ishne, polar

from ecgqa_tflite.errors import ArgumentError, RecordingError
from ecgqa_tflite.recording import open_recording, read_recording, registry, timeline
from ecgqa_tflite.recording.file import CHUNK, ArrayFile, ReadOptions
from ecgqa_tflite.recording.leads import default_lead, mv_per_unit
from ecgqa_tflite.recording.plausibility import Look, beats_per_min, look


def make(kind: str, folder: Path) -> Made:
    if MAKERS[kind][0] == "clinical":
        require_module("ecgdatakit")
    return MAKERS[kind][1](folder)


def test_every_reader_has_a_file_here() -> None:
    modules = {reader.open.__module__.rsplit(".", 1)[-1] for reader in registry.readers()}
    assert modules == {module for module, _ in MAKERS.values()}
    for reader in registry.readers():
        assert reader.name
        assert all(s.startswith(".") and s == s.lower() for s in reader.suffixes)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_known_signal_comes_back(kind: str, tmp_path: Path) -> None:
    made = make(kind, tmp_path)
    opened = open_recording(made.path, options=made.options)
    recording = opened.recording(0)
    assert recording.fs_hz == pytest.approx(made.fs_hz, rel=1e-3)
    got = recording.lead(0)
    assert got.shape == made.signal_mv.shape
    np.testing.assert_array_equal(np.isnan(got), np.isnan(made.signal_mv))
    np.testing.assert_allclose(got, made.signal_mv, atol=made.tolerance_mv, equal_nan=True)
    assert look(opened).doubts == ()
    np.testing.assert_array_equal(opened.lead(0), got)


@pytest.mark.parametrize("kind", MAKERS)
def test_pieces_join(kind: str, tmp_path: Path) -> None:
    made = make(kind, tmp_path)
    opened = open_recording(made.path, options=made.options)
    n = opened.signals[0].n_samples
    cuts = [0, 1, 17, 1000, 1251, n - 1, n]
    parts = [opened.read(0, a, b) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), opened.read(0, 0, n))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_renamed_file_is_told_by_what_it_holds(kind: str, tmp_path: Path) -> None:
    if kind in ("wfdb", "raw"):
        pytest.skip("nothing in the file says what it is")
    made = make(kind, tmp_path)
    renamed = made.path.rename(tmp_path / "no_suffix")
    assert open_recording(renamed, options=made.options).leads


@pytest.mark.parametrize("kind", MAKERS)
def test_half_a_file_is_read_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    made = make(kind, tmp_path)
    if kind == "wfdb":
        pytest.skip("half a header may say anything; half a signal file has its test")
    content = made.path.read_bytes()
    made.path.write_bytes(content[: len(content) // 2])
    try:
        recording = read_recording(made.path, options=made.options)
    except RecordingError as error:
        assert "\n" not in str(error)
        assert str(made.path) in str(error)
        return
    n = np.flatnonzero(np.isfinite(recording.lead(0)))
    assert n.size
    whole = made.signal_mv[: recording.signal_mv.shape[0]][n]
    # what was read is right, but for a number that the cut halved
    assert np.mean(np.abs(recording.lead(0)[n] - whole) > 2 * made.tolerance_mv) < 0.01
    if kind in ("edf", "bdf", "edf+d", "ishne", "alivecor"):
        assert any("truncated" in note for note in recording.notes)


# ---- EDF -----------------------------------------------------------------------------------


def test_mixed_rates_keep_the_ecg_and_name_the_rest(tmp_path: Path) -> None:
    signal, slow = ecg(20), np.sin(np.arange(20 * 64) / 20)
    path = tmp_path / "psg.edf"
    path.write_bytes(
        edf_bytes(
            [("EEG C3-A2", "uV", slow, 64), ("ECG II", "mV", signal, 250),
             ("SpO2", "%", slow[:20], 1), ("Resp", "mV", slow[:640], 32)]
        )
    )  # fmt: skip
    opened = open_recording(path)
    assert [s.name for s in opened.leads] == ["EEG C3-A2", "ECG II", "Resp"]
    assert opened.leads[opened.lead_index()].name == "ECG II"
    assert opened.other_signals == ("SpO2 (%)",)
    np.testing.assert_allclose(opened.lead(), signal, atol=4e-4)
    np.testing.assert_allclose(opened.lead("EEG C3-A2"), slow * 1e-3, atol=4e-7)
    assert opened.recording(None).fs_hz == 250
    assert opened.recording("Resp").fs_hz == 32
    assert read_recording(path).lead_names == ("EEG C3-A2", "ECG II", "Resp")
    assert opened.start == datetime.datetime(2021, 3, 2, 22, 15)


def test_edf_agrees_with_a_second_library(tmp_path: Path) -> None:
    require_module("edfio")
    import edfio

    signal = ecg(30)
    written = edfio.Edf([edfio.EdfSignal(signal, 250, label="ECG", physical_dimension="mV")])
    written.write(tmp_path / "e.edf")
    expected = edfio.read_edf(tmp_path / "e.edf").signals[0].data
    np.testing.assert_allclose(open_recording(tmp_path / "e.edf").lead(), expected, atol=1e-6)


@pytest.mark.parametrize("gap_s", [0.004, 0.5, 30.0, 86400.004])
def test_edf_d_gaps_are_exact(tmp_path: Path, gap_s: float) -> None:
    signal = ecg(6)
    onsets = [0.25, 1.25, 2.25, 3.25 + gap_s, 4.25 + gap_s, 5.25 + gap_s]
    (tmp_path / "d.edf").write_bytes(edf_bytes([("ECG", "mV", signal, 250)], onsets_s=onsets))
    got = open_recording(tmp_path / "d.edf").lead()
    lost = round(gap_s * 250)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(got)), np.arange(750, 750 + lost))


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"n_records": -1}, None),
        ({"n_records": 9}, "truncated: 9 data records announced, 6.00 there"),
        ({"n_records": 4}, "6 data records, 4 announced and read"),
        ({"start": ("99.99.99", "22.15.00")}, "no date and time"),
        ({"start": ("02/03/21", "22:15:00")}, None),
    ],
)
def test_edf_headers_as_published(
    tmp_path: Path, changes: dict[str, object], note: str | None
) -> None:
    content = edf_bytes([("ECG", "mV", ecg(6), 250)], **changes)  # type: ignore[arg-type]
    (tmp_path / "e.edf").write_bytes(content)
    opened = open_recording(tmp_path / "e.edf")
    assert opened.duration_s == (4 if changes.get("n_records") == 4 else 6)
    assert bool(note) == bool(opened.notes), opened.notes
    assert not note or note in opened.notes[0]


def test_one_byte_short_costs_one_sample(tmp_path: Path) -> None:
    content = edf_bytes([("ECG", "mV", ecg(6), 250)])
    (tmp_path / "e.edf").write_bytes(content[:-1])
    assert open_recording(tmp_path / "e.edf").lead().shape == (1499,)


# ---- text ----------------------------------------------------------------------------------


def write_table(path: Path, head: str, rows: list[str], encoding: str = "utf-8") -> Path:
    path.write_text(head + "\n".join(rows) + "\n", encoding=encoding)
    return path


SIGNAL = ecg(8)


@pytest.mark.parametrize(
    ("head", "row", "fs_hz"),
    [
        ("time,ecg\n", "{s:.3f},{v:.4f}", 250),
        ("t (ms)\tI [mV]\n", "{ms:.0f}\t{v:.4f}", 250),
        ("Time;ECG\n", "{stamp};{v:.4f}", 250),
        ("timestamp,EEG,ECG\n", "{epoch:.0f},0.5,{v:.4f}", 250),
        ("'Elapsed time','MLII'\n'hh:mm:ss.mmm','mV'\n", "'0:{m:02d}:{rest:06.3f}',{v:.4f}", 250),
        ("# made by a logger\n# Sampling rate: 250 Hz\nn,ECG [uV]\n", "{i},{uv:.1f}", 250),
        ("", "{ms:.0f} {v:.4f}", 250),
        ("sample,ECG,RESP\n", "{i},{v:.4f},0.1", None),
        ("ECG\n", "{v:.4f}", None),
    ],
)
def test_tables_as_people_have_them(
    tmp_path: Path, head: str, row: str, fs_hz: float | None
) -> None:
    begin = datetime.datetime(2022, 3, 4, 5, 6, 7)
    rows = []
    for i, v in enumerate(SIGNAL):
        s = i / 250
        stamp = (begin + datetime.timedelta(seconds=s)).isoformat(timespec="milliseconds")
        rows.append(
            row.format(i=i, s=s, ms=s * 1000, v=v, uv=v * 1000, stamp=stamp,
                       epoch=1.6e12 + s * 1000, m=int(s // 60), rest=s % 60)
        )  # fmt: skip
    path = write_table(tmp_path / "t.csv", head, rows)
    if fs_hz is None:
        with pytest.raises(RecordingError, match=r"no sampling rate: give it with --fs HZ"):
            open_recording(path)
    opened = open_recording(path, options=ReadOptions(fs_hz=None if fs_hz else 250.0))
    recording = opened.recording(None)
    assert recording.fs_hz == 250
    np.testing.assert_allclose(recording.lead(), SIGNAL, atol=6e-5)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    rows = [f"{i / 250:.3f};{v * 1000:.1f}" for i, v in enumerate(SIGNAL)]
    path = write_table(tmp_path / "t.csv", "Zeit;Abl\u00e4itung \u00b5 [\u00b5V]\n", rows, encoding)
    opened = open_recording(path)
    assert opened.leads[0].name == "Abl\u00e4itung \u00b5"
    np.testing.assert_allclose(opened.lead(), SIGNAL, atol=6e-5)


def test_drop_outs_in_the_time_column_are_gaps(tmp_path: Path) -> None:
    rows = [f"{i / 250:.3f},{v:.4f}" for i, v in enumerate(SIGNAL) if not 500 <= i < 777]
    got = open_recording(write_table(tmp_path / "t.csv", "time,ecg\n", rows))
    expected = SIGNAL.copy()
    expected[500:777] = np.nan
    np.testing.assert_allclose(got.lead(), expected, atol=6e-5, equal_nan=True)
    assert "1 gap in the time stamps, 1.11 s in all" in got.notes


def test_a_column_may_be_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", "a,b\n", [f"0.5,{v:.4f}" for v in SIGNAL])
    for column in ("b", 1, "1"):
        opened = open_recording(path, options=ReadOptions(fs_hz=250, columns=(column,)))
        np.testing.assert_allclose(opened.lead(), SIGNAL, atol=6e-5)
    with pytest.raises(RecordingError, match="no column 'c': choose among a, b"):
        open_recording(path, options=ReadOptions(fs_hz=250, columns=("c",)))


def test_a_raw_file_says_which_scale_was_taken(tmp_path: Path) -> None:
    for per_mv in (1000, 1):
        path = tmp_path / f"{per_mv}.s16"
        (SIGNAL * per_mv * 5).astype("<i2").tofile(path)
        opened = open_recording(path, options=ReadOptions(fs_hz=250))
        opened.lead()
        (note,) = opened.notes
        assert f"taken as {per_mv} counts per mV by its size; see --counts-per-mv" in note
        stated = open_recording(path, options=ReadOptions(fs_hz=250, counts_per_mv=200))
        stated.lead()
        assert not stated.notes


def test_one_stamp_for_several_samples(tmp_path: Path) -> None:
    """122 Hz: ten samples share the time of arrival."""
    rows = [f"{1600000000000 + i // 10 * 82},{v * 1000:.0f}" for i, v in enumerate(SIGNAL)]
    opened = open_recording(write_table(tmp_path / "u.csv", "", rows))
    assert opened.leads[0].fs_hz == pytest.approx(10 / 0.082, rel=1e-4)
    assert opened.leads[0].n_samples == len(SIGNAL)
    assert not np.isnan(opened.lead()).any()


def test_opensignals_text(tmp_path: Path) -> None:
    head = (
        "# OpenSignals Text File Format\n"
        '# {"00:00": {"sensor": ["ECG"], "sampling rate": 1000, "column": ["nSeq", "DI", "CH1"]}}\n'
        "# EndOfHeader\n"
    )
    rows = [f"{i % 16}\t0\t{500 + round(v * 100)}\t" for i, v in enumerate(SIGNAL)]
    opened = open_recording(write_table(tmp_path / "o.txt", head, rows))
    assert [(s.name, s.fs_hz) for s in opened.leads] == [("ECG", 1000.0)]


def test_a_row_of_other_shape_is_left_out(tmp_path: Path) -> None:
    rows = [f"{i / 250:.3f},{v:.4f}" for i, v in enumerate(SIGNAL)]
    rows[700] = "0,1,2,3,4,5"
    rows[900] = "garbage"
    got = open_recording(write_table(tmp_path / "t.csv", "time,ecg\n", rows)).lead()
    assert got.shape == SIGNAL.shape
    assert np.isnan(got).sum() == 2


@pytest.mark.parametrize(
    ("first", "stamp"),
    [
        ("time,ecg\n", lambda s: f"{s:.4f}"),
        ("sampling rate: 250 Hz\nn,ecg\n", lambda s: f"{round(s * 250)}"),
        ("time,ecg\n", lambda s: f"2026-01-01 10:00:{s:06.3f}"),
    ],
    ids=["seconds", "stated", "dates"],
)
@pytest.mark.parametrize(("asked", "told"), [(500.0, True), (251.0, False)])
def test_a_rate_asked_for_that_the_file_contradicts(
    tmp_path: Path, first: str, stamp: Callable[[float], str], asked: float, told: bool
) -> None:
    rows = [f"{stamp(i / 250)},{v:.4f}" for i, v in enumerate(SIGNAL)]
    opened = open_recording(
        write_table(tmp_path / "t.csv", first, rows), options=ReadOptions(fs_hz=asked)
    )
    note = f"read at {asked:g} Hz as asked; the file says 250 Hz"
    assert (note in opened.notes) is told


def test_a_program_is_no_recording(tmp_path: Path) -> None:
    """A list in it looks like an export's."""
    (tmp_path / "plot_ecg.py").write_text("ecg = [0, 1, 2]\nprint(ecg)\n" * 40)
    with pytest.raises(RecordingError, match=r"^(?!.*Withings)"):
        open_recording(tmp_path / "plot_ecg.py")


def test_text_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Dear colleague,\nplease find no ECG here,\nyours\n")
    with pytest.raises(RecordingError, match="no table of numbers"):
        open_recording(tmp_path / "a.csv")


# ---- others --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_npy_values_beyond_float64_are_missing(tmp_path: Path) -> None:
    values = np.array([1.0, np.finfo(np.longdouble).max, np.inf, np.nan, 2.0], np.longdouble)
    np.save(tmp_path / "a.npy", values)
    bits = np.full(2, 0x7FA0_0001, np.uint32).view(np.float32)  # signalling NaN
    np.save(tmp_path / "b.npy", bits)
    options = ReadOptions(fs_hz=250, unit="mV")
    got = open_recording(tmp_path / "a.npy", options=options).lead()
    np.testing.assert_array_equal(got, [1, np.nan, np.nan, np.nan, 2])
    assert np.isnan(open_recording(tmp_path / "b.npy", options=options).lead()).all()


@pytest.mark.parametrize("compressed", [False, True])
def test_mat_structures_cells_and_text_are_sound(tmp_path: Path, compressed: bool) -> None:
    inner = {"ecg": SIGNAL, "fs": 250.0, "notes": np.array(["a", "b"], object)}
    content = {"s": inner, "flag": np.array([True]), "name": "x", "empty": np.empty((0, 0)),
               "z": np.array([1j]), "sparse": scipy.sparse.eye(3).tocsc()}  # fmt: skip
    scipy.io.savemat(tmp_path / "m.mat", content, do_compression=compressed)
    opened = open_recording(tmp_path / "m.mat")
    np.testing.assert_allclose(opened.lead(), SIGNAL, atol=1e-6)


def test_a_mat_file_with_a_type_that_is_none_is_refused(tmp_path: Path) -> None:
    """scipy ends the process on it."""
    scipy.io.savemat(tmp_path / "m.mat", {"ecg": SIGNAL, "fs": 250.0})
    content = (tmp_path / "m.mat").read_bytes()
    at = content.index(b"ecg\0") + 4
    assert content[at : at + 4] == b"\x09\0\0\0"  # miDOUBLE
    for kind in (0, 8, 14, 15, 19, 0x3D09):
        (tmp_path / "m.mat").write_bytes(
            content[:at] + kind.to_bytes(4, "little") + content[at + 4 :]
        )
        with pytest.raises(RecordingError, match="corrupt or truncated"):
            open_recording(tmp_path / "m.mat")


def test_polar_says_what_was_lost_and_doubled(tmp_path: Path) -> None:
    opened = open_recording(polar(tmp_path).path)
    assert opened.notes[0].startswith("1 gap in the time stamps")
    assert opened.notes[1].startswith("73 rows whose time stamps repeat")
    assert opened.start == datetime.datetime(2021, 10, 19, 14, 51, 24, 411000)


@pytest.mark.parametrize("variable", [b"", b"x" * 999])
def test_ishne_data_follow_the_variable_block(tmp_path: Path, variable: bytes) -> None:
    made = ishne(tmp_path, variable)
    opened = open_recording(made.path)
    assert [s.name for s in opened.leads] == ["II", "V2"]
    np.testing.assert_allclose(opened.lead("II"), made.signal_mv, atol=1.3e-3)
    np.testing.assert_allclose(opened.lead("V2"), -made.signal_mv, atol=2.6e-3)
    assert opened.start == datetime.datetime(2018, 6, 5, 7, 8, 9)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"%PDF-1.4\n", "PDF document"), (b"PK\x03\x04", "ZIP archive"),
        (b"\x1f\x8b\x08", "gzip-compressed: unpack it"), (b"\x89HDF\r\n\x1a\n", "HDF5 file"),
        (b"PAR1", "Parquet file"), (b"\x89PNG\r\n", "PNG picture"), (b"", "is empty"),
        (b'{"fs": 250, "ecg": [1]}', "JSON that holds no ECG"),
        (bytes(257) + b"ustar", "tar archive: unpack it"),
    ],
)  # fmt: skip
def test_what_is_known_and_not_read_is_named(tmp_path: Path, head: bytes, says: str) -> None:
    (tmp_path / "x.ecgfile").write_bytes(head + (bytes(40) if head else b""))
    with pytest.raises(RecordingError, match=says):
        open_recording(tmp_path / "x.ecgfile")


@pytest.mark.parametrize(
    ("suffix", "says"),
    [("xlsx", "save the sheet as CSV"), ("npz", "numpy.save"), ("mwf", "MFER"),
     ("html", "web page")],
)  # fmt: skip
def test_what_its_name_tells(tmp_path: Path, suffix: str, says: str) -> None:
    (tmp_path / f"x.{suffix}").write_bytes(b"PK\x03\x04 anything")
    with pytest.raises(RecordingError, match=says):
        open_recording(tmp_path / f"x.{suffix}")


def test_clinical_formats_name_their_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + bytes(100))
    with pytest.raises(
        RecordingError, match=r"a DICOM file: pip install 'ecgqa-tflite\[clinical\]'"
    ):
        open_recording(tmp_path / "a.dcm")


def test_paths_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "night.edf").write_bytes(b"x")
    for path, says in (
        ("https://physionet.org/files/mitdb/1.0.0/100", "nothing is fetched from a URL"),
        (tmp_path / "night", "night.edf is there: name that"),
        ("mitdb/100", "ecgqa data get mitdb"),
        (tmp_path, "is a folder, not a recording, and holds none"),
    ):
        with pytest.raises(RecordingError, match=says):
            open_recording(path)


@pytest.mark.parametrize(
    "options", [{"fs_hz": 0.0}, {"fs_hz": float("nan")}, {"unit": "mmHg"}, {"channels": 0}]
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(ArgumentError):
        ReadOptions(**options)  # type: ignore[arg-type]


# ---- the right lead, the right scale -------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["Lefteye", "EEG (C3-A2)", "ECG"], "ECG"),
        (["Resp C", "ECG"], "ECG"),
        (["ABP", "PLETH", "II"], "II"),
        (["EEG Fpz-Cz", "EOG horizontal", "Resp oro-nasal", "EMG submental", "ECG II"], "ECG II"),
        (["C3A2", "SOUND", "EKG"], "EKG"),
        (["ch0", "ch1"], "ch0"),
        (["MLII", "V5"], "MLII"),
        (["Thorax", "Abdomen", "Ableitung II"], "Ableitung II"),
        (["EEG", "EOG"], "EEG"),
        (["Flow", "X3"], "X3"),
    ],
)
def test_the_ecg_is_taken(names: list[str], taken: str) -> None:
    assert names[default_lead(names)] == taken


@pytest.mark.parametrize(
    ("unit", "mv"),
    [("mV", 1), ("MV", 1), ("millivolts", 1), ("microvolts", 1e-3), ("\u00b5V", 1e-3),
     ("\u03bcV", 1e-3), ("[uV]", 1e-3), ("Volt", 1e3), ("nV", 1e-6), ("NU", None), ("mmHg", None)],
)  # fmt: skip
def test_units_in_words(unit: str, mv: float | None) -> None:
    assert mv_per_unit(unit) == mv


def recording_of(signal: np.ndarray, fs_hz: float = 250.0) -> ArrayFile:
    columns = signal.astype(np.float32).reshape(len(signal), -1).T
    signals = [(f"L{i}", "mV", fs_hz) for i in range(len(columns))]
    return ArrayFile(Path("r"), list(columns), signals, ReadOptions())


def test_doubts() -> None:
    signal = ecg(60)
    assert look(recording_of(signal)) == look(recording_of(signal + 40)) == Look(())
    assert "uV perhaps" in look(recording_of(signal * 1000)).doubts[0]
    assert "beats per min at 2500 Hz" in look(recording_of(signal, 2500.0)).doubts[0]
    assert "beats per min at 25 Hz" in look(recording_of(signal, 25.0)).doubts[0]
    two = np.stack([np.zeros_like(signal), signal], axis=1)
    assert look(recording_of(two)).doubts == ("lead L0 is flat; L1 not: choose with --lead",)
    assert look(recording_of(two), "L1").doubts == ()
    assert "no sample" in look(recording_of(np.full(1000, np.nan))).doubts[0]
    assert look(recording_of(np.random.default_rng(0).normal(size=15000))).doubts == ()


@pytest.mark.parametrize(("factor", "scale"), [(1e-3, 1e3), (1e-6, 1e6), (1e3, 1e-3), (1e6, 1e-6)])
def test_beats_of_a_wrong_unit_are_scaled(factor: float, scale: float) -> None:
    wrong = look(recording_of(ecg(60) * factor))
    assert "the unit looks wrong" in wrong.doubts[0]
    assert wrong.scale == pytest.approx(scale)
    noise = np.random.default_rng(0).normal(size=15000) * factor
    assert look(recording_of(noise)).scale == 1


def test_beats_per_min_is_the_rate() -> None:
    beats = np.zeros(15000)
    beats[::200] = 1
    assert beats_per_min(beats, 250.0) == pytest.approx(75)


# ---- damage, memory ------------------------------------------------------------------------

MUTATED = 700


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    """No other exception, no hang, no memory that the file does not warrant."""
    require_module("ecgdatakit")
    kinds = list(MAKERS)
    outcomes = mutated_recordings.run(tmp_path, kinds, MUTATED)
    assert sum(outcomes.values()) == MUTATED
    assert min(outcomes.values()) > 100, outcomes


def test_a_day_takes_the_memory_of_the_lead_asked_for(tmp_path: Path) -> None:
    import tracemalloc

    n = 20 * CHUNK
    np.lib.format.open_memmap(tmp_path / "d.npy", "w+", np.int16, (3, n))[1] = 1
    opened = open_recording(tmp_path / "d.npy", options=ReadOptions(fs_hz=250, unit="mV"))
    tracemalloc.start()
    try:
        assert opened.lead(1)[-1] == 1
        assert tracemalloc.get_traced_memory()[1] < 4 * n + 40 * CHUNK
    finally:
        tracemalloc.stop()


def test_pages_of_a_map_are_given_back(tmp_path: Path) -> None:
    """A reader that maps its file holds a piece of it in memory, whatever its length."""

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    if not hasattr(mmap, "MADV_DONTNEED") or not Path("/proc/self/statm").exists():
        pytest.skip("this system takes no pages back, or tells no memory")
    n, channels = 60 * CHUNK, 4
    np.lib.format.open_memmap(tmp_path / "d.npy", "w+", np.int16, (n, channels))[:, 1] = 1
    opened = open_recording(tmp_path / "d.npy", options=ReadOptions(fs_hz=250, unit="mV"))
    before, most = resident(), 0
    for _ in opened.blocks(1):
        most = max(most, resident())
    assert most - before < n * channels  # of twice as many bytes
    for kind in ("edf", "bdf", "ishne", "raw"):
        made = make(kind, tmp_path)
        assert open_recording(made.path, options=made.options).mapped is not None, kind


def test_rows_with_a_stamp_each_go_the_short_way_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    for fs_hz in (125.0, 130.0, 256.0, 360.0, 500.0):
        keep = np.ones(4000, bool)
        for start in rng.integers(1, 3500, 3):
            keep[start : start + int(rng.integers(3, 200))] = False
        stamps = (np.arange(4000) / fs_hz)[keep]
        short = timeline.from_stamps(stamps)
        with monkeypatch.context() as patch:
            patch.setattr(timeline, "_one_row_per_stamp", lambda *_: None)
            long = timeline.from_stamps(stamps)
        assert short is not None
        assert long is not None
        assert short.fs_hz == long.fs_hz == fs_hz
        np.testing.assert_array_equal(short.runs, long.runs)
        held = np.isfinite(short.place(np.zeros(keep.sum()), 0, short.n_samples))
        np.testing.assert_array_equal(held, keep[: held.size])
