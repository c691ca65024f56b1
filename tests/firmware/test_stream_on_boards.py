# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A stream of two leads under QEMU: the host's decisions, counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_device
from numpy.typing import NDArray
from targets import usable

from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.benchmark.stream import Report, frames, table
from ecgqa_tflite.boards import stream
from ecgqa_tflite.engine.device_source import Device
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.recording.samples import MISSING_S16
from ecgqa_tflite.segments import BY_REASON
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = pytest.mark.slow

DURATION_S = 60.0
GAP = list(BY_REASON).index("gap")


@pytest.fixture(scope="module")
def device() -> Device:
    return tiny_device.device("chain")


@pytest.fixture(scope="module")
def codes() -> NDArray[np.int16]:
    """A minute of two leads at the tiny device's rate, half the simulator's."""
    step = round(inputs.FS_HZ / tiny_device.FS_HZ)
    return frames(inputs.two_leads(DURATION_S).signal_mv)[::step]


@pytest.fixture(scope="module")
def streamed(
    device: Device, codes: NDArray[np.int16], tmp_path_factory: pytest.TempPathFactory
) -> stream.Stream:
    usable("host-gcc")  # compiles the counter
    return stream.run(device, codes, usable("mps2-an386"), tmp_path_factory.mktemp("stream"))


def expected(device: Device, lead: NDArray[np.int16]) -> list[tuple[int, int, int, int]]:
    """(segment, score, quality, reason), by the host's front end and LiteRT."""
    segment_len = device.tables.segment_len
    segments = lead[: len(lead) // segment_len * segment_len].reshape(-1, segment_len)
    front_end = NativeFrontEnd(device.spec, tiny_device.FS_HZ)
    network = Int8Network(device.tflite, reference_kernels=True)
    found = []
    for i, segment in enumerate(segments):
        missing = bool((segment == MISSING_S16).any())
        reason = GAP if missing else int(front_end.reasons(segment[None])[0])
        score = -128
        if reason == 0:
            image = image_s8(front_end.index_map(segment)[None], device.spec.colormap)
            score = int(network.scores(image)[0, 1])
        quality = int(reason == 0 and score >= device.threshold_int8)
        found.append((i, score, quality, reason))
    return found


def test_decisions_are_the_hosts(
    device: Device, codes: NDArray[np.int16], streamed: stream.Stream
) -> None:
    for lead in range(stream.LEADS):
        told = [
            (d.segment, d.score_s8, d.quality, d.reason)
            for d in streamed.decisions
            if d.lead == lead
        ]
        assert told == expected(device, codes[:, lead])
    found = {str(BY_REASON[d.reason]) for d in streamed.decisions}
    assert found == set(BY_REASON) - {"smooth"}  # no pulse wave comes over these electrodes


def test_what_is_refused_costs_next_to_nothing(
    device: Device, codes: NDArray[np.int16], streamed: stream.Stream
) -> None:
    asked = [d.instructions for d in streamed.decisions if d.reason == 0]
    refused = [d.instructions for d in streamed.decisions if d.reason != 0]
    assert 0 < max(refused) < min(asked) / 5
    # a loop over the samples that are there or missing, and a call a packet
    assert 3 * codes.size < streamed.push_instructions < 30 * codes.size
    assert streamed.ram_bytes > stream.LEADS * device.workspace_bytes


def test_the_report_adds_up(device: Device, streamed: stream.Stream) -> None:
    hop_s = device.spec.segment_s
    report = Report(
        "chain", "cortex-m4", "Cortex-M4", DURATION_S, hop_s, tiny_device.FS_HZ, "s", streamed
    )
    told = report.to_dict([])
    n = len(streamed.decisions)
    assert told["instructions"]["all"]["decisions"] == n == stream.LEADS * DURATION_S / hop_s
    assert sum(v["decisions"] for v in told["instructions"].values()) == 2 * n
    spent = report.per_decision * n
    assert spent == sum(d["instructions"] for d in told["decisions"]) + streamed.push_instructions
    text = table(report, [])
    assert "No part of this core" in text
    assert max(map(len, text.splitlines())) <= 80


def test_both_leads_are_disturbed_in_turn() -> None:
    """A minute has each kind once, in one lead or the other; the hearts beat as one."""
    first, second = inputs.schedules(DURATION_S)
    kinds = [d.kind for d in (*first, *second)]
    assert sorted(set(kinds)) == sorted({d.kind for d in inputs.schedules(1200.0)[0]})
    assert len(kinds) == len(set(kinds)) + 1  # no contact: of one value, and with noise
    clean = inputs.two_leads(DURATION_S).signal_mv[: round(2 * inputs.FS_HZ)]
    assert np.corrcoef(clean.T)[0, 1] > 0.99
