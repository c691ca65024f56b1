# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa assess`` and ``ecgqa scalogram`` as a user types them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import require_module

from ecgqa_tflite import cli
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate_demo
from ecgqa_tflite.recording.wfdb_writer import write_wfdb


def ecgqa(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture
def assess(small_model: ModelFolder, demo_record: Path):  # type: ignore[no-untyped-def]
    """Run ``ecgqa assess`` on the demo recording, or on the record named first."""

    def run(*arguments: object, record: object = demo_record) -> Result:
        return ecgqa("assess", record, "--model", small_model.path, *arguments)

    return run


def write(folder: Path, name: str, signal_mv: np.ndarray, fs_hz: float = 250.0) -> Path:
    signal_mv = np.asarray(signal_mv, np.float32)
    leads = tuple(f"L{i}" for i in range(signal_mv.shape[1]))
    return write_wfdb(Recording(name, signal_mv, fs_hz, leads), folder).with_suffix("")


def only_lead(done: Result) -> dict[str, Any]:
    """The one lead of the one recording in the JSON on standard output."""
    (record,) = json.loads(done.stdout)["records"]
    (lead,) = record["leads"]
    return dict(lead)


def error_line(done: Result) -> str:
    """The one line that a user sees; nothing of it is a traceback."""
    assert done.exit_code == 1, done.output
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: "), done.stderr
    return lines[0]


def test_table_files_and_picture(assess, tmp_path: Path, small_model: ModelFolder) -> None:  # type: ignore[no-untyped-def]
    require_module("matplotlib")
    names = {n: tmp_path / f"out.{n}" for n in ("json", "csv", "png")}
    done = assess(
        "--json", names["json"], "--csv", names["csv"], "--picture", names["png"], "--threads", 2
    )
    assert done.exit_code == 0, done.output
    assert "of 18 segments of 5 s" in done.stdout and "low (gap)" in done.stdout
    for path in names.values():
        assert f"Written: {path}" in done.stdout and path.stat().st_size
    what = json.loads(names["json"].read_text())
    assert {k: what[k] for k in ("format", "model", "spec_hash", "failed", "hop_s")} == {
        "format": 2, "model": "tiny", "spec_hash": small_model.spec.hash, "failed": [],
        "hop_s": None,
    }  # fmt: skip
    assert 0 < what["threshold"] < 1
    (record,) = what["records"]
    (lead,) = record["leads"]
    assert (record["record"], lead["lead"], lead["fs_hz"]) == ("demo", "ECG", 250.0)
    assert [d["start_s"] for d in lead["decisions"]] == list(range(0, 90, 5))
    assert [d["reason"] for d in lead["decisions"]].count("gap") == 1
    with names["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("start_s", "end_s", "score", "span_start_s", "span_end_s")
    for row, decision in zip(rows, lead["decisions"], strict=True):
        got = {**row, **{k: float(row[k]) for k in numbers}, "time": row["time"] or None}
        assert got == {"record": "demo", "lead": "ECG", **decision}


def test_json_on_standard_output_is_nothing_but_json(assess) -> None:  # type: ignore[no-untyped-def]
    done = assess("--json", "-", "--hop", 2.5)
    what = only_lead(done)
    assert what["n_segments"] == 35 and "segments of 5 s" in done.stderr
    assert only_lead(assess("--json", "-", "--hop", 2.5, "--threads", 3)) == what
    spans = [(d["span_start_s"], d["span_end_s"]) for d in what["decisions"]]
    assert spans[:3] == [(0, 3.75), (3.75, 6.25), (6.25, 8.75)]


def test_a_page(assess, tmp_path: Path, small_model: ModelFolder) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "day.html"
    done = assess("--html", page, "--hop", 2.5)
    assert done.exit_code == 0, done.output
    assert f"Written: {page}" in done.stdout
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n")
    assert f"model {small_model.name}" in text and "<h1>demo</h1>" in text
    assert 50_000 < len(text) < 300_000
    assert "exists already" in error_line(assess("--html", page))
    assert assess("--html", page, "--full", "--overwrite").exit_code == 0
    alone = assess("--full")
    assert alone.exit_code == 2 and "--html FILE" in alone.stderr


def test_existing_outputs_stay_as_they_are(assess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out, new = tmp_path / "out.json", tmp_path / "new.csv"
    out.write_text("mine")
    assert "exists already" in error_line(assess("--json", out, "--csv", new))
    assert out.read_text() == "mine" and not new.exists()
    assert assess("--json", out, "--overwrite").exit_code == 0
    assert json.loads(out.read_text())


def test_bad_input_is_one_line_and_leaves_nothing(assess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    two_leads = write(tmp_path, "two", np.random.default_rng(0).normal(size=(2500, 2)))
    short = write(tmp_path, "short", np.zeros((1249, 1)))
    slow = write(tmp_path, "slow", np.zeros((2500, 1)), 50)
    corrupt = write(tmp_path, "corrupt", np.zeros((2500, 1)))
    corrupt.with_suffix(".dat").write_bytes(b"x")
    before = set(tmp_path.iterdir())
    out = ("--json", tmp_path / "out.json", "--picture", tmp_path / "out.png")
    for record, more, says in (
        (tmp_path / "none", (), "none"),
        (corrupt, (), "corrupt"),
        (short, (), "shorter than one segment"),
        (slow, (), "too low"),
        (two_leads, ("--lead", "V7"), "no lead 'V7': choose among L0, L1"),
        (two_leads, ("--hop", "-1"), "hop -1"),
        (two_leads, ("--hop", "nan"), "hop nan"),
        (two_leads, ("--from", "11"), "nothing to draw from 11 s"),
        (two_leads, ("--model", tmp_path / "nomodel"), "no such model"),
    ):
        assert says in error_line(assess(*out, *more, record=record)), says
        extra = set(tmp_path.iterdir()) - before
        assert extra <= {tmp_path / "out.json"}, extra
        (tmp_path / "out.json").unlink(missing_ok=True)
    assert "ends in .png or .pdf" in error_line(assess("--picture", tmp_path / "out.jpg"))
    same = ("--json", tmp_path / "x.y", "--csv", tmp_path / "x.y")
    assert "the same name" in error_line(assess(*same))


def test_missing_and_flat_signals_are_low_with_the_reason(assess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    signal = np.zeros((2500, 1))
    signal[1300, 0] = np.nan
    done = assess("--json", "-", record=write(tmp_path, "off", signal))
    decisions = only_lead(done)["decisions"]
    assert [(d["quality"], d["score"], d["reason"]) for d in decisions] == [
        ("low", 0, "flat"), ("low", 0, "gap"),
    ]  # fmt: skip
    assert "0% high quality" in done.stderr


def test_a_base_install_gets_the_table_and_learns_how_to_get_pictures(
    assess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:  # fmt: skip
    for name in [n for n in sys.modules if n.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = assess("--picture", tmp_path / "out.png")
    assert "of 18 segments" in done.stdout
    assert "pip install '.[train]'" in error_line(done)
    assert not list(tmp_path.iterdir())


def test_many_runs_are_cut_short(assess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    signal = np.zeros((1250 * 100, 1))
    signal[0 :: 2 * 1250] = np.nan
    done = assess(record=write(tmp_path, "long", signal))
    assert "60 more: --csv FILE has all" in done.stdout
    assert len(done.stdout.splitlines()) < 60


def test_the_shipped_model_tells_clean_from_disturbed(tmp_path: Path) -> None:
    """On the demo: clean segments high; lead off, muscle noise and the gap low."""
    recording = simulate_demo()
    write_wfdb(recording, tmp_path)
    done = ecgqa("assess", tmp_path / "demo", "--json", "-")
    decisions = only_lead(done)["decisions"]
    disturbed = recording.disturbed_seconds
    for d in decisions:
        start, end = int(d["start_s"]), int(d["end_s"])
        if not disturbed[start:end].any():
            assert d["quality"] == "high", d
    low = {d["start_s"] for d in decisions if d["quality"] == "low"}
    assert {40, 45, 65, 80} <= low


def test_real_recordings(assess, shared_data) -> None:  # type: ignore[no-untyped-def]
    mitdb, challenge = shared_data("mitdb"), shared_data("challenge-2017")
    for record, n in ((mitdb / "104", 361), (challenge / "training2017" / "A00005", 12)):
        what = only_lead(assess("--json", "-", record=record))
        assert what["n_segments"] == len(what["decisions"]) == n


# ---- scalogram -----------------------------------------------------------------------------


def test_scalogram(demo_record: Path, tmp_path: Path, small_model: ModelFolder) -> None:
    require_module("matplotlib")
    for name, front_end in (("a.png", "wearable"), ("b.png", "seed"), ("c.pdf", small_model.path)):
        out = tmp_path / name
        done = ecgqa("scalogram", demo_record, "--at", 85, "-o", out, "--front-end", front_end)
        assert done.exit_code == 0, done.output
        assert out.stat().st_size > 5000
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_scalogram_of_a_flat_signal_says_so(tmp_path: Path) -> None:
    require_module("matplotlib")
    record, out = write(tmp_path, "flat", np.ones((1250, 1))), tmp_path / "a.svg"
    assert ecgqa("scalogram", record, "--at", 0, "-o", out).exit_code == 0


def test_scalogram_of_bad_input(demo_record: Path, tmp_path: Path) -> None:
    def run(*more: object, at: object = 0, out: str = "a.png") -> str:
        line = error_line(ecgqa("scalogram", demo_record, "--at", at, "-o", tmp_path / out, *more))
        assert not [p for p in tmp_path.iterdir() if p.name != "mine.png"]
        return line

    assert "--at must be 0 to 85" in run(at=85.1)
    assert "--at must be 0 to 85" in run(at=-1)
    assert "--at must be" in run(at="nan")
    assert "misses samples between 78 and 83 s" in run(at=78)
    assert "choose among ECG" in run("--lead", "II")
    assert "no such model" in run("--front-end", "nonesuch")
    assert "ends in" in run(out="a.bmp")
    (tmp_path / "mine.png").write_bytes(b"mine")
    assert "exists already" in run(out="mine.png")


def test_a_leads_name_does_not_steer_the_screen(tmp_path: Path) -> None:
    header = write_wfdb(simulate_demo(seed=3, fs_hz=250.0), tmp_path)
    lines = header.read_text().splitlines()
    lines[1] = " ".join(lines[1].split(" ")[:8]) + " \x1b[31mRED\x1b]0;own\x07[bold]"
    header.write_text("\n".join(lines) + "\n")
    said = CliRunner().invoke(cli.main, ["assess", str(header)])
    assert said.exit_code == 0, said.output
    assert "\x1b" not in said.output and "\x07" not in said.output
    assert "RED" in said.output and "[bold]" in said.output


def test_annotations_by_their_names(assess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    require_module("edfio")
    for name, more in (("demo.qa", ()), ("demo.edf", ()), ("demo.tsv", ("demo.json",))):
        done = assess("--annotations", tmp_path / name)
        assert done.exit_code == 0, done.output
        assert all((tmp_path / n).stat().st_size for n in (name, *more))
    done = assess("--annotations", tmp_path / "demo.tsv")
    assert done.exit_code == 1 and "exists already" in done.stderr
    done = assess("--annotations", tmp_path / "demo.1")
    assert done.exit_code == 1 and "RECORD.ANNOTATOR" in done.stderr


def test_parquet(assess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    require_module("pyarrow")
    done = assess("--parquet", tmp_path / "demo.parquet", "--runs")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "demo.parquet").read_bytes()[:4] == b"PAR1"
