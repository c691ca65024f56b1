# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions in the forms that other programs read: WFDB, EDF+, BIDS, Parquet."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from conftest import require_module

from ecgqa_tflite.assess import assess
from ecgqa_tflite.decisions import Decision
from ecgqa_tflite.decisions.csv import csv_text
from ecgqa_tflite.decisions.edf_annotations import write_edf
from ecgqa_tflite.decisions.events import COLUMNS, events_json, events_tsv
from ecgqa_tflite.decisions.parquet import METADATA_KEY, write_parquet
from ecgqa_tflite.decisions.report import Assessed, AssessedLead, Run
from ecgqa_tflite.decisions.wfdb_annotations import check_annotator, write_annotations
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.recording import Recording, read_recording
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.spec import Quality


def decisions(word: str) -> list[Decision]:
    """A letter per segment: H high, L low, G gap."""
    return [
        Decision(
            5.0 * i,
            5.0 * i + 5,
            Quality(int(letter == "H")),
            {"H": 0.9, "L": 0.25}.get(letter, 0.0),
            "gap" if letter == "G" else "ok",
        )
        for i, letter in enumerate(word)
    ]


def assessed(*leads: str, start: datetime.datetime | datetime.time | None = None) -> Assessed:
    return Assessed(
        "r.hea", "r", 5.0 * len(leads[0]) + 1, start, (), (), (("I", "II")[: len(leads)], ()),
        tuple(AssessedLead(("I", "II")[i], 360.0, decisions(w)) for i, w in enumerate(leads)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("leads", "samples", "subtypes", "notes"),
    [
        (("HLGH",), [1800, 5400], [-1, 0], ["noise gap", ""]),
        (("LHLL",), [0, 1800, 3600, 7200], [-1, 0, -1, 0], ["noise", "", "noise", ""]),
        (("HLLH", "HHLL"), [3600, 5400], [-1, 0], ["noise", ""]),
        (("HHHH",), [0], [0], [""]),
    ],
)
def test_what_wfdb_reads(
    tmp_path: Path,
    leads: tuple[str, ...],
    samples: list[int],
    subtypes: list[int],
    notes: list[str],
) -> None:
    write_annotations(tmp_path / "r.qa", assessed(*leads))
    found = wfdb.rdann(str(tmp_path / "r"), "qa")
    assert found.sample.tolist() == samples and set(found.symbol) == {"~"}
    assert found.subtype.tolist() == subtypes and found.fs == 360
    assert [note.rstrip("\0") for note in found.aux_note] == notes
    assert [p.name for p in tmp_path.iterdir()] == ["r.qa"]


@pytest.mark.parametrize("name", ["r", "r.q1", "r.", "r.q-a"])
def test_names_that_wfdb_does_not_find(name: str) -> None:
    with pytest.raises(ArgumentError, match=r"RECORD\.ANNOTATOR"):
        check_annotator(Path(name))


@pytest.mark.parametrize(
    "start", [None, datetime.time(23, 59, 58), datetime.datetime(2024, 2, 29, 12, 30, 1)]
)
def test_what_edf_readers_read(
    tmp_path: Path, small_model: ModelFolder, start: datetime.datetime | datetime.time | None
) -> None:
    require_module("edfio")
    import edfio

    write_edf(tmp_path / "r.edf", assessed("HLGH", "HHLL", start=start), small_model)
    found = edfio.read_edf(tmp_path / "r.edf")
    texts = [(a.onset, a.duration, a.text) for a in found.annotations]
    low, high = small_model.labels
    assert (5.0, 5.0, f"{low} quality@@I") in texts
    assert (10.0, 5.0, f"{low} quality, gap@@I") in texts
    assert (0.0, 10.0, f"{high} quality@@II") in texts and len(texts) == 6
    assert sorted(by_hand((tmp_path / "r.edf").read_bytes())) == sorted(texts)
    if isinstance(start, datetime.datetime):
        assert (found.startdate, found.starttime) == (start.date(), start.time())
    elif start is not None:
        assert found.starttime == start


@pytest.mark.parametrize("year", [2024, 1975, 2154])
def test_what_another_edf_library_reads(
    tmp_path: Path, small_model: ModelFolder, year: int
) -> None:
    """pyedflib is EDFlib, which wrote none of it. Published records have dates that EDF lacks."""
    require_module("edfio")
    require_module("pyedflib")
    import pyedflib

    start = datetime.datetime(year, 2, 20, 12, 30, 1)
    write_edf(tmp_path / "r.edf", assessed("HLGH", "HHLL", start=start), small_model)
    with pyedflib.EdfReader(str(tmp_path / "r.edf")) as reader:
        columns = [x.tolist() for x in reader.readAnnotations()]
        told, remarks = reader.getStartdatetime(), reader.getRecordingAdditional()
    low, high = small_model.labels
    assert sorted(zip(*columns, strict=True)) == [
        (0.0, 5.0, f"{high} quality@@I"),
        (0.0, 10.0, f"{high} quality@@II"),
        (5.0, 5.0, f"{low} quality@@I"),
        (10.0, 5.0, f"{low} quality, gap@@I"),
        (10.0, 10.0, f"{low} quality@@II"),
        (15.0, 5.0, f"{high} quality@@I"),
    ]
    assert told.time() == start.time()
    if year == 2024:
        assert told == start and not remarks
    else:
        assert str(start.date()) in remarks


def by_hand(data: bytes) -> list[tuple[float, float, str]]:
    """Time-stamped annotation lists as the EDF+ specification has them, read without a library."""
    n_signals, header = int(data[252:256]), int(data[184:192])
    assert n_signals == 1 and data[192:197] in (b"EDF+C", b"EDF+D")
    assert data[256:272] == b"EDF Annotations "
    found = []
    for stamp in data[header:].split(b"\0"):
        onset, *texts = stamp.split(b"\x14")
        for text in filter(None, texts):
            start, _, duration = onset.partition(b"\x15")
            found.append((float(start), float(duration or "nan"), text.decode()))
    return [x for x in found if not math.isnan(x[1])]


def test_bids_events(small_model: ModelFolder) -> None:
    what = assessed("HLGH", "HHLL")
    rows = list(csv.DictReader(events_tsv(what, small_model).splitlines(), delimiter="\t"))
    assert list(rows[0]) == list(COLUMNS) and len(rows) == 6
    onsets = [float(row["onset"]) for row in rows]
    assert onsets == sorted(onsets)
    assert rows[2] == {
        "onset": "5", "duration": "5", "trial_type": small_model.labels[0], "channel": "I",
        "reason": "ok", "lowest_score": "0.25", "highest_score": "0.25",
    }  # fmt: skip
    sidecar = json.loads(events_json(what, small_model))
    assert set(sidecar) == set(COLUMNS) and sidecar["onset"]["Units"] == "s"
    assert set(sidecar["trial_type"]["Levels"]) == set(small_model.labels)


@pytest.mark.parametrize("as_runs", [False, True])
def test_parquet_is_the_csv(tmp_path: Path, small_model: ModelFolder, as_runs: bool) -> None:
    require_module("pyarrow")
    import pyarrow.parquet as pq

    start = datetime.datetime(2024, 2, 29, 23, 59, 58)
    run = Run(small_model, None, (assessed("HLGH", "HHLL", start=start),))
    write_parquet(tmp_path / "r.parquet", run, as_runs=as_runs)
    table = pq.read_table(tmp_path / "r.parquet")
    expected = list(csv.DictReader(csv_text(run, as_runs=as_runs).splitlines()))
    assert [{k: str(v) for k, v in row.items()} for row in table.to_pylist()] == expected
    assert json.loads(table.schema.metadata[METADATA_KEY])["spec_hash"] == small_model.spec.hash


BEATS = [*"NLRBAaJSVrFejnE/fQ?"]
WINDOW_S = 0.15
"""Within which a beat is found, in EC57 and in `bxb`."""


@pytest.fixture(scope="module")
def noisy(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """104's first 5 min, noisy in places: its beats, a detector's and our shut-downs.

    ``atr`` and ``qrs``; ``qa`` as `ecgqa assess --hop 1` writes it; ``tst`` is ``qrs`` with ``qa``,
    without the beats inside, ``inn`` with them.
    """
    import wfdb.processing

    folder, model = tmp_path_factory.mktemp("noisy"), open_model("light_cnn_small")
    recording = read_recording(shared_data("mitdb") / "104")
    fs_hz, n = recording.fs_hz, round(300 * recording.fs_hz)
    cut = Recording("104", recording.signal_mv[:n], fs_hz, recording.lead_names)
    write_wfdb(cut, folder)
    decided = tuple(assess(cut, model, lead=0, hop_s=1.0))
    lead = AssessedLead(cut.lead_names[0], fs_hz, decided)
    what = Assessed("104", "104", 300.0, None, (), (), (cut.lead_names, ()), (lead,))
    write_annotations(folder / "104.qa", what)
    marks = wfdb.rdann(str(folder / "104"), "qa")
    inside = np.vectorize(lambda t: any(a <= t <= b for a, b in marks.sample.reshape(-1, 2)))

    def write(name: str, beats: np.ndarray, noise: bool) -> None:
        samples = np.r_[beats, marks.sample if noise else []].astype(int)
        symbols = np.r_[["N"] * len(beats), ["~"] * (len(samples) - len(beats))]
        subtypes = np.r_[np.zeros(len(beats)), marks.subtype if noise else []].astype(int)
        order = np.argsort(samples, kind="stable")
        wfdb.wrann("104", name, samples[order], symbols[order].tolist(), subtypes[order],
                   fs=fs_hz, write_dir=str(folder))  # fmt: skip

    truth = wfdb.rdann(str(shared_data("mitdb") / "104"), "atr")
    beats = truth.sample[np.isin(truth.symbol, BEATS) & (truth.sample < n)]
    found = wfdb.processing.xqrs_detect(cut.lead(0), fs_hz, verbose=False)
    write("atr", beats, noise=False)
    write("qrs", found, noise=False)
    write("tst", found[~inside(found)], noise=True)
    write("inn", found, noise=True)
    return folder / "104"


def shut_down_as_bxb(annotation: wfdb.Annotation) -> list[tuple[int, int]]:
    """From a NOISE with bits 4 and 5 of its subtype set to the next annotation, if that is a NOISE
    without; else less than to it: `bxb` then ends the shut-down before the beat, as here at once.
    """
    marks = list(zip(annotation.sample, annotation.symbol, annotation.subtype, strict=True))
    return [
        (start, end)
        for (start, what, kind), (end, then, after) in itertools.pairwise(marks)
        if (what, kind & 0x30) == ("~", 0x30) and then == "~" and after & 0x30 != 0x30
    ]


def compared(record: Path, annotator: str) -> tuple[int, int, int]:
    """Beats that are found, missed, and missed in a shut-down."""
    import wfdb.processing

    truth, test = (wfdb.rdann(str(record), name) for name in ("atr", annotator))
    beats = test.sample[test.symbol == np.array("N")]
    pairs = wfdb.processing.compare_annotations(truth.sample, beats, round(WINDOW_S * test.fs))
    missed = truth.sample[pairs.unmatched_ref_inds]
    shut = sum(any(a <= t <= b for a, b in shut_down_as_bxb(test)) for t in missed)
    return pairs.tp, len(missed) - shut, shut


def test_beats_in_our_shut_downs_are_counted_apart(noisy: Path) -> None:
    """By our own count after `bxb`, which no package registry has; with it, by `bxb` itself."""
    marks = wfdb.rdann(str(noisy), "qa")
    total_s = float(np.diff(marks.sample.reshape(-1, 2)).sum() / marks.fs)
    assert marks.subtype.tolist() == [-1, 0] * (len(marks.sample) // 2) and total_s > 5
    found, missed, shut = compared(noisy, "tst")
    assert shut > 5 and compared(noisy, "qrs")[2] == 0
    assert found + missed + shut == sum(compared(noisy, "qrs"))
    assert missed <= compared(noisy, "qrs")[1] + 1, "a beat is missed beside a shut-down"
    assert compared(noisy, "inn")[2] == 0, "a detector's own beats end a shut-down"
    if (bxb := shutil.which("bxb")) is not None:
        told = by_bxb(bxb, noisy, "tst")
        assert told == (found, missed, shut, round(total_s))


def by_bxb(program: str, record: Path, annotator: str) -> tuple[int, int, int, int]:
    """As :func:`compared`, and the seconds of shut-down."""
    text = subprocess.run(
        [program, "-r", "104", "-a", "atr", annotator, "-f", "0", "-t", "0", "-s", "-"],
        cwd=record.parent, env={**os.environ, "WFDB": "."}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    rows = [[int(x) for x in r.split()] for r in re.findall(r"^ [NVFQ] \|(.*)$", text, re.M)]
    seconds = re.search(r"Total shutdown time: *(\d+)", text)
    assert seconds is not None, text
    columns = np.sum(rows, axis=0)
    return int(columns[:4].sum()), int(columns[4]), int(columns[5]), int(seconds[1])
