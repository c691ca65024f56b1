"""Fusion study: what it learns from, what it calls a gain, and that its answers repeat."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import require_module
from numpy.typing import NDArray

from ecgqa_tflite.datasets.balanced import BalancedSets
from ecgqa_tflite.datasets.challenge2017 import Graded
from ecgqa_tflite.datasets.labelled import LabelledSegments
from ecgqa_tflite.experiment import fusion as module
from ecgqa_tflite.experiment.external import ExternalTest
from ecgqa_tflite.experiment.fusion import Evidence, fusion, markdown, study
from ecgqa_tflite.features import NAMES
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.segments import quantise


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    require_module("sklearn")
    monkeypatch.setattr(module, "TREES", 20)
    monkeypatch.setattr(module, "HALVINGS", 2)


def evidence(n: int, seed: int, telling: float) -> Evidence:
    """A network that knows something, features that know ``telling`` beside it; 40 patients."""
    rng = np.random.default_rng(seed)
    quality = (np.arange(n) % 2).astype(np.uint8)
    signed = 2.0 * quality - 1
    features = rng.uniform(0.1, 1, (n, len(NAMES)))
    features[:, NAMES.index("qrs_autocorrelation")] = telling * signed + rng.standard_normal(n)
    network = np.clip(np.rint(40 * (signed + rng.standard_normal(n))), -128, 127).astype(np.int8)
    group = np.array([f"p{i // 2 % 40}" for i in range(n)])
    return Evidence(network, features, quality, group, np.ones(n, bool))


def result(telling: float, seed: int = 0) -> dict[str, dict[str, dict[str, object]]]:
    train = evidence(800, 1, telling)
    return study(train.features, train.quality, evidence(800, 2, telling), seed=seed, n_boot=200)[
        "validation"
    ]


def test_features_that_know_more_are_a_gain_and_others_are_none() -> None:
    known, blind = result(1.0), result(0.0)
    for name in ("fusion_cheap_direct", "fusion_cheap", "fusion_24", "fusion_forest"):
        assert known[name]["gains"] is True, name
        assert blind[name]["gains"] is False, name
    assert "gain" not in known["network"]
    assert known["features_cheap"]["table"]["auc"]["value"] > 0.8  # type: ignore[index]
    assert blind["features_cheap"]["table"]["auc"]["value"] < 0.6  # type: ignore[index]


def test_no_segment_is_judged_by_what_learnt_from_its_patient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Patients whose labels contradict all others' can only be got wrong."""
    validation = evidence(800, 2, 3.0)
    odd = np.isin(validation.group, ["p0", "p1", "p2"])
    turned = replace(validation, quality=np.where(odd, 1 - validation.quality, validation.quality))
    learners = module._learn(validation.features, validation.quality, 0, 1)
    ways = module._ways(turned, learners)
    margins = module._held_out_margins(ways, turned, 0)
    right = (margins["fusion_forest"] >= 0) == (turned.quality == 1)
    assert right[odd].mean() < 0.05 and right[~odd].mean() > 0.95


def test_the_seed_decides() -> None:
    assert json.dumps(result(0.3)) == json.dumps(result(0.3))
    assert json.dumps(result(0.3)) != json.dumps(result(0.3, seed=1))


def test_nothing_there_is_lowest_everywhere() -> None:
    validation = evidence(400, 0, 1.0)
    validation.usable[7] = False
    learners = module._learn(validation.features, validation.quality, 0, 1)
    for margin in module._held_out_margins(
        module._ways(validation, learners), validation, 0
    ).values():
        assert margin.argmin() == 7


def segments(n: int, seed: int) -> LabelledSegments:
    """Half beats under little noise, half noise alone, each of a recording of its own."""
    rng = np.random.default_rng(seed)
    t = np.arange(1250) / 250
    high = np.arange(n) % 2 == 0
    rate = rng.uniform(0.8, 2, (n, 1))
    beats = np.exp(-((((t * rate) % 1 / rate - 0.2) / 0.02) ** 2))
    samples = quantise(np.where(high[:, None], beats, 0) + rng.normal(0, 0.1, (n, t.size)))
    ids = np.array([f"challenge-2017/r{i}@0.00" for i in range(n)])
    groups: NDArray[np.str_] = np.array([f"r{i}" for i in range(n)])
    return LabelledSegments(samples, 250.0, high.astype(np.uint8), groups, ids, "set")


def test_the_whole_study_on_a_model(small_model: ModelFolder) -> None:
    """A network with random weights beside features that know: JSON, with grades."""
    part = segments(20, 2)
    grades = np.array([["A", "A"] if quality else ["C", "C"] for quality in part.quality])
    test = ExternalTest((part,), Graded(part.ids, grades, np.full(20, "N")))
    sets = BalancedSets([segments(60, 0)], [segments(40, 1)])
    told: list[str] = []
    found = fusion(
        small_model, sets, test, n_boot=50, progress=lambda what, done, total: told.append(what)
    )
    json.dumps(found)
    text = markdown(found)
    assert text.count("| fusion_cheap |") == 3 and "graded A against C: 10 high, 10 low" in text
    assert found["model"] == small_model.name
    forest = found["external"]["forest"]
    assert forest["auc"]["value"] == forest["graded"]["auc"]["value"] == 1
    assert forest["gain"]["auc"] == forest["graded_gain"]["auc"]
    assert {"classical features", f"scoring int8, {small_model.name}"} <= set(told)
    unopened = fusion(small_model, sets, n_boot=50)
    assert "external" not in unopened
    assert markdown(unopened).count("| fusion_cheap |") == 1
