# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures against scikit-learn, intervals against what they should cover, thresholds by hand."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require_module
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.evaluation.figures import (
    FIGURES,
    PLATEAU,
    Figure,
    choose_threshold,
    compare_decisions,
    reliability,
    score_difference,
    score_table,
)
from ecgqa_tflite.evaluation.models import probabilities

LABELS_AND_SCORES = st.lists(
    st.tuples(st.booleans(), st.integers(-128, 127), st.integers(0, 5)), min_size=2, max_size=60
).filter(lambda rows: len({row[0] for row in rows}) == 2)


@given(LABELS_AND_SCORES, st.integers(-128, 127))
@settings(max_examples=60, deadline=None)
def test_figures_equal_scikit_learns(rows: list[tuple[bool, int, int]], threshold: int) -> None:
    require_module("sklearn")
    from sklearn import metrics

    y, score, group = (np.array(column) for column in zip(*rows, strict=True))
    table = score_table(y, score.astype(np.int8), threshold, group, n_boot=20)
    called = score >= threshold
    assert table["auc"]["value"] == pytest.approx(metrics.roc_auc_score(y, score))
    assert table["acc"]["value"] == pytest.approx(metrics.accuracy_score(y, called))
    assert table["bacc"]["value"] == pytest.approx(metrics.balanced_accuracy_score(y, called))
    assert table["se"]["value"] == pytest.approx(metrics.recall_score(y, called))
    assert table["sp"]["value"] == pytest.approx(metrics.recall_score(~y, ~called))
    assert table["n"] == {"high": y.sum(), "low": (~y).sum()}


@given(LABELS_AND_SCORES)
@settings(max_examples=40, deadline=None)
def test_auc_keeps_under_monotone_maps_and_mirrors_under_negation(
    rows: list[tuple[bool, int, int]],
) -> None:
    y, score, group = (np.array(column) for column in zip(*rows, strict=True))
    auc = score_table(y, score, 0, group, n_boot=0)["auc"]["value"]
    cubed = score_table(y, (score / 50.0) ** 3, 0, group, n_boot=0)["auc"]["value"]
    negated = score_table(y, -score, 0, group, n_boot=0)["auc"]["value"]
    assert cubed == pytest.approx(auc)
    assert negated == pytest.approx(1 - auc)


def test_intervals_hold_the_value_and_widen_with_grouping() -> None:
    rng = np.random.default_rng(1)
    n_groups, size = 40, 25
    offset = np.repeat(rng.normal(size=n_groups), size)
    y = np.repeat(rng.random(n_groups) < 0.5, size)
    score = offset + y + 0.1 * rng.normal(size=y.size)
    by_recording = score_table(y, score, 0.5, np.repeat(np.arange(n_groups), size), n_boot=400)
    by_segment = score_table(y, score, 0.5, np.arange(y.size), n_boot=400)
    for name in FIGURES:
        a, b = by_recording[name], by_segment[name]
        assert a["value"] == b["value"]
        assert a["low"] <= a["value"] <= a["high"]
        assert a["high"] - a["low"] > 2 * (b["high"] - b["low"])


def test_the_same_seed_gives_the_same_intervals() -> None:
    rng = np.random.default_rng(2)
    y, score, group = rng.random(200) < 0.7, rng.normal(size=200), rng.integers(20, size=200)
    assert score_table(y, score, 0, group, seed=3) == score_table(y, score, 0, group, seed=3)


def test_one_class_alone_leaves_gaps_not_errors() -> None:
    table = score_table([1, 1, 1], [0.1, 0.6, 0.9], 0.5, ["a", "b", "c"], n_boot=50)
    assert table["se"]["value"] == pytest.approx(2 / 3)
    assert table["sp"]["value"] is None and table["auc"]["value"] is None
    assert table["tie_share"] is None


def test_ties_are_counted() -> None:
    table = score_table([1, 1, 0, 0], [5, 7, 5, 3], 5, list("abcd"), n_boot=0)
    assert table["tie_share"] == 0.25


@pytest.mark.parametrize(
    ("y", "score"), [([1, 0], [0.5]), ([], []), ([1, 0], [0.5, np.nan]), ([[1, 0]], [[1, 0]])]
)
def test_what_can_be_no_score_table_is_refused(y: list, score: list) -> None:
    with pytest.raises(ArgumentError):
        score_table(y, score, 0.5, y)


def test_threshold_is_the_middle_of_the_plateau() -> None:
    low, high = np.linspace(-5, -1, 200), np.linspace(3, 8, 200)
    y = np.r_[np.zeros(200), np.ones(200)]
    x = np.r_[low, high]
    threshold = choose_threshold(y, x)
    # any threshold in (-1, 3] separates all; within PLATEAU the last segments may be lost
    assert threshold == pytest.approx(1.0, abs=0.1)


@given(LABELS_AND_SCORES)
@settings(max_examples=60, deadline=None)
def test_threshold_is_nearly_as_good_as_the_best(rows: list[tuple[bool, int, int]]) -> None:
    y, score, _ = (np.array(column) for column in zip(*rows, strict=True))

    def bacc(threshold: float) -> float:
        called = score >= threshold
        return (called[y].mean() + (~called[~y]).mean()) / 2

    best = max(bacc(level) for level in np.unique(score))
    assert bacc(choose_threshold(y, score)) >= best - PLATEAU


def test_threshold_needs_both_classes() -> None:
    with pytest.raises(DatasetError, match="both"):
        choose_threshold([1, 1], [0.0, 1.0])


def test_flips_are_counted_by_direction() -> None:
    flips = compare_decisions([True, True, False, False], [True, False, True, True])
    assert flips == {"flipped": 3, "share": 0.75, "to_high": 2, "to_low": 1}


@pytest.mark.parametrize(
    ("figure", "style", "says"),
    [
        (Figure(0.9, 0.85, 0.95), ".3f", "0.900 (0.850-0.950)"),
        (Figure(0.9, 0.85, 0.95), ".2f to", "0.90 (0.85 to 0.95)"),
        (Figure(-0.01, -0.02, 0.0), "+.2f to", "-0.01 (-0.02 to +0.00)"),
        (Figure(0.9), ".3f", "0.900"),
        (Figure(0.9, 0.85, None), ".3f", "0.900"),
        (Figure(None, None, None), ".3f to", "-"),
        (Figure.of({"value": 0.5}), ".1%", "50.0%"),
        (Figure.of(None), ".3f", "-"),
    ],
)
def test_a_figure_is_written_one_way(figure: Figure, style: str, says: str) -> None:
    assert format(figure, style) == says


# ---- two models ---------------------------------------------------------------------------------


def test_a_difference_is_that_of_the_tables_and_zero_against_itself() -> None:
    rng = np.random.default_rng(4)
    y, group = rng.random(300) < 0.6, rng.integers(30, size=300)
    a, b = y + rng.normal(size=300), y + 2 * rng.normal(size=300)
    difference = score_difference(y, (a, 0.5), (b, 0.4), group, n_boot=200)
    one, other = (score_table(y, s, t, group, n_boot=0) for s, t in ((a, 0.5), (b, 0.4)))
    for name in FIGURES:
        assert difference[name]["value"] == pytest.approx(one[name]["value"] - other[name]["value"])
    same = score_difference(y, (a, 0.5), (a, 0.5), group, n_boot=50)
    assert all(same[name] == {"value": 0, "low": 0, "high": 0} for name in FIGURES)


def test_pairing_narrows_the_interval() -> None:
    """Two models that differ little, on recordings that differ much."""
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(40), 20)
    y = rng.random(800) < 0.5
    a = 3 * y + np.repeat(rng.normal(scale=3, size=40), 20) + rng.normal(size=800)
    b = a + 0.2 * rng.normal(size=800)
    paired = score_difference(y, (a, 1.5), (b, 1.5), group, n_boot=300)["auc"]
    alone = score_table(y, a, 1.5, group, n_boot=300)["auc"]
    assert paired["high"] - paired["low"] < (alone["high"] - alone["low"]) / 3


# ---- calibration --------------------------------------------------------------------------------


def test_bins_and_error_of_a_curve_by_hand() -> None:
    y, p = [1, 0, 1, 1, 0], [0.95, 0.95, 1.0, 0.15, 0.0]
    curve = reliability(y, p)
    first, second, last = curve["bins"][0], curve["bins"][1], curve["bins"][-1]
    assert first == {"from": 0.0, "to": 0.1, "mean_p": 0.0, "high": 0, "low": 1}
    assert (second["mean_p"], second["high"], second["low"]) == (pytest.approx(0.15), 1, 0)
    assert (last["mean_p"], last["high"], last["low"]) == (pytest.approx(2.9 / 3), 2, 1)
    assert sum(b["high"] + b["low"] for b in curve["bins"]) == 5
    # |0 - 0| + |1 - .15| + |2 - 2.9|, of five
    assert curve["ece"] == pytest.approx((0.85 + 0.9) / 5)


def test_calibrated_scores_have_little_error_and_another_mix_is_seen_through() -> None:
    rng = np.random.default_rng(6)
    p = rng.random(40_000)
    y = rng.random(p.size) < p
    assert reliability(y, p)["ece"] < 0.01
    rare = y | (rng.random(p.size) < 0.05)  # nearly all low segments stay, few high ones
    keep = ~rare | (rng.random(p.size) < 0.05)
    skewed = reliability(y[keep], p[keep])
    assert skewed["ece"] > 0.1 and skewed["ece_balanced"] < skewed["ece"] / 3


def test_a_curve_has_intervals_over_recordings() -> None:
    rng = np.random.default_rng(8)
    p = np.repeat(rng.random(60), 10)  # ten segments of a recording score alike
    y = np.repeat(rng.random(60) < 0.5, 10)
    by_recording = reliability(y, p, np.repeat(np.arange(60), 10), n_bins=3)["bins"]
    by_segment = reliability(y, p, np.arange(600), n_bins=3)["bins"]
    for wide, narrow in zip(by_recording, by_segment, strict=True):
        a, b = wide.pop("share"), narrow.pop("share")
        high, low = wide["high"] / y.sum(), wide["low"] / (~y).sum()
        assert a["value"] == b["value"] == pytest.approx(high / (high + low))
        assert a["low"] < b["low"] < b["value"] < b["high"] < a["high"]
    assert reliability(y, p, n_bins=3)["bins"] == by_recording == by_segment
    curve = reliability([1, 1, 0], [0.1, 0.9, 0.9], [0, 1, 2])
    assert curve["bins"][5]["share"] == {"value": None, "low": None, "high": None}  # empty


def test_a_class_that_is_absent_leaves_no_balanced_error() -> None:
    assert reliability([1, 1], [0.2, 0.9])["ece_balanced"] is None


@pytest.mark.parametrize(("y", "p"), [([1, 0], [0.5]), ([], []), ([1, 0], [0.5, 1.1])])
def test_what_is_no_probability_is_refused(y: list, p: list) -> None:
    with pytest.raises(ArgumentError):
        reliability(y, p)


def test_int8_scores_stand_for_steps_of_a_256th() -> None:
    p = probabilities(np.array([-128, 0, 127], np.int8))
    assert p.tolist() == [0.0, 0.5, 255 / 256]
