# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa evaluate`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_model
from click.testing import CliRunner, Result

from ecgqa_tflite.cli.evaluate import command
from ecgqa_tflite.datasets.balanced import Composition
from ecgqa_tflite.evaluation.figures import FIGURES
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.training.recipe import Recipe

METRICS = {
    "training": {"epochs": [], "segments": {}, "parameters": 10_194, "tflite_bytes": 1},
    "validation": {
        "segments": {},
        "float": {key: {"value": 0.5, "low": None, "high": None} for key in FIGURES}
        | {"n": {"high": 1, "low": 1}},
        "int8": {key: {"value": None, "low": None, "high": None} for key in FIGURES}
        | {"n": {"high": 1, "low": 1}},
        "flips": {"flipped": 0, "share": 0.0, "to_high": 0, "to_low": 0},
    },
    "external": {},
}
RECIPE = Recipe(alpha=0.125, composition=Composition(n_train=2, n_validation=2)).to_dict()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.folder(tmp_path / "models", metrics=METRICS, recipe=RECIPE).path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four simulated recordings in challenge-2017's layout."""
    root = tmp_path_factory.mktemp("set")
    for i, fs_hz in enumerate((250.0, 250.0, 300.0, 300.0)):
        write_wfdb(simulate(21, fs_hz, seed=i, name=f"A{i}"), root / "training2017")
    reference = "A0,N\nA1,~\nA2,O\nA3,~\n"
    (root / "training2017" / "REFERENCE.csv").write_text(reference)
    (root / "graded.csv").write_text(
        "record,start_s,label_v3,read_1,read_2\nA0,0,N,A,A\nA1,5,~,C,C\nA2,10,O,B,B\nA3,0,~,A,B\n"
    )
    return root


@pytest.fixture(scope="module")
def challenge_2017(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings named and sampled as challenge-2017's."""
    root = tmp_path_factory.mktemp("public")
    for i, name in enumerate(("A00004", "A08528")):
        write_wfdb(simulate(11, 300.0, seed=i, name=name), root)
    (root / "REFERENCE.csv").write_text("A00004,N\nA08528,~\n")
    return root


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def no_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is refused before the work."""
    monkeypatch.setattr(
        "ecgqa_tflite.evaluation.job.int8_scores", lambda *_, **__: pytest.fail("has scored")
    )


def test_figures_by_class_with_intervals(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = evaluate(
        model, data, "--json", out, "--float", "--adjudicated", data / "graded.csv",
        "--resamples", 50,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    figures = json.loads(out.read_text())
    for table in (figures, figures["float"], figures["graded"]):
        assert all(set(table[name]) == {"value", "low", "high"} for name in FIGURES)
    assert figures["n"] == {"high": 8, "low": 8} and figures["groups"] == 4
    assert figures["graded"]["n"] == {"high": 1, "low": 1}
    assert figures["flips"]["flipped"] <= 2
    assert figures["float"]["bacc"]["value"] == pytest.approx(figures["bacc"]["value"], abs=0.2)
    assert "flip from float to int8" in done.output and "BAcc" in done.output

    assert evaluate(model, data, "--json", out).exit_code == 1
    before = out.read_bytes()
    assert evaluate(model, tmp_path, "--json", out, "--overwrite").exit_code == 1
    assert out.read_bytes() == before


def test_a_result_is_noted_in_the_model_and_its_card(model: Path, data: Path) -> None:
    done = evaluate(model, data, "--record", "--resamples", 20)
    assert done.exit_code == 0, done.output
    noted = open_model(model)
    result = noted.metrics["external"][data.name]
    assert result["n"] == {"high": 8, "low": 8} and result["set"] == data.name
    card = (model / "MODEL_CARD.md").read_text()
    assert f"External test: {data.name}" in card
    assert "Whether the model had seen any of it is not known here." in card


def test_a_public_set_is_told_by_its_recordings(model: Path, challenge_2017: Path) -> None:
    done = evaluate(model, challenge_2017, "--record", "--resamples", 5)
    assert done.exit_code == 0, done.output
    assert list(open_model(model).metrics["external"]) == ["challenge-2017"]
    card = (model / "MODEL_CARD.md").read_text()
    assert "Nothing of it trained, calibrated or stopped anything." in card


def test_a_set_that_trained_the_model_is_not_recorded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "quality"
    for name in ("1002603", "2597810"):
        ten_seconds = simulate(10, 500.0, seed=int(name), name=name)
        write_wfdb(Recording(name, ten_seconds.signal_mv, 500.0, ("I",)), data)
    (data / "LEADS.csv").write_text("record,lead,quality\n1002603,I,good\n2597810,I,bad\n")
    with monkeypatch.context() as patched:
        no_scoring(patched)
        done = evaluate(model, data, "--record")
    assert done.exit_code == 1 and "made with recordings of challenge-2011" in done.stderr
    assert evaluate(model, data, "--resamples", 5).exit_code == 0


def test_a_set_that_calibrated_the_model_is_not_recorded(
    tmp_path: Path, challenge_2017: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_scoring(monkeypatch)
    model = tiny_model.folder(tmp_path, calibration_ids=["training2017/A00004/ECG@5.00"])
    done = evaluate(model.path, challenge_2017, "--record")
    assert done.exit_code == 1 and "made with recordings of challenge-2017" in done.stderr


def test_a_model_is_recorded_in_from_inside(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "notes" / "mine").mkdir(parents=True)
    (model / "notes" / "mine" / "kept.txt").write_text("kept")
    monkeypatch.chdir(model)
    done = evaluate(".", data, "--record", "--resamples", 5)
    assert done.exit_code == 0, done.output
    assert data.name in open_model(model).metrics["external"]
    assert (model / "notes" / "mine" / "kept.txt").read_text() == "kept"
    assert "notes/mine/kept.txt" in (model / "SHA256SUMS").read_text()


def test_what_can_not_be_recorded_is_refused_first(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_scoring(monkeypatch)
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != model.parent)
    done = evaluate(model, data, "--record")
    assert done.exit_code == 1 and "can't be written" in done.stderr


def test_a_shipped_model_stays_as_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_scoring(monkeypatch)
    done = evaluate("light_cnn_small", data, "--record")
    assert done.exit_code == 1 and "ships with the package" in done.stderr


def test_a_folder_of_several_labelled_ones_is_refused(model: Path, tmp_path: Path) -> None:
    for name, marker in (("one", "REFERENCE.csv"), ("two", "LEADS.csv")):
        (tmp_path / "sets" / name).mkdir(parents=True)
        (tmp_path / "sets" / name / marker).touch()
    done = evaluate(model, tmp_path / "sets")
    assert done.exit_code == 1 and "several labelled folders: one, two" in done.stderr


def test_the_helps_sequence_keeps_what_was_recorded(
    model: Path, data: Path, tmp_path: Path
) -> None:
    sheet, few = tmp_path / "errors.csv", ("--resamples", 5)
    graded = ("--adjudicated", data / "graded.csv")
    done = evaluate(model, data, "--float", *graded, "--errors", sheet, "--record", *few)
    assert done.exit_code == 0, done.output
    sheet.write_text(sheet.read_text().replace(",,,,", ",A,jump,me,now"))
    for more in (("--graded-errors", sheet), ("--float",)):
        done = evaluate(model, data, *more, "--record", *few)
        assert done.exit_code == 0, done.output
    noted = open_model(model).metrics["external"][data.name]
    assert {"graded", "float", "flips", "failures"} <= set(noted)
    assert "graded" in noted["float"]


def test_errors_are_drawn_read_and_noted(model: Path, data: Path, tmp_path: Path) -> None:
    sheet, gallery = tmp_path / "errors.csv", tmp_path / "errors.html"
    done = evaluate(
        model, data, "--errors", sheet, "--gallery", gallery, "--sample", 6, "--resamples", 5
    )
    assert done.exit_code == 0, done.output
    header, *rows = sheet.read_text().splitlines()
    assert header == "id,label,score,grade,kind,reader,date" and rows
    assert gallery.read_text().count("<img") >= len(rows)
    assert not list(tmp_path.glob(".*"))

    unread = evaluate(model, data, "--graded-errors", sheet, "--sample", 6, "--record")
    assert unread.exit_code == 1 and "have no grade and kind" in unread.stderr
    assert evaluate(model, data, "--errors", sheet).exit_code == 1  # exists

    first = rows[0].removesuffix(",,,,")
    sheet.write_text("\n".join([header, *(row.replace(",,,,", ",A,jump,me,now") for row in rows)]))
    done = evaluate(
        model, data, "--graded-errors", sheet, "--sample", 6, "--record", "--resamples", 5
    )
    assert done.exit_code == 0, done.output
    read = open_model(model).metrics["external"][data.name]["failures"]
    assert sum(read[way]["read"] for way in ("low_called_high", "high_called_low")) == len(rows)
    assert f"## Errors looked at: {data.name}" in (model / "MODEL_CARD.md").read_text()
    kept = model / f"{data.name}-failures.csv"
    assert f"{first},A,jump,me,now" in kept.read_text()

    # for another model what was read is filled in, and no more is asked for
    done = evaluate(
        model, data, "--errors", tmp_path / "next.csv", "--graded-errors", kept,
        "--resamples", 5, "--json", tmp_path / "figures.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"{first},A,jump,me,now" in (tmp_path / "next.csv").read_text()
    assert "failures" not in json.loads((tmp_path / "figures.json").read_text())


def test_a_model_is_no_better_than_itself(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = evaluate(
        model, data, "--compare", model, "--json", out, "--resamples", 20,
        "--adjudicated", data / "graded.csv",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    difference = json.loads(out.read_text())["difference"]
    assert difference["auc"] == {"value": 0, "low": 0, "high": 0}
    assert difference["graded"]["bacc"]["value"] == 0 and difference["flips"]["flipped"] == 0
    assert "tiny less tiny" in done.output and "+0.000 (+0.000 to +0.000)" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none", "."], "no such model"),
        (["MODEL", "nowhere"], "not a folder"),
        (["MODEL", "."], "no labels that are understood"),
        (["MODEL", "DATA", "--adjudicated", "missing.csv"], "missing.csv"),
        (["MODEL", "DATA", "--graded-errors", "missing.csv"], "missing.csv"),
        (["MODEL", "DATA", "--gallery", "errors.gif"], ".png or .html"),
        (["MODEL", "DATA", "--compare", "none"], "no such model"),
    ],
)
def test_what_is_wrong_is_one_line(
    model: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [{"MODEL": str(model), "DATA": str(data)}.get(a, a) for a in arguments]
    done = evaluate(*given)
    assert done.exit_code == 1
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("option", [("--threads", 0), ("--resamples", -1), ("--sample", 1)])
def test_a_count_out_of_range_is_refused(model: Path, data: Path, option: tuple[str, int]) -> None:
    assert evaluate(model, data, *option).exit_code == 2


def test_help_has_examples() -> None:
    assert "Examples:" in evaluate("--help").output
