"""Decisions in the forms that other programs read: WFDB, EDF+, BIDS, Parquet."""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from conftest import require_module

from ecgqa_tflite.decisions import Decision
from ecgqa_tflite.decisions.csv import csv_text
from ecgqa_tflite.decisions.edf_annotations import write_edf
from ecgqa_tflite.decisions.events import COLUMNS, events_json, events_tsv
from ecgqa_tflite.decisions.parquet import METADATA_KEY, write_parquet
from ecgqa_tflite.decisions.report import Assessed, AssessedLead, Run
from ecgqa_tflite.decisions.wfdb_annotations import check_annotator, write_annotations
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.model_folder import ModelFolder
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


def test_beats_of_shut_downs_do_not_count(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """A beat comparison as EC57 and `bxb` do it: in a shut-down no beat is missed or false.

    `bxb` itself is in no package registry; this counts as its manual says.
    """
    record = shared_data("mitdb") / "104"
    truth = wfdb.rdann(str(record), "atr")
    beats = truth.sample[np.isin(truth.symbol, list("NLRBAaJSVrFejnE/fQ"))]
    seconds = beats / 360
    # a detector that finds nothing from 60 to 90 s and 40 false beats from 120 to 130 s
    kept = seconds[(seconds < 60) | (seconds >= 90)]
    test = np.sort(np.r_[kept, np.linspace(120.1, 129.9, 40)])
    letters = "".join("L" if 60 <= t < 90 or 120 <= t < 130 else "H" for t in range(0, 300, 5))
    write_annotations(tmp_path / "104.qa", assessed(letters))
    noise = wfdb.rdann(str(tmp_path / "104"), "qa")
    edges = noise.sample / noise.fs
    assert noise.subtype.tolist() == [-1, 0, -1, 0]

    def counted(times: np.ndarray) -> np.ndarray:
        inside = np.zeros(times.size, bool)
        for start, end in edges.reshape(-1, 2):
            inside |= (times >= start) & (times < end)
        return times[~inside]

    def unmatched(times: np.ndarray, others: np.ndarray) -> int:
        times = times[times < 300]
        return sum(np.abs(others - t).min(initial=np.inf) > 0.15 for t in times)

    assert unmatched(seconds, test) > 30 and unmatched(test, seconds) > 15
    assert unmatched(counted(seconds), test) == unmatched(counted(test), seconds) == 0
