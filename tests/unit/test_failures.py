# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors drawn for eyes: which, in what order, and what comes back from the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_model
from conftest import require_module
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet
from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.evaluation import failures
from ecgqa_tflite.evaluation.failures import Failure, Reading
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import Quality

THRESHOLD = 10
FS_HZ = 250.0
SEGMENT_LEN = tiny_model.SPEC.segment_len(FS_HZ)


def part(quality: list[int], groups: str, samples: np.ndarray | None = None) -> LabelledSegments:
    n = len(quality)
    if samples is None:
        noise = np.random.default_rng(n).normal(scale=500, size=(n, SEGMENT_LEN))
        samples = noise.astype(np.int16)
    return LabelledSegments(
        samples,
        FS_HZ,
        np.array(quality, np.uint8),
        np.array(list(groups)),
        np.array([f"set/{g}@{5 * i:.2f}" for i, g in enumerate(groups)]),
        "set",
    )


def failure(name: str, label: int, score: int, group: str = "") -> Failure:
    samples = np.random.default_rng(abs(score)).normal(scale=500, size=SEGMENT_LEN)
    return Failure(name, group or name, Quality(label), score, samples.astype(np.int16), FS_HZ)


def some(n: int) -> list[Failure]:
    """``n`` low called high and ``2 n`` high called low."""
    return [failure(f"r{i}", i % 3 == 0, 0) for i in range(3 * n)]


def test_what_contradicts_the_label_is_found_but_not_what_holds_no_signal() -> None:
    flat = part([1], "z", np.zeros((1, SEGMENT_LEN), np.int16))
    found = failures.find_failures(
        LabelledSet((part([1, 1, 0, 0], "abcd"), flat)),
        np.array([THRESHOLD, THRESHOLD - 1, THRESHOLD, -128, -128], np.int8),
        THRESHOLD,
    )
    assert [(f.group, f.direction, f.score) for f in found] == [
        ("b", "high_called_low", THRESHOLD - 1),
        ("c", "low_called_high", THRESHOLD),
    ]


@given(st.integers(2, 60), st.integers(0, 99), st.sets(st.integers(0, 89)))
@settings(max_examples=40, deadline=None)
def test_two_models_get_the_errors_that_they_share(n: int, seed: int, kept: set[int]) -> None:
    """What one model's sample holds, another's does where it errs on it and on fewer."""
    found = some(30)
    fewer = [f for i, f in enumerate(found) if i in kept]
    sample = {f.id for f in failures.draw_sample(found, n, seed)}
    other = {f.id for f in failures.draw_sample(fewer, n, seed)}
    assert sample & {f.id for f in fewer} <= other


def test_a_sample_takes_half_of_each_direction_and_hangs_on_the_seed() -> None:
    found = some(40)
    sample = failures.draw_sample(found, 20, 1)
    assert [f.label for f in sample] == [Quality.LOW] * 10 + [Quality.HIGH] * 10
    assert sample == failures.draw_sample(found[::-1], 20, 1)
    assert {f.id for f in sample} != {f.id for f in failures.draw_sample(found, 20, 2)}
    assert len(failures.draw_sample(found[:3], 20, 1)) == 3


def test_the_worst_come_first_and_one_a_recording() -> None:
    found = [
        failure("a1", 0, 50, "a"), failure("a2", 0, 90, "a"), failure("b", 0, 70),
        failure("c", 1, -100), failure("d", 1, -120), failure("e", 1, 0),
    ]  # fmt: skip
    assert [f.id for f in failures.worst(found, 2, 0)] == ["a2", "b", "d", "c"]


def test_a_sheet_comes_back_as_it_was_filled_in(tmp_path: Path) -> None:
    sample = failures.draw_sample(some(4), 8, 0)
    said = {f.id: Reading("B", "jump", "me, of course", "2026-01-02") for f in sample[:3]}
    path = tmp_path / "sheet.csv"
    path.write_text(failures.sheet(sample, said))
    assert failures.read_sheet(path) == said
    assert len(path.read_text().splitlines()) == 1 + len(sample)


def test_a_model_without_errors_has_an_empty_sheet_and_tally(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(failures.sheet([], {}))
    assert failures.read_sheet(path) == {}
    told = failures.tally([], [], {}, 0)
    assert told["dates"] == [] and told["low_called_high"]["errors"] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs columns"),
        ("id,grade\nx,A\n", "needs columns"),
        ("id,grade,kind,reader,date\nx,D,jump,,\n", "x: grade 'D'"),
        ("id,grade,kind,reader,date\nx,A,\n", "kind ''"),
        ("id,grade,kind,reader,date\nx,A,odd,,\n", "kind 'odd'"),
    ],
)
def test_a_broken_sheet_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "sheet.csv").write_text(text)
    with pytest.raises(DatasetError, match=says):
        failures.read_sheet(tmp_path / "sheet.csv")


def test_counts_of_what_was_read() -> None:
    found = some(12)
    sample = failures.draw_sample(found, 12, 3)
    grades = dict(zip((f.id for f in sample), "AABBCC" * 2, strict=True))
    readings = {i: Reading(g, "jump", "me", f"2026-01-0{ord(g) - 64}") for i, g in grades.items()}
    readings["another"] = Reading("A", "none", "someone else", "2025-01-01")
    told = failures.tally(found, sample, readings, 3)
    assert (told["seed"], told["readers"]) == (3, ["me"])
    assert told["dates"] == ["2026-01-01", "2026-01-03"]
    for direction, n in (("low_called_high", 24), ("high_called_low", 12)):
        table = told[direction]
        assert (table["errors"], table["read"], table["kinds"]) == (n, 6, {"jump": 6})
        assert table["grades"] == {"A": 2, "B": 2, "C": 2}
        interval = binomtest(2, 6).proportion_ci(method="wilson")
        assert table["label_wrong"] == pytest.approx(
            {"value": 1 / 3, "low": interval.low, "high": interval.high}, abs=1e-5
        )


def test_a_readable_low_label_and_an_unreadable_high_one_are_the_labels_faults() -> None:
    found = some(2)
    readings = {f.id: Reading("A", "plain", "me", "d") for f in found}
    told = failures.tally(found, failures.draw_sample(found, 6, 0), readings, 0)
    assert told["low_called_high"]["label_wrong"]["value"] == 1
    assert told["high_called_low"]["label_wrong"]["value"] == 0


def test_an_error_that_was_not_read_is_named() -> None:
    found = some(3)
    with pytest.raises(DatasetError, match=r"6 of the 6 errors .*--errors"):
        failures.tally(found, failures.draw_sample(found, 6, 0), {}, 0)


@pytest.mark.parametrize("suffix", [".html", ".png"])
def test_a_gallery_shows_every_segment(
    tmp_path: Path, small_model: ModelFolder, suffix: str
) -> None:
    require_module("matplotlib")
    found = [failure(f"low/{i}", 0, 50 + i) for i in range(3)]
    found += [failure(f"<high/{i}", 1, -50 - i) for i in range(2)]
    told: list[tuple[int, int]] = []
    path = tmp_path / f"gallery{suffix}"
    failures.draw_gallery(
        path, small_model, found, found[:1], 0, lambda n, total: told.append((n, total))
    )
    assert told[-1] == (6, 6) and len(told) == 6  # five worst, one of them drawn too
    if suffix == ".html":
        page = path.read_text()
        assert page.count("<img") == 6 and "&lt;high/1  labelled high, called low" in page
        assert "1: low/0" in page and "http" not in page.replace("http://www.w3.org", "")
    else:
        from matplotlib.image import imread

        height, width = imread(path).shape[:2]
        assert height > width / 3


def test_a_gallery_of_another_kind_is_refused(tmp_path: Path, small_model: ModelFolder) -> None:
    with pytest.raises(ArgumentError, match=r"\.png or \.html"):
        failures.draw_gallery(tmp_path / "gallery.pdf", small_model, [], [], 0)
