# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The engine against LiteRT's reference kernels on networks of many shapes: rows and scores."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from networks_for_engine import KINDS, index_maps, network
from numpy.typing import NDArray
from segments_for_boards import fnv1a
from targets import usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.device_source import layer_rows
from ecgqa_tflite.engine.layers import Network
from ecgqa_tflite.engine.nn_source import nn_source
from ecgqa_tflite.engine.planner import Plan, plan_tflite
from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = pytest.mark.slow

N_MAPS = 48
ROW_SCRATCH_BYTES = 1000
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TARGETS = [
    ("host-gcc", SANITIZERS, N_MAPS),
    ("host-clang", ("-O2",), N_MAPS),
    ("microbit", ("-O2",), 3),
    ("virt", ("-O2",), 3),
    ("mps2-an386", ("-O2",), 6),
    ("mps2-an386", ("-O2", "-DECGQA_PORTABLE"), 3),
    ("mps2-an500", ("-O2",), 3),
    ("mps2-an505", ("-O2",), 3),
    ("mps3-an547", ("-O2",), 6),
    ("mps3-an547", ("-O2", "-DECGQA_PORTABLE"), 3),
    ("armhf", ("-O2",), 6),
    ("aarch64", ("-O2",), 6),
]


@dataclass(frozen=True)
class Expected:
    """A network's plan, what it is given and the lines that must come out."""

    plan: Plan
    maps: NDArray[np.uint8]
    lines: list[str]
    scores: NDArray[np.int8]


def rows_kept(net: Network, index: int, tensors: dict[int, NDArray]) -> bytes:
    """Bytes of the rows that the engine shows, of the reference's tensors."""
    rows = layer_rows(net.layers[index], tensors)
    return b"".join(rows[r] for r in net.kept_rows(index))


@functools.cache
def expected(kind: str) -> Expected:
    given = KINDS[kind]
    tflite = network(kind)
    plan = plan_tflite(tflite, row_scratch_bytes=ROW_SCRATCH_BYTES)
    maps = index_maps(N_MAPS, given.rows, given.cols, seed=2)
    litert = Int8Network(tflite, reference_kernels=True)
    lines, scores = [], []
    for index_map in maps:
        tensors = litert.tensors(to_int8(colormap.image(index_map, given.colormap)))
        digests = [fnv1a(rows_kept(plan.network, i, tensors)) for i in range(len(plan.layers))]
        score = tensors[litert.graph.outputs[0]].reshape(-1)
        lines.append(" ".join(["map", *(f"{d:08x}" for d in digests), *map(str, score)]))
        scores.append(score)
    return Expected(plan, maps, lines, np.array(scores))


def run(kind: str, board: boards.Board, flags: tuple[str, ...], n: int, out: Path) -> boards.Run:
    want = expected(kind)
    lut = colormap.lut(KINDS[kind].colormap)
    source = nn_source(want.plan, "network", lut=lut, spec_hash=1, model_id=2)
    (out / "network.c").write_text(source)
    (out / "network.h").write_text(
        '#include "ecgqa/nn.h"\n'
        f"#define NETWORK_ROWS {want.maps.shape[1]}\n#define NETWORK_COLS {want.maps.shape[2]}\n"
        f"#define NETWORK_WORKSPACE_BYTES {want.plan.workspace_bytes}\n"
        "extern const ecgqa_nn_model_t network;\n"
    )
    (out / "maps.bin").write_bytes(want.maps[:n].tobytes())
    folder = firmware_bridge_dir()
    library = [*(folder / "src").glob("nn*.c"), folder / "src" / "seal.c"]
    sources = [*library, folder / "tests" / "nn_program.c"]
    image = boards.build(board, [*sources, out / "network.c"], out, include=[out], flags=flags)
    return boards.run(image, [str(out / "maps.bin")])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "flags", "n"), TARGETS, ids=[" ".join([n, *f[1:]]) for n, f, _ in TARGETS]
)
@pytest.mark.requirement("NN-1")
def test_rows_and_scores_are_the_references(
    name: str, flags: tuple[str, ...], n: int, kind: str, tmp_path: Path
) -> None:
    done = run(kind, usable(name), flags, n, tmp_path)
    assert done.status == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("map ")]
    assert lines == expected(kind).lines[:n]


@pytest.mark.parametrize("kind", KINDS)
def test_the_maps_can_tell_a_wrong_kernel(kind: str) -> None:
    # A saturated softmax, or activations that are all zero, would let one pass.
    want = expected(kind)
    assert (np.abs(want.scores.astype(int)).max(axis=1) < 127).sum() >= N_MAPS * 3 // 4
    assert len(set(want.lines)) == len(want.lines)
