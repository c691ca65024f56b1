# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The card says what the JSON says: headings come and go with it, and so does the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model

from ecgqa_tflite.bundle.export import CARD_WORDS
from ecgqa_tflite.datasets.balanced import Composition
from ecgqa_tflite.datasets.folders import set_name
from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet
from ecgqa_tflite.engine.device_source import plan_device
from ecgqa_tflite.errors import ArgumentError, ConversionError, ToolError
from ecgqa_tflite.evaluation import footprint
from ecgqa_tflite.evaluation.card import (
    CURVE,
    add_external,
    model_card,
    refuse_unrecordable,
    write_card,
)
from ecgqa_tflite.evaluation.failures import DIRECTIONS, tally
from ecgqa_tflite.evaluation.figures import compare_decisions, reliability, score_table
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.plots.calibration import LEAST, calibration_svg
from ecgqa_tflite.plots.square import LEFT, SIDE, TOP
from ecgqa_tflite.resources import models_dir
from ecgqa_tflite.training.recipe import Recipe

RECIPE = Recipe(alpha=0.125, composition=Composition(n_train=2, n_validation=2)).to_dict()


def table(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    p = rng.random(400)
    y = rng.random(400) < p
    found = score_table(y, p, 0.5, np.arange(400) // 4, n_boot=20)
    return found | {"reliability": reliability(y, p)}


def metrics() -> dict[str, Any]:
    census = {"leads_good": {"segments": 7, "groups": 3}, "noise": {"segments": 5, "groups": 2}}
    return {
        "training": {
            "epochs": [],
            "segments": census,
            "parameters": 10_194,
            "tflite_bytes": 16_384,
        },
        "validation": {
            "segments": census,
            "float": table(1),
            "int8": table(2),
            "flips": compare_decisions([True, True], [True, False]),
        },
        "external": {},
    }


def external() -> dict[str, Any]:
    read = {
        "errors": 40, "read": 4,
        "grades": {"A": 1, "B": 2, "C": 1}, "kinds": {"jump": 3, "none": 1},
        "label_wrong": {"value": 0.25, "low": 0.05, "high": 0.7},
    }  # fmt: skip
    failures = {"seed": 5, "readers": ["someone"], "dates": ["2026-01-01", "2026-01-01"]}
    graded = {**table(4), "b_called_high": 0.125}
    return {**table(3), "graded": graded, "failures": failures | dict.fromkeys(DIRECTIONS, read)}


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    return tiny_model.folder(tmp_path, metrics=metrics(), recipe=RECIPE)


def headings(card: str) -> list[str]:
    return [line[3:] for line in card.splitlines() if line.startswith("## ")]


def test_a_card_of_a_training_and_of_its_test(model: ModelFolder) -> None:
    card = model_card(model)
    assert headings(card) == [
        "Intended use", "Data", "Validation (patients and recordings held out)",
        "Calibration of P(high)", "Limits",
    ]  # fmt: skip
    assert "No external test has been run" in card and "![" not in card
    assert "| challenge-2011 leads labelled good | high | 7 | 3 | 7 | 3 |" in card
    assert "decide differently on 1 (50.00%)" in card

    tested = replace(model, metrics={**metrics(), "external": {"elsewhere": external()}})
    card = model_card(tested, CURVE)
    assert headings(card)[3:6] == [
        "External test: elsewhere", "Calibration of P(high)", "Errors looked at: elsewhere",
    ]  # fmt: skip
    assert f"![Calibration curve]({CURVE})" in card
    assert "Tested on elsewhere: 400 segments of 100 recordings. Whether the model had" in card
    assert "B, in between, is called high in 12.5%" in card
    assert "| labelled low, called high | 40 | 4 | 1 | 2 | 1 | 0.25 (0.05-0.70) |" in card
    assert "| a baseline jump or spike that owns the range | 3 | 3 |" in card
    assert "No external test" not in card
    assert not any(line != line.rstrip() for line in card.splitlines())


def test_a_card_without_figures_still_says_what_the_model_is(model: ModelFolder) -> None:
    bare = replace(model, metrics={}, recipe={"source": "a Keras model"})
    card = model_card(bare)
    assert headings(card) == ["Intended use", "Data", "Limits"]
    assert "| start | not known |" in card


def test_a_card_says_what_the_first_weights_had_seen(model: ModelFolder) -> None:
    origin = {
        "images": 1500, "classes": 7, "size": 64, "epochs": 2,
        "validation": {"top1": 0.25, "top5": 0.5, "n": 40},
    }  # fmt: skip
    seen = metrics()
    seen["training"]["pretraining"] = origin
    assert (
        "pre-trained on 1,500 photographs of 7 classes at 64 pixels, 2 epochs (25.0% of 40 held-out"
    ) in model_card(replace(model, metrics=seen))
    assert "random weights; then" in model_card(model)


def test_a_card_is_written_whole_with_its_curve_and_sums(model: ModelFolder) -> None:
    written = write_card(model)
    assert open_model(model.path).metrics["device"]["macs"] > 0
    assert f"]({CURVE})" in (model.path / "MODEL_CARD.md").read_text()
    assert CURVE in (model.path / "SHA256SUMS").read_text()
    sizes = {p.name: p.read_bytes() for p in model.path.iterdir()}
    assert written.card_text == model_card(written)  # elsewhere it has no picture to show
    write_card(written)
    assert sizes == {p.name: p.read_bytes() for p in model.path.iterdir()}


@pytest.mark.parametrize("noted", [{"digest": "same"}, {}], ids=["digest", "before digests"])
def test_what_was_recorded_outlives_another_test_on_the_same_set(
    model: ModelFolder, noted: dict[str, str]
) -> None:
    full = external() | {"float": {**table(5), "front_end": "integer", "graded": table(6)}}
    first = add_external(model, "elsewhere", full | noted, {"elsewhere-failures.csv": "id\n"})
    plain = {**table(3), "se": table(7)["se"], "digest": "same"}
    plain["float"] = {**table(8), "front_end": "integer"}
    second = add_external(first, "elsewhere", plain).metrics["external"]["elsewhere"]
    assert (second["failures"], second["graded"]) == (full["failures"], full["graded"])
    assert (second["se"], second["digest"]) == (plain["se"], "same")
    assert second["float"] == plain["float"] | {"graded": full["float"]["graded"]}
    assert (model.path / "elsewhere-failures.csv").read_text() == "id\n"

    other = {**table(9), "front_end": "reference"}  # of which no segment was graded
    third = add_external(first, "elsewhere", plain | {"float": other})
    assert third.metrics["external"]["elsewhere"]["float"] == other


@pytest.mark.parametrize(
    ("noted", "other"),
    [({"digest": "one"}, {}), ({}, {"groups": 99}), ({}, {"n": {"high": 1, "low": 399}})],
)
def test_nothing_of_another_set_of_the_same_name_is_kept(
    model: ModelFolder, noted: dict[str, str], other: dict[str, Any]
) -> None:
    first = add_external(model, "elsewhere", external() | noted)
    result = table(7) | {"digest": "other"} | other
    assert add_external(first, "elsewhere", result).metrics["external"]["elsewhere"] == result


def test_curves_of_shipped_models_have_intervals() -> None:
    shipped = [open_model(path.parent) for path in models_dir().glob("*/model.json")]
    assert len(shipped) >= 4
    for model in shipped:
        for found in (model.metrics["validation"]["int8"], *model.metrics["external"].values()):
            bins = found["reliability"]["bins"]
            full = [row["share"] for row in bins if row["high"] + row["low"] >= LEAST]
            assert full and all(s["low"] <= s["value"] <= s["high"] for s in full), model.name


def test_only_a_test_that_is_known_to_be_one_is_called_so(model: ModelFolder) -> None:
    tested = {**metrics(), "external": {"challenge-2017": external()}}
    assert "Nothing of it trained" in model_card(replace(model, metrics=tested))
    trained_elsewhere = model_card(replace(model, metrics=tested, recipe={}))
    assert "Nothing of it trained" not in trained_elsewhere
    assert "Whether the model had seen any of it is not known here." in trained_elsewhere


def test_a_bundle_is_not_recorded_in(model: ModelFolder) -> None:
    refuse_unrecordable(model)
    (model.path / "manifest.json").write_text("{}")
    with pytest.raises(ArgumentError, match="exported bundle"):
        refuse_unrecordable(model)


def test_a_card_of_a_model_without_errors(model: ModelFolder) -> None:
    result = {**external(), "failures": tally([], [], {}, 0)}
    card = model_card(replace(model, metrics={**metrics(), "external": {"elsewhere": result}}))
    assert "contradicts no label" in card and "Read by" not in card


# ---- what a tested set is called -------------------------------------------------------------


def segments(names: list[str], fs_hz: float, fill: int = 1) -> LabelledSegments:
    n = len(names)
    return LabelledSegments(
        np.full((n, 10), fill, np.int16),
        fs_hz,
        np.zeros(n, np.uint8),
        np.array([f"challenge-2017/{name}" for name in names]),
        np.array([f"challenge-2017/{name}@0.00" for name in names]),
        "challenge-2017",
    )


@pytest.mark.parametrize(
    ("folder", "names", "fs_hz", "called"),
    [
        ("any", ["A00001", "A08528"], 300.0, "challenge-2017"),
        ("any", ["A00001", "A08528"], 250.0, "any"),
        ("any", ["A00001", "B1"], 300.0, "any"),
        ("any", ["1002603"], 500.0, "challenge-2011"),
        ("any", ["100", "234"], 360.0, "mitdb"),
        ("my | set", ["1"], 300.0, "my-set"),
        ("challenge-2017", ["1"], 300.0, "own-challenge-2017"),
        ("validation", ["1"], 300.0, "own-validation"),
    ],
)
def test_a_set_is_called_what_it_is(
    tmp_path: Path, folder: str, names: list[str], fs_hz: float, called: str
) -> None:
    assert set_name(tmp_path / folder, LabelledSet((segments(names, fs_hz),))) == called


def test_a_digest_is_of_samples_rates_and_labels() -> None:
    part = segments(["A1", "A2"], 300.0)
    others = [
        replace(part, quality=np.array([0, 1], np.uint8)),
        replace(part, fs_hz=250.0),
        segments(["A1", "A2"], 300.0, fill=2),
        part.take(np.array([0])),
    ]
    sets = [LabelledSet((p,)) for p in (part, *others, segments(["A1", "A2"], 300.0))]
    assert sets[0].digest == sets[-1].digest
    assert len({one.digest for one in sets}) == 5


# ---- size on a device -----------------------------------------------------------------------


def test_footprint_is_the_engines_plan(model: ModelFolder) -> None:
    told = footprint.footprint(model)
    front_end = tables.build(model.spec, 250.0)
    device = plan_device(model.spec, front_end, model.tflite_path.read_bytes(), 0)
    assert told["runtime"] == footprint.ENGINE
    assert told["ram_bytes"] == device.workspace_bytes
    assert told["macs"] == device.plan.network.macs
    weights = device.plan.network.layers[0].weights.nbytes
    assert told["constant_bytes"] > front_end.nbytes + weights


def test_footprint_of_what_the_engine_refuses(
    model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ConversionError("no")

    def missing(*_: Any) -> Any:
        raise ToolError("tflite-micro is not installed")

    monkeypatch.setattr(footprint, "plan_device", refuse)
    monkeypatch.setattr(footprint.tflm, "find_arena", missing)
    told = footprint.footprint(model)
    assert (told["runtime"], told["ram_bytes"]) == (footprint.ARENA, None)
    card = model_card(replace(model, metrics={**metrics(), "device": told}))
    assert "| RAM | not known, TensorFlow Lite Micro" in card


# ---- calibration curve ------------------------------------------------------------------------


def test_marks_lie_where_the_bins_are() -> None:
    """Four in five of the low and one in five of the high segments at .2, the rest at .8."""
    y = np.repeat([0, 0, 1, 1], [80, 20, 200, 800])
    p = np.repeat([0.2, 0.8, 0.2, 0.8], [80, 20, 200, 800])
    root = ET.fromstring(calibration_svg({"<set>": reliability(y, p)}))
    marks = [e for e in root if e.tag.endswith("circle") and len(e)]
    at = [
        ((float(m.get("cx")) - LEFT) / SIDE, 1 - (float(m.get("cy")) - TOP) / SIDE) for m in marks
    ]
    assert at == [pytest.approx((0.2, 0.2), abs=1e-3), pytest.approx((0.8, 0.8), abs=1e-3)]
    assert "P 0.2-0.3: 200 high, 80 low" in [m[0].text for m in marks]
    assert any(e.text == "<set>" for e in root)


def test_a_bin_of_few_segments_is_hollow() -> None:
    y = np.repeat([0, 1], LEAST)
    p = np.repeat([0.05, 0.95], LEAST)
    p[-1] = 0.5
    root = ET.fromstring(calibration_svg({"a": reliability(y, p), "b": reliability(y, p)}))
    fills = [e.get("fill") for e in root if len(e) and e.tag.endswith(("circle", "polygon"))]
    assert fills == ["#0072b2", "white", "white", "#d55e00", "white", "white"]


def test_bars_are_the_intervals() -> None:
    y = np.repeat([0, 0, 1, 1], [80, 20, 200, 800])
    p = np.repeat([0.2, 0.8, 0.2, 0.8], [80, 20, 200, 800])
    curve = reliability(y, p, np.arange(y.size) % 40)
    root = ET.fromstring(calibration_svg({"a": curve}))
    bars = [e for e in root if e.get("stroke-opacity")]
    told = [b["share"] for b in curve["bins"] if b["mean_p"] is not None]
    assert len(bars) == len(told) == 2
    for bar, share in zip(bars, told, strict=True):
        ends = [1 - (float(bar.get(at)) - TOP) / SIDE for at in ("y1", "y2")]
        assert ends == pytest.approx([share["low"], share["high"]], abs=1e-3)


def test_a_bundle_finds_the_words_that_it_replaces() -> None:
    card = model_card(open_model("light_cnn"), "calibration.svg")
    assert [words for words in CARD_WORDS if words not in card] == []
