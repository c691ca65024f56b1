# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples to decision on every board, bit for bit: index maps, every layer's rows, scores."""

from __future__ import annotations

import atexit
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from models_for_boards import KINDS, network, reference
from numpy.typing import NDArray
from segments_for_boards import FS_HZ, edge_segments, fnv1a, real_segments
from targets import every_board, usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine import device_source
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.resources import firmware_bridge_dir

pytestmark = pytest.mark.slow

SEGMENTS = 56
LEAST_UNSATURATED = 48
TIMEOUT_S = 600


@dataclass(frozen=True)
class Case:
    """A network, what it is given and what must come out."""

    device: device_source.Device
    segments: NDArray[np.int16]
    inside: list[str]
    scores: NDArray[np.int8]

    def write(
        self,
        folder: Path,
        *,
        golden: NDArray[np.int16] | None = None,
        golden_bytes: bool = False,
        rows: list[bytes] | None = None,
        **disturbed: object,
    ) -> list[Path]:
        """The generated C, and the segments as ``segments.bin``.

        The golden vectors are of ``golden`` (default: the first segment) and of the device as it
        should be, or ``rows``; ``disturbed`` fields go to the C alone.
        """
        right = self.device
        samples = self.segments[0] if golden is None else golden
        wrong = replace(right, **disturbed)  # type: ignore[arg-type]
        vectors = device_source.golden(right, samples, rows=rows)
        sources = device_source.device_sources(wrong, vectors, golden_bytes=golden_bytes)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in sources.items():
            (folder / name).write_text(text)
        (folder / "segments.bin").write_bytes(self.segments.astype("<i2").tobytes())
        return sorted(folder.glob("*.c"))


@functools.cache
def _library(board: boards.Board, flags: tuple[str, ...], out: Path) -> dict[Path, Path]:
    return boards.compile_sources(board, boards.library_sources(), out, flags=flags)


def built(
    board: boards.Board,
    generated: list[Path],
    out: Path,
    flags: tuple[str, ...] = boards.OPTIMISE,
    *,
    stack_bytes: int = 2048,
) -> boards.Image:
    """The program of ``path_program.c`` with the library, compiled once a session, and a bundle."""
    library = _library(board, flags, _objects_folder() / board.name / "".join(flags))
    return boards.build(
        board,
        [firmware_bridge_dir() / "tests" / "path_program.c", *generated],
        out,
        include=[generated[0].parent],
        flags=flags,
        stack_bytes=stack_bytes,
        objects=library,
    )


@functools.cache
def _objects_folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="ecgqa-objects-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def lines(run: boards.Run, word: str) -> list[str]:
    """The lines of a report that start with ``word``."""
    return [line for line in run.output.splitlines() if line.split(" ")[0] == word]


@pytest.fixture(scope="module")
def cases(shared_data: Callable[[str], Path]) -> Callable[[str], Case]:
    """``cases("light")``: made once a module."""
    made: dict[str, Case] = {}

    def case(kind: str) -> Case:
        if kind not in made:
            made[kind] = _case(kind, real_segments(shared_data("challenge-2011")))
        return made[kind]

    return case


def _case(kind: str, real: NDArray[np.int16]) -> Case:
    # The first is the golden segment. Some recordings have a lead twice; good and bad ones stay.
    alive = real[_asked(kind, real)]
    _, first = np.unique(alive, axis=0, return_index=True)
    chosen = np.sort(first)[np.linspace(0, len(first) - 1, SEGMENTS).astype(int)]
    edges = edge_segments()
    segments = np.concatenate([alive[chosen], edges[_asked(kind, edges)]])
    return _expected(kind, network(kind, segments, FS_HZ), segments)


def small_case(segments: NDArray[np.int16]) -> Case:
    """The small network and a few segments, for tests that build many programs."""
    tflite = network("small", segments, FS_HZ)
    return _expected("small", tflite, segments[_asked("small", segments)][:4])


def _asked(kind: str, segments: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Mask of the segments for which the network is asked: a device decides the others alone."""
    return NativeFrontEnd(KINDS[kind].spec, FS_HZ).reasons(segments) == 0


def _expected(kind: str, tflite: bytes, segments: NDArray[np.int16]) -> Case:
    spec = KINDS[kind].spec
    device = device_source.plan_device(spec, tables.build(spec, FS_HZ), tflite, 0)
    inside, scores = [], []
    for index_map, tensors in reference(tflite, spec, segments, FS_HZ):
        digests = [fnv1a(index_map.tobytes())]
        for layer in device.plan.network.layers:
            rows = device_source.layer_rows(layer, tensors)
            digests.append(fnv1a(b"".join(rows)))
        given = tensors[max(tensors)].reshape(-1)
        words = [f"{d:08x}" for d in digests] + [str(int(s)) for s in given]
        inside.append("inside " + " ".join(words))
        scores.append(given)
    return Case(device, segments, inside, np.array(scores))


@every_board
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.requirement("NN-1")
def test_every_row_and_score_is_the_references(
    name: str, kind: str, cases: Callable[[str], Case], tmp_path: Path
) -> None:
    board, case = usable(name), cases(kind)
    image = built(board, case.write(tmp_path / "generated"), tmp_path)
    segments = str(tmp_path / "generated" / "segments.bin")
    run = boards.run(image, [segments, "inside"], timeout_s=TIMEOUT_S)
    assert run.status == 0, run.output
    assert lines(run, "selftest") == ["selftest 0"]
    assert lines(run, "workspace") == [f"workspace {case.device.workspace_bytes}"]
    assert lines(run, "inside") == case.inside


@pytest.mark.parametrize("kind", KINDS)
def test_the_segments_can_tell_a_wrong_kernel(kind: str, cases: Callable[[str], Case]) -> None:
    # A saturated softmax would let one pass.
    case = cases(kind)
    unsaturated = np.abs(case.scores[:, 1].astype(int)) < 120
    assert unsaturated.sum() >= LEAST_UNSATURATED
    assert len(set(case.inside)) == len(case.inside)
