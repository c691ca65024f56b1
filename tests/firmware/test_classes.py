# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of more than two classes: every score by the C engine as by LiteRT's reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks_by_hand import Builder
from networks_for_engine import index_maps
from targets import usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.nn_source import nn_source
from ecgqa_tflite.engine.planner import plan_tflite
from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.run import Int8Network

N_MAPS = 400
SIDE = 16
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TARGETS = [("host-gcc", SANITIZERS, N_MAPS), ("mps2-an386", ("-O2",), 20)]


@pytest.mark.parametrize("classes", [3, 4, 9, 64])
@pytest.mark.parametrize(("name", "flags", "n"), TARGETS, ids=["host", "m4"])
@pytest.mark.requirement("NN-1")
def test_every_score_is_the_references(
    name: str, flags: tuple[str, ...], n: int, classes: int, tmp_path: Path
) -> None:
    tflite = Builder(SIDE, SIDE, 1, seed=classes).conv(8, 3, 2).pool("MAX", 2, 2).flatten()
    network = tflite.scores(classes)
    plan = plan_tflite(network, row_scratch_bytes=0)
    maps = index_maps(n, SIDE, SIDE, seed=classes)
    expected = Int8Network(network, reference_kernels=True).scores(
        to_int8(colormap.image(maps, "grey"))
    )
    assert len(np.unique(expected, axis=0)) > n // 8
    source = nn_source(plan, "network", lut=colormap.lut("grey"), spec_hash=1, model_id=2)
    (tmp_path / "network.c").write_text(source)
    (tmp_path / "network.h").write_text(
        f'#include "ecgqa/nn.h"\n#define NETWORK_ROWS {SIDE}\n#define NETWORK_COLS {SIDE}\n'
        f"#define NETWORK_WORKSPACE_BYTES {plan.workspace_bytes}\n"
        "extern const ecgqa_nn_model_t network;\n"
    )
    (tmp_path / "maps.bin").write_bytes(maps.tobytes())
    folder = firmware_bridge_dir()
    sources = [*(folder / "src").glob("nn*.c"), folder / "src" / "seal.c"]
    sources += [folder / "tests" / "nn_program.c", tmp_path / "network.c"]
    image = boards.build(usable(name), sources, tmp_path, include=[tmp_path], flags=flags)
    done = boards.run(image, [str(tmp_path / "maps.bin")])
    assert done.status == 0, done.output
    lines = [line.split()[-classes:] for line in done.output.splitlines() if line[:4] == "map "]
    assert np.array_equal(np.array(lines, int), expected)
