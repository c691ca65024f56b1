# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives without processes: plan, keys, results, spans, what is read and how it fails."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_module

from ecgqa_tflite.assess import assess
from ecgqa_tflite.bulk import archive, storage
from ecgqa_tflite.bulk.dask_engine import BATCH_ENTRIES, batches
from ecgqa_tflite.bulk.inventory import find
from ecgqa_tflite.bulk.merge import merge
from ecgqa_tflite.bulk.plan import ModelId, Options, Plan, Request, make_plan, part_of
from ecgqa_tflite.bulk.results import (
    decode,
    encode,
    read_aside,
    read_result,
    result_name,
    result_of,
)
from ecgqa_tflite.bulk.run import UNREAD_IN_A_ROW, run
from ecgqa_tflite.bulk.slurm import job_array
from ecgqa_tflite.bulk.storage import Folder, LocalFolder, folder
from ecgqa_tflite.bulk.work import Job, Outcome, Worker
from ecgqa_tflite.errors import ArgumentError, OutputExistsError, StorageError
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.recording import Recording, open_recording
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb

MODEL = "light_cnn_small"


def options(**changed: Any) -> Options:
    return Options(**({"model": ModelId.of(MODEL)} | changed))


def records(place: Path, n: int = 3, seconds: float = 21, fs_hz: float = 250) -> Path:
    """``n`` simulated records of different length and leads; the glob that names them."""
    for i in range(n):
        recording = simulate(seconds + 7 * i, fs_hz, seed=i, name=f"r{i}")
        both = np.hstack([recording.signal_mv, -recording.signal_mv])
        write_wfdb(Recording(f"r{i}", both, fs_hz, ("I", "II")), place)
    return place / "*.hea"


def settle(plan: Plan, out: Path | str) -> list[Outcome]:
    """Every entry in this process."""
    worker = Worker(Job(plan.options, str(out)))
    return [worker.settle(entry) for entry in plan.entries]


def results(plan: Plan, out: Folder) -> list[dict[str, Any] | None]:
    return [read_result(out, entry.key, plan.options.form) for entry in plan.entries]


# ---- plan -----------------------------------------------------------------------------------


def test_a_record_is_its_header_and_what_it_names(tmp_path: Path) -> None:
    records(tmp_path, 2)
    (tmp_path / "both.hea").write_text("both/2 2 250 10500\nr0 5250\nr0 5250\n")
    (tmp_path / "thief.hea").write_text("thief 1 250 10\n../other.dat 16 200 16 0 0 0 0 I\n")
    (tmp_path.parent / "other.dat").write_bytes(bytes(20))
    found = {Path(f.path).name: [file.name for file in f.files] for f in find([f"{tmp_path}/*"])}
    assert found == {
        "both.hea": ["both.hea", "r0.hea", "r0.dat"],
        "r1.hea": ["r1.hea", "r1.dat"],
        "thief.hea": ["thief.hea"],
    }
    assert [f.path for f in find([str(tmp_path / "r1")])] == [str(tmp_path / "r1.hea")]


def test_a_key_is_the_content_s(tmp_path: Path) -> None:
    plan = make_plan(Request((str(records(tmp_path / "a", 1)),)), options())
    (key,) = (entry.key for entry in plan.entries)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = make_plan(Request((f"{tmp_path}/b/*.hea",)), options())
    assert [entry.key for entry in moved.entries] == [key] and moved.hash != plan.hash

    signal = tmp_path / "a/r0.dat"
    signal.write_bytes(signal.read_bytes()[:-1] + b"\x07")  # the header is as it was
    others = [
        make_plan(plan.request, plan.options),
        make_plan(Request(plan.request.patterns, ("II",)), options()),
        make_plan(moved.request, options(hop_s=1.0)),
        make_plan(moved.request, options(form="parquet")),
        make_plan(moved.request, options(tool_version="0")),
        make_plan(moved.request, options(model=ModelId.of("light_cnn"))),
    ]
    keys = {other.entries[0].key for other in others}
    assert key not in keys and len(keys) == len(others)


def test_a_plan_is_frozen(tmp_path: Path) -> None:
    request = Request((str(records(tmp_path, 4)),), ("I", "II"))
    out = LocalFolder(tmp_path / "out")
    plan = archive.planned(out, request, options())
    write_wfdb(simulate(10, 250, name="late"), tmp_path)
    assert archive.planned(out, request, options()) == plan and plan.n_records == 8
    assert Plan.read(out) == plan
    with pytest.raises(OutputExistsError, match="another plan"):
        archive.planned(out, request, options(hop_s=1.0))
    assert archive.planned(out, request, options(), overwrite=True).n_records == 10
    parts = [plan.part(i, 3) for i in (1, 2, 3)]
    assert sorted(e.key for part in parts for e in part) == sorted(e.key for e in plan.entries)

    text = (tmp_path / "out/plan.json").read_text()
    (tmp_path / "out/plan.json").write_text(text.replace('"first": 0', '"first": 1', 1))
    with pytest.raises(ArgumentError, match="by hand"):
        Plan.read(out)
    (tmp_path / "out/plan.json").write_text(text[:-200])
    with pytest.raises(ArgumentError, match="damaged"):
        Plan.read(out)


@pytest.mark.parametrize("text", ["0/3", "4/3", "x", "1/0", "1-3"])
def test_no_such_part(text: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="give"):
        Plan(Request(()), options(), ()).part(*part_of(text))


def test_a_glob_that_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no file"):
        find([f"{tmp_path}/*.hea"])
    with pytest.raises(ArgumentError, match=r"\*\*/\*.hea"):
        find([str(tmp_path)])


def test_batches_hold_every_entry_once(tmp_path: Path) -> None:
    entry = make_plan(Request((str(records(tmp_path, 1)),)), options()).entries[0]
    big = replace(entry, files=(replace(entry.files[0], size=10**9),))
    entries = [entry] * (2 * BATCH_ENTRIES + 1) + [big, entry, big]
    found = batches(entries)
    assert [e for batch in found for e in batch] == entries
    assert [len(batch) for batch in found] == [BATCH_ENTRIES, BATCH_ENTRIES, 1, 1, 1, 1]


# ---- results --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_result_is_what_assess_says(form: Any, tmp_path: Path) -> None:
    if form == "parquet":
        require_module("pyarrow")
    plan = make_plan(Request((str(records(tmp_path, 2)),), ("II",)), options(form=form))
    out = LocalFolder(tmp_path / "out")
    assert [o.kind for o in settle(plan, out.url)] == ["done", "done"]
    assert [o.kind for o in settle(plan, out.url)] == ["kept", "kept"]
    model = open_model(MODEL)
    for entry, result in zip(plan.entries, results(plan, out), strict=True):
        lead = open_recording(entry.path).recording("II")
        assert result == result_of(entry.key, lead, model, assess(lead, model))

    name = result_name(plan.entries[0].key, form)
    content = (tmp_path / "out" / name).read_bytes()
    assert encode(decode(content, form) or {}, form) == content
    for at in (0, 5, 30, len(content) // 2, len(content) - 1, *range(90, len(content), 97)):
        changed = bytearray(content)
        changed[at] ^= 0x10
        read = decode(bytes(changed), form)
        assert read is None or read == decode(content, form), at
        assert decode(content[:at], form) is None
    (tmp_path / "out" / name).write_bytes(content[:-5])
    assert [o.kind for o in settle(plan, out.url)] == ["done", "kept"]
    assert (tmp_path / "out" / name).read_bytes() == content


@pytest.mark.parametrize("fs_hz, hop_s", [(250, None), (250, 1.7), (130.5, None), (200, 7.0)])
def test_spans_join_without_a_seam(fs_hz: float, hop_s: float | None, tmp_path: Path) -> None:
    """Also where the rate has to be changed, segments overlap or lie apart."""
    require_module("pyarrow")
    glob = str(records(tmp_path, 2, 95, fs_hz))
    merged = []
    for hours in (None, 30 / 3600):
        plan = make_plan(Request((glob,), span_hours=hours), options(hop_s=hop_s))
        out = LocalFolder(tmp_path / f"out-{hours}")
        settle(plan, out.url)
        n_rows = merge(plan, out, out.path / "merged")
        merged.append((n_rows, (out.path / "merged/part-00000.parquet").read_bytes()))
        decisions = [row for r in results(plan, out) if r for row in r["decisions"]]
    assert len(plan.entries) == 6 and plan.n_records == 2
    assert merged[0] == merged[1]
    model, one_pass = open_model(MODEL), []
    for path in (tmp_path / "r0", tmp_path / "r1"):
        lead = open_recording(path).recording(None)
        one_pass += result_of("", lead, model, assess(lead, model, hop_s=hop_s))["decisions"]
    assert decisions == one_pass


def test_files_that_changed_or_went_are_not_set_aside(tmp_path: Path) -> None:
    plan = make_plan(Request((str(records(tmp_path, 3)),)), options())
    (tmp_path / "r0.dat").rename(tmp_path / "elsewhere")
    whole = (tmp_path / "r1.dat").read_bytes()
    (tmp_path / "r1.dat").write_bytes(whole[:-2])
    out = tmp_path / "out"
    came = settle(plan, out)
    assert [o.kind for o in came] == ["unread", "unread", "done"]
    assert "No such file" in came[0].reason and "not the file" in came[1].reason
    (tmp_path / "elsewhere").rename(tmp_path / "r0.dat")
    (tmp_path / "r1.dat").write_bytes(whole)
    assert [o.kind for o in settle(plan, out)] == ["done", "done", "kept"]


def test_what_cannot_be_assessed_is_set_aside(tmp_path: Path) -> None:
    records(tmp_path, 1)
    (tmp_path / "bad.hea").write_text("bad 1 250\n")
    plan = make_plan(Request((f"{tmp_path}/*.hea",), ("II", "V9")), options())
    out = LocalFolder(tmp_path / "out")
    came = settle(plan, out.url)
    assert [o.kind for o in came] == ["aside", "aside", "done", "aside"]
    assert came[3].reason == "r0 has no lead 'V9': choose among I, II"
    assert str(tmp_path) not in came[0].reason
    assert [o.kind for o in settle(plan, out.url)] == ["aside", "aside", "kept", "aside"]
    assert read_aside(out, plan.entries[0].key) == came[0].reason

    summary = archive.finish(plan, out)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/aside.csv").read_text())))
    assert [Path(row["record"]).name for row in rows] == ["bad.hea", "bad.hea", "r0.hea"]
    assert summary.n_records == 1 and len(summary.set_aside) == 3
    archive.retry_aside(out, plan.entries)
    assert read_aside(out, plan.entries[0].key) is None


def test_another_version_or_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="install the same"):
        Worker(Job(options(tool_version="0.0.1"), str(tmp_path)))
    other = replace(ModelId.of(MODEL), tflite_sha256="0" * 64)
    with pytest.raises(ArgumentError, match="not the model"):
        Worker(Job(options(model=other), str(tmp_path)))


# ---- run, merge, summary --------------------------------------------------------------------


def test_a_run_stops_where_nothing_can_be_read(tmp_path: Path) -> None:
    entry = make_plan(Request((str(records(tmp_path, 1)),)), options()).entries[0]

    def came(n: int, between: Sequence[Outcome] = ()) -> list[Outcome]:
        return [Outcome(entry, "unread", "gone")] * n + list(between)

    with pytest.raises(StorageError, match="gone"):
        run(came(UNREAD_IN_A_ROW))
    some = [*came(UNREAD_IN_A_ROW - 1, [Outcome(entry, "done", "", 7200.0, 2.0)]), *came(3)]
    so_far = run(some)
    assert so_far.n == {"done": 1, "kept": 0, "aside": 0, "unread": UNREAD_IN_A_ROW + 2}
    assert so_far.recorded_s == 7200 and so_far.slowest[0].took_s == 2


def test_a_merge_wants_everything_or_is_told(tmp_path: Path) -> None:
    require_module("pyarrow")
    plan = make_plan(Request((str(records(tmp_path, 3)),)), options())
    out = LocalFolder(tmp_path / "out")
    settle(replace(plan, entries=plan.entries[:2]), out.url)
    with pytest.raises(ArgumentError, match="--partial"):
        merge(plan, out, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    assert merge(plan, out, tmp_path / "merged", partial=True) == 4 + 5
    with pytest.raises(OutputExistsError):
        merge(plan, out, tmp_path / "merged", partial=True)


def test_hours_usable_per_patient_per_day_in_three_lines(tmp_path: Path) -> None:
    require_module("pyarrow")
    require_module("duckdb")
    for patient, day in (("p1", 1), ("p1", 2), ("p2", 1)):
        place = tmp_path / "ecg" / patient
        write_wfdb(simulate(60, 250, seed=day, name=f"d{day}"), place)
        header = place / f"d{day}.hea"
        first, rest = header.read_text().split("\n", 1)
        header.write_text(f"{first} 23:59:30 0{day}/03/2026\n{rest}")
    plan = make_plan(Request((f"{tmp_path}/ecg/*/*.hea",)), options())
    out = LocalFolder(tmp_path / "out")
    settle(plan, out.url)
    merge(plan, out, out.path / "merged")
    import duckdb

    rows = duckdb.sql(f"""
        SELECT split_part(record, '/', -2) AS patient, time::DATE AS day,
               sum(end_s - start_s) FILTER (quality = 'high') / 3600 AS usable_hours
        FROM '{out.path}/merged/*.parquet' GROUP BY ALL ORDER BY ALL
    """).fetchall()
    assert [(p, f"{d:%d}") for p, d, _ in rows] == [
        ("p1", "01"), ("p1", "02"), ("p1", "03"), ("p2", "01"), ("p2", "02"),
    ]  # fmt: skip
    high = {(p, f"{d:%d}"): h for p, d, h in rows}
    assert high["p1", "01"] == pytest.approx(30 / 3600)  # clean, to midnight

    import pandas as pd

    table = pd.read_parquet(out.path / "merged")
    patient = table.record.str.split("/").str[-2].rename("patient")
    usable = table[table.quality == "high"].groupby([patient, table.time.dt.date]).size() * 5 / 3600
    assert usable["p1"].iloc[0] == pytest.approx(30 / 3600)


def test_the_summary_and_its_pages(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    recording = simulate(4000, 128, name="long")
    flat = recording.signal_mv.copy()
    flat[1000 * 128 :] = 0
    np.save(tmp_path / f"{hostile.replace('/', '')}.npy", flat[:, 0])
    np.save(tmp_path / "good.npy", recording.signal_mv[:, 0])
    from ecgqa_tflite.recording.file import ReadOptions

    plan = make_plan(Request((f"{tmp_path}/*.npy",)), options(read=ReadOptions(fs_hz=128.0)))
    out = LocalFolder(tmp_path / "out")
    last = run(Worker(Job(plan.options, out.url)).settle(entry) for entry in plan.entries)
    summary = archive.finish(plan, out, last)
    assert summary.hours == pytest.approx(8000 / 3600) and summary.whole.n == 1600
    assert summary.by_reason["flat"] == 600
    assert [line.n for line in summary.worst] == [800, 800]
    assert summary.worst[0].usable < 0.3 < summary.worst[1].usable
    ((kind, hours),) = summary.by_hour.items()
    assert kind == "hour of the recording" and {h: s.n for h, s in hours.items()} == {
        0: 1440,
        1: 160,
    }
    index = (tmp_path / "out/index.html").read_text()
    assert "<script>alert" not in index and "&lt;script&gt;" in index and "Slowest" in index
    for entry in plan.entries:
        page = tmp_path / "out/pages" / entry.key[:2] / f"{entry.key}.html"
        assert f"pages/{entry.key[:2]}/{entry.key}.html" in index
        assert "<script>alert" not in page.read_text() and "<rect" in page.read_text()
        assert result_name(entry.key, "json") in page.read_text()


def test_json_needs_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pyarrow.parquet", "fsspec", "distributed", "dask"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    plan = make_plan(Request((str(records(tmp_path, 1)),)), options())
    out = LocalFolder(tmp_path / "out")
    assert settle(plan, out.url)[0].kind == "done"
    assert archive.finish(plan, out).n_records == 1
    (file,) = (tmp_path / "out/results").glob("*/*.json")
    assert json.loads(file.read_text())["n_segments"] == 4


def test_a_job_array_names_its_parts() -> None:
    script = job_array("/data/my out", 64, cpus=2, memory_gb=8)
    assert script.startswith("#!/bin/bash\n#SBATCH")
    assert "--array=1-64" in script and '"$SLURM_ARRAY_TASK_ID/64"' in script
    assert "'/data/my out'" in script and "--memory 3" in script


# ---- storage --------------------------------------------------------------------------------


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A real file system says no: files of this process may not grow so far."""
    import resource

    plan = make_plan(Request((str(records(tmp_path, 1)),)), options())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            settle(plan, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert settle(plan, tmp_path / "out")[0].kind == "done"


def test_a_store_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSES_S", (0.0, 0.0))
    asked = []

    def ask() -> str:
        asked.append(1)
        if len(asked) < 3:
            raise TimeoutError("slow")
        return "there"

    assert storage.persistently("s3://x", ask) == "there" and len(asked) == 3
    with pytest.raises(StorageError, match="s3://x: slow"):
        storage.persistently("s3://x", lambda: (_ for _ in ()).throw(TimeoutError("slow")))


def test_any_store_of_fsspec_will_do(tmp_path: Path) -> None:
    require_module("fsspec")
    import fsspec

    records(tmp_path, 2)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/ecg", recursive=True)
    plan = make_plan(Request(("memory://ecg/*.hea",)), options())
    assert [[f.name for f in e.files] for e in plan.entries] == [
        ["r0.hea", "r0.dat"],
        ["r1.hea", "r1.dat"],
    ]
    out = folder("memory://out")
    plan.write(out)
    assert Plan.read(out) == plan
    assert [o.kind for o in settle(plan, "memory://out")] == ["done", "done"]
    local = make_plan(Request((f"{tmp_path}/*.hea",)), options())
    settle(local, tmp_path / "local")
    here, there = results(local, LocalFolder(tmp_path / "local")), results(plan, out)
    assert [{**r, "key": ""} for r in here if r] == [{**r, "key": ""} for r in there if r]
    archive.finish(plan, out)
    assert out.read("index.html")
    memory.rm("/ecg", recursive=True)
    memory.rm("/out", recursive=True)
