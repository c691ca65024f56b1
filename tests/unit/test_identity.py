# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which network is this: inside the file, in C, and as ``ecgqa inspect`` tells it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from click.testing import CliRunner
from conftest import require_tool

from ecgqa_tflite.cli import main
from ecgqa_tflite.engine.identity_source import identity_header
from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.tflite.flatbuffer import pack, unpack
from ecgqa_tflite.tflite.identity import ENTRY, identity_of, read_identity, with_identity
from ecgqa_tflite.tflite.inspect import inspect_tflite
from ecgqa_tflite.tflite.read import network_digest, read_metadata, read_tflite
from ecgqa_tflite.tflite.run import Int8Network


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return tiny_model.folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def labelled(model: ModelFolder) -> bytes:
    tflite = tiny_model.tflite()
    return with_identity(tflite, identity_of(model, read_tflite(tflite)))


def test_it_says_who_it_is(labelled: bytes) -> None:
    identity = read_identity(labelled)
    assert identity is not None
    assert identity["name"] == "tiny" and identity["labels"] == ["low", "high"]
    assert identity["spec_hash"] == tiny_model.SPEC.hash
    assert identity["input"]["zero_point"] == -128 and identity["licence"] == "Apache-2.0"
    assert identity["model_id"] == network_digest(read_tflite(labelled))[:16]
    assert read_identity(tiny_model.tflite()) is None


def test_twice_is_once(labelled: bytes, model: ModelFolder) -> None:
    identity = identity_of(model, read_tflite(labelled))
    assert with_identity(labelled, identity) == labelled
    other = with_identity(labelled, identity | {"name": "other"})
    assert with_identity(other, identity) == labelled
    assert list(read_metadata(other)).count(ENTRY) == 1


def test_nothing_that_is_computed_changes(labelled: bytes) -> None:
    before = read_metadata(tiny_model.tflite())
    assert {k: v for k, v in read_metadata(labelled).items() if k != ENTRY} == before
    one, two = Int8Network(tiny_model.tflite()), Int8Network(labelled)
    image = np.random.default_rng(0).integers(-128, 128, one.input_shape).astype(np.int8)
    for index, value in one.tensors(image).items():
        assert np.array_equal(two.tensors(image)[index], value)


def test_an_altered_network_is_another(labelled: bytes) -> None:
    model = unpack(labelled)
    largest = max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))
    changed = np.array(largest.data)
    changed[100] ^= 1
    largest.data = changed
    with pytest.raises(ModelError, match="altered after it was converted"):
        read_identity(pack(model))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_entry(labelled: bytes, text: bytes) -> None:
    model = unpack(labelled)
    entry = next(e for e in model.metadata if e.name in (ENTRY, ENTRY.encode()))
    model.buffers[entry.buffer].data = np.frombuffer(text, np.uint8)
    with pytest.raises(ModelError, match="identity can't be read"):
        read_identity(pack(model))


def test_the_header_compiles_in_c_and_cpp(
    model: ModelFolder, labelled: bytes, tmp_path: Path
) -> None:
    identity = identity_of(model, read_tflite(labelled)) | {"licence": 'a "quoted" \\ one'}
    for name, text in identity_header(identity, int(tiny_model.SPEC.short_hash, 16)).items():
        (tmp_path / name).write_text(text)
    source = tmp_path / "main.c"
    source.write_text(
        '#include <stdio.h>\n#include "ecgqa_identity.h"\n'
        "int main(void) { puts(ECGQA_MODEL_NAME ECGQA_LABEL_0 ECGQA_LABEL_1);\n"
        " puts(ECGQA_LICENCE);\n"
        f" return ECGQA_MODEL_ID == UINT64_C(0x{identity['model_id']}) &&"
        " 1 -ECGQA_INPUT_ZERO_POINT == 129 ? 0 : 1; }\n"
    )
    for compiler in (["gcc", "-std=c99"], ["g++", "-x", "c++"]):
        program = str(tmp_path / compiler[0])
        tool = [require_tool(compiler[0]), *compiler[1:], "-Wall", "-Werror", "-pedantic"]
        subprocess.run([*tool, str(source), "-o", program], check=True)
        done = subprocess.run([program], check=True, capture_output=True, text=True)
        assert done.stdout == 'tinylowhigh\na "quoted" \\ one\n'


# ---- ecgqa inspect --------------------------------------------------------------------------


def inspect(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["inspect", *(str(a) for a in arguments)])
    return done.exit_code, done.output


def test_inspect_one_of_ours(labelled: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ours.tflite"
    path.write_bytes(labelled)
    code, told = inspect(path)
    assert code == 0, told
    for word in ("tiny, written by ecgqa-tflite", "0 low, 1 high", "integers only", "CONV_2D"):
        assert word in told
    code, text = inspect(path, "--json")
    found = json.loads(text)
    runs = found.pop("runs")
    assert code == 0 and found == inspect_tflite(path)
    assert runs["engine"].startswith("yes, in ") and runs["litert"].startswith("yes, ")
    assert found["identity"]["model_id"] == found["model_id"]
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"]) > 100_000


def test_inspect_a_float_model_of_others(tmp_path: Path) -> None:
    network = tiny_model.network()
    from ecgqa_tflite.networks._keras import tf

    path = tmp_path / "float.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    code, told = inspect(path)
    assert code == 0, told
    assert "none: not converted by this toolkit" in told and "float" in told


def test_inspect_refuses_in_one_line(tmp_path: Path, labelled: bytes) -> None:
    (tmp_path / "text.tflite").write_text("not a model")
    (tmp_path / "part.tflite").write_bytes(labelled[: len(labelled) // 2])
    for name, word in (("none", "can't be read"), ("text", "is not a .tflite"), ("part", "damag")):
        code, told = inspect(tmp_path / f"{name}.tflite")
        assert code == 1 and word in told and len(told.strip().splitlines()) == 1


# ---- two hundred corrupted files ------------------------------------------------------------

CORRUPTED = 200

RUN_THEM = """
import sys
from pathlib import Path
from ecgqa_tflite.errors import EcgqaError
from ecgqa_tflite.tflite.inspect import inspect_tflite
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.run import Int8Network
import numpy as np
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, end=" ", flush=True)
    try:
        inspect_tflite(path)
        data = path.read_bytes()
        census(data, path.name)
        network = Int8Network(data)
        network.scores(np.zeros((1, *network.input_shape), np.int8))
        print("passes", flush=True)
    except EcgqaError as error:
        assert str(error) and "\\n" not in str(error)
        print("refused:", error, flush=True)
"""


def corrupted(tflite: bytes, i: int) -> bytes:
    """Truncated, bits flipped anywhere, bits flipped in what isn't a constant, or bytes lost."""
    rng = np.random.default_rng(i)
    data = np.frombuffer(tflite, np.uint8).copy()
    if i % 4 == 0:
        return tflite[: int(rng.integers(len(tflite)))]
    if i % 4 == 3:
        at = int(rng.integers(len(tflite)))
        return tflite[:at] + tflite[at + int(rng.integers(1, 64)) :]
    where = rng.integers(0, len(data), 1 + i % 7)
    if i % 4 == 2:  # the structure lies at both ends
        where %= 2000
        where = np.where(rng.random(where.size) < 0.5, where, len(data) - 1 - where)
    data[where] ^= (1 << rng.integers(0, 8, where.size)).astype(np.uint8)
    return data.tobytes()


def test_corrupted_files_get_a_message(labelled: bytes, tmp_path: Path) -> None:
    """In a process of its own, so that a crash or a hang is seen."""
    for i in range(CORRUPTED):
        (tmp_path / f"{i:03d}.tflite").write_bytes(corrupted(labelled, i))
    done = subprocess.run(
        [sys.executable, "-c", RUN_THEM, str(tmp_path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert done.returncode == 0, f"after {said[-1:]}: {done.stderr[-2000:]}"
    assert len(said) == CORRUPTED
    refused = [line for line in said if re.match(r"\d+\.tflite refused: ", line)]
    # A flipped bit of a weight gives another network; its identity tells.
    assert len(refused) >= 0.9 * CORRUPTED, [line for line in said if line not in refused]
