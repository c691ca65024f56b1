# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise stress test: ratios, matching, what is kept, and a small run of the whole."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
import wfdb
from click.testing import CliRunner

from ecgqa_tflite.cli import main
from ecgqa_tflite.datasets.splits import held_out_groups
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.experiment import indices
from ecgqa_tflite.experiment.baselines import NeuroKit
from ecgqa_tflite.experiment.indices import Index, peers
from ecgqa_tflite.experiment.noise_stress import (
    DETECTORS,
    KINDS,
    SNRS_DB,
    Ranking,
    Stress,
    beat_figures,
    beat_power,
    kept_figures,
    lead,
    matched,
    noise_power,
)
from ecgqa_tflite.experiment.stress_report import (
    FILE,
    PLOT,
    RANDOM,
    TABLE,
    StressJob,
    held_out_records,
    readme,
)
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb


def stress(
    beats: list[int], found: list[int], extra: list[int], record: list[str] | None = None
) -> Stress:
    """Windows whose detectors do the same."""
    n = len(beats)
    two = [np.column_stack([np.array(x)] * 2) for x in (found, extra)]
    return Stress(
        np.zeros((n, 4), np.float32), np.array(record or ["100"] * n), np.array(["em"] * n),
        np.zeros(n), np.zeros(n), np.array(beats), *two, 250.0,
    )  # fmt: skip


# ---- the recipe ------------------------------------------------------------------------------


def test_powers_are_those_of_the_recipe() -> None:
    """A sine of amplitude a through the beats has a range of 2 a, and an eighth of 4 a^2."""
    t = np.arange(60 * 360) / 360
    beats_s = np.arange(1, 59) * 1.0
    sine = 0.7 * np.sin(2 * np.pi * 15 * t)
    assert beat_power(sine, beats_s, 360.0) == pytest.approx(0.7**2 / 2, rel=0.02)
    assert noise_power(sine, 360.0) == pytest.approx(0.7**2 / 2, rel=0.02)
    outlier = sine.copy()
    outlier[10 * 360] += 50
    assert noise_power(outlier, 360.0) == pytest.approx(0.7**2 / 2, rel=0.02)


@pytest.mark.parametrize(
    ("known", "found", "hit", "right"),
    [
        ([1.0, 2.0], [1.1, 2.16], [True, False], [True, False]),
        ([1.0], [0.9, 1.02], [True], [False, True]),  # the nearer of two
        ([1.0, 1.2], [1.1], [True, False], [True]),  # one detection finds one beat
        ([1.0, 1.2], [1.1, 1.21], [True, True], [True, True]),
        ([], [1.0], [], [False]),
        ([1.0], [], [False], []),
    ],
)
def test_beats_and_detections_match_one_for_one(
    known: list[float], found: list[float], hit: list[bool], right: list[bool]
) -> None:
    masks = matched(np.array(known), np.array(found))
    assert [mask.tolist() for mask in masks] == [hit, right]


# ---- what is kept ----------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    three = stress([5, 5, 10], [5, 3, 2], [0, 1, 4])
    figures = kept_figures(three, np.array([True, True, False]))
    assert figures["share"] == pytest.approx(2 / 3) and figures["beats_lost"] == 0.5
    for name in DETECTORS:
        assert figures[name]["se"] == 0.8 and figures[name]["ppv"] == pytest.approx(8 / 9)
        assert figures[name]["f1"] == pytest.approx(16 / 19)
    nothing = kept_figures(three, np.zeros(3, bool))
    assert nothing["share"] == 0 and nothing["XQRS"]["f1"] is None


def test_of_equal_scores_as_much_is_kept_as_of_a_random_draw() -> None:
    ones = np.ones((1, 4))
    kept = Ranking.of(np.array([1.0, 5.0, 1.0, 1.0])).kept(ones, 0.5)
    assert kept[0] == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])
    assert Ranking.of(np.array([3.0, 1.0, 2.0, 4.0])).kept(ones, 0.5)[0].tolist() == [1, 0, 0, 1]
    twice = np.array([[0.0, 0.0, 1.0, 3.0]])  # a resample that drew the last one three times
    assert Ranking.of(np.array([3.0, 1.0, 2.0, 4.0])).kept(twice, 0.5)[0].tolist() == [0, 0, 0, 2]


def test_a_better_index_leads_and_none_leads_itself() -> None:
    rng = np.random.default_rng(0)
    found = rng.integers(0, 6, 400)
    windows = stress([5] * 400, np.minimum(found, 5).tolist(), [0] * 400,
                     [f"{i % 8}" for i in range(400)])  # fmt: skip
    knows, guesses = windows.found[:, 0].astype(float), rng.random(400)
    gap = lead(windows, knows, guesses, 0.5, 200)
    assert gap["low"] > 0.1 and gap["low"] <= gap["value"] <= gap["high"]
    assert lead(windows, knows, knows, 0.5, 20) == {"value": 0, "low": 0, "high": 0}
    flat = lead(windows, knows, np.zeros(400), 0.5, 0)["value"]
    ones = np.ones((1, 400))
    ours = beat_figures(windows, Ranking.of(knows).kept(ones, 0.5))["f1"][0]
    assert flat == pytest.approx(ours - beat_figures(windows, ones)["f1"][0])


def test_only_what_trained_no_model_is_taken(tmp_path: Path) -> None:
    names = ["100", "101", "103", "201", "202"]
    composition = {"validation_share": 0.5, "seed": 3}
    model = tiny_model.folder(tmp_path, recipe={"composition": composition})
    held = held_out_groups((f"mitdb/{n}" for n in names if n != "202"), 0.5, 3)
    found = held_out_records([model], names)
    assert {f"mitdb/{n}" for n in found} - {"mitdb/202"} == held
    assert ("202" in found) == ("201" in found)
    none = tiny_model.folder(
        tmp_path / "b", recipe={"composition": {"validation_share": 0.0, "seed": 3}}
    )
    with pytest.raises(ArgumentError, match="training of every model"):
        held_out_records([model, none], names)


# ---- peers -----------------------------------------------------------------------------------


def test_a_peer_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise ImportError(f"no {name}")

    monkeypatch.setattr(indices.importlib.metadata, "version", absent)
    found, missing = peers()
    assert not found and set(missing) == {"neurokit2", "ecg-quality", "biosqi"}
    assert missing["biosqi"] == "ImportError: no biosqi"


def test_neurokits_dissimilarity_is_turned_round() -> None:
    class Fake:
        @staticmethod
        def ecg_clean(signal: Any, sampling_rate: int) -> Any:
            return signal

        @staticmethod
        def ecg_quality(signal: Any, sampling_rate: int, method: str) -> Any:
            return np.array([0.5, -1.5, np.nan])

    samples = np.ones(10, np.int16)
    assert NeuroKit("dissimilarity")._one(Fake, samples, 250) == -1.0
    assert NeuroKit("ho2025")._one(Fake, samples, 250) == -0.5


# ---- the whole -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mitdb`` of a simulated record of 7 min with its beats, and a short ``nstdb``."""
    root = tmp_path_factory.mktemp("data")
    signal = np.tile(simulate(60, 360.0, seed=0, name="100").signal_mv[:, :1], (7, 1))
    write_wfdb(Recording("100", signal, 360.0, ("MLII",)), root / "mitdb")
    x = signal[:, 0]
    peaks = np.flatnonzero((x[1:-1] > 0.5) & (x[1:-1] >= x[:-2]) & (x[1:-1] > x[2:])) + 1
    peaks = peaks[np.diff(peaks, prepend=-360) > 100]
    wfdb.wrann("100", "atr", peaks, symbol=["N"] * len(peaks), fs=360,
               write_dir=str(root / "mitdb"))  # fmt: skip
    rng = np.random.default_rng(0)
    for kind in KINDS:
        noise = np.cumsum(rng.normal(size=(360 * 700, 2)), axis=0) % 3
        write_wfdb(Recording(kind, noise, 360.0, ("a", "b")), root / "nstdb")
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps the windows, which take some seconds to make, for both tests."""
    return tmp_path_factory.mktemp("out")


@pytest.mark.thorough
def test_a_small_run_writes_table_plot_and_json(data: Path, out: Path, tmp_path: Path) -> None:
    model = tiny_model.folder(tmp_path)
    knows = Index("knows", lambda windows, fs_hz, tick: -windows.std(axis=1), 0.0)
    job = StressJob([model], data, out, [indices.of_model(model), knows], {"gone": "not there"},
                    windows=60, resamples=20)  # fmt: skip
    result = job.run(lambda *_: None)
    assert result["windows"] == 60 and result["records"] == ["100"]
    assert [row["name"] for row in result["rows"]] == ["tiny", "knows", RANDOM]
    assert set(result["by_snr"]) <= {str(snr) for snr in SNRS_DB}
    all_kept = result["rows"][1]["curve"][-1]
    assert all(row["curve"][-1] == pytest.approx(all_kept) for row in result["rows"])
    assert json.loads((out / FILE).read_text()) == result
    table = (out / TABLE).read_text()
    assert "Not run: gone: not there" in table and "| knows |" in table
    assert table in readme(result) and PLOT in readme(result)
    assert ET.parse(out / PLOT).getroot().tag.endswith("svg")
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.np?")}
    job.run(lambda *_: None)
    assert before and {p: p.stat().st_mtime_ns for p in out.rglob("*.np?")} == before


def test_more_noise_loses_more_beats(data: Path, out: Path, tmp_path: Path) -> None:
    model = tiny_model.folder(tmp_path)
    arguments = ["experiment", "noise-stress", "--data", data, "-o", out, "--model",
                 model.path, "--no-peers", "--windows", 0]  # fmt: skip
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    by_snr = json.loads((out / FILE).read_text())["by_snr"]
    assert by_snr["24"]["f1_all"] > 0.95 > by_snr["-6"]["f1_all"]
