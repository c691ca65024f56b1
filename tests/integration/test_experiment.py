# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Experiments: runs that resume, folders that don't mix, figures merged, tables drawn from JSON."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_module
from synthetic_leads import write_training_sets

from ecgqa_tflite.datasets.balanced import Composition
from ecgqa_tflite.datasets.challenge2017 import read_graded
from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.evaluation.models import int8_scores as scores_of_segments
from ecgqa_tflite.experiment import design, merge, runs, tables
from ecgqa_tflite.experiment import run as experiment_run
from ecgqa_tflite.experiment.external import ExternalTest, int8_scores, read_test
from ecgqa_tflite.experiment.pictures import front
from ecgqa_tflite.experiment.report import keep_design, write_report
from ecgqa_tflite.experiment.rival import keep_differences, read_differences
from ecgqa_tflite.experiment.run import Session, retime, run
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.spec import FrontEnd, Quality
from ecgqa_tflite.training.images import index_maps
from ecgqa_tflite.training.recipe import Recipe
from ecgqa_tflite.training.run import THRESHOLD

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SPEC = FrontEnd(rows=77, cols=77, colormap="grey")
RECIPE = Recipe(
    alpha=0.0625,
    epochs=2,
    batch=16,
    learning_rate=5e-3,
    warmup_steps=2,
    n_calibration=8,
    composition=Composition(n_train=48, n_validation=16, validation_share=0.3),
)


def tiny(**changes: Any) -> design.Experiment:
    """Table 2 in seconds: Light-CNN from scratch twice, and a forest."""
    made = design.table2(SPEC, {design.BASE: replace(RECIPE, **changes)}, repeats=2)
    return replace(
        made,
        rows=made.rows[:1],
        baselines=(design.BaselineRow("random_forest", (0,)),),
        reference_front_end=("light_scratch",),
        trained_quantisation=("light_scratch",),
        quick=True,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_training_sets(root)
    for i in range(6):
        write_wfdb(simulate(16 + 5 * (i % 2), 250.0, seed=i, name=f"A{i}"), root / "external")
    labels = "".join(f"A{i},{'N~'[i % 2]}\n" for i in range(6))
    (root / "external" / "REFERENCE.csv").write_text(labels)
    (root / "graded.csv").write_text(
        "record,start_s,label_v3,read_1,read_2\nA0,0,N,A,A\nA1,5,~,C,C\nA2,10,N,B,B\nA3,0,~,A,B\n"
    )
    return root


@pytest.fixture(scope="module")
def external(data: Path) -> ExternalTest:
    return read_test(data / "external", SPEC, read_graded(data / "graded.csv"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class KilledError(Exception):
    pass


class Tell:
    """Notes what is told, and dies where asked."""

    def __init__(self, what: str = "", at: int = -1) -> None:
        self.what, self.at = what, at
        self.heard: list[tuple[str, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        self.heard.append((what, done))
        if self.what and what.startswith(self.what) and done == self.at:
            raise KilledError

    def count(self, what: str) -> int:
        return sum(heard.startswith(what) for heard, _ in self.heard)


@pytest.fixture(scope="module")
def finished(data: Path, external: ExternalTest, cache: Path, tmp_path_factory: Any) -> Path:
    """A tiny experiment that was killed twice, in the second epoch and while scoring."""
    require_module("tf_keras")
    require_module("sklearn")
    out = tmp_path_factory.mktemp("experiment") / "t"

    def session(tell: Tell) -> Session:
        return Session(tiny(), data, external, out, cache, float_sample=12, progress=tell)

    with pytest.raises(KilledError):
        run(session(Tell("training", 5)))
    assert not list((out / "runs").glob("*.json"))
    again = Tell("scoring float, light_scratch_seed1", 14)
    with pytest.raises(KilledError):
        run(session(again))
    # three steps an epoch: the killed run went on after its first epoch
    assert again.heard[[w.startswith("training") for w, _ in again.heard].index(True)][1] == 4
    assert [p.name for p in (out / "runs").glob("*.json")] == ["light_scratch_seed0.json"]
    trained = (out / "runs" / "light_scratch_seed1").stat().st_mtime_ns
    last = Tell()
    assert "light_pretrained" in run(session(last))
    assert (out / "runs" / "light_scratch_seed1").stat().st_mtime_ns == trained
    assert last.count("training") == 3, "one epoch with quantisation, and no other"
    keep_design(tiny(), out, {"light_pretrained": "no pre-training given"})
    return out


def test_a_finished_run_is_never_repeated(
    finished: Path, data: Path, external: ExternalTest, cache: Path
) -> None:
    before = {p: p.read_bytes() for p in (finished / "runs").glob("*.json")}
    assert len(before) == 3
    tell = Tell()
    run(Session(tiny(), data, external, finished, cache, float_sample=12, progress=tell))
    assert {what.split(",")[0] for what, _ in tell.heard} == {"runs"}
    assert {p: p.read_bytes() for p in before} == before


def test_a_run_says_everything(finished: Path, external: ExternalTest) -> None:
    found = runs.read_run(finished / "runs" / "light_scratch_seed1.json")
    assert found["seed"] == 1 and found["recipe"]["seed"] == 1
    assert set(found["forms"]) >= {"float", "int8", "int8_on_sample", "float_reference"}
    for form in found["forms"].values():
        assert form["graded"]["n"] == {"high": 1, "low": 1}
    assert found["forms"]["int8"]["n"] == {"high": 9, "low": 12}
    assert found["float_segments"] == 14, "all of low quality and all graded are in the sample"
    assert found["costs"]["macs"] > 0 and found["costs"]["ram_bytes"] > 1000
    assert found["costs"]["times_ms"]["int8"]["median"] > 0
    assert found["machine"]["cpu"] and found["versions"]["tensorflow"]
    assert {"training", "scoring", "figures", "costs"} <= found["seconds"].keys()
    with np.load(finished / "runs" / "light_scratch_seed1.npz") as scores:
        assert scores["int8"].dtype == np.int8 and len(scores["int8"]) == len(external)
        assert np.isfinite(scores["float_logit"]).sum() == 14
    with np.load(finished / "segments.npz") as segments:
        assert list(segments["ids"]) == list(external.ids)


def test_scores_from_maps_are_the_scores_of_evaluate(
    finished: Path, external: ExternalTest, cache: Path
) -> None:
    model = open_model(finished / "runs" / "light_scratch_seed0")
    maps = index_maps(external, SPEC, cache)
    usable = external.usable.copy()
    assert np.array_equal(
        int8_scores(model, maps, usable, threads=2), scores_of_segments(model, external)
    )
    usable[3] = False
    assert int8_scores(model, maps, usable)[3] == -128


@pytest.mark.parametrize(
    ("experiment", "float_sample", "says"),
    [
        (tiny(epochs=3), 12, "another recipe (epochs)"),
        (tiny(composition=replace(RECIPE.composition, n_train=32)), 12, "composition.n_train"),
        (replace(tiny(), quick=False), 12, "--quick"),
        (replace(tiny(), name="other"), 12, "another experiment"),
        (tiny(), None, "--float-sample"),
        (
            replace(tiny(), rows=(replace(tiny().rows[0], spec=replace(SPEC, rows=80)),)),
            12,
            "another front end",
        ),
    ],
)
def test_runs_of_different_kinds_are_not_mixed(
    finished: Path,
    data: Path,
    external: ExternalTest,
    cache: Path,
    experiment: design.Experiment,
    float_sample: int | None,
    says: str,
) -> None:
    before = sorted(finished.rglob("*"))
    with pytest.raises(ArgumentError, match="name another folder") as caught:
        run(Session(experiment, data, external, finished, cache, float_sample=float_sample))
    assert says in str(caught.value)
    assert sorted(finished.rglob("*")) == before


def test_another_test_set_is_refused(
    finished: Path, data: Path, external: ExternalTest, cache: Path
) -> None:
    other = replace(external, parts=tuple(part.take(slice(5)) for part in external.parts))
    with pytest.raises(ArgumentError, match="another external test"):
        run(Session(tiny(), data, other, finished, cache, float_sample=12))


def test_other_grades_need_no_training(
    finished: Path, data: Path, external: ExternalTest, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    tell = Tell()
    run(Session(tiny(), data, replace(external, graded=None), out, cache, 12, progress=tell))
    assert not tell.count("training") and not tell.count("timing")
    found = runs.read_run(out / "runs" / "light_scratch_seed0.json")
    before = runs.read_run(finished / "runs" / "light_scratch_seed0.json")
    assert "graded" not in found["forms"]["int8"]
    assert found["forms"]["int8"]["bacc"] == before["forms"]["int8"]["bacc"]
    assert found["costs"] == before["costs"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1, "row": "x"}'])
def test_a_damaged_run_says_what_to_do(
    finished: Path, data: Path, external: ExternalTest, cache: Path, text: str, tmp_path: Path
) -> None:
    out = tmp_path / "t"
    (out / "runs").mkdir(parents=True)
    (out / "runs" / "light_scratch_seed0.json").write_text(text)
    with pytest.raises(DatasetError, match=r"light_scratch_seed0\.json: .*remove it"):
        run(Session(tiny(), data, external, out, cache))


def test_what_a_killed_run_left_is_no_run(
    finished: Path, data: Path, external: ExternalTest, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    (out / "runs" / ".light_scratch_seed0-x.json").write_text("")
    scores = out / "runs" / "light_scratch_seed0.npz"
    scores.write_bytes(scores.read_bytes()[:900])
    assert runs.read_scores(scores, {}) is None
    np.savez(out / "segments.npz", digest="of another test")
    run(Session(tiny(), data, external, out, cache, float_sample=12))
    with np.load(out / "segments.npz") as segments:
        assert str(segments["digest"]) == external.digest


def test_times_are_taken_anew_from_a_few_runs(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    monkeypatch.setattr(experiment_run, "TIMED_RUNS", 1)
    new = {what: {"median": ms} for what, ms in (("cwt", 0.5), ("int8", 42.0), ("float", 1.0))}
    new["noise"] = []  # type: ignore[assignment]
    monkeypatch.setattr(experiment_run.cost, "times_ms", lambda model, quick: new)
    retime(out)
    costs = [runs.read_run(out / "runs" / f"light_scratch_seed{i}.json")["costs"] for i in (0, 1)]
    assert costs[0]["times_ms"] == new and costs[1]["times_ms"] is None
    assert costs[1]["macs"] == costs[0]["macs"]
    result, _ = write_report(out)
    assert result["rows"][0]["costs"]["times_ms"]["int8"]["values"] == [42.0]


def test_a_baseline_run_anew_changes_the_differences_to_it(
    finished: Path, external: ExternalTest, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    tell = Tell()
    keep_differences(out, external, tell)
    assert not tell.heard
    before = read_differences(out)["differences"]["light_scratch_seed0"]
    (out / "against.json").unlink()
    keep_differences(out, replace(external, graded=None), tell)  # the first time, and no grades
    assert "graded_se" not in read_differences(out)["differences"]["light_scratch_seed0"]["figures"]
    keep_differences(out, external, tell)
    assert read_differences(out)["differences"]["light_scratch_seed0"] == before
    tell.heard.clear()
    path = out / "runs" / "random_forest_seed0.json"
    path.write_text(re.sub(r'("threshold": )0\.\d+', r"\g<1>2.0", path.read_text()))
    keep_differences(out, external, tell)
    after = read_differences(out)["differences"]["light_scratch_seed0"]
    assert tell.count("against") == 1
    assert after["figures"]["se"] != before["figures"]["se"], "2.0: nothing is called high"
    assert after["figures"]["auc"] == before["figures"]["auc"]


# ---- report -------------------------------------------------------------------------------------


def test_tables_are_redone_from_json_alone(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "t"
    (out / "runs").mkdir(parents=True)
    for path in [
        finished / "design.json",
        finished / "against.json",
        *(finished / "runs").glob("*.json"),
    ]:
        shutil.copy(path, out / path.relative_to(finished))
    result, files = write_report(out)
    assert {"table2.json", "table2.md", "table2.svg"} <= {path.name for path in files}
    assert json.loads((out / "table2.json").read_text()) == result
    assert (out / "table2.json").stat().st_size < 40_000
    assert [row["name"] for row in result["rows"]] == ["light_scratch", "random_forest"]
    assert result["rows"][0]["seeds"] == [0, 1]
    read = [runs.read_run(out / "runs" / f"light_scratch_seed{seed}.json") for seed in (0, 1)]
    with np.load(finished / "runs" / "random_forest_seed0.npz") as forest:
        assert forest["threshold"] == THRESHOLD  # the networks' rule
    values = [run["forms"]["int8"]["bacc"]["value"] for run in read]
    assert result["rows"][0]["forms"]["int8"]["bacc"]["values"] == pytest.approx(values, abs=1e-6)
    text = (out / "table2.md").read_text()
    assert "| int8, float's segments |" in text, "float and int8 on the same segments"
    for words in (
        "Quick version", "Light-CNN, from scratch", "Random forest", "A/C AUC", "Ten seconds",
        "float64 reference", "GoogLeNet", "Not run: light_pretrained", "QAT",
        "minus the random forest", "the features alone", "Epochs: Light-CNN, from scratch ",
    ):  # fmt: skip
        assert words in text, words
    first = (out / "table2.md").read_bytes()
    write_report(out)
    assert (out / "table2.md").read_bytes() == first
    section = tables.readme(result)
    assert "Quick version" in section and "Over ten seconds" in section
    assert "A/C AUC" in section and "R peaks sure (A, 1) against not to be found (C, 1)" in section
    for row in result["rows"]:  # as results of before that don't say how many were graded
        for form in row["forms"].values():
            del form["graded_n"]
    assert "A/C" not in tables.readme(result) and "A/C" not in tables.markdown(result)


def test_other_rows_with_another_recipe_are_refused_too(
    finished: Path, data: Path, external: ExternalTest, cache: Path
) -> None:
    with pytest.raises(ArgumentError, match="another recipe"):
        run(Session(tiny(epochs=9), data, external, finished, cache, 12), ["random_forest"])


def test_ablations_say_what_is_saved(finished: Path, tmp_path: Path) -> None:
    """Two rows made of one run: a smaller network that is worse by a point."""
    out = tmp_path / "a"
    (out / "runs").mkdir(parents=True)
    for seed in (0, 1):
        found = runs.read_run(finished / "runs" / f"light_scratch_seed{seed}.json")
        found["identity"]["experiment"] = "ablations"
        runs.write_run(out / "runs" / f"base_seed{seed}.json", {**found, "row": "base"})
        for form in found["forms"].values():
            form["bacc"]["value"] -= 0.01
        found["costs"]["macs"] //= 40
        small = {**found, "row": "small_alpha_125", "label": "small"}
        runs.write_run(out / "runs" / f"small_alpha_125_seed{seed}.json", small)
    keep_design(design.ablations(SPEC, {design.BASE: RECIPE}), out, {})
    result, files = write_report(out)
    text = (out / "ablations.md").read_text()
    assert "| small | 40.0 x | 1.0 x | 1.0 x | -0.0100 (-0.0100 to -0.0100)" in text
    assert "Validation, int8" in text and "GoogLeNet" not in text
    assert [row["name"] for row in result["rows"]] == ["base", "small_alpha_125"]
    section = tables.readme(result)
    assert "### What may be left out" in section and "\n| small | 2 | 0." in section
    assert "AUC on validation: float 0." in section and ", QAT 0." in section
    assert (out / "ablations_cost.svg") not in files, "two networks are not a curve"
    for seed in (0, 1):
        found = runs.read_run(out / "runs" / f"small_alpha_125_seed{seed}.json")
        found["costs"]["macs"] *= 7
        runs.write_run(out / "runs" / f"band_seed{seed}.json", {**found, "row": "band"})
    assert (out / "ablations_cost.svg") in write_report(out)[1]


def test_the_front_of_cost_and_figure() -> None:
    assert front([(3, 0.9), (1, 0.7), (2, 0.6), (2, 0.8), (4, 0.9)]) == [
        (1, 0.7),
        (2, 0.8),
        (3, 0.9),
    ]


def test_nothing_to_report_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no finished run"):
        write_report(tmp_path)


# ---- parts --------------------------------------------------------------------------------------


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def fake_run(row: str, seed: int, bacc: float) -> dict[str, Any]:
    table = {name: figure(bacc) for name in ("se", "sp", "acc", "bacc", "auc")}
    return {"row": row, "seed": seed, "forms": {"int8": table}}


def test_difference_is_paired_and_its_interval_is_students() -> None:
    """Sleep data of Student (1908), as in R's t.test(extra ~ group, paired = TRUE)."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    a = [fake_run("a", i, v) for i, v in enumerate(first)]
    b = [fake_run("b", i, v) for i, v in reversed(list(enumerate(second)))]
    found = merge.difference(a, b, "int8")
    assert found is not None and found["seeds"] == list(range(10))
    bacc = found["figures"]["bacc"]
    assert bacc["mean"] == pytest.approx(1.58)
    assert (bacc["t_low"], bacc["t_high"]) == (
        pytest.approx(0.7001142, abs=1e-6),
        pytest.approx(2.4598858, abs=1e-6),
    )
    assert merge.difference(a, b, "float") is None
    alone = merge.difference(a[:1], b, "int8")
    assert alone is not None and alone["figures"]["bacc"]["t_low"] is None


def test_spread_of_little() -> None:
    assert merge.spread([])["mean"] is None
    one = merge.spread([0.5, None])
    assert one["mean"] == one["low"] == one["high"] == 0.5 and one["sd"] is None


def test_a_sample_holds_all_that_is_rare(external: ExternalTest) -> None:
    chosen = external.sample(15)
    assert len(chosen) == 15 and np.array_equal(chosen, external.sample(15))
    assert (external.quality[chosen] == Quality.LOW).sum() == 12
    assert external.graded is not None
    assert set(external.graded.ids) <= set(external.ids[chosen])
    assert len(external.sample(None)) == len(external.sample(99)) == len(external)


def test_a_small_test_keeps_what_is_graded(external: ExternalTest) -> None:
    small = external.part_of(2)
    assert {str(g).split("/")[1] for g in small.group} >= {"A0", "A1", "A2", "A3"}
    assert len(replace(external, graded=None).part_of(3)) < len(external)
    assert small.digest != external.digest


def test_designs() -> None:
    recipes = {design.BASE: Recipe(), "inception_v1": Recipe(epochs=2)}
    whole = design.table2(SPEC, recipes, pretrained_light="pre/l", pretrained_inception="pre/i")
    assert [(row.name, len(row.seeds)) for row in whole.rows] == [
        ("light_scratch", 10),
        ("light_pretrained", 10),
        ("inception_v1", 3),
    ]
    assert whole.rows[2].recipe.epochs == 2 and whole.rows[2].recipe.initial_weights == "pre/i"
    assert whole.pairs == (("light_scratch", "light_pretrained"),) and not whole.left_out
    assert whole.rows[1].label == "Light-CNN, going on from l"  # l is no pre-training
    bare = design.table2(SPEC, recipes, quick=True, seeds=[3])
    assert [row.name for row in bare.rows] == ["light_scratch", "inception_v1"]
    assert bare.rows[1].label.endswith("from scratch") and bare.rows[0].seeds == (3,)
    assert bare.rows[0].recipe.composition.n_train < Recipe().composition.n_train
    with pytest.raises(ArgumentError, match="--pretrained-light"):
        bare.chosen(["light_pretrained"])
    with pytest.raises(ArgumentError, match="there are: light_scratch"):
        bare.chosen(["lightcnn"])
    with pytest.raises(ArgumentError, match="at least 1"):
        design.table2(SPEC, recipes, repeats=0)

    many = design.ablations(FrontEnd(), recipes)
    assert len({row.spec.hash + str(row.recipe.alpha) for row in many.rows}) == len(many.rows)
    for row in many.rows:
        assert runs.run_name(row.name, 0).isidentifier() and row.name == row.name.lower()


def test_the_start_s_weights_count_and_not_its_path(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.weights.h5").write_bytes(content)

    def start(name: str) -> Any:
        recipe = Recipe(initial_weights=str(tmp_path / name))
        return runs.identity("table2", False, "t", spec=SPEC, recipe=recipe)

    assert start("a") == start("b") != start("c")
