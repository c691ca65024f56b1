# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa assess`` on recordings as people have them: what each kind of file or wish gets.

Each test makes its own input; the readers' own tests look closer.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecgqa_tflite import cli
from ecgqa_tflite.recording.simulator import simulate

FS_HZ = 250
SECONDS = 20
HIGH = "4 of 4 segments"


def clean(fs_hz: float = FS_HZ, seconds: float = SECONDS) -> np.ndarray:
    """An ECG that the shipped model calls high, mV."""
    return simulate(seconds, fs_hz, seed=1).signal_mv[:, 0].astype(np.float64)


SIGNAL = clean()


def assess(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["assess", *map(str, arguments)])


def record(
    folder: Path,
    name: str = "r",
    *,
    top: str = "{name} {n} {fs} {samples}",
    lead: str = "{file} 16 {gain} 16 0 0 0 0 {lead}",
    leads: tuple[str, ...] = ("I",),
    gain: str = "1000/mV",
    signal: np.ndarray = SIGNAL,
    per_mv: float = 1000,
    encoding: str = "utf-8",
    file: str | None = None,
    fs_hz: int = FS_HZ,
) -> Path:
    """A 16-bit WFDB record with a header of one's own; every lead holds the same."""
    file = file or f"{name}.dat"
    lines = [top.format(name=name, n=len(leads), fs=fs_hz, samples=len(signal))]
    lines += [lead.format(file=file, gain=gain, lead=n) for n in leads]
    (folder / f"{name}.hea").write_bytes(("\n".join(lines) + "\n").encode(encoding))
    codes = np.rint(signal * per_mv).astype("<i2")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(np.repeat(codes[:, None], len(leads), axis=1).tobytes())
    return folder / name


def said(folder: Path, record: object, *arguments: object, code: int = 0) -> str:
    """Everything that is printed; no traceback, nothing half-written, one line of error."""
    before = set(folder.rglob("*"))
    done = assess(record, *arguments)
    assert done.exit_code == code, done.output
    if code == 1:
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert set(folder.rglob("*")) == before
    return done.stdout + done.stderr


# ---- headers ---------------------------------------------------------------------------------

Make = Callable[[Path], Path]
HEADERS: dict[str, tuple[Make, str, str]] = {
    "date of a year": (lambda f: record(f, top="r 1 250 5000 2006"), HIGH, "start '2006'"),
    "date of odd order": (
        lambda f: record(f, top="r 1 250 5000 01/02/2003 10:11:12"), HIGH, "2003-02-01 10:11:12",
    ),
    "an ISO date": (
        lambda f: record(f, top="r 1 250 5000 10:11:12 2003-02-01"), HIGH, "2003-02-01 10:11:12",
    ),
    "a rate with a comma": (lambda f: record(f, top="r 1 250,0 5000"), HIGH, "250 Hz"),
    "a rate with an exponent": (lambda f: record(f, top="r 1 2.5e2 5000"), HIGH, "250 Hz"),
    "no rate": (lambda f: record(f, top="r 1"), HIGH, "250 Hz, WFDB's default"),
    "no length": (lambda f: record(f, top="r 1 250 0"), HIGH, ""),
    "a dot in the name": (lambda f: record(f, "P01.night1"), HIGH, "P01.night1"),
    "a space in the name": (lambda f: record(f, "Patient A 1"), HIGH, ""),
    "a slash in the file": (lambda f: record(f, file="sig/r.dat"), HIGH, ""),
    "latin-1": (lambda f: record(f, leads=("Dérivation µ",), encoding="latin-1"), HIGH, "Dérivation µ"),  # noqa: E501
    "a BOM": (lambda f: record(f, encoding="utf-8-sig"), HIGH, ""),
    "CRLF": (lambda f: record(f, top="r 1 250 5000\r"), HIGH, ""),
    "no gain": (lambda f: record(f, lead="{file} 16", per_mv=200), HIGH, "uncalibrated"),
    "gain 0": (lambda f: record(f, gain="0", per_mv=200), HIGH, "uncalibrated"),
    "millivolt in words": (lambda f: record(f, gain="1000/millivolts"), HIGH, ""),
    "microvolt in words": (lambda f: record(f, gain="1/microvolt"), HIGH, ""),
    "a file that holds more": (lambda f: record(f, top="r 1 250 3750"), "3 of 3", "5000 samples"),
    "a truncated file": (lambda f: record(f, top="r 1 250 6000"), HIGH, "truncated: 6000"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_as_published(tmp_path: Path, kind: str) -> None:
    make, verdict, note = HEADERS[kind]
    text = said(tmp_path, make(tmp_path))
    assert verdict in text and note in text, text


def test_header_cases_and_forms_of_a_name(tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / "r.hea").rename(tmp_path / "R.HEA")
    (tmp_path / "r.dat").rename(tmp_path / "R.DAT")
    assert HIGH in said(tmp_path, tmp_path / "R.HEA")
    record(tmp_path, unicodedata.normalize("NFD", "señal"))
    assert HIGH in said(tmp_path, tmp_path / unicodedata.normalize("NFC", "señal"))


def test_headers_that_say_what_to_do(tmp_path: Path) -> None:
    record(tmp_path, "utf16", encoding="utf-16")
    assert "UTF-16 text: save it as UTF-8" in said(tmp_path, tmp_path / "utf16", code=1)
    (tmp_path / "ann.hea").write_text("ann 0 128 1000\n")
    (tmp_path / "ann.ecg").write_bytes(bytes(20))
    for name in ("ann", "ann.ecg"):
        assert "has no signals" in said(tmp_path, tmp_path / name, code=1)
    record(tmp_path, "a", file="a.mat")
    (tmp_path / "a.hea").write_text((tmp_path / "a.hea").read_text().replace("a.mat", "a"))
    text = said(tmp_path, tmp_path / "a", code=1)
    assert "signal file" in text and "a.mat is beside it" in text
    record(tmp_path, "nu", gain="1000/NU")
    assert "--unit" in said(tmp_path, tmp_path / "nu", code=1)
    assert HIGH in said(tmp_path, tmp_path / "nu", "--unit", "uV")
    record(tmp_path, "zero", fs_hz=0)
    assert "give it with --fs HZ" in said(tmp_path, tmp_path / "zero", code=1)
    assert HIGH in said(tmp_path, tmp_path / "zero", "--fs", 250)
    record(tmp_path, "slow", fs_hz=50)
    assert "at least 92 Hz" in said(tmp_path, tmp_path / "slow", code=1)


def test_segments_that_are_missing(tmp_path: Path) -> None:
    record(tmp_path, "p_1")
    (tmp_path / "p.hea").write_text("p/3 1 250 11250\np_1 5000\n~ 1250\np_2 5000\n")
    text = said(tmp_path, tmp_path / "p")
    assert "4 of 9 segments" in text and "p_2 is missing: read as a gap" in text
    (tmp_path / "p.hea").write_text("p/2 1 250 2500\n~ 1250\n~ 1250\n")
    assert "gaps alone" in said(tmp_path, tmp_path / "p", code=1)


# ---- leads, units, rates ---------------------------------------------------------------------


def test_the_ecg_is_taken_and_the_leads_are_listed(tmp_path: Path) -> None:
    record(tmp_path, leads=("Lefteye", "EEG (C3-A2)", "Resp C", "ECG"))
    text = said(tmp_path, tmp_path / "r")
    assert "lead ECG" in text
    assert "Lead ECG of Lefteye, EEG (C3-A2), Resp C, ECG (--lead NAME or all)" in text
    assert "lead Resp C" in said(tmp_path, tmp_path / "r", "--lead", "Resp C")


def test_all_leads_and_where_any_is_good(tmp_path: Path) -> None:
    two = np.stack([SIGNAL, SIGNAL], axis=1)
    two[:2500, 0] = 0
    two[1250:, 1] = 0
    record(tmp_path, leads=("Resp", "I", "II"))
    codes = np.rint(np.c_[SIGNAL, two] * 1000).astype("<i2")
    (tmp_path / "r.dat").write_bytes(codes.tobytes())
    done = assess(tmp_path / "r", "--lead", "all", "--json", "-")
    (what,) = json.loads(done.stdout)["records"]
    assert [lead["lead"] for lead in what["leads"]] == ["I", "II"]
    assert [lead["n_high"] for lead in what["leads"]] == [2, 1]
    runs = what["any_lead"]["runs"]
    assert [(r["start_s"], r["end_s"], r["quality"]) for r in runs] == [
        (0, 5, "high"), (5, 10, "low"), (10, 20, "high"),
    ]  # fmt: skip
    assert what["any_lead"]["summary"]["share_high"] == 0.75


def test_a_flat_first_lead_is_said(tmp_path: Path) -> None:
    record(tmp_path, leads=("I", "II"))
    codes = np.stack([np.zeros(5000), np.rint(SIGNAL * 1000)], axis=1).astype("<i2")
    (tmp_path / "r.dat").write_bytes(codes.tobytes())
    assert "Warning: lead I is flat; II not: choose with --lead" in said(tmp_path, tmp_path / "r")


@pytest.mark.parametrize(
    ("gain", "fs_hz", "says"),
    [
        ("1/mV", 250, "uV perhaps (--unit uV)"),
        ("1000000/mV", 250, "less than an ECG: the unit looks wrong"),
        ("1000/mV", 2500, "the sampling rate looks wrong (--fs)"),
    ],
)
def test_what_no_ecg_can_be_is_doubted_and_overridden(
    tmp_path: Path, gain: str, fs_hz: int, says: str
) -> None:
    long = clean(seconds=60)
    record(tmp_path, gain=gain, fs_hz=fs_hz, signal=long)
    text = said(tmp_path, tmp_path / "r")
    assert f"Warning: lead I {'spans' if fs_hz == 250 else 'would have'}" in text
    assert says in text
    if fs_hz == 250:  # the quality does not depend on the scale
        assert "12 of 12 segments" in text
    unit = {"1/mV": "uV", "1000000/mV": "V", "1000/mV": "mV"}[gain]
    text = said(tmp_path, tmp_path / "r", "--unit", unit, "--fs", 250)
    assert "Warning" not in text and "12 of 12 segments" in text


@pytest.mark.parametrize("kind", ["square", "pulse wave", "held"])
def test_what_is_no_ecg_is_low(tmp_path: Path, kind: str) -> None:
    t = np.arange(5000) / FS_HZ
    signal = {
        "square": np.sign(np.sin(2 * np.pi * t)),
        "pulse wave": np.maximum(np.sin(2 * np.pi * 1.2 * t), -0.4),
        "held": np.where(t % 5 < 2.2, 0.1, SIGNAL),
    }[kind]
    record(tmp_path, signal=signal)
    assert "0 of 4 segments" in said(tmp_path, tmp_path / "r")


# ---- formats ---------------------------------------------------------------------------------


def csv_file(folder: Path, head: str, row: str, name: str = "ecg.csv") -> Path:
    rows = (row.format(i=i, s=i / FS_HZ, v=v, uv=v * 1000) for i, v in enumerate(SIGNAL))
    (folder / name).write_text(head + "\n".join(rows) + "\n")
    return folder / name


def test_a_column_of_numbers_needs_its_rate(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "ecg\n", "{v:.4f}")
    assert "--fs HZ" in said(tmp_path, path, code=1)
    assert HIGH in said(tmp_path, path, "--fs", 250)
    path = csv_file(tmp_path, "a,b\n", "7.5,{uv:.1f}")
    assert HIGH in said(tmp_path, path, "--fs", 250, "--column", "b", "--unit", "uV")
    assert "choose among a, b" in said(tmp_path, path, "--fs", 250, "--column", "c", code=1)


def test_a_semicolon_table_with_decimal_commas(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "Zeit;EKG (mV)\n", "{s:.3f};{v:.4f}")
    path.write_text(path.read_text().replace(".", ","))
    text = said(tmp_path, path)
    assert HIGH in text and "lead EKG" in text


def test_options_that_a_format_has_no_use_for_are_refused(tmp_path: Path) -> None:
    record(tmp_path)
    for option in (("--column", "1"), ("--channels", "2"), ("--counts-per-mv", "5")):
        assert "which " + option[0] in said(tmp_path, tmp_path / "r", *option, code=1)


def test_a_raw_file_with_options(tmp_path: Path) -> None:
    two = np.stack([np.zeros(5000), np.rint(SIGNAL * 400)], axis=1).astype("<i2")
    (tmp_path / "x.bin").write_bytes(two.tobytes())
    options = ("--fs", 250, "--channels", 2, "--counts-per-mv", 400, "--lead", 1)
    assert HIGH in said(tmp_path, tmp_path / "x.bin", *options)


def unreadable(kind: str) -> bytes:
    """The beginning of a file that is known and not read."""
    if kind == "gz":
        return gzip.compress(b"x")
    if kind == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("r.hea", "r 1\n")
        return packed.getvalue()
    return {"pdf": b"%PDF-1.7\n", "h5": b"\x89HDF\r\n\x1a\n", "parquet": b"PAR1abc"}[kind]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("gz", "gzip-compressed: unpack it"),
        ("zip", "ZIP archive"),
        ("pdf", "PDF document: a picture is no recording"),
        ("h5", "HDF5 file: save the ECG as"),
        ("parquet", "Parquet file: save the ECG as"),
    ],
)
def test_what_is_known_and_not_read_is_named(tmp_path: Path, kind: str, says: str) -> None:
    (tmp_path / f"x.{kind}").write_bytes(unreadable(kind))
    assert says in said(tmp_path, tmp_path / f"x.{kind}", code=1)


def test_an_ecg_too_short_names_file_and_format(tmp_path: Path) -> None:
    document = {"ecg": [{"samplingFrequency": 512, "voltageMeasurements": [{"voltage": 0.1}]}]}
    (tmp_path / "e.json").write_text(json.dumps(document))
    text = said(tmp_path, tmp_path / "e.json", code=1)
    assert "e.json (Apple Health ECG" in text and "shorter than one segment" in text


def test_names_that_are_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = said(tmp_path, "https://physionet.org/files/mitdb/1.0.0/100", code=1)
    assert "nothing is fetched from a URL" in text
    assert "ecgqa data get mitdb" in said(tmp_path, "mitdb/100", code=1)
    (tmp_path / "night.edf").write_bytes(b"0")
    assert "night.edf is there" in said(tmp_path, "night", code=1)


def test_formats_are_listed() -> None:
    done = CliRunner().invoke(cli.main, ["formats"], terminal_width=200)
    assert done.exit_code == 0
    for word in ("WFDB", "EDF", "ISHNE", "Polar", "Apple Health", "DICOM", "--fs"):
        assert word in done.stdout


# ---- several recordings ----------------------------------------------------------------------


def test_records_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two/deep", "two/.hidden"):
        (tmp_path / folder).mkdir(parents=True)
        record(tmp_path / folder, "r")
    csv_file(tmp_path / "two", "time,ecg\n", "{s:.3f},{v:.4f}")
    (tmp_path / "two" / "notes.txt").write_text("slept well\n")
    (tmp_path / "two" / "p.hea").write_text("p/2 1 250 10000\ns_1 5000\ns_1 5000\n")
    record(tmp_path / "two", "s_1")
    done = assess("one/r", "one/r.hea", "./one/r.", "two", "two/*.csv", "--json", "-")
    assert done.exit_code == 0, done.output
    paths = [Path(r["path"]).as_posix() for r in json.loads(done.stdout)["records"]]
    assert paths == ["one/r", "two/deep/r.hea", "two/ecg.csv", "two/p.hea"]
    done = assess("one", "two")
    assert "20 of 20 segments" in done.stdout
    for path in ("one/r.hea", "two/deep/r.hea", "two/ecg.csv", "two/p.hea"):
        assert path in done.stdout
    assert "Usable 1:40 of 1:40; longest usable run 0:40 from 0:00 of p" in done.stdout
    assert "holds no recording" in said(tmp_path, "two/*.edf", code=1)
    (tmp_path / "none").mkdir()
    done = assess("none", "one", "*.edf")
    assert done.exit_code == 3
    assert "Passed over: none is a folder, not a recording, and holds none" in done.stderr
    assert "Passed over: *.edf holds no recording" in done.stderr


def test_a_bad_file_is_said_and_passed_over(tmp_path: Path) -> None:
    record(tmp_path, "a")
    record(tmp_path, "b", signal=SIGNAL[:100])
    (tmp_path / "c.edf").write_bytes(b"%PDF")
    out = tmp_path / "out.csv"
    done = assess(tmp_path / "a", tmp_path / "b", tmp_path / "c.edf", "--csv", out)
    assert done.exit_code == 3, done.output
    assert f"Passed over: {tmp_path / 'b'} (WFDB record): the recording is 0.4 s" in done.stderr
    assert f"Passed over: {tmp_path / 'c.edf'} is a PDF document" in done.stderr
    assert "2 of 3 recordings could not be assessed" in done.stdout
    assert len(out.read_text().splitlines()) == 5
    done = assess(tmp_path / "b", tmp_path / "c.edf")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "Error: none of 2 recordings could be assessed"


# ---- outputs ---------------------------------------------------------------------------------


def test_csv_on_standard_output(tmp_path: Path) -> None:
    record(tmp_path, leads=("Ableitung µ",))
    done = assess(tmp_path / "r", "--csv", "-")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("record,lead,start_s") and len(lines) == 5
    assert lines[1].startswith("r,Ableitung µ,0.0,5.0,,high,")
    assert HIGH in done.stderr


def test_runs_as_files(tmp_path: Path) -> None:
    signal = SIGNAL.copy()
    signal[1250:2500] = 0
    record(tmp_path, top="r 1 250 5000 23:59:55.500", signal=signal)
    done = assess(tmp_path / "r", "--runs", "--csv", tmp_path / "runs.csv", "--json", "-")
    rows = (tmp_path / "runs.csv").read_text().splitlines()
    assert [row.rsplit(",", 2)[0] for row in rows] == [
        "record,lead,start_s,end_s,time,quality,reason",
        "r,I,0.0,5.0,23:59:55.500,high,ok",
        "r,I,5.0,10.0,00:00:00.500,low,flat",
        "r,I,10.0,20.0,00:00:05.500,high,ok",
    ]
    (lead,) = json.loads(done.stdout)["records"][0]["leads"]
    assert "decisions" not in lead and len(lead["runs"]) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--json", "-", "--csv", "-"), "two outputs for standard output"),
        (("--from", "5"), "--from and --to are of the picture"),
        (("--to", "5", "--csv", "-"), "--from and --to are of the picture"),
        (("--runs",), "--runs is of files"),
        (("--overwrite",), "--overwrite has no effect"),
        (("--overwrite", "--csv", "-"), "--overwrite has no effect"),
        (("--nonesuch",), "No such option"),
    ],
)
def test_options_without_effect_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    assert says in said(tmp_path, record(tmp_path), *arguments, code=2)


def test_a_picture_is_of_one_recording(tmp_path: Path) -> None:
    names = [record(tmp_path, name) for name in ("a", "b")]
    done = assess(*names, "--picture", tmp_path / "x.png")
    assert done.exit_code == 2 and "--picture is of one recording, and 2 are named" in done.stderr


def test_an_output_never_replaces_an_input(tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / "link.csv").symlink_to(tmp_path / "r.dat")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for name in ("r.hea", "r.dat", "link.csv"):
        for option in ("--csv", "--json"):
            out = tmp_path / name
            text = said(tmp_path, tmp_path / "r", option, out, "--overwrite", code=1)
            assert "part of the recording itself" in text
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_console_without_the_letters(tmp_path: Path) -> None:
    """Windows consoles and pipes are cp1252; ASCII is the least there is."""
    record(tmp_path, leads=("Ableitung µ",))
    for encoding in ("cp1252", "ascii"):
        done = subprocess.run(
            [sys.executable, "-c", "from ecgqa_tflite.cli import main; main()", "assess", "r",
             "--csv", "日本.csv", "--overwrite"],
            cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        assert rb"Written: \u65e5\u672c.csv" in done.stdout
    assert "Ableitung µ" in (tmp_path / "日本.csv").read_text(encoding="utf-8")


def test_interrupted_is_130_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecgqa_tflite.cli import assess as module

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "assess_files", stop)
    done = assess(record(tmp_path), "--csv", tmp_path / "x.csv")
    assert (done.exit_code, done.stderr) == (130, "Interrupted\n")
    assert not (tmp_path / "x.csv").exists()
