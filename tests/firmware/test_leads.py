# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Two leads that share one workspace are decided as each is alone, under QEMU."""

from __future__ import annotations

from pathlib import Path

import pytest
from targets import usable
from test_path_on_boards import lines

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine import device_source
from ecgqa_tflite.engine.golden import golden_samples
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.resources import firmware_bridge_dir

FS_HZ, HOP_S, LEADS = 250.0, 1.0, 2
BUDGETS = {"light_cnn_small": 14_000, "light_cnn": 30_000}
"""Bytes of two leads: scratch, samples and contexts."""


def hopping(name: str) -> device_source.Device:
    model = open_model(name)
    return device_source.plan_device(
        model.spec, tables.build(model.spec, FS_HZ), model.tflite_path.read_bytes(),
        model.threshold_int8, hop_s=HOP_S, collect=True,
    )  # fmt: skip


@pytest.mark.requirement("MEM-4")
@pytest.mark.parametrize(("name", "segments"), [("light_cnn_small", 6), ("light_cnn", 2)])
def test_two_leads_are_decided_as_each_alone(name: str, segments: int, tmp_path: Path) -> None:
    made = hopping(name)
    vectors = device_source.golden(made, golden_samples(made.spec, FS_HZ)[1][0])
    generated = tmp_path / "generated"
    generated.mkdir()
    for file, text in device_source.device_sources(made, vectors).items():
        (generated / file).write_text(text)
    program = firmware_bridge_dir() / "tests" / "leads_program.c"
    sources = [program, *boards.library_sources(), *sorted(generated.glob("*.c"))]
    flags = (*boards.OPTIMISE, f"-DSEGMENTS={segments}")
    image = boards.build(usable("mps2-an386"), sources, tmp_path, include=[generated], flags=flags)
    run = boards.run(image, timeout_s=1200)
    assert run.status == 0, run.output
    (taken,), (decisions,) = (
        [int(line.split()[1]) for line in lines(run, word)] for word in ("bytes", "decisions")
    )
    print(f"{name}: {taken:,} bytes, {decisions} decisions")
    assert decisions >= 5 * (segments - 1) * LEADS
    samples = LEADS * 2 * made.tables.segment_len
    assert made.scratch_bytes + samples < taken <= BUDGETS[name]
