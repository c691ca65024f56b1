# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Each target's bundle: built, proven from a clean folder with what it holds, and refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from click.testing import CliRunner
from conftest import require_module, require_tool

from ecgqa_tflite import devices
from ecgqa_tflite.bundle.export import Bundle, export_bundle
from ecgqa_tflite.bundle.proof import prove
from ecgqa_tflite.cli import main
from ecgqa_tflite.devices import TARGETS, ethos_u, find_target
from ecgqa_tflite.devices import _edge_tpu as edge_tpu
from ecgqa_tflite.devices import _vela as vela
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.errors import (
    ArgumentError,
    ConversionError,
    EcgqaError,
    ModelError,
    SelfTestError,
    ToolError,
)
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.segments import BY_REASON
from ecgqa_tflite.tflite import tflm
from ecgqa_tflite.tflite.flatbuffer import pack, unpack
from ecgqa_tflite.tflite.identity import read_identity, with_identity
from ecgqa_tflite.tflite.inspect import inspect_tflite
from ecgqa_tflite.tflite.read import (
    Graph,
    Operator,
    Tensor,
    network_digest,
    read_metadata,
    read_tflite,
)
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.tflite.space_to_depth import fold_image, foldable_stride, rewrite

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

BUILT = tuple(TARGETS)
ETHOS_U = tuple(name for name in BUILT if name.startswith("ethos-u"))
FIRMWARE = tuple(name for name, target in TARGETS.items() if target.firmware)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return tiny_model.folder(tmp_path_factory.mktemp("models"))


class Bundles(dict[str, Bundle]):
    """Made when they are first asked for."""

    def __init__(self, model: ModelFolder, folder: Path) -> None:
        super().__init__()
        self.model, self.folder = model, folder

    def __missing__(self, name: str) -> Bundle:
        self[name] = export_bundle(self.model, self.folder / name, target=name)
        return self[name]


@pytest.fixture(scope="module")
def bundles(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    for tool in ("cc", "make"):
        require_tool(tool)
    for module in ("tflite_micro", "ethosu"):
        require_module(module)
    return Bundles(model, tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def clean(bundles: Bundles, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the parametrised target's bundle, far from where it was made."""
    return Path(shutil.copytree(bundles[request.param].path, tmp_path / "elsewhere"))


def run(*command: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)


# ---- built and proven -----------------------------------------------------------------------


def test_there_is_a_module_for_each_that_was_promised() -> None:
    assert list(TARGETS) == [
        *("cortex-m", "tflm", "raspberry-pi", "coral"),
        *("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u85-256"),
    ]
    with pytest.raises(ArgumentError, match="no target 'abacus'; there are: cortex-m"):
        find_target("abacus")


def test_the_folder_is_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "abacus.py").write_text(
        "from ecgqa_tflite.devices._device import Device\nDEVICES = (Device('abacus'),)\n"
    )
    (tmp_path / "_beads.py").write_text("raise ImportError('a helper is not a device')\n")
    monkeypatch.setattr(devices, "__path__", [*devices.__path__, str(tmp_path)])
    assert [d.name for d in devices._devices()] == [*devices.DEVICES, "abacus"]
    monkeypatch.delitem(sys.modules, "ecgqa_tflite.devices.abacus")


@pytest.mark.parametrize("name", BUILT)
def test_what_it_says_of_itself(bundles: Bundles, name: str) -> None:
    bundle = bundles[name]
    assert bundle.manifest["target"]["name"] == name
    assert bundle.proof.segments == 12
    assert bool(bundle.proof.target_output) == (name != "cortex-m")
    assert bool(bundle.proof.c_selftest) == TARGETS[name].firmware
    for path in bundle.path.iterdir():
        if path.suffix in (".md", ".py", ".cc") or path.name == "Makefile":
            assert not {"{{", "{%"} & set(re.findall("{[{%]", path.read_text())), path


@pytest.mark.parametrize("name", BUILT)
def test_its_tree_is_what_ecgqa_targets_says(bundles: Bundles, name: str) -> None:
    """Every file is listed, every listed file is there."""
    found = {p.relative_to(bundles[name].path).as_posix() for p in bundles[name].path.rglob("*.*")
             if p.is_file()} | {"Makefile", "LICENSE", "SHA256SUMS"}  # fmt: skip
    for listed in TARGETS[name].tree:
        path = listed.strip("()").replace("NAME", "tiny")
        if path.endswith("..."):
            files = {file for file in found if file.startswith(path.removesuffix("..."))}
        else:
            files = {path.replace("[ch]", letter) for letter in ("c", "h")} & found
        assert listed.startswith("(") or files, listed
        found -= files
    assert not found


@pytest.mark.parametrize("name", BUILT)
def test_the_long_list_shows_command_and_tree(name: str) -> None:
    told = CliRunner().invoke(main, ["targets", "--long"]).output
    assert f"ecgqa-convert NAME -o BUNDLE --target {name}\n" in told
    for listed in TARGETS[name].tree:
        assert f" BUNDLE/{listed.strip('()')}" in told


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing this package fails."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/ecgqa_tflite.py").write_text("raise ImportError('not of the bundle')")
    return os.environ | {"PYTHONPATH": str(tmp_path / "alone")}


@pytest.mark.parametrize("clean", BUILT, indirect=True)
def test_a_clean_folder_proves_itself(clean: Path, alone: dict[str, str]) -> None:
    """With make, a compiler and, on Linux boards, Python with numpy and LiteRT."""
    done = run("make", "-C", clean, "selftest", f"PYTHON={sys.executable} -P", "CC=cc", env=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr
    assert "bit for bit" in done.stdout


@pytest.mark.parametrize("clean", FIRMWARE, indirect=True)
def test_a_clean_folder_makes_an_image_that_proves_itself(clean: Path) -> None:
    """For a Cortex-M4, in one command; under QEMU it passes."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        require_tool(tool)
    done = run("make", "-C", clean, "image")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr and "selftest.elf" in done.stdout
    done = run("make", "-C", clean, "emulate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 segments of 113 rows, bit for bit" in done.stdout + done.stderr


@pytest.mark.parametrize("clean", FIRMWARE, indirect=True)
def test_a_clean_folder_is_a_cmake_project(clean: Path) -> None:
    require_tool("cmake")
    done = run("cmake", "-S", clean, "-B", clean / "build")
    assert done.returncode == 0, done.stderr
    done = run("cmake", "--build", clean / "build", "--target", "tiny_selftest")
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(clean / "build/tiny_selftest")
    assert done.returncode == 0 and "bit for bit" in done.stdout


def test_twice_the_same_bytes(bundles: Bundles, model: ModelFolder, tmp_path: Path) -> None:
    again = export_bundle(model, tmp_path / "again", target="ethos-u55-128")
    assert again.manifest == bundles["ethos-u55-128"].manifest


@pytest.mark.parametrize("clean", ["tflm", *ETHOS_U], indirect=True)
def test_a_wrong_input_layout_fails_the_selftest(clean: Path) -> None:
    source = clean / "model/ecgqa_image.c"
    text = source.read_text()
    assert text.count("row % BLOCK * BLOCK + col % BLOCK") == 1
    changed = text.replace("image + place(row, col)", "image + place(row, COLS - 1u - col)")
    assert changed != text
    source.write_text(changed)
    done = run("make", "-C", clean, "selftest", "CC=cc")
    assert done.returncode and "network's input: segment 0 differs" in done.stdout


# ---- TensorFlow Lite Micro ------------------------------------------------------------------


def test_the_arena_is_the_least_that_works(bundles: Bundles) -> None:
    arena = bundles["tflm"].manifest["target"]["arena"]
    image = np.zeros((1, *tiny_model.SPEC.image_shape), np.int8)
    assert tflm.tflm_scores(tiny_model.tflite(), image, arena["least_bytes"]).shape == (1, 2)
    with pytest.raises(ToolError, match="can't run"):
        tflm.tflm_scores(tiny_model.tflite(), image, arena["least_bytes"] - tflm.GRANULE)
    assert arena["bytes"] >= arena["least_bytes"] + arena["margin_bytes"]
    header = (bundles["tflm"].path / "model/tiny_tflm.h").read_text()
    assert f"#define ECGQA_ARENA_BYTES {arena['bytes']}u" in header and "host-measured" in header


def test_the_resolver_has_exactly_the_operators(bundles: Bundles) -> None:
    header = (bundles["tflm"].path / "model/tiny_tflm.h").read_text()
    methods = ["AddConv2D", "AddMaxPool2D", "AddReshape", "AddFullyConnected", "AddSoftmax"]
    assert bundles["tflm"].manifest["target"]["resolver"] == methods
    assert f"MicroMutableOpResolver<{len(methods)}>" in header
    with pytest.raises(ConversionError, match="no method for LOCAL_RESPONSE_NORMALIZATION"):
        tflm.resolver_methods(["CONV_2D", "LOCAL_RESPONSE_NORMALIZATION"])


def test_tflm_may_differ_by_its_second_rounding(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what a step of each logit makes of the scores, the decisions alike; and it is said."""
    folder = bundles["tflm"].path
    manifest = json.loads((folder / "manifest.json").read_text())
    golden = Golden.from_npz(folder / manifest["golden"]["file"])
    graph = read_tflite((folder / "tiny.tflite").read_bytes())
    slack = tflm.score_slack(graph)
    logits = graph.tensors[graph.operators[-1].inputs[0]]
    real = float(logits.quant_scale[0]) * np.arange(-128, 128)
    score = 256 / (1 + np.exp(-real))  # of the distance of two logits, which moves by two steps
    assert slack - 1 <= np.ceil((score[2:] - score[:-2]).max()) <= slack
    assert f"scores by at most {slack}." in (folder / "README.md").read_text()

    def tflm_gives(change: int, row: int = 0) -> tuple[str, ...]:
        scores = golden.scores.astype(int)
        scores[row] += [-change, change]
        monkeypatch.setattr(tflm, "tflm_scores", lambda *_: scores.astype(np.int8))
        return find_target("tflm").prove(folder, manifest, golden)

    undecided = int(np.argmin(np.abs(golden.scores[:, 1].astype(int))))
    away = 1 if golden.scores[undecided, 1] >= 0 else -1
    assert "the same 12 scores" in tflm_gives(0)[0]
    told = tflm_gives(away * slack, undecided)[0]
    assert f"the scores of 1 differ, by at most {slack}" in told and "segments alike" in told
    with pytest.raises(SelfTestError, match=f"differ from .* {golden.names[undecided]!r}"):
        tflm_gives(away * (slack + 1), undecided)
    manifest["model"]["threshold_int8"] = int(golden.scores[undecided, 1]) + 1
    with pytest.raises(SelfTestError, match="differ from"):
        tflm_gives(1, undecided)


@pytest.mark.parametrize("clean", ["tflm"], indirect=True)
def test_a_manifest_without_the_targets_part(clean: Path) -> None:
    manifest = json.loads((clean / "manifest.json").read_text())
    del manifest["target"]["arena"]
    (clean / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"lacks what tflm needs .'arena'.; export again"):
        prove(clean)


def test_without_a_fully_connected_layer_tflm_is_the_same() -> None:
    graph = read_tflite(tiny_model.tflite())
    plain = [op for op in graph.operators if op.name != "FULLY_CONNECTED"]
    assert tflm.score_slack(replace(graph, operators=tuple(plain))) == 0
    assert tflm.score_slack(replace(graph, operators=graph.operators[:-1])) == tflm.LOGIT_SLACK


STUB = """\
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
union Data { int8_t *int8; };
struct TfLiteTensor { Data data; };
namespace tflite {
struct Model;
const Model *GetModel(const void *);
struct Resolver {
    TfLiteStatus AddConv2D(); TfLiteStatus AddMaxPool2D(); TfLiteStatus AddReshape();
    TfLiteStatus AddFullyConnected(); TfLiteStatus AddSoftmax(); TfLiteStatus AddEthosU();
};
template <unsigned n> struct MicroMutableOpResolver : Resolver {};
struct MicroInterpreter {
    MicroInterpreter(const Model *, const Resolver &, uint8_t *, size_t);
    TfLiteStatus AllocateTensors(); TfLiteStatus Invoke();
    TfLiteTensor *input(size_t); TfLiteTensor *output(size_t);
};
struct FlatBufferModel { static std::unique_ptr<FlatBufferModel> BuildFromFile(const char *); };
namespace ops { namespace builtin { struct BuiltinOpResolver { BuiltinOpResolver() {} }; } }
struct Interpreter {
    TfLiteStatus AllocateTensors(); TfLiteStatus Invoke();
    template <class T> T *typed_input_tensor(int); template <class T> T *typed_output_tensor(int);
};
struct InterpreterBuilder {
    InterpreterBuilder(const FlatBufferModel &, const ops::builtin::BuiltinOpResolver &);
    TfLiteStatus operator()(std::unique_ptr<Interpreter> *);
};
}
"""
"""What the examples use of TensorFlow Lite, whose headers no package here brings."""


def compiles(bundle: Path, example: str, tmp_path: Path) -> None:
    """As C++, without a warning."""
    for name in (
        *("micro/micro_mutable_op_resolver.h", "micro/micro_interpreter.h", "interpreter.h"),
        *("schema/schema_generated.h", "kernels/register.h", "model_builder.h"),
    ):
        path = tmp_path / "stub/tensorflow/lite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#include "tensorflow/lite/stub.h"\n')
    (tmp_path / "stub/tensorflow/lite/stub.h").write_text(STUB)
    done = run(
        *(require_tool("g++"), "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"),
        *(f"-I{tmp_path}/stub", f"-I{bundle}/model", f"-I{bundle}/firmware_bridge/include"),
        bundle / example,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("clean", "example"),
    [("tflm", "example.cc"), ("ethos-u55-128", "example.cc"), ("raspberry-pi", "classify.cc")],
    indirect=["clean"],
)
def test_the_examples_are_cpp(clean: Path, tmp_path: Path, example: str) -> None:
    compiles(clean, example, tmp_path)


def test_a_segment_of_no_whole_number_of_seconds(tmp_path: Path) -> None:
    spec = replace(tiny_model.SPEC, segment_s=4.8)
    model = tiny_model.folder(tmp_path, spec=spec)
    made = export_bundle(model, tmp_path / "bundle", target="raspberry-pi")
    compiles(made.path, "classify.cc", tmp_path)


# ---- Linux boards ---------------------------------------------------------------------------


@pytest.mark.parametrize("clean", ["raspberry-pi", "coral"], indirect=True)
def test_the_runner_decides(clean: Path) -> None:
    golden = Golden.from_npz(clean / "golden/tiny_golden.npz")
    assert run("make", "-C", clean, "CC=cc").returncode == 0
    samples = clean / "samples.s16"
    golden.samples.astype("<i2").tofile(samples)
    done = run(sys.executable, "-P", clean / "run.py", samples)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line, reason, scores in zip(lines, golden.reasons, golden.scores, strict=True):
        asked = reason == 0
        assert line["reason"] == BY_REASON[reason]
        assert line["quality"] == ("high" if asked and scores[1] >= 0 else "low")
        assert not asked or abs(line["score"] * 256 - 128 - scores[1]) <= 1  # XNNPACK
    assert {line["reason"] for line in lines} == {"ok", "flat", "held", "clipped", "smooth"}
    is_coral = "coral" in (clean / "manifest.json").read_text()
    assert ("no Edge TPU" in done.stderr and "on the CPU" in done.stderr) == is_coral
    short = run(sys.executable, clean / "run.py", clean / "run.py.none")
    assert short.returncode == 1 and len(short.stderr.splitlines()) <= 2


@pytest.mark.parametrize("clean", ["raspberry-pi"], indirect=True)
def test_a_changed_network_fails_the_runner(clean: Path) -> None:
    model = unpack((clean / "tiny.tflite").read_bytes())
    largest = max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))
    largest.data = 255 - np.asarray(largest.data)
    (clean / "tiny.tflite").write_bytes(pack(model))
    done = run("make", "-C", clean, "selftest", f"PYTHON={sys.executable}", "CC=cc")
    assert done.returncode and "differs" in done.stderr


def test_the_edge_tpus_constraints() -> None:
    graph = read_tflite(tiny_model.tflite())
    checked = edge_tpu.check(graph, 10_000)
    assert checked["mapped"] == len(graph.operators) and checked["parameters_fit_cache"]
    operators = list(graph.operators)
    pool = next(i for i, op in enumerate(operators) if op.name == "MAX_POOL_2D")
    operators[pool] = replace(
        operators[pool], options={**operators[pool].options, "fused_activation_function": "RELU"}
    )
    checked = edge_tpu.check(replace(graph, operators=tuple(operators)), 9 << 20)
    assert checked["mapped"] == pool and not checked["parameters_fit_cache"]
    assert "has RELU fused" in checked["operators"][pool]["why_not"]
    assert "follows one" in checked["operators"][pool + 1]["why_not"]
    operators[0] = replace(operators[0], name="CUSTOM")
    checked = edge_tpu.check(replace(graph, operators=tuple(operators)), 0)
    assert checked["operators"][0]["why_not"] == "is not supported"


def edge_tpu_says(
    name: str, shapes: list[tuple[int, ...]], out: tuple[int, ...],
    constants: dict[int, object] | None = None, **options: object,
) -> str | None:  # fmt: skip
    """Of one operator with inputs of those shapes, or those constants: why it isn't mapped."""
    values = {i: np.asarray(value) for i, value in (constants or {}).items()}
    no_scale = (np.zeros(0, np.float32), np.zeros(0, np.int64), 0)
    tensors = tuple(
        Tensor(i, f"t{i}", values[i].shape if i in values else shape, "int8", False, *no_scale,
               values.get(i))
        for i, shape in enumerate([*shapes, out])
    )  # fmt: skip
    inputs = tuple(range(len(shapes)))
    op = Operator(0, name, 1, inputs, (len(shapes),), options)
    checked = edge_tpu.check(Graph(tensors, (op,), inputs[:1], (len(shapes),), None), 0)
    word = checked["operators"][0]["why_not"]
    assert word is None or isinstance(word, str)
    return word


MAP, ROW = (1, 8, 8, 6), (1, 6)
DILATED = {"dilation_h_factor": 2, "dilation_w_factor": 2}
SQUINT = {"dilation_h_factor": 2, "dilation_w_factor": 1}
KERNEL = {1: np.ones((6, 3, 3, 6)), 2: np.ones(6)}


@pytest.mark.parametrize(
    ("name", "shapes", "out", "constants", "options", "word"),
    [
        ("CONV_2D", [MAP, MAP, ROW], MAP, KERNEL, DILATED, None),
        ("CONV_2D", [MAP, MAP, ROW], MAP, KERNEL, SQUINT, "dilation differs"),
        ("CONV_2D", [MAP, MAP, ROW], MAP, {}, DILATED, "not constants"),
        ("DEPTHWISE_CONV_2D", [MAP, MAP, ROW], MAP, KERNEL, DILATED, None),
        ("DEPTHWISE_CONV_2D", [MAP, MAP, ROW], MAP, KERNEL, SQUINT, "dilation differs"),
        ("FULLY_CONNECTED", [ROW, ROW], (1, 2), {1: np.ones((2, 6))}, {}, None),
        ("FULLY_CONNECTED", [ROW, ROW], (3, 2), {1: np.ones((2, 6))}, {}, "one-dimensional"),
        ("FULLY_CONNECTED", [ROW, ROW], (1, 2), {1: np.ones((2, 6))}, {"weights_format": 1},
         "default format"),
        ("CONCATENATION", [MAP, MAP], MAP, {1: np.zeros(MAP)}, {}, None),
        ("CONCATENATION", [MAP, MAP], MAP, {1: np.ones(MAP)}, {}, "all zeros"),
        ("CONCATENATION", [MAP] * 3, MAP, {1: np.zeros(MAP)}, {}, "more than one"),
        ("CONCATENATION", [MAP, MAP], MAP, {}, {"fused_activation_function": "RELU"}, "fused"),
        ("MEAN", [MAP, ()], ROW, {1: [1, 2]}, {}, None),
        ("MEAN", [MAP, ()], (1, 8, 8), {1: [-1]}, {}, "no multiple of 4"),
        ("MEAN", [(1, 8, 8, 8), ()], (1, 8, 8), {1: [-1]}, {}, None),
        ("MEAN", [MAP, ()], (8, 8, 6), {1: [0]}, {}, "the batch"),
        ("SUM", [MAP, ()], (1, 8, 6), {1: [1]}, {}, None),
        ("REDUCE_MAX", [MAP, ()], (8, 6), {1: [-4, 1]}, {}, "the batch"),
        ("PAD", [MAP, ()], (1, 10, 8, 8), {1: [[0, 0], [1, 1], [0, 0], [1, 1]]}, {}, None),
        ("PAD", [MAP, ()], MAP, {1: [[1, 0], [0, 0], [0, 0], [0, 0]]}, {}, "pads the batch"),
        ("PACK", [(8, 6)] * 2, (2, 8, 6), {}, {"axis": 0}, "batch"),
        ("PACK", [(1, 6)] * 2, (1, 6, 2), {}, {"axis": -1}, None),
        ("SPLIT", [(), MAP], (1, 8, 8, 3), {0: [3]}, {}, None),
        ("SPLIT", [(), MAP], (1, 8, 8, 6), {0: [0]}, {}, "splits the batch"),
        ("PRELU", [MAP, ()], MAP, {1: np.ones((1, 1, 6))}, {}, None),
        ("PRELU", [MAP, ()], MAP, {1: np.ones((8, 8, 6))}, {}, "slopes"),
        ("SQUEEZE", [(1, 1, 5, 10)], (5, 10), {}, {}, None),
        ("SQUEEZE", [(1, 5, 1, 10)], (5, 10), {}, {}, "leading"),
        ("SQUEEZE", [(1, 5, 1, 10)], (5, 1, 10), {}, {"squeeze_dims": [0]}, None),
        ("STRIDED_SLICE", [MAP, (), (), ()], MAP, {3: [1, 1, 1, 1]}, {}, None),
        ("STRIDED_SLICE", [MAP, (), (), ()], MAP, {3: [1, 2, 2, 1]}, {}, "strides"),
        ("STRIDED_SLICE", [MAP, (), (), ()], MAP, {3: [1]}, {"new_axis_mask": 1}, "new axis"),
        ("SOFTMAX", [(1, 16_000)], (1, 16_000), {}, {}, None),
        ("SOFTMAX", [(1, 16_001)], (1, 16_001), {}, {}, "above 16,000"),
        ("SOFTMAX", [(3, 2)], (3, 2), {}, {}, "one-dimensional"),
        ("RELU", [(3, 128, 128, 1)], (3, 128, 128, 1), {}, {}, "more than three dimensions"),
        ("LOCAL_RESPONSE_NORMALIZATION", [MAP], MAP, {}, {}, "not supported"),
    ],
)  # fmt: skip
def test_each_of_the_edge_tpus_constraints(
    name: str, shapes: list[tuple[int, ...]], out: tuple[int, ...],
    constants: dict[int, object], options: dict[str, object], word: str | None,
) -> None:  # fmt: skip
    said = edge_tpu_says(name, shapes, out, constants, **options)
    assert said is None if word is None else word in str(said)


def test_where_the_edge_tpus_compiler_is_installed(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for it: the compiled file is in the bundle, and the runner asks for it first."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / edge_tpu.COMPILER
    script.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "stand-in 1.0" && exit 0\n'
        'cp "$3" "$2/$(basename "$3" .tflite)_edgetpu.tflite"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    bundle = export_bundle(model, tmp_path / "bundle", target="coral")
    assert bundle.manifest["target"]["compiled"] == "tiny_edgetpu.tflite"
    assert bundle.manifest["target"]["versions"] == {edge_tpu.COMPILER: "stand-in 1.0"}
    assert 'return "tiny_edgetpu.tflite", [load_delegate(' in (bundle.path / "run.py").read_text()
    script.write_text("#!/bin/sh\necho 'ERROR: no' >&2\nexit 1\n")
    with pytest.raises(ConversionError, match=r"refuses it \(ERROR: no"):
        export_bundle(model, tmp_path / "other", target="coral")
    assert not (tmp_path / "other").exists()


# ---- Ethos-U --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ETHOS_U)
def test_velas_figures_before_and_after(bundles: Bundles, name: str) -> None:
    target = bundles[name].manifest["target"]
    assert target["accelerator"]["config"] == name
    faster = target["after"]["cycles_estimated"] < target["before"]["cycles_estimated"]
    assert target["rewrite"]["used"] == faster
    # So small a network gains nothing on a U85, and is compiled as it is.
    assert faster == (name != "ethos-u85-256")
    assert target["after"]["operators"]["CPU"] == 0
    text = (bundles[name].path / "README.md").read_text()
    report = (bundles[name].path / "report.html").read_text()
    assert "**Estimated**" in text and "rewritten, estimated</th>" in report
    for figures in (target["before"], target["after"]):
        assert f"{figures['inference_ms_estimated']:,} ms" in text
        assert f"{figures['inference_ms_estimated']:,}</td>" in report


@pytest.mark.parametrize("name", ETHOS_U)
def test_a_compiled_network_says_what_it_was_compiled_from(bundles: Bundles, name: str) -> None:
    """Vela keeps the metadata of what it was given, which names another network than its output."""
    path = bundles[name].path
    ids = {stem: inspect_tflite(path / f"{stem}.tflite")["identity"]
           for stem in ("tiny", "tiny_folded", "tiny_vela")}  # fmt: skip
    assert len({identity["model_id"] for identity in ids.values()}) == 3
    original, folded, _ = (identity["model_id"] for identity in ids.values())
    assert original == bundles[name].manifest["model_id"]
    assert ids["tiny_folded"]["rewritten_from"] == original
    used = bundles[name].manifest["target"]["rewrite"]["used"]
    assert ids["tiny_vela"]["compiled_from"] == (folded if used else original)
    assert ids["tiny_vela"].get("rewritten_from") == (original if used else None)
    assert ids["tiny_vela"]["spec_hash"] == tiny_model.SPEC.hash
    assert ("3 x 3 pixels" in ids["tiny_vela"]["input"]["from_image"]) == used
    told = CliRunner().invoke(main, ["inspect", str(path / "tiny_vela.tflite")]).output
    assert original in told and (folded in told) == used


def test_labelling_what_vela_wrote_changes_nothing_else() -> None:
    require_module("ethosu")
    accelerator = ethos_u.ACCELERATORS[0]
    written = vela.compile_for(tiny_model.tflite(), accelerator, "tiny").tflite
    labelled = with_identity(written, {"model_id": "x"})
    assert network_digest(read_tflite(labelled)) == network_digest(read_tflite(written))
    before, after = unpack(written), unpack(labelled)
    for a, b in zip(before.subgraphs[0].operators, after.subgraphs[0].operators, strict=True):
        assert np.array_equal(a.customOptions, b.customOptions)
    plan = "OfflineMemoryAllocation"
    assert read_metadata(labelled)[plan] == read_metadata(written)[plan]


def test_a_compiled_network_of_another_model_is_found(bundles: Bundles, tmp_path: Path) -> None:
    bundle = bundles["ethos-u55-128"]
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    tflite = (copy / "tiny_vela.tflite").read_bytes()
    identity = read_identity(tflite)
    assert identity is not None
    stolen = identity | {"compiled_from": "0" * 16, "rewritten_from": "0" * 16}
    (copy / "tiny_vela.tflite").write_bytes(with_identity(tflite, stolen))
    golden = Golden.from_npz(copy / "golden/tiny_golden.npz")
    with pytest.raises(SelfTestError, match="not of this model"):
        ethos_u.prove(copy, bundle.manifest, golden)


@pytest.mark.parametrize("model_file", ["chain", "jet", "odd"])
def test_folding_is_exact_or_refused(model_file: str) -> None:
    path = Path(__file__).parents[2] / f"firmware_bridge/tests/tiny/{model_file}.tflite"
    tflite = path.read_bytes()
    if foldable_stride(read_tflite(tflite)) is None:
        with pytest.raises(ConversionError, match="folded"):
            rewrite(tflite)
        return
    network = Int8Network(tflite)
    images = np.random.default_rng(1).integers(-128, 128, (3, *network.input_shape))
    assert ethos_u.compare(tflite, rewrite(tflite), images.astype(np.int8)) == 11


def test_a_disturbed_rewrite_is_found() -> None:
    rewritten = unpack(rewrite(tiny_model.tflite()))
    first = rewritten.subgraphs[0].operators[0]
    kernel = rewritten.subgraphs[0].tensors[first.inputs[1]]
    data = np.array(rewritten.buffers[kernel.buffer].data)
    data[np.flatnonzero(data)[0]] ^= 0x40
    rewritten.buffers[kernel.buffer].data = data
    images = np.zeros((1, *tiny_model.SPEC.image_shape), np.int8)
    with pytest.raises(SelfTestError, match="differs after CONV_2D 0"):
        ethos_u.compare(tiny_model.tflite(), pack(rewritten), images)


def test_folding_an_image() -> None:
    image = np.arange(5 * 4 * 2, dtype=np.int8).reshape(1, 5, 4, 2)
    folded = fold_image(image, (3, 2, 8))
    assert folded[0, 1, 1].reshape(2, 2, 2).tolist() == image[0, 2:4, 2:4].tolist()
    assert folded[0, 2, 0].reshape(2, 2, 2)[1].tolist() == [[-128, -128], [-128, -128]]
    assert fold_image(image, (5, 4, 2)) is image


def test_repacking_keeps_every_bit_and_aligns_constants() -> None:
    packed = pack(unpack(tiny_model.tflite()))
    assert pack(unpack(packed)) == packed
    before, after = read_tflite(tiny_model.tflite()), read_tflite(packed)
    start = np.frombuffer(packed, np.uint8).__array_interface__["data"][0]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        if old.data is not None and new.data is not None:
            assert np.array_equal(old.data, new.data)
            assert (new.data.__array_interface__["data"][0] - start) % 16 == 0


# ---- what is missing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "module"), [("tflm", tflm), ("ethos-u55-128", vela)], ids=["tflm", "vela"]
)
def test_a_missing_tool_is_named_and_leaves_nothing(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, module: object
) -> None:
    monkeypatch.setattr(module, "installed", lambda: False)
    assert "pip install" in str(TARGETS[target].missing())
    with pytest.raises(EcgqaError, match="pip install") as caught:
        export_bundle(model, tmp_path / "bundle", target=target)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_bundle_is_proven_without_the_tool_that_made_it(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundles["tflm"]
    monkeypatch.setattr(tflm, "installed", lambda: False)
    assert "was not run" in prove(bundle.path).target_output[0]
