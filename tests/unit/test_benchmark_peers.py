# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Peers in one run: those that fail say how, the others get their turn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import require_module

from ecgqa_tflite.benchmark import inputs, peers
from ecgqa_tflite.benchmark.protocol import Protocol
from ecgqa_tflite.cli import bench, main
from ecgqa_tflite.devices import BENCHES
from ecgqa_tflite.frontend import reference
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import FrontEnd

TINY = Protocol(loops=2, loop_s=0.0, warm_up_s=0.0)


def test_scipy_s_transform_is_the_reference_s() -> None:
    """The transform alone: peers condition nothing."""
    spec = FrontEnd.preset("wearable", rows=113, cols=113, conditioning="none")
    segments, fs_hz, _ = inputs.load(None, spec, 2)
    every = np.asarray(peers.FRONT_ENDS["scipy.fft batched, Morse"](segments, fs_hz, spec)(1))
    wanted = reference.magnitude(segments[1], fs_hz, spec)
    at = np.clip(np.rint(spec.column_times_s * fs_hz - 0.5).astype(int), 0, segments.shape[1] - 1)
    assert every.shape == (113, 1250)
    # a column's centre lies up to half a sample from one
    assert np.abs(every[:, at] - wanted).max() < 0.2 * wanted.max()
    assert np.corrcoef(every[:, at].ravel(), wanted.ravel())[0, 1] > 0.999


def test_a_peer_that_fails_says_how() -> None:
    spec = FrontEnd.preset("wearable", rows=113, cols=113)
    segments, fs_hz, _ = inputs.load(None, spec, 2)

    def broken(*_: object) -> peers.Call:
        raise RuntimeError("no\ngood")

    def noisy(*_: object) -> peers.Call:
        return lambda i: 1 // (1 - i)  # fails on the second segment

    makers = {"ours": peers.FRONT_ENDS["ours: C, to the index map"], "a": broken, "b": noisy}
    times, missing = peers.time_makers(makers, segments, fs_hz, spec, TINY)
    assert list(times) == ["ours"] and times["ours"].p50 > 0
    assert missing["a"] == "RuntimeError: no good" and "ZeroDivisionError" in missing["b"]
    assert peers.time_makers({"a": broken}, segments, fs_hz, spec, TINY)[0] == {}


@pytest.mark.thorough
def test_tables_and_json(
    small_model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_module("pywt")
    monkeypatch.setattr(bench, "QUICK", TINY)
    monkeypatch.setattr(peers, "RUNTIMES", ["host", "coral"])
    benches = {
        **BENCHES,
        "coral": replace(
            BENCHES["coral"], variants=lambda: ["1 thread"], missing=lambda: "none here"
        ),
    }
    monkeypatch.setattr(bench, "BENCHES", benches)
    file = tmp_path / "peers.json"
    given = ["bench", "peers", str(small_model.path), "--json", str(file), "--quick"]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    for words in (
        "pywt.cwt conv",
        "scipy.fft",
        "host: XNNPACK, 1 thread",
        "host: reference kernels, 1 thread",
        "not run: coral: 1 thread: none here",
        "the seed paper",
    ):
        assert words in done.stdout, words
    report = json.loads(file.read_text())
    assert report["kind"] == "measured" and len(report["networks_ms"]) == 2
    assert list(report["front_ends_ms"]) == ["wearable", "seed"]
    assert all("scipy.fft batched, Morse" in x for x in report["front_ends_ms"].values())
    again = CliRunner().invoke(main, given)
    assert again.exit_code == 1 and "exists" in again.stderr
    none = CliRunner().invoke(main, ["bench", "peers", "no_such_model"])
    assert none.exit_code == 1 and "no such model" in none.stderr
