# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa threshold`` as a user types it."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from click.testing import CliRunner, Result
from labelled_recordings import write_labelled

from ecgqa_tflite.cli.evaluate import command as evaluate
from ecgqa_tflite.cli.threshold import command
from ecgqa_tflite.convert.requantise import int8_threshold
from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.evaluation.models import int8_scores
from ecgqa_tflite.evaluation.operating import (
    LEVELS,
    Rule,
    choose,
    float_threshold,
    operating_points,
)
from ecgqa_tflite.model_folder import open_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("own"), records=6)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.folder(tmp_path / "models", licence="MIT").path


def threshold(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


# ---- operating points ------------------------------------------------------------------------


def test_points_count_what_each_threshold_calls_high() -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.random(300) < 0.4, rng.integers(-128, 128, 300).astype(np.int8)
    points = operating_points(y, scores)
    assert [p.threshold_int8 for p in points] == LEVELS.tolist()
    for point in points[::17]:
        called = scores >= point.threshold_int8
        assert point.se == called[y].mean() and point.sp == pytest.approx((~called[~y]).mean())


def test_rules_choose_by_hand() -> None:
    # of high quality -10, 20, 40, 90; of low quality -50, 0, 30, 30
    scores = np.array([-10, 20, 40, 90, -50, 0, 30, 30], np.int8)
    points = operating_points([1, 1, 1, 1, 0, 0, 0, 0], scores)

    def chosen(kind: str, value: float) -> tuple[float, float]:
        point = choose(points, Rule(kind, value))  # type: ignore[arg-type]
        return point.se, point.sp

    assert chosen("min_sp", 0.9) == (0.5, 1.0)
    assert chosen("min_sp", 0.3) == (0.75, 0.5)
    assert chosen("min_se", 0.75) == (0.75, 0.5)
    assert chosen("min_se", 1.0) == (1.0, 0.25)
    assert chosen("cost", 0.1) == (1.0, 0.25)
    assert chosen("cost", 5) == (0.5, 1.0)
    # of the thresholds 31 to 40, which all do the same, the middle one
    assert choose(points, Rule("min_sp", 0.9)).threshold_int8 == 36
    # a model's own line stays where others are no better, and goes where one is
    for level, taken in ((40, 40), (20, 36)):
        (now,) = (point for point in points if point.threshold_int8 == level)
        assert choose(points, Rule("min_sp", 0.9), now).threshold_int8 == taken


def test_what_no_threshold_gives_is_said() -> None:
    points = operating_points([1, 1, 0, 0], np.array([0, 5, 5, 127], np.int8))
    with pytest.raises(ArgumentError, match=r"Sp of at least 0.9: .*highest Sp with some is 0.0"):
        choose(points, Rule("min_sp", 0.9))
    with pytest.raises(DatasetError, match="both"):
        operating_points([1, 1], np.zeros(2, np.int8))


@pytest.mark.parametrize(("kind", "value"), [("min_sp", 95), ("min_se", 0), ("cost", -1)])
def test_a_bound_out_of_range_is_refused(kind: str, value: float) -> None:
    with pytest.raises(ArgumentError, match="must be"):
        Rule(kind, value)  # type: ignore[arg-type]


def test_the_float_threshold_is_where_rounding_reaches_the_int8_one() -> None:
    for level in (-127, -3, 0, 26, 127):
        just_above = float_threshold(level) + 1e-9
        assert np.rint(just_above * 256) - 128 == level
        assert np.rint((float_threshold(level) - 1e-9) * 256) - 128 == level - 1
        assert abs(int8_threshold(float_threshold(level)) - level) <= 1


# ---- the command -----------------------------------------------------------------------------


def test_a_model_is_sealed_at_the_point_chosen(model: Path, data: Path, tmp_path: Path) -> None:
    out, files = tmp_path / "strict", [tmp_path / name for name in ("p.csv", "c.svg", "f.json")]
    done = threshold(
        model, data, "--min-sp", 0.9, "-o", out, "--table", files[0], "--curve", files[1],
        "--json", files[2], "--resamples", 20,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    before, sealed, found = open_model(model), open_model(out), json.loads(files[2].read_text())
    chosen = found["points"][found["chosen"]]
    interval = r"\d\.\d{3} \(\d\.\d{3}-\d\.\d{3}\)"
    assert re.search(rf"{interval} +{interval} +\d+ of", done.output), done.output
    assert found["labels"] == "by lead" and f"on {data.name}, labels by lead: " in done.output
    assert sealed.name == "strict" and sealed.threshold_int8 == chosen["threshold_int8"]
    assert sealed.threshold == float_threshold(sealed.threshold_int8)
    assert (sealed.licence, sealed.recipe) == ("MIT", before.recipe)
    assert sealed.tflite_path.read_bytes() == before.tflite_path.read_bytes()
    assert sealed.weights_path.read_bytes() == before.weights_path.read_bytes()
    assert sealed.metrics["external"]["elsewhere"]["se"] == {
        "value": 0.7,
        "low": None,
        "high": None,
    }
    assert sealed.metrics["threshold"]["sp"]["value"] >= 0.9

    segments = load_folder(data, sealed.spec)
    called = int8_scores(sealed, segments) >= sealed.threshold_int8
    assert chosen["sp"]["value"] == pytest.approx((~called[segments.quality == 0]).mean())
    with files[0].open() as file:
        rows = {int(row["threshold_int8"]): row for row in csv.DictReader(file)}
    assert len(rows) == len(LEVELS)
    assert float(rows[sealed.threshold_int8]["sp"]) == pytest.approx(chosen["sp"]["value"])
    titles = [node.text or "" for node in ET.parse(files[1]).iter() if node.tag.endswith("title")]
    assert any(f"chosen, int8 {sealed.threshold_int8}" in title for title in titles)

    card = (out / "MODEL_CARD.md").read_text().replace("\n", " ")
    assert "## Threshold" in card and "Sp of at least 0.9" in card
    assert (
        f"Taken at int8 score 0, before the threshold was moved to {chosen['threshold_int8']}"
        in (card.replace("\n", " "))
    )


def test_what_it_was_chosen_on_is_no_test_of_it(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "strict"
    done = threshold(model, data, "--min-se", 0.5, "-o", out, "--resamples", 0)
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(evaluate, [str(out), str(data), "--record", "--resamples", "5"])
    assert again.exit_code == 1 and "threshold was chosen on" in again.stderr


def test_without_a_rule_the_points_are_shown_and_nothing_is_written(
    model: Path, data: Path, tmp_path: Path
) -> None:
    done = threshold(model, data, "--resamples", 10)
    assert done.exit_code == 0 and "now" in done.output and "chosen" not in done.output
    out = tmp_path / "strict"
    refused = threshold(model, data, "-o", out)
    assert refused.exit_code == 1 and "by what" in refused.stderr and not out.exists()


def test_rules_exclude_each_other(model: Path, data: Path) -> None:
    assert threshold(model, data, "--min-sp", 0.9, "--cost", 2).exit_code == 2


def test_an_output_that_exists_or_names_no_model_is_refused_first(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ecgqa_tflite.evaluation.threshold.int8_scores", lambda *_, **__: pytest.fail("has scored")
    )
    for out, says in ((model, "exists already"), (tmp_path / "No-Model", "must match")):
        done = threshold(model, data, "--min-sp", 0.9, "-o", out)
        assert done.exit_code == 1 and says in done.stderr
