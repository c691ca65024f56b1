# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a spec says of a network of the user's, and scores that change places for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks_by_hand import Builder

from ecgqa_tflite.convert.ends import MOST_CLASSES, PLAIN, Ends, read_own_spec
from ecgqa_tflite.errors import ConversionError, SpecError
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.adapt import Adapted, with_class_1
from ecgqa_tflite.tflite.image_codes import RANGES, codes_of
from ecgqa_tflite.tflite.run import Int8Network

SPEC = FrontEnd.preset("wearable", rows=48, cols=48, colormap="grey")
CLASSES = ["noise only", "clean", "some noise"]


def own(tmp_path: Path, network: Any) -> tuple[FrontEnd, Ends]:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC.to_dict() | {"network": network}))
    return read_own_spec(path)


def test_a_spec_that_says_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(SPEC.to_json())
    assert read_own_spec(tmp_path / "spec.json") == (SPEC, PLAIN)
    assert own(tmp_path, {}) == (SPEC, PLAIN) and PLAIN.trainable
    assert (PLAIN.n_classes, PLAIN.scaled_to, PLAIN.in_order) == (2, (0.0, 1.0), ())


def test_named_classes(tmp_path: Path) -> None:
    spec, ends = own(tmp_path, {"classes": CLASSES, "high": "some noise"})
    assert spec == SPEC and spec.hash == SPEC.hash  # no part of the front end
    assert (ends.classes, ends.high, ends.n_classes) == (tuple(CLASSES), 2, 3)
    assert ends.in_order == ("noise only", "some noise", "clean") and not ends.trainable
    _, by_label = own(tmp_path, {"classes": ["low", "medium", "high"]})
    assert by_label.high == 2
    _, pair = own(tmp_path, {"classes": ["good", "bad"], "high": "good"})
    assert pair.high == 0 and pair.in_order == ("bad", "good") and not pair.trainable


def test_the_range_of_the_input(tmp_path: Path) -> None:
    for wanted in RANGES.values():
        _, ends = own(tmp_path, {"input_range": list(wanted)})
        assert ends.scaled_to == wanted and ends.trainable == (wanted == (0.0, 1.0))


@pytest.mark.parametrize(
    "network",
    [
        None, [], "high", {"surprise": 1}, {"high": "clean"}, {"classes": CLASSES},
        {"classes": CLASSES, "high": "best"}, {"classes": CLASSES, "high": 1},
        {"classes": ["high"]}, {"classes": ["high", "high"]}, {"classes": ["high", ""]},
        {"classes": ["high", "\u001b[31m"]}, {"classes": "high"}, {"classes": ["high", 2]},
        {"classes": ["high", *map(str, range(MOST_CLASSES))]}, {"classes": ["high", "x" * 65]},
        {"input_range": [0, 2]}, {"input_range": [1]}, {"input_range": 1},
        {"input_range": ["0", "1"]}, {"input_range": [True, 1]}, {"input_range": [[0], [1]]},
    ],
)  # fmt: skip
def test_what_makes_no_sense(tmp_path: Path, network: Any) -> None:
    with pytest.raises(SpecError, match="network"):
        own(tmp_path, network)


def test_the_front_end_is_checked_as_ever(tmp_path: Path) -> None:
    for text in ("{}", "[]", "nothing", '{"network": {}}'):
        (tmp_path / "spec.json").write_text(text)
        with pytest.raises(SpecError, match=r"spec\.json"):
            read_own_spec(tmp_path / "spec.json")


def test_codes_of_a_range() -> None:
    assert [codes_of(wanted) for wanted in RANGES.values()] == [
        (1 / 255, -128), (2 / 255, -1), (1.0, -128),
    ]  # fmt: skip


# ---- the order of the classes ----------------------------------------------------------------


def dense(classes: int, seed: int) -> bytes:
    return Builder(12, 12, 1, seed).conv(6, 3, 2).flatten().scores(classes)


def pooled(classes: int, seed: int) -> bytes:
    """A channel a class, averaged: no dense layer."""
    x = Builder(12, 12, 1, seed).conv(6, 3, 2)
    return x.conv(classes, 3, activation="none").mean().softmax()


@pytest.mark.parametrize("network", [dense, pooled])
@pytest.mark.parametrize("classes", [2, 3, 5, 12])
def test_scores_change_places_and_nothing_else(network: Any, classes: int) -> None:
    images = np.random.default_rng(0).integers(-128, 128, (20, 12, 12, 1), np.int8)
    tflite = network(classes, seed=classes)
    before = Int8Network(tflite, reference_kernels=True).scores(images)
    assert len(np.unique(before, axis=1).T) == classes  # no two scores alike
    for high in range(classes):
        made = with_class_1(tflite, high)
        assert (made == Adapted(tflite)) == (high == 1) != bool(made.changes)
        order = np.arange(classes)
        order[[1, high]] = high, 1
        after = Int8Network(made.tflite, reference_kernels=True).scores(images)
        assert np.array_equal(after, before[:, order])


def test_scores_that_can_not_change_places() -> None:
    x = Builder(12, 12, 1, 0).conv(6, 3, 2).conv(3, 3, activation="none")
    added = x.conv(3, 1, activation="none").add(1).mean().softmax()
    with pytest.raises(ConversionError, match="let it be the second"):
        with_class_1(added, 2)
