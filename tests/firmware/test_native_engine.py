# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The device's engine on the host, without LiteRT: the same scores, behind the same Assessor."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny_device
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner
from networks_by_hand import Builder
from networks_for_engine import index_maps
from numpy.typing import NDArray
from segments_for_boards import FS_HZ, edge_segments, real_segments

from ecgqa_tflite import cli
from ecgqa_tflite.assess import Assessor
from ecgqa_tflite.engine.golden import golden_samples
from ecgqa_tflite.engine.native import NativeModel, NativeNetwork
from ecgqa_tflite.engine.planner import memory_map, plan_tflite
from ecgqa_tflite.errors import ArgumentError, FormatError, ModelError
from ecgqa_tflite.frontend.colormap import image_s8, lut
from ecgqa_tflite.frontend.native import NativeFrontEnd, library
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.recording import read_recording
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite import read
from ecgqa_tflite.tflite.run import Int8Network

assess_module = importlib.import_module("ecgqa_tflite.assess")  # the face has a function there
OURS = ("light_cnn", "light_cnn_small")
WITHOUT_LITERT = "import sys; sys.modules['ai_edge_litert'] = None; "


def scores(
    tflite: bytes, maps: NDArray[np.uint8], colormap: str
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """By the engine, and by LiteRT's reference kernels."""
    return NativeNetwork(tflite, lut(colormap)).scores(maps), Int8Network(
        tflite, reference_kernels=True
    ).scores(image_s8(maps, colormap))


def assert_same(tflite: bytes, maps: NDArray[np.uint8], colormap: str, distinct: int) -> None:
    """The scores are the same, and say something."""
    found, expected = scores(tflite, maps, colormap)
    assert len(np.unique(expected[:, 1])) >= distinct
    np.testing.assert_array_equal(found, expected)


def without_litert(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_LITERT + program, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


ecgqa = partial(without_litert, "from ecgqa_tflite.cli import main; main()")


@pytest.mark.parametrize("name", OURS)
@pytest.mark.requirement("NN-1")
def test_scores_are_the_references(name: str) -> None:
    model = open_model(name)
    front_end = NativeFrontEnd(model.spec, FS_HZ)
    noise = np.random.default_rng(7).normal(0, 300, (24, front_end.segment_len))
    segments = (golden_samples(model.spec, FS_HZ)[1], edge_segments(), noise.astype(np.int16))
    maps = front_end.index_maps(np.concatenate(segments))
    drawn = index_maps(24, model.spec.rows, model.spec.cols, seed=9)
    uniform = np.random.default_rng(8).integers(0, 256, drawn.shape).astype(np.uint8)
    tflite = model.tflite_path.read_bytes()
    assert_same(tflite, np.concatenate([maps, drawn, uniform]), model.spec.colormap, 15)


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_scores_of_real_segments_are_the_references(
    name: str, shared_data: Callable[[str], Path]
) -> None:
    model = open_model(name)
    segments = real_segments(shared_data("challenge-2011"), per_class=24)
    maps = NativeFrontEnd(model.spec, FS_HZ).index_maps(segments)
    assert_same(model.tflite_path.read_bytes(), maps, model.spec.colormap, 50)


@pytest.mark.parametrize("name", tiny_device.NETWORKS)
def test_scores_of_every_kind_of_layer(name: str) -> None:
    spec = tiny_device.NETWORKS[name]
    maps = index_maps(200, spec.rows, spec.cols, seed=1)
    assert_same(tiny_device.tflite(name), maps, spec.colormap, 2)


def test_scores_of_networks_by_hand() -> None:
    found = []
    for seed in range(40):
        builder = Builder(19, 21, 3, seed).conv(2 + seed % 7, 3, 1 + seed % 2, activation="relu6")
        builder = builder.pool("MAX", 2, 2).depthwise(3, 1 + seed % 2).conv(5, 1, activation="none")
        tflite = (builder.mean() if seed % 3 else builder.flatten()).scores()
        ours, litert = scores(tflite, index_maps(4, 19, 21, seed), "jet")
        np.testing.assert_array_equal(ours, litert)
        found.append(ours)
    assert len(np.unique(found)) > 40


def test_a_sealed_model_is_what_the_library_lays_out() -> None:
    plan = plan_tflite(tiny_device.tflite("chain"))
    grey = lut("grey")
    assert NativeModel(plan, grey).is_valid
    assert not NativeModel(replace(plan, scores_at=plan.logits_at), grey).is_valid
    with pytest.raises(ArgumentError, match="not the one it was trained on"):
        NativeModel(plan, lut("jet"))
    assert library().ecgqa_host_scores(None, None, 1, None) == ArgumentError.status


def test_what_the_engine_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny_device.NETWORKS["chain"]
    network = NativeNetwork(tiny_device.tflite("chain"), lut("grey"))
    with pytest.raises(ArgumentError, match="takes uint8"):
        network.scores(np.zeros((1, spec.rows, spec.cols + 1), np.uint8))
    assert network.scores(np.zeros((0, spec.rows, spec.cols), np.uint8)).shape == (0, 2)
    branches = open_model("inception_v1").tflite_path.read_bytes()
    with pytest.raises(ModelError, match=r"^it: the device's engine can't run it \(operator \d+ "):
        NativeNetwork(branches, lut("jet"), source="it")
    damaged = replace(network._model.plan, workspace_bytes=8)
    monkeypatch.setattr(network, "_model", NativeModel(damaged, lut("grey")))
    with pytest.raises(FormatError):
        network.scores(np.zeros((1, spec.rows, spec.cols), np.uint8))


def test_assessor_decides_by_it(
    small_model: ModelFolder, demo_record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = read_recording(demo_record)
    assess = partial(assess_module.assess, recording, small_model, hop_s=1.0)
    reference = assess(kernels="reference")
    assert assess(kernels="device", threads=3) == reference
    asked = []
    monkeypatch.setattr(assess_module, "has_litert", lambda: asked.append(1))
    monkeypatch.setattr(assess_module, "Int8Network", None)
    assert assess() == reference and asked
    pushed = Assessor(small_model, recording.fs_hz, hop_s=1.0).push(recording.lead())
    assert pushed == reference


def test_assess_without_litert(demo_record: Path, tmp_path: Path) -> None:
    out = tmp_path / "without.json"
    done = ecgqa("assess", demo_record, "--json", out)
    assert done.returncode == 0, done.stderr
    with_it = tmp_path / "with.json"
    options = ["assess", str(demo_record), "--kernels", "device", "--json", str(with_it)]
    assert CliRunner().invoke(cli.main, options).exit_code == 0
    texts = (path.read_text() for path in (out, with_it))
    first, second = (json.loads(text)["records"][0]["leads"][0]["decisions"] for text in texts)
    assert first == second


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("assess", "RECORD", "--model", "inception_v1"), "engine can't run it"),
        (("assess", "RECORD", "--kernels", "reference"), "needs ai-edge-litert"),
        (("inspect", "light_cnn"), "this needs ai-edge-litert"),
    ],
)
def test_what_needs_litert_is_one_line(
    command: tuple[str, ...], said: str, demo_record: Path
) -> None:
    done = ecgqa(*(demo_record if word == "RECORD" else word for word in command))
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and said in done.stderr


def test_files_are_read_alike_without_litert() -> None:
    """But for fields of options that only LiteRT's schema knows: the plans are the same."""
    program = (
        "from pathlib import Path\n"
        "from ecgqa_tflite.engine.planner import memory_map, plan_tflite\n"
        "for path in sys.argv[1:]:\n"
        "    print(memory_map(plan_tflite(Path(path).read_bytes())))"
    )
    paths = [open_model(name).tflite_path for name in OURS]
    paths += sorted((firmware_bridge_dir() / "tests" / "tiny").glob("*.tflite"))
    done = without_litert(program, *paths)
    assert done.returncode == 0, done.stderr
    here = [memory_map(plan_tflite(path.read_bytes())) for path in paths]
    assert done.stdout == "".join(f"{text}\n" for text in here) and len(here) > 4


def test_options_are_those_of_the_schema() -> None:
    """The object API, which only LiteRT's schema has, names the same fields."""
    import flatbuffers

    names = [n for n in dir(schema) if n.endswith("Options") and hasattr(schema, f"{n}T")]
    assert len(names) > 100
    for name in names:
        builder = flatbuffers.Builder(0)
        empty = getattr(schema, f"{name}T")()
        builder.Finish(empty.Pack(builder))
        view = getattr(schema, name).GetRootAs(builder.Output(), 0)
        ours = {key.replace("_", ""): value for key, value in read._options(view).items()}
        theirs = vars(getattr(schema, f"{name}T").InitFromObj(view))
        assert list(ours) == [key.lower() for key in theirs], name
