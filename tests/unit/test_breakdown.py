# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Shares called high by name, decisions on longer stretches, and what a change changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_model
from labelled_recordings import write_labelled

from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.evaluation.breakdown import (
    by_name,
    by_recording,
    by_stretch,
    confusion,
    share_called_high,
    stretches,
)
from ecgqa_tflite.evaluation.robustness import CHANGES, Window, draw_windows, robustness
from ecgqa_tflite.recording.simulator import simulate


def labelled(quality: list[int], group: list[str]) -> LabelledSet:
    ids = [f"own/{name}@{i}.00" for i, name in enumerate(group)]
    samples = np.ones((len(group), 4), np.int16)
    part = LabelledSegments(
        samples, 250.0, np.array(quality, np.uint8), np.array(group), np.array(ids), "own"
    )
    return LabelledSet((part,))


def test_confusion_by_hand() -> None:
    counts = confusion([1, 1, 1, 0, 0], [True, True, False, True, False])
    assert list(counts.values()) == [2, 1, 1, 1]


def test_shares_and_their_intervals_are_over_recordings() -> None:
    group = np.repeat(np.arange(20), 10)
    called = group % 2 == 0  # recordings agree in themselves: as if there were 20
    share = share_called_high(called, group, 400)
    assert share["called_high"]["value"] == 0.5 and share["high"] == 100 and share["groups"] == 20
    assert share["called_high"]["high"] - share["called_high"]["low"] > 0.3
    names = np.where(group < 4, "VT", np.where(group < 10, "", "N"))
    table = by_name(names, called, group, 10)
    assert list(table) == ["N", "VT"] and table["VT"]["n"] == 40 and table["N"]["groups"] == 10


def test_one_recording_has_no_interval() -> None:
    share = share_called_high(np.array([True, False]), ["a", "a"], 50)["called_high"]
    assert share == {"value": 0.5, "low": None, "high": None}


def test_a_row_per_recording() -> None:
    segments = labelled([1, 1, 0, 0], ["a", "b", "b", "a"])
    rows = by_recording(segments, np.array([True, False, True, False]))
    assert [row["recording"] for row in rows] == ["a", "b"]
    assert rows[0] == {
        "recording": "a", "high": 1, "low": 1, "high_called_high": 1, "low_called_high": 0
    }  # fmt: skip
    assert rows[1]["high_called_high"] == 0 and rows[1]["low_called_high"] == 1


def test_stretches_stay_in_a_recording() -> None:
    group = np.array(["a"] * 3 + ["b"] + ["c"] * 4 + ["d"] * 2)
    assert stretches(group, 2).tolist() == [[0, 1], [4, 5], [6, 7], [8, 9]]
    assert stretches(group, 3).tolist() == [[0, 1, 2], [4, 5, 6]]
    assert stretches(np.array(["a"]), 2).shape == (0, 2)


def test_the_mean_of_several_scores_decides_better() -> None:
    """Where errors of one recording's segments are their own."""
    rng = np.random.default_rng(0)
    group = [f"r{i:02}" for i in range(40) for _ in range(6)]
    quality = [i % 2 for i in range(40) for _ in range(6)]
    segments = labelled(quality, group)
    # ids tell recordings apart by what stands before the @
    noisy = np.clip(np.array(quality) * 60 - 30 + rng.normal(0, 60, 240), -127, 127)
    found = by_stretch(segments, noisy.astype(np.int8), 0, 5.0, 10)
    assert list(found) == ["5", "10", "30"] and found["30"]["n"] == {"high": 20, "low": 20}
    assert found["30"]["bacc"]["value"] > found["10"]["bacc"]["value"] > found["5"]["bacc"]["value"]
    assert found["5"]["one"]["value"] == found["5"]["bacc"]["value"]


# ---- robustness ------------------------------------------------------------------------------


def test_each_change_keeps_the_length_and_changes_something() -> None:
    signal = simulate(6, 250.0, seed=1).signal_mv[:, 0].astype(float)
    for name, change in CHANGES.items():
        window, fs_hz = change(signal, 1250, 250.0, np.random.default_rng(0))
        assert len(window) == round(5 * fs_hz), name
        assert fs_hz != 250 or not np.array_equal(window, signal[:1250]), name


def test_windows_come_from_the_recordings(tmp_path: Path) -> None:
    data = write_labelled(tmp_path, records=4)  # 10 s: one of two segments has 1 s behind it
    segments = load_folder(data, tiny_model.SPEC)
    windows = draw_windows(data, segments.ids, segments.group, tiny_model.SPEC, n=50)
    assert len(windows) == 8 and {len(w.signal_mv) for w in windows} == {1500}
    late = np.array([name.endswith("@5.00") for name in segments.ids])
    with pytest.raises(DatasetError, match="1 s more"):
        draw_windows(data, segments.ids[late], segments.group[late], tiny_model.SPEC)


def test_an_image_scaled_to_itself_takes_no_notice_of_gain(tmp_path: Path) -> None:
    model = tiny_model.folder(tmp_path)
    windows = [
        Window(simulate(6, 250.0, seed=i).signal_mv[:, 0].astype(float), 250.0, str(i))
        for i in range(6)
    ]
    found = robustness(model, windows, n_boot=20)
    assert set(found) == set(CHANGES)
    assert found["gain x 10"]["changed"] == 0 and found["gain x 10"]["share"]["value"] == 0
    for row in found.values():
        assert row["changed"] == row["to_high"] + row["to_low"] and row["n"] == row["groups"] == 6
