# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Proof that a bundle's parts agree, from what lies in its folder alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.devices import find_target
from ecgqa_tflite.engine.golden import Golden, run_network
from ecgqa_tflite.errors import ModelError, SelfTestError
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder, open_model, read_json
from ecgqa_tflite.output import MANIFEST
from ecgqa_tflite.tflite.identity import read_identity
from ecgqa_tflite.tflite.numbers import check_numbers
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network

C_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic")
TIMEOUT_S = 300
DOES_NOT_COMPILE = "the bundle's C does not compile"
FLOAT_WEIGHTS = "float32"
"""What a manifest says of the weights of a network that computes in float."""
FLOAT_TOLERANCE = 1e-3
"""Of a float tensor, as a share of its greatest value: processors round sums differently."""

PROOF_READS: dict[str, type | tuple[type, ...]] = {
    "golden.file": str,
    "fs_hz": (int, float),
    "quantisation.weights": str,
    "model_id": str,
    "target.name": str,
}
"""Entries of a manifest, and their kinds, beside those that ``open_model`` checks."""


@dataclass(frozen=True)
class Proof:
    """What was shown.

    Attributes
    ----------
    segments
        Golden segments whose index maps, logits and scores came out, bit for bit.
    distinct_scores
        How many different scores they have: equal ones would prove little.
    c_selftest
        The compiler that built the bundle's own self-test, which then passed; None where there is
        no C compiler.
    c_output
        What the self-test printed; empty where there was none.
    target_output
        What the target's own proof says.
    """

    segments: int
    distinct_scores: int
    c_selftest: str | None
    c_output: tuple[str, ...]
    target_output: tuple[str, ...] = ()


def arithmetic(manifest: Mapping[str, Any]) -> str:
    """What the network computes in, for people."""
    is_float = manifest["quantisation"]["weights"] == FLOAT_WEIGHTS
    return "float32 between int8 ends" if is_float else "full int8"


def find_c_compiler() -> list[str] | None:
    """``$CC`` or the first of cc, gcc, clang that is installed, as a command."""
    configured = os.environ.get("CC", "").split()
    for command in (configured, ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return command
    return None


def prove(folder: Path) -> Proof:
    """Check a bundle: every file's SHA-256, the golden vectors in Python and in compiled C.

    Raises
    ------
    ModelError
        A file is missing, damaged or not what the manifest says.
    SelfTestError
        A golden vector did not come out; the message names the stage and the segment.
    """
    model = open_model(folder)
    manifest = read_manifest(folder)
    golden = Golden.from_npz(folder / manifest["golden"]["file"])
    front_end = NativeFrontEnd(model.spec, float(manifest["fs_hz"]))
    index_maps = front_end.index_maps(golden.samples, threads=1)
    _same("reason", golden, front_end.reasons(golden.samples), golden.reasons)
    _same("index map", golden, index_maps, golden.index_maps)
    images = to_int8(image(index_maps, model.spec.colormap))
    slack = int(manifest["quantisation"]["weights"] == FLOAT_WEIGHTS)
    check_numbers(
        read_tflite(model.tflite_path.read_bytes(), str(model.tflite_path)), str(model.tflite_path)
    )
    logits, scores, tensors = run_network(Int8Network(model.tflite_path), images)
    if tensors.keys() != golden.tensors.keys():
        raise SelfTestError("the golden vectors are of another network: export again")
    for operator, tensor in tensors.items():
        _same(f"operator {operator}", golden, tensor, golden.tensors[operator], slack)
    _same("logits", golden, logits, golden.logits, slack)
    _same("scores", golden, scores, golden.scores, slack)
    _same_identity(model, manifest)
    name = manifest["target"]["name"]
    target = find_target(name)
    compiler = find_c_compiler() if target.firmware else None
    output = run_selftest(folder, compiler) if compiler else ()
    try:
        target_output = target.prove(folder, manifest, golden)
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / MANIFEST}: lacks what {name} needs ({error}); export again"
        ) from error
    return Proof(
        segments=len(golden.names),
        distinct_scores=len({row.tobytes() for row in golden.scores}),
        c_selftest=" ".join(compiler) if compiler else None,
        c_output=output,
        target_output=target_output,
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """A bundle's manifest, with what the proof reads in it.

    Raises
    ------
    ModelError
        An entry is missing or of another kind.
    """
    manifest = read_json(folder / MANIFEST)
    for entry, kind in PROOF_READS.items():
        value: Any = manifest
        for key in entry.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(f"{folder / MANIFEST}: its {entry} is {value!r}; export again")
    return manifest


def _same_identity(model: ModelFolder, manifest: dict[str, Any]) -> None:
    """The file says of itself what the manifest says of it."""
    identity = read_identity(model.tflite_path.read_bytes(), str(model.tflite_path))
    expected = {"model_id": manifest["model_id"], "spec_hash": model.spec.hash}
    said = {key: identity.get(key) for key in expected} if identity else None
    if said != expected:
        raise SelfTestError(f"the .tflite says it is {said}, the manifest {expected}")


def _same(
    stage: str, golden: Golden, got: np.ndarray, expected: np.ndarray, slack: int = 0
) -> None:
    """Raise where two arrays of one entry a segment differ, naming the first place.

    Integers may differ by ``slack``, floats by :data:`FLOAT_TOLERANCE`.
    """
    if got.shape != expected.shape:
        raise SelfTestError(f"{stage}: shape {got.shape}, the golden vectors have {expected.shape}")
    allowed = float(slack)
    if np.issubdtype(expected.dtype, np.floating):
        allowed = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    different = np.argwhere(np.abs(got.astype(float) - expected) > allowed)
    if len(different):
        place = tuple(int(i) for i in different[0])
        raise SelfTestError(
            f"{stage}: segment {golden.names[place[0]]!r} differs at {place[1:]}: "
            f"{got[place]}, should be {expected[place]}"
        )


def run_selftest(
    folder: Path, compiler: Sequence[str], flags: Sequence[str] = C_FLAGS
) -> tuple[str, ...]:
    """Compile the bundle's self-test from a copy of the bundle, run it, return its lines.

    Raises
    ------
    SelfTestError
        It does not compile or does not pass; the message is the compiler's or its own first word.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "bundle"))
        folders = [copy / "model", copy / "firmware_bridge/src"]
        sources = [copy / "selftest.c", *(s for f in folders for s in sorted(f.glob("*.c")))]
        build = [*compiler, *flags, "-Ifirmware_bridge/include", "-Imodel"]

        def compiled(source: Path) -> str:
            name = str(source.relative_to(copy))
            _run([*build, "-c", name, "-o", f"{name}.o"], DOES_NOT_COMPILE, copy)
            return f"{name}.o"

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compiled, sources))
        _run([*compiler, *flags, *objects, "-o", "selftest"], DOES_NOT_COMPILE, copy)
        program = str(copy / "selftest")
        return tuple(_run([program], "the bundle's C self-test fails", copy).splitlines())


def _run(command: Sequence[str], problem: str, cwd: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SelfTestError(f"{problem}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr + done.stdout).splitlines()
        marks = (" error: ", "undefined reference", "differs")
        told = next((line for line in said if any(mark in line for mark in marks)), None)
        word = told or (said[0] if said else f"exit code {done.returncode}")
        raise SelfTestError(f"{problem} ({word.strip()[:300]})")
    return done.stdout
