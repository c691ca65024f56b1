# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa stream`` and the C library are given the same samples, in pieces of any size."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from targets import usable

from ecgqa_tflite.assess import assess
from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine import device_source
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.live import decide
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.file import ReadOptions
from ecgqa_tflite.recording.samples import MISSING_S16, Int16Decoder
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.segments import BY_REASON, Cutter
from ecgqa_tflite.spec import SCORE_SCALE, Quality
from ecgqa_tflite.tflite.run import Int8Network

FS_HZ = 250.0
HOP_S = 1.0
COUNTS_PER_MV = 1000
"""Codes of 1 uV: a power of two from the finest that :func:`segments.quantise` takes, so both ways
give the front end the same segment but for a shift."""

KERNELS_APART = 8
"""Units of 256 by which scores of LiteRT's fast kernels, which decide on a host, may be from those
of the reference kernels; 4 at most on these segments."""

SHIM = """
#include "ecgqa_bundle.h"
static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];
ecgqa_t *shim_start(void)
{
    return ecgqa_init(&context, &ecgqa_bundle, workspace, sizeof workspace) == ECGQA_OK ? &context
                                                                                         : NULL;
}
"""


class CDecision(ctypes.Structure):
    _fields_ = [
        ("segment", ctypes.c_uint32),
        ("score_s8", ctypes.c_int8),
        ("quality", ctypes.c_uint8),
        ("reason", ctypes.c_uint8),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """light_cnn_small with the whole library, overlapping segments, as a device would have it."""
    board, model = usable("host-gcc"), open_model("light_cnn_small")
    made = tables.build(model.spec, FS_HZ)
    device = device_source.plan_device(
        model.spec, made, model.tflite_path.read_bytes(), model.threshold_int8,
        hop_s=HOP_S, collect=True,
    )  # fmt: skip
    sources = device_source.device_sources(device, None)
    sources["shim.c"] = SHIM
    folder = tmp_path_factory.mktemp("library")
    for name, text in sources.items():
        (folder / name).write_text(text)
    objects = boards.compile_sources(
        board, [*boards.library_sources(), *folder.glob("*.c")], folder / "objects",
        include=[folder], flags=("-O2", "-fPIC"),
    )  # fmt: skip
    shared = folder / "path.so"
    boards.tool(board.compiler, "-shared", *map(str, objects.values()), "-o", str(shared))
    loaded = ctypes.CDLL(str(shared))
    loaded.shim_start.restype = ctypes.c_void_p
    return loaded


def on_library(library: ctypes.CDLL, parts: Iterator[NDArray[np.int16]]) -> list[CDecision]:
    """Push each part, the missing samples as such; classify as soon as a segment is whole."""
    context = ctypes.c_void_p(library.shim_start())
    assert context.value
    taken, event = ctypes.c_size_t(), ctypes.c_int()
    told = ctypes.byref(taken), ctypes.byref(event)
    decisions = []
    for part in parts:
        edges = np.flatnonzero(np.diff(part == MISSING_S16)) + 1
        for run in np.split(part, edges):
            done = 0
            while done < run.size:
                left = np.ascontiguousarray(run[done:])
                n = ctypes.c_size_t(left.size)
                if left[0] == MISSING_S16:
                    status = library.ecgqa_push_missing(context, n, *told)
                else:
                    samples = left.ctypes.data_as(ctypes.c_void_p)
                    status = library.ecgqa_push(context, samples, n, *told)
                assert status == 0
                done += taken.value
                if event.value:
                    decisions.append(CDecision())
                    assert library.ecgqa_classify(context, ctypes.byref(decisions[-1])) == 0
    return decisions


def sent() -> NDArray[np.int16]:
    """40 s with a gap, a held stretch and noise: codes as a device sends them."""
    rng = np.random.default_rng(4)
    counts = np.rint(simulate(40, FS_HZ, seed=5).signal_mv[:, 0] * COUNTS_PER_MV)
    counts[3000:3250] = MISSING_S16
    counts[5500:6000] = counts[5500]
    counts[7500:9000] += rng.normal(0, 600, 1500).round()
    return counts.astype("<i2")


def pieces(n: int, seed: int, longest: int) -> Iterator[slice]:
    edges = np.cumsum(np.random.default_rng(seed).integers(1, longest, 4 * n // longest + 2))
    yield from itertools.starmap(slice, itertools.pairwise([0, *edges[edges < n].tolist(), n]))


def by_reference_kernels(model: ModelFolder, signal_mv: NDArray[np.float32]) -> list[int]:
    """int8 scores as a device has to give them, -128 where the network is not asked."""
    cutter = Cutter(FS_HZ, model.spec, HOP_S)
    network = Int8Network(model.tflite_path, reference_kernels=True)
    scores = []
    for segments in cutter.push(signal_mv):
        maps = cutter.front_end.index_maps(segments.samples, threads=1)
        found = network.scores(image_s8(maps, model.spec.colormap))[:, 1]
        scores += np.where(segments.ok, found, -128).tolist()
    return scores


@pytest.mark.parametrize(("seed", "longest"), [(0, 40), (1, 3000)])
def test_the_stream_the_recording_and_the_library_agree(
    library: ctypes.CDLL, seed: int, longest: int
) -> None:
    model, counts = open_model("light_cnn_small"), sent()
    data = counts.tobytes()
    decoder = Int16Decoder(ReadOptions(channels=1, counts_per_mv=COUNTS_PER_MV))
    blocks = (decoder.push(data[cut]) for cut in pieces(len(data), seed, longest))
    streamed = [d for _, d in decide(blocks, model, FS_HZ, HOP_S)]

    signal = counts.astype(np.float32) / np.float32(COUNTS_PER_MV)
    signal[counts == MISSING_S16] = np.nan
    recording = Recording("sent", signal[:, None], FS_HZ, ("ECG",))
    assert streamed == assess(recording, model, hop_s=HOP_S)

    device = on_library(library, (counts[cut] for cut in pieces(counts.size, seed + 9, longest)))
    assert [(d.segment * HOP_S, BY_REASON[d.reason]) for d in device] == [
        (d.start_s, d.reason) for d in streamed
    ]
    assert [d.score_s8 for d in device] == by_reference_kernels(model, signal)
    for mine, streamed_one in zip(device, streamed, strict=True):
        apart = abs(mine.score_s8 + 128 - streamed_one.score / SCORE_SCALE)
        assert apart <= KERNELS_APART
        assert mine.quality == streamed_one.quality
    assert {"ok", "gap", "held"} <= {s.reason for s in streamed}
    assert {s.quality for s in streamed if s.reason == "ok"} == {Quality.LOW, Quality.HIGH}
