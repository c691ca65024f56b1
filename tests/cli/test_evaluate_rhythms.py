# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa evaluate`` on annotated records, and what it says by segment, class and recording."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import tiny_model
import wfdb
from click.testing import CliRunner, Result

from ecgqa_tflite.cli.evaluate import command
from ecgqa_tflite.datasets.rhythms import MARGIN_S, rhythm_segments
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb

FS_HZ = 250.0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.folder(tmp_path / "models").path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated recordings in challenge-2017's layout."""
    root = tmp_path_factory.mktemp("set")
    for i in range(3):
        write_wfdb(simulate(31, 300.0, seed=i, name=f"A{i}"), root)
    (root / "REFERENCE.csv").write_text("A0,N\nA1,~\nA2,A\n")
    (root / "graded.csv").write_text("record,start_s,label_v3,read_1\nA0,0,N,A\nA1,5,~,C\n")
    return root


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``sets/vfdb``: two records of 40 s, sinus rhythm for 14 s, VT for 3 s, then VF."""
    root = tmp_path_factory.mktemp("sets")
    for i, name in enumerate(("900", "901")):
        write_wfdb(simulate(40, FS_HZ, seed=i, name=name), root / "vfdb")
        at = np.array([0, 14, 17]) * int(FS_HZ)
        wfdb.wrann(
            name, "atr", at, symbol=["+"] * 3, aux_note=["(N", "(VT", "(VF"], fs=FS_HZ,
            write_dir=str(root / "vfdb"),
        )  # fmt: skip
    (root / "graded.csv").write_text(
        "set,record,lead,start_s,rhythm,read_1,read_2\n"
        "vfdb,900,0,1,N,A,A\nvfdb,901,0,14.5,VT,A,A\nvfdb,900,0,20,VF,C,C\nvfdb,900,0,30,VF,B,A\n"
    )
    return root


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


# ---- by rhythm -------------------------------------------------------------------------------


def test_segments_lie_wholly_in_one_rhythm(annotated: Path) -> None:
    (part,) = rhythm_segments(annotated / "vfdb", tiny_model.SPEC)
    # 14 s hold two, less the margins; 3 s none; 23 s four
    assert {str(r): int((part.rhythm == r).sum()) for r in set(part.rhythm)} == {"N": 4, "VF": 8}
    starts = part.segments.start_s[(part.rhythm == "VF") & (part.group == "vfdb/900")]
    assert starts[0] == 17 + MARGIN_S and np.allclose(np.diff(starts), 5)
    assert part.ids[0].startswith("vfdb/900/") and len(set(part.ids)) == len(part)


def test_records_that_name_beats_alone(model: Path, annotated: Path, tmp_path: Path) -> None:
    """Some of a set's annotations may name no rhythm; where none does it is said."""
    root = tmp_path / "sets"
    write_wfdb(simulate(20, FS_HZ, seed=5, name="beats"), root / "mine")
    wfdb.wrann("beats", "atr", np.array([50, 250]), symbol=["N"] * 2, write_dir=str(root / "mine"))
    done = evaluate(model, root)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert "names a rhythm that lasts a segment" in done.output, done.output
    shutil.copytree(annotated / "vfdb", root / "mine", dirs_exist_ok=True)
    done = evaluate(model, root)
    assert done.exit_code == 0, done.output


def test_shares_by_rhythm_and_by_grade(model: Path, annotated: Path, tmp_path: Path) -> None:
    out, rows = tmp_path / "figures.json", tmp_path / "rows.csv"
    done = evaluate(
        model, annotated, "--adjudicated", annotated / "graded.csv", "--json", out,
        "--decisions", rows, "--resamples", 20, "--record",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())["sets"]["vfdb"]["held_out"]
    assert {name: row["n"] for name, row in found["rhythms"].items()} == {"N": 4, "VF": 8}
    with rows.open() as file:
        decisions = list(csv.DictReader(file))
    high = sum(row["called"] == "high" for row in decisions if row["rhythm"] == "VF")
    assert found["rhythms"]["VF"]["high"] == high and len(decisions) == 12
    grades = found["graded"]["grades"]
    assert {grade: row["n"] for grade, row in grades.items()} == {"A": 2, "C": 1}
    assert found["graded"]["table"]["n"] == {"high": 2, "low": 1}
    assert set(found["graded"]["readable"]) == {"N", "VT"}

    assert set(open_model(model).metrics["rhythms"]) == {"vfdb"}
    card = (model / "MODEL_CARD.md").read_text()
    assert "### vfdb, records that trained nothing" in card
    assert "| ventricular fibrillation (VF) | 8 | 2 |" in card


def test_records_that_trained_the_model_stand_apart(annotated: Path, tmp_path: Path) -> None:
    composition = {"validation_share": 0.5, "seed": 0, "held_out": ["vfdb/901"]}
    out = tmp_path / "figures.json"
    for segments, parts in (
        ({"tachycardia_recorded": {"segments": 1, "groups": 1}}, {"held_out", "trained_on"}),
        ({"clean": {"segments": 1, "groups": 1}}, {"held_out"}),  # trained without vfdb
    ):
        model = tiny_model.folder(
            tmp_path / str(len(parts)),
            recipe={"composition": composition},
            metrics=tiny_model.METRICS | {"training": {"segments": segments}},
        )
        arguments = (model.path, annotated, "--json", out, "--resamples", 0, "--overwrite")
        assert evaluate(*arguments).exit_code == 0
        found = json.loads(out.read_text())["sets"]["vfdb"]
        assert set(found) == parts
        assert found["held_out"]["rhythms"]["VF"]["n"] == 8 // len(parts)


def test_what_labels_are_needed_for_is_refused(model: Path, annotated: Path) -> None:
    done = evaluate(model, annotated / "vfdb", "--robustness", 5)
    assert done.exit_code == 1 and "no labels" in done.stderr


def test_a_graded_window_outside_its_record_is_refused(
    model: Path, annotated: Path, tmp_path: Path
) -> None:
    table = tmp_path / "graded.csv"
    table.write_text("set,record,lead,start_s,read_1\nvfdb,900,0,36,A\n")
    done = evaluate(model, annotated, "--adjudicated", table)
    assert done.exit_code == 1 and "no 5 s of signal there" in done.stderr
    table.write_text("set,record,lead,start_s,read_1\nelsewhere,900,0,1,A\n")
    done = evaluate(model, annotated, "--adjudicated", table)
    assert done.exit_code == 1 and "no folder elsewhere" in done.stderr


# ---- by segment, class and recording ---------------------------------------------------------


def test_rows_classes_and_the_curve(model: Path, labelled: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("d.csv", "r.csv", "roc.svg", "f.json")}
    done = evaluate(
        model, labelled, "--adjudicated", labelled / "graded.csv", "--decisions", files["d.csv"],
        "--recordings", files["r.csv"], "--roc", files["roc.svg"], "--json", files["f.json"],
        "--robustness", 4, "--resamples", 10, "--record",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    figures = json.loads(files["f.json"].read_text())
    with files["d.csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18 and {row["class"] for row in rows} == {"N", "A", "~"}
    assert [row["grade"] for row in rows if row["grade"]] == ["A", "C"]
    high = {c: sum(r["called"] == "high" for r in rows if r["class"] == c) for c in "NA~"}
    assert {c: figures["classes"][c]["high"] for c in "NA~"} == high
    cells = figures["confusion"]
    assert cells["low_called_high"] == high["~"] and sum(cells.values()) == 18
    with files["r.csv"].open() as file:
        by_recording = {row["recording"]: row for row in csv.DictReader(file)}
    assert int(by_recording["challenge-2017/A0"]["high_called_high"]) == high["N"]
    assert set(figures["stretches"]) == {"5", "10", "30"}
    assert all(row["n"] == 4 for row in figures["robustness"].values())
    assert ET.parse(files["roc.svg"]).getroot().tag.endswith("svg")
    card = (model / "MODEL_CARD.md").read_text()
    assert "| class of the recording |" in card and "| changed in the signal |" in card


def test_kernels_are_told_and_asked(model: Path, labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.json"
    done = evaluate(model, labelled, "--kernels", "reference", "--json", out, "--resamples", 0)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["kernels"] == "reference"
