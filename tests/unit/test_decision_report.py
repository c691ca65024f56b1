# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run says: JSON under its schema, CSV, runs of several leads, summary, times of day."""

from __future__ import annotations

import csv
import datetime
import io
import json

import jsonschema
import pytest

from ecgqa_tflite.decisions import Decision, Span, best, merged
from ecgqa_tflite.decisions.csv import csv_text
from ecgqa_tflite.decisions.json import REPORT_FORMAT, SCHEMA, json_text, report
from ecgqa_tflite.decisions.report import (
    ANY_LEAD,
    Assessed,
    AssessedLead,
    Failure,
    Run,
    time_at,
)
from ecgqa_tflite.decisions.summary import summarise
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording.file import Start
from ecgqa_tflite.spec import Quality

START = datetime.datetime(2021, 3, 2, 22, 15)


def span(start_s: float, end_s: float, high: bool, reason: str = "ok", score: float = 0.5) -> Span:
    return Span(start_s, end_s, Quality(int(high)), reason, score, score)  # type: ignore[arg-type]


def decisions(qualities: str) -> list[Decision]:
    """``1`` high, ``0`` low, ``g`` gap; 5 s each."""
    return [
        Decision(5.0 * i, 5.0 * i + 5, Quality(int(q == "1")), 0.75 * (q == "1"),
                 "gap" if q == "g" else "ok")
        for i, q in enumerate(qualities)
    ]  # fmt: skip


def assessed(*leads: str, name: str = "r", start: Start | None = None) -> Assessed:
    return Assessed(
        path=f"folder/{name}.edf", record=name, duration_s=5.0 * len(leads[0]), start=start,
        notes=("a note",), doubts=(), signals=(("I", "II"), ("SpO2 (%)",)),
        leads=tuple(AssessedLead(f"L{i}", 250.0, decisions(q)) for i, q in enumerate(leads)),
    )  # fmt: skip


@pytest.fixture(params=["one lead", "several", "no start", "failed"])
def run(request: pytest.FixtureRequest, small_model: ModelFolder) -> Run:
    found = {
        "one lead": (assessed("110g", start=START),),
        "several": (assessed("110g", "0110", start=START), assessed("00", name="s")),
        "no start": (assessed("1"), assessed("0", start=datetime.time(8, 30))),
        "failed": (assessed("1"),),
    }[request.param]
    failed = (Failure("x.pdf", "x.pdf is a PDF"),) if request.param == "failed" else ()
    return Run(small_model, 5.0 if failed else None, found, failed)


@pytest.mark.parametrize("as_runs", [False, True])
def test_the_json_is_as_its_schema_says(run: Run, as_runs: bool) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["format"]["const"] == REPORT_FORMAT
    what = json.loads(json_text(run, as_runs=as_runs))
    assert what == report(run, as_runs=as_runs)
    jsonschema.validate(what, schema)
    lead = what["records"][0]["leads"][0]
    assert ("decisions" in lead) == (not as_runs)
    for broken in ({"format": 1}, {"extra": 0}, {"records": [{}]}, {"threshold": "high"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**what, **broken}, schema)


def test_every_object_of_the_schema_is_closed_and_described() -> None:
    def visit(node: object) -> None:
        if isinstance(node, list):
            for part in node:
                visit(part)
        if isinstance(node, dict):
            if "properties" in node:
                assert node["additionalProperties"] is False
                for name, part in node["properties"].items():
                    told = {"description", "$ref", "items", "type"} & set(part)
                    assert told, name
            for part in node.values():
                visit(part)

    visit(json.loads(SCHEMA.read_text()))


def test_csv_has_a_row_for_each_segment_or_run(small_model: ModelFolder) -> None:
    run = Run(small_model, None, (assessed("110g", "0110", start=START), assessed("0", name="s")))
    rows = list(csv.DictReader(io.StringIO(csv_text(run))))
    assert [(r["record"], r["lead"]) for r in rows] == [("r", "L0")] * 4 + [("r", "L1")] * 4 + [
        ("s", "L0")
    ]
    assert rows[1]["time"] == "2021-03-02T22:15:05" and rows[-1]["time"] == ""
    rows = list(csv.DictReader(io.StringIO(csv_text(run, as_runs=True))))
    assert [(r["lead"], r["start_s"], r["end_s"], r["quality"]) for r in rows] == [
        ("L0", "0.0", "10.0", "high"), ("L0", "10.0", "15.0", "low"), ("L0", "15.0", "20.0", "low"),
        ("L1", "0.0", "5.0", "low"), ("L1", "5.0", "15.0", "high"), ("L1", "15.0", "20.0", "low"),
        (ANY_LEAD, "0.0", "15.0", "high"), (ANY_LEAD, "15.0", "20.0", "low"),
        ("L0", "0.0", "5.0", "low"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "seconds", "text"),
    [
        (None, 3.0, ""),
        (START, 0.0, "2021-03-02T22:15:00"),
        (START, 6300.0, "2021-03-03T00:00:00"),
        (START, 1.25, "2021-03-02T22:15:01.250"),
        (datetime.time(23, 59, 59), 1.9999, "00:00:01"),
        (datetime.time(0, 0, 10), -15.0, "23:59:55"),
        (datetime.datetime(9999, 12, 31), 1e9, ""),
    ],
)
def test_times_of_day(start: Start | None, seconds: float, text: str) -> None:
    assert time_at(start, seconds) == text


def test_the_best_of_leads_whose_edges_differ() -> None:
    leads = [
        [span(0, 5, False, score=0.2), span(5, 10, True, score=0.7)],
        [span(0.5, 5.5, False, "gap", 0.0), span(5.5, 10.5, True, score=0.9)],
    ]
    found = best(leads)
    assert [(s.start_s, s.end_s, s.quality, s.highest_score) for s in found] == [
        (0, 0.5, 0, 0.2), (0.5, 5, 0, 0.2), (5, 5.5, 1, 0.7), (5.5, 10, 1, 0.9), (10, 10.5, 1, 0.9),
    ]  # fmt: skip
    assert [(s.start_s, s.end_s) for s in merged(found)] == [(0, 5), (5, 10.5)]
    assert best([[], [span(0, 1, True)]]) == [span(0, 1, True)]


def test_summary() -> None:
    runs = [
        span(0, 1800, True), span(1800, 2400, False, "gap"), span(2400, 6000, True),
        span(6000, 6010, False), span(6100, 9000, False, "gap"),
    ]  # fmt: skip
    found = summarise(runs, datetime.time(22, 30))
    assert (found.assessed_s, found.high_s) == (8910, 5400)
    assert found.share_high == pytest.approx(5400 / 8910)
    assert found.longest == (2400, 6000)
    assert list(found.low_s.items()) == [("gap", 3500), ("ok", 10)]
    hours = [(h.start_s, h.assessed_s, h.high_s) for h in found.hours]
    assert hours == [(-1800, 1800, 1800), (1800, 3600, 3000), (5400, 3510, 600)]
    assert sum(h.assessed_s for h in summarise(runs).hours) == 8910
    nothing = summarise([])
    assert (nothing.longest, nothing.share_high, nothing.hours) == (None, 0.0, ())
