# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa-convert --prune`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from labelled_recordings import write_labelled
from networks_by_hand import Builder

from ecgqa_tflite.cli.convert import command
from ecgqa_tflite.convert.prune import Evidence, pruned
from ecgqa_tflite.errors import DatasetError, SelfTestError
from ecgqa_tflite.model_folder import ModelFolder, Trained, open_model, write_model
from ecgqa_tflite.output import MANIFEST
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.flatbuffer import pack, set_buffer, unpack
from ecgqa_tflite.tflite.identity import read_identity
from ecgqa_tflite.tflite.prune import Pruned
from ecgqa_tflite.tflite.read import read_tflite

SPEC = FrontEnd.preset("wearable", rows=48, cols=48, colormap="grey")
GATE = ("--gate", "ties=1")
DEAD = 3, 5
"""Channels of the first convolution."""


def network() -> bytes:
    x = Builder(48, 48, 1, seed=13)
    x.conv(8, 5, 2, dead=DEAD).pool("MAX", 2, 2).conv(6, 3, dead=(0,))
    return x.flatten().scores()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    described = Trained(
        name="by_hand", architecture="own", spec=SPEC, threshold=0.5, threshold_int8=0, recipe={},
        arguments={"classes": 2, "input_shape": list(SPEC.image_shape)},
        metrics={"training": {"parameters": 9}, "validation": {}, "external": {"elsewhere": {}}},
    )  # fmt: skip
    return write_model(tmp_path_factory.mktemp("models") / "by_hand", described, network())


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("labelled"), 6)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return found


def test_a_network_of_ones_own_from_tflite_to_bundle(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(network())
    (tmp_path / "spec.json").write_text(SPEC.to_json())
    given = tmp_path / "mine.tflite", "--spec", tmp_path / "spec.json", *GATE
    whole, small = tmp_path / "whole", tmp_path / "small"
    assert convert(*given, "-o", whole).exit_code == 0
    done = convert(*given, "-o", small, "--prune", "dead", "--validate", labelled, "--verify")
    assert done.exit_code == 0, done.output
    assert f"no segment of {labelled.name} (24) wakes; each scores as before" in done.output
    before, after = manifest(whole), manifest(small)
    for figure in ("macs", "constant_bytes"):
        assert after["census"][figure] < before["census"][figure]
        totals = [sum(x[figure][i] for x in after["metrics"]["pruning"]["layers"]) for i in (0, 1)]
        assert totals[1] < totals[0]
        if figure == "macs":
            assert totals == [before["census"][figure], after["census"][figure]]
    first, second, _ = after["metrics"]["pruning"]["layers"]
    assert first["channels"][1] <= 8 - len(DEAD) and second["channels"][1] <= 5
    tflite = (small / after["model"]["tflite"]).read_bytes()
    identity = read_identity(tflite)
    assert identity is not None and identity["model_id"] == after["model_id"]
    assert after["model_id"] != before["model_id"]
    # What is made of the bundle is the bundle: it has been pruned.
    again = convert("-o", tmp_path / "again", "--from-manifest", small / MANIFEST)
    assert again.exit_code == 0, again.output


def test_a_model_folder_and_its_card(model: ModelFolder, labelled: Path, tmp_path: Path) -> None:
    found = pruned(model, tmp_path / "by_hand", Evidence(tmp_path / "cache", validate=labelled))
    assert found.metrics["external"] == {} and "parameters" not in found.metrics["training"]
    assert found.metrics["pruning"]["segments"] == {labelled.name: 24}
    card = (found.path / "MODEL_CARD.md").read_text()
    assert "Pruned: `by_hand` without the channels" in card and "segments: 8 to " in card
    assert found.threshold_int8 == model.threshold_int8
    assert open_model(found.path).tflite_path.stat().st_size < len(network())
    more = Evidence(tmp_path / "cache", calibrate=labelled, validate=labelled)
    both = pruned(model, tmp_path / "both" / "by_hand", more)
    assert len(both.metrics["pruning"]["segments"]) == 2


def test_a_score_that_changed_stops_it(
    model: ModelFolder, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(tflite: bytes, *_: object) -> Pruned:
        graph, model = read_tflite(tflite), unpack(tflite)
        bias = graph.tensors[graph.operators[-2].inputs[2]]
        moved = np.array(bias.data) + np.array([90_000, -90_000], np.int32)
        set_buffer(model, model.subgraphs[0].tensors[bias.index].buffer, moved.tobytes())
        return Pruned(pack(model), ())

    monkeypatch.setitem(pruned.__globals__, "prune", wrong)
    out = tmp_path / "by_hand"
    with pytest.raises(SelfTestError, match="score differently"):
        pruned(model, out, Evidence(tmp_path / "cache", validate=labelled))
    assert not out.exists()


def test_refusals(model: ModelFolder, labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for given in (
        ("--prune", "dead"),
        ("--prune", "0.5", "--validate", labelled),
        ("--prune", "dead", "--quantize", "none", "--validate", labelled),
        ("--quantize", "ptq", "--data", labelled),
    ):
        done = convert(model.path, "-o", out, *given)
        assert done.exit_code == 2, done.output
    assert "needs segments" in convert(model.path, "-o", out, "--prune", "dead").output
    done = convert(model.path, "-o", out, "--prune", "dead", "--validate", labelled)
    assert done.exit_code == 1 and "holds no float weights" in done.output
    test = tmp_path / "test"
    write_wfdb(simulate(10, 300.0, seed=1, name="A00001"), test)
    (test / "REFERENCE.csv").write_text("A00001,N\n")
    evidence = Evidence(tmp_path / "cache", validate=test)
    with pytest.raises(DatasetError, match="external test, on which nothing is chosen"):
        pruned(model, tmp_path / "by_hand", evidence)
    assert not out.exists()
