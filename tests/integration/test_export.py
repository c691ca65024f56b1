# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle: what is in it, that it proves itself, and that a changed one does not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from conftest import REPO, require_tool

from ecgqa_tflite import __version__
from ecgqa_tflite.bundle import export as bundle_module
from ecgqa_tflite.bundle import proof as proof_module
from ecgqa_tflite.bundle.export import Bundle, accuracy_lines, export_bundle
from ecgqa_tflite.bundle.proof import C_FLAGS, prove, run_selftest
from ecgqa_tflite.bundle.request import Request
from ecgqa_tflite.engine.golden import Golden, fnv1a, fnv1a_rows, golden_samples
from ecgqa_tflite.errors import (
    ArgumentError,
    ConversionError,
    EcgqaError,
    ModelError,
    OutputExistsError,
    SamplingRateError,
    SelfTestError,
)
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder, open_model, seal, sha256_of
from ecgqa_tflite.output import MANIFEST, SUMS
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.read import network_digest, read_tflite
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return tiny_model.folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def bundle(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    require_tool("cc")
    return export_bundle(model, tmp_path_factory.mktemp("bundles") / "bundle")


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path / "bundle"))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


# ---- what is in it --------------------------------------------------------------------------


@pytest.mark.requirement("REP-1")
def test_twice_the_same_bytes(model: ModelFolder, bundle: Bundle, tmp_path: Path) -> None:
    again = export_bundle(model, tmp_path / "elsewhere" / "bundle")
    assert tree(again.path) == tree(bundle.path)


def test_every_file_is_in_the_manifest(bundle: Bundle) -> None:
    files = tree(bundle.path)
    manifest = json.loads(files.pop(MANIFEST))
    del files[SUMS]
    assert manifest["files"] == {name: sha256_of(bundle.path / name) for name in sorted(files)}
    assert manifest == bundle.manifest


def test_the_manifest_says_what_was_promised(bundle: Bundle) -> None:
    m = bundle.manifest
    assert m["tool_version"] == __version__
    assert m["model"]["spec_hash"] == tiny_model.SPEC.hash
    assert m["model"]["threshold_int8"] == 0 and m["model"]["weights"] is None
    assert m["spec"] == tiny_model.SPEC.to_dict()
    assert (m["fs_hz"], m["segment_len"]) == (250.0, 1250)
    assert m["quantisation"]["input"] == {
        "name": "image", "shape": [1, 113, 113, 1], "dtype": "int8",
        "quant_scale": float(np.float32(1 / 255)), "zero_point": -128,
    }  # fmt: skip
    assert m["quantisation"]["output"]["name"] == "scores"
    assert m["census"]["operators"]["CONV_2D"] == 3
    assert m["target"] == {"name": "cortex-m"}
    assert m["model_id"] == network_digest(read_tflite(tiny_model.tflite()))[:16]
    assert 1_000 < m["engine"]["network_bytes"] < m["engine"]["workspace_bytes"] < 20_000
    for channels in m["engine"]["channel_order"].values():
        assert sorted(channels) == list(range(len(channels))) and len(channels) > 1
    assert list(m["engine"]["channel_order"]) == ["0", "1"]
    assert m["calibration"]["ids"] == ["synthetic/0", "synthetic/1"]
    assert m["metrics"] == tiny_model.METRICS
    assert {"ai-edge-litert", "numpy"} <= m["versions"].keys()


def test_accuracy_is_said_where_it_was_measured(bundle: Bundle) -> None:
    both = ", 10 high, 10 low: int8 BAcc 0.750, AUC 0.800; float BAcc 0.750, AUC 0.800"
    lines = accuracy_lines(tiny_model.METRICS)
    assert lines == [f"elsewhere, inherited labels{both}", f"validation{both}"]
    text = (bundle.path / "README.md").read_text()
    assert all(line in text for line in lines)
    moved = {"threshold": {"threshold_int8": 9}}
    for table in tiny_model.METRICS["external"].values():
        read = {"n": {"high": 3, "low": 2}, "bacc": {"value": 0.9, "low": 0.8, "high": 1.0}}
        graded = table | {"labels": "by lead", "threshold": 0, "graded": table | read}
        lines = accuracy_lines(moved | {"external": {"elsewhere": graded}})
        assert lines[0].startswith(
            "elsewhere, graded by eye (A, C), 3 high, 2 low: int8 BAcc 0.900 (0.800-1.000)"
        )
        assert lines[1].startswith("elsewhere, labels by lead, 10 high, 10 low")
        assert all(x.endswith("BAcc at the threshold before it was moved") for x in lines)
    assert accuracy_lines({}) == accuracy_lines({"external": {}, "validation": {}}) == []


def test_what_it_refers_to_is_there(bundle: Bundle, model: ModelFolder, tmp_path: Path) -> None:
    """Every .json that a shipped model's card names, read in a bundle."""
    card = open_model("light_cnn").card_text
    (tmp_path / "MODEL_CARD.md").write_text(card)
    moved = replace(model, path=tmp_path)
    named = re.findall(r"[a-z_]+\.json", bundle_module._card(moved))
    assert named and set(named) == {MANIFEST}
    assert "beside it" in card and "beside it" not in bundle_module._card(moved)
    assert (bundle.path / "LICENSE").read_bytes() == (REPO / "LICENSE").read_bytes()
    assert "LICENSE" in bundle.manifest["files"]
    assert "`LICENSE`" in (bundle.path / "README.md").read_text()


# ---- collecting -----------------------------------------------------------------------------


def test_samples_come_in_while_a_segment_is_classified(
    bundle: Bundle, model: ModelFolder, tmp_path: Path
) -> None:
    made = export_bundle(model, tmp_path / "bundle", collect=True, hop_s=1.0)
    held, collecting = bundle.manifest["engine"], made.manifest["engine"]
    assert (held["collect_while_classifying"], held["hop_len"]) == (False, 1250)
    assert (collecting["collect_while_classifying"], collecting["hop_len"]) == (True, 250)
    more = collecting["workspace_bytes"] - held["workspace_bytes"]
    assert 0 < more <= 2 * 1250 + 8
    for folder, macro in ((bundle.path, "ECGQA_COLLECTS 0"), (made.path, "ECGQA_COLLECTS 1")):
        assert f"#define {macro}\n" in (folder / "model/ecgqa_bundle.h").read_text()
    assert "whole path: 12 decisions" in made.proof.c_output[1]
    assert "a segment starts every 1 s" in (made.path / "README.md").read_text()
    assert "takes no sample while" in (bundle.path / "README.md").read_text()
    redo = Request.from_manifest(made.path / MANIFEST, tmp_path / "again")
    assert (redo.collect, redo.hop_s) == (True, 1.0)
    assert redo == Request(
        made.path, tmp_path / "again", collect=True, hop_s=1.0, like=made.path / MANIFEST
    )
    assert not Request.from_manifest(bundle.path / MANIFEST, tmp_path / "again").collect


def test_a_request_from_python(model: ModelFolder, bundle: Bundle, tmp_path: Path) -> None:
    """The bundle of ``export_bundle``; what doesn't go together is said before anything is done."""
    request = Request(model.path, tmp_path / "bundle", like=bundle.path / MANIFEST)
    made = request.run()
    assert made.bundle.path == request.out and made.calibration is None
    assert tree(request.out) == tree(bundle.path)
    with pytest.raises(OutputExistsError):
        request.run()
    for wrong in ({"threshold": 0.5}, {"quantize": "qat"}, {"quantize": "four-bit"},
                  {"quantize": "none", "calibrate": tmp_path}):  # fmt: skip
        with pytest.raises(ArgumentError, match=r"--(threshold|quantize)"):
            Request(model.path, tmp_path / "other", **wrong)
    with pytest.raises(SelfTestError, match="not the same bytes"):
        replace(request, out=tmp_path / "other", fs_hz=500.0).run()
    assert not (tmp_path / "other").exists()


def test_who_can_not_collect(model: ModelFolder, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    for target in ("tflm", "raspberry-pi", "ethos-u55-128"):
        with pytest.raises(ArgumentError, match=f"for cortex-m; leave them out for {target}"):
            export_bundle(model, out, target=target, collect=True)
    with pytest.raises(ArgumentError, match="--collect"):
        export_bundle(model, out, hop_s=1.0)
    with pytest.raises(ArgumentError, match="whole number"):
        export_bundle(model, out, hop_s=0.0011, collect=True)
    assert not out.exists()


def test_no_date_and_no_path(bundle: Bundle, tmp_path: Path) -> None:
    forbidden = re.compile(rb"/tmp/|/home/|/root/|20[2-9][0-9]-[01][0-9]|[0-2][0-9]:[0-5][0-9]:")
    for name, content in tree(bundle.path).items():
        if not name.endswith((".npz", ".tflite")) and not name.startswith("firmware_bridge/"):
            assert not forbidden.search(content), name


def test_generated_c_is_stamped_and_guarded(bundle: Bundle) -> None:
    for path in (bundle.path / "model").iterdir():
        text = path.read_text()
        if path.name == "ecgqa_bundle.c":  # nothing without its header, which is stamped
            assert '#include "ecgqa_bundle.h"' in text
            continue
        assert f"ecgqa-tflite {__version__}, spec {tiny_model.SPEC.short_hash}" in text, path
        assert max(map(len, text.splitlines())) <= 100, path
    assert "#error" in (bundle.path / "model/ecgqa_cwt_tables.c").read_text()
    assert not re.search(r"@\w+@", (bundle.path / "README.md").read_text())


def test_the_runtime_is_copied_byte_for_byte(bundle: Bundle) -> None:
    source = firmware_bridge_dir()
    for path in (bundle.path / "firmware_bridge").rglob("*.[ch]"):
        original = source / path.relative_to(bundle.path / "firmware_bridge")
        assert path.read_bytes() == original.read_bytes()


def test_the_array_is_the_file(bundle: Bundle) -> None:
    text = (bundle.path / "model/tiny_tflite.c").read_text()
    body = text[text.rindex("{") + 1 : text.rindex("}")]
    shipped = (bundle.path / "tiny.tflite").read_bytes()
    assert bytes(map(int, body.replace(",", " ").split())) == shipped
    assert network_digest(read_tflite(shipped)) == network_digest(read_tflite(tiny_model.tflite()))


def test_a_bundle_is_a_model(bundle: Bundle, tmp_path: Path) -> None:
    opened = open_model(bundle.path)
    assert opened.spec == tiny_model.SPEC and opened.threshold_int8 == 0
    with pytest.raises(ModelError, match="no float weights"):
        _ = opened.weights_path
    again = export_bundle(opened, tmp_path / "again")
    assert tree(again.path) == tree(bundle.path)


@pytest.mark.parametrize("fs_hz", [100.0, 128.0, 360.0, 1000.0])
def test_other_sampling_rates(model: ModelFolder, tmp_path: Path, fs_hz: float) -> None:
    made = export_bundle(model, tmp_path / "bundle", fs_hz=fs_hz)
    assert made.manifest["segment_len"] == 5 * fs_hz
    assert made.proof.segments == 12 and made.proof.c_selftest


def test_a_network_that_the_engine_cannot_run(tmp_path: Path) -> None:
    """Branches: the bundle goes the way of TensorFlow Lite Micro, and says why."""
    tiny_model.network()
    from ecgqa_tflite.networks._keras import keras
    from ecgqa_tflite.quantize.ptq import quantise_ptq

    layers = keras.layers
    image = layers.Input(shape=tiny_model.SPEC.image_shape)
    x = layers.Conv2D(8, 5, 5, activation="relu")(image)
    x = layers.Concatenate()([layers.Conv2D(8, 1)(x), layers.MaxPooling2D(1)(x)])
    x = layers.Softmax()(layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    tflite = quantise_ptq(keras.Model(image, x, name="branches"), tiny_model.images(8))
    made = export_bundle(tiny_model.folder(tmp_path, tflite=tflite), tmp_path / "bundle")
    assert made.manifest["engine"]["refused"]
    assert not (made.path / "model/ecgqa_bundle.c").exists()
    assert "it runs in TensorFlow Lite Micro" in (made.path / "README.md").read_text()
    assert made.proof.c_output and "whole path" not in made.proof.c_output[-1]


# ---- golden vectors -------------------------------------------------------------------------


def test_fnv1a_by_its_published_vectors() -> None:
    for text, digest in ((b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)):
        assert fnv1a(text) == digest
    rows = np.frombuffer(b"foobarfoobaz", np.uint8).reshape(2, 6)
    assert fnv1a_rows(rows).tolist() == [0xBF9CF968, fnv1a(b"foobaz")]


def test_golden_segments_are_of_every_kind() -> None:
    names, samples = golden_samples(tiny_model.SPEC, 250.0)
    assert samples.dtype == np.int16 and samples.shape == (12, 1250)
    assert len({row.tobytes() for row in samples}) == 12
    by_name = dict(zip(names, samples, strict=True))
    assert not by_name["flat"].any()
    assert set(by_name["full_scale_square"].tolist()) == {-32768, 32767}
    assert all(row.min() < row.max() for name, row in by_name.items() if name != "flat")


def test_golden_vectors_are_the_front_ends_and_the_reference_kernels(bundle: Bundle) -> None:
    golden = Golden.from_npz(bundle.path / "golden/tiny_golden.npz")
    front_end = NativeFrontEnd(tiny_model.SPEC, 250.0)
    assert np.array_equal(front_end.index_maps(golden.samples, threads=1), golden.index_maps)
    network = Int8Network(tiny_model.tflite(), reference_kernels=True)
    images = (golden.index_maps.astype(np.int16) - 128).astype(np.int8)[..., None]
    assert np.array_equal(network.scores(images), golden.scores)
    with np.load(bundle.path / "golden/tiny_golden.npz") as data:
        assert np.array_equal(data["image"], images[0])
        assert np.array_equal(data["tensor_007_fully_connected"][0], golden.logits[0])
        assert data["tensor_000_conv_2d"].shape == (1, 37, 37, 16)
    # A softmax that saturates on all of them would let a wrong kernel pass.
    assert len(np.unique(golden.scores[:, 1])) >= 5
    assert np.abs(golden.scores).max() < 127


# ---- proof ----------------------------------------------------------------------------------


def test_it_was_proven(bundle: Bundle) -> None:
    assert bundle.proof.segments == 12
    assert bundle.proof.distinct_scores >= 5
    assert bundle.proof.c_selftest
    front_end, whole_path = bundle.proof.c_output
    assert "12 segments of 113 rows, bit for bit" in front_end
    assert "12 decisions" in whole_path


@pytest.mark.parametrize("optimisation", ["-O0", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
def test_selftest_with(bundle: Bundle, compiler: str, optimisation: str) -> None:
    flags = [*C_FLAGS, optimisation, "-Wconversion", "-Werror=implicit"]
    assert "bit for bit" in run_selftest(bundle.path, [require_tool(compiler)], flags)[0]


def test_selftest_under_sanitizers(bundle: Bundle) -> None:
    flags = [*C_FLAGS, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    assert run_selftest(bundle.path, [require_tool("gcc")], flags)


def test_with_its_own_makefile(copy: Path) -> None:
    require_tool("make")
    done = subprocess.run(
        ["make", "-C", str(copy), "selftest", "CC=cc"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr
    assert "bit for bit" in done.stdout


def test_with_its_own_cmake(copy: Path, tmp_path: Path) -> None:
    cmake, build = require_tool("cmake"), str(tmp_path / "build")
    for command in (
        [cmake, "-S", str(copy), "-B", build],
        [cmake, "--build", build],
        [require_tool("ctest"), "--test-dir", build, "--output-on-failure"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_headers_and_arrays_are_cpp_too(copy: Path, tmp_path: Path) -> None:
    """The model's C compiled as C++ links with a C++ main through its headers."""
    main = tmp_path / "main.cpp"
    main.write_text(
        '#include "ecgqa_cwt_tables.h"\n#include "ecgqa_golden.h"\n#include "tiny_tflite.h"\n'
        '#include "ecgqa_bundle.h"\n#include <stdint.h>\n'
        "int main() { return reinterpret_cast<uintptr_t>(tiny_tflite) % 16 == 0 &&\n"
        "    tiny_tflite[4] == 'T' && ecgqa_golden_samples[0] == ecgqa_golden_samples[0] &&\n"
        "    ecgqa_cwt_tables.rows == ECGQA_GOLDEN_ROWS ? 0 : 1; }\n"
    )
    for standard in ("c++98", "c++11", "c++20"):
        flags = [f"-std={standard}", "-Wall", "-Wextra", "-x", "c++"]
        if standard == "c++98":
            flags.append("-D__STDC_CONSTANT_MACROS")
        else:
            flags += ["-pedantic", "-Werror"]
        program = str(tmp_path / standard)
        subprocess.run(
            [require_tool("g++"), *flags, f"-I{copy}/model", f"-I{copy}/firmware_bridge/include",
             str(main), *map(str, (copy / "model").glob("*.c")), "-o", program],
            check=True,
        )  # fmt: skip
        subprocess.run([program], check=True)


def change(path: Path, pattern: str, replacement: str) -> None:
    text = path.read_text()
    changed, n = re.subn(pattern, replacement, text, count=1, flags=re.DOTALL)
    assert n == 1 and changed != text
    path.write_text(changed)


def nth_number(array: str, n: int = 0) -> str:
    """A pattern of two groups: what comes before the n-th number of a C array, and that number."""
    return rf"({array}\[\w+\] = \{{(?:[^,]*,){{{n}}}\s*)(-?\d+)"


MUTATIONS = {
    "digest": ("ecgqa_golden", nth_number("row_digests"), r"\g<1>7", "segment 0 differs in row 0"),
    "index": ("ecgqa_golden", nth_number("index_map"), r"\g<1>77", "differs in row 0, column 0"),
    "sample": ("ecgqa_golden", nth_number("samples", 600), r"\g<1>-32768", "segment 0 differs"),
    "score": ("ecgqa_golden", nth_number("scores", 1), r"\g<1>1", "whole path: segment 0 differs"),
    "wavelet": ("ecgqa_cwt_tables", nth_number("psi_q15", 100), r"\g<1>9", "segment 0 differs"),
    "spec": ("ecgqa_cwt_tables", r"()UINT64_C\(0x[0-9a-f]+\)", "1", "different spec hashes"),
    "array": ("tiny_tflite", nth_number("tiny_tflite", 5000), r"\g<1>1 ^ \2", "array differs"),
    "weight": ("ecgqa_model", nth_number("_2_weights", 9), r"\g<1>1 ^ \2",
               "layer constants differs: layer 1"),
    "multiplier": ("ecgqa_model", nth_number("_4_multiplier_q31", 1), r"\g<1>8 ^ \2",
                   "layer constants differs: layer 3"),
}  # fmt: skip


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_changed_file_fails_the_selftest(copy: Path, what: str) -> None:
    file, pattern, replacement, message = MUTATIONS[what]
    change(copy / f"model/{file}.c", pattern, replacement)
    with pytest.raises(SelfTestError, match=message) as caught:
        run_selftest(copy, [require_tool("cc")])
    assert "\n" not in str(caught.value)


FILES = ("ecgqa_golden.c", "ecgqa_golden.h", "ecgqa_cwt_tables.c", "ecgqa_model.c", "tiny_tflite.c")


@pytest.mark.parametrize("file", FILES)
def test_an_absent_file_fails_the_selftest(copy: Path, file: str) -> None:
    (copy / "model" / file).unlink()
    with pytest.raises(SelfTestError, match="does not compile"):
        run_selftest(copy, [require_tool("cc")])


def test_another_runtime_is_refused_at_compile_time(copy: Path) -> None:
    header = copy / "firmware_bridge/include/ecgqa/cwt.h"
    change(header, r"(ECGQA_CWT_FORMAT) \d+", r"\1 99")
    with pytest.raises(SelfTestError, match="export again with this runtime"):
        run_selftest(copy, [require_tool("cc")])


def test_proof_without_a_compiler(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_module, "find_c_compiler", lambda: None)
    shown = prove(bundle.path)
    assert shown.c_selftest is None and shown.c_output == ()


def remanifest(folder: Path) -> None:
    """Make the manifest's sums fit again."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {name: sha256_of(folder / name) for name in manifest["files"]}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def change_golden(folder: Path, edit: Callable[[dict[str, np.ndarray]], None]) -> None:
    path = folder / "golden/tiny_golden.npz"
    with np.load(path) as data:
        arrays = dict(data)
    edit(arrays)
    np.savez(path, **arrays)
    remanifest(folder)


def flip(key: str, index: tuple[int, ...]) -> Callable[[dict[str, np.ndarray]], None]:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        arrays[key][index] ^= 1

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (flip("index_maps", (3, 5, 7)), r"index map: segment 'muscle_noise' differs at \(5, 7\)"),
        (flip("samples", (2, 600)), "index map: segment 'electrode_motion' differs"),
        (flip("logits", (4, 1)), r"logits: segment 'powerline' differs at \(1,\)"),
        (flip("scores", (6, 0)), r"scores: segment 'clipping' differs at \(0,\)"),
        (flip("tensor_002_conv_2d", (0, 1, 2, 3)), r"operator 002_conv_2d: segment 'clean'"),
        (lambda arrays: arrays.pop("tensor_000_conv_2d"), "of another network"),
        (lambda arrays: arrays.pop("scores"), "missing or damaged"),
        (lambda arrays: arrays.update(scores=arrays["scores"][:, :1]), "scores: shape"),
    ],
)
def test_changed_golden_vectors_are_found(
    copy: Path, edit: Callable[[dict[str, np.ndarray]], None], message: str
) -> None:
    change_golden(copy, edit)
    with pytest.raises(EcgqaError, match=message):
        prove(copy)


def test_a_file_that_differs_from_the_manifest(copy: Path) -> None:
    with (copy / "model/ecgqa_cwt_tables.c").open("a") as file:
        file.write("\n")
    with pytest.raises(ModelError, match=r"ecgqa_cwt_tables\.c: differs from its SHA-256"):
        prove(copy)


# ---- what is refused ------------------------------------------------------------------------


def test_an_existing_folder_stays(model: ModelFolder, bundle: Bundle) -> None:
    before = tree(bundle.path)
    with pytest.raises(OutputExistsError):
        export_bundle(model, bundle.path)
    assert tree(bundle.path) == before


def test_overwrite_replaces(model: ModelFolder, tmp_path: Path) -> None:
    export_bundle(model, tmp_path / "bundle")
    manifest = tmp_path / "bundle" / MANIFEST
    (tmp_path / "bundle/old").write_text("old")
    listed = json.loads(manifest.read_text())
    listed["files"]["old"] = ""
    manifest.write_text(json.dumps(listed))
    export_bundle(model, tmp_path / "bundle", overwrite=True)
    assert not (tmp_path / "bundle/old").exists()


def test_overwrite_spares_what_is_not_ours(model: ModelFolder, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/thesis.txt").write_text("old")
    with pytest.raises(OutputExistsError, match="thesis"):
        export_bundle(model, tmp_path / "bundle", overwrite=True)
    assert (tmp_path / "bundle/thesis.txt").read_text() == "old"


@pytest.mark.parametrize("fs_hz", [50.0, 91.0, 257.0, float("nan"), -1.0])
def test_sampling_rates_that_the_front_end_cannot_take(
    model: ModelFolder, tmp_path: Path, fs_hz: float
) -> None:
    with pytest.raises(SamplingRateError):
        export_bundle(model, tmp_path / "bundle", fs_hz=fs_hz)
    assert not list(tmp_path.iterdir())


def test_a_model_without_tflite(tmp_path: Path) -> None:
    model = tiny_model.folder(tmp_path, tflite=None)
    with pytest.raises(ModelError, match="--calibrate"):
        export_bundle(model, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, tiny_model.tflite()[:5000]])
def test_a_damaged_tflite(tmp_path: Path, content: bytes) -> None:
    model = tiny_model.folder(tmp_path)
    model.tflite_path.write_bytes(content)
    seal(model.path)
    with pytest.raises(ModelError, match="tflite"):
        export_bundle(open_model(model.path), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_float_tflite(tmp_path: Path) -> None:
    network = tiny_model.network()
    from ecgqa_tflite.networks._keras import tf

    float_tflite = bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    model = tiny_model.folder(tmp_path, tflite=float_tflite)
    with pytest.raises(ConversionError, match="not full int8"):
        export_bundle(model, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_tflite_of_another_image(model: ModelFolder, tmp_path: Path) -> None:
    other = replace(tiny_model.SPEC, rows=112)
    with pytest.raises(ModelError, match="takes images of"):
        export_bundle(replace(model, spec=other), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_failing_proof_leaves_nothing(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_module, "find_c_compiler", lambda: ["false"])
    with pytest.raises(SelfTestError):
        export_bundle(model, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())
