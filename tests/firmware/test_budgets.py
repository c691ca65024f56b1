# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What the whole path may cost, over real segments, and TensorFlow Lite Micro beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from conftest import require_module
from models_for_boards import KINDS, network
from numpy.typing import NDArray
from segments_for_boards import FS_HZ, real_segments
from targets import usable
from test_cwt_on_boards import built

from ecgqa_tflite.boards import boards
from ecgqa_tflite.boards import count as qemu_cortex_m
from ecgqa_tflite.engine.device_source import Device, front_end_bytes, plan_device
from ecgqa_tflite.frontend import colormap, tables
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.resources import firmware_bridge_dir, models_dir
from ecgqa_tflite.spec import FrontEnd, Scaling
from ecgqa_tflite.tflite import tflm
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = pytest.mark.slow

MARKS = ("mark_signal", "mark_analyse", "mark_scan", "mark_rows", "mark_end")

SLICE_MARKS = ("mark_start", "mark_end")

# About 3 % above what was measured (2026-11), and below what was promised: 30,720 bytes and
# 115 M instructions for Light-CNN, 14 KB and 10 M for the small network, 11 M for the front end,
# 1.4 instructions a MAC on M4 and 0.35 on M55.
LIGHT_RAM_BYTES = 24_800
LIGHT_INSTRUCTIONS = 76_600_000
SMALL_RAM_BYTES = 9_600
SMALL_INSTRUCTIONS = 6_570_000
PORTABLE_INSTRUCTIONS = {"microbit": 18_760_000, "virt": 24_000_000}
SMALL_CORE_RAM_BYTES = 9_700
CWT_INSTRUCTIONS = 11_000_000
SIGNAL_INSTRUCTIONS = 100_000
CONDITIONING_INSTRUCTIONS = 400_000
CONDITIONING_STACK_BYTES = 512
SHIPPED_INSTRUCTIONS = {
    "mps2-an386": 6_640_000,
    "mps2-an505": 6_650_000,
    "mps3-an547": 5_650_000,
    "microbit": 25_100_000,
    "virt": 21_900_000,
}
"""Of light_cnn_small as it is shipped, conditioning and all; median."""
PER_MAC = {"mps2-an386": 0.856, "mps2-an500": 0.856, "mps2-an505": 0.856, "mps3-an547": 0.31}
CODE_BYTES = 24_200
"""Without what looks at the samples and conditions them, which has a bound of its own. Of these
1.0 KB refuses bundles whose sums wrap or whose buffers overlap, and 2.9 KB are convolutions of few
inputs by rows and the front end's loops in assembly, which save light_cnn_small 2 of 8.5 million
instructions."""
LOOK_BYTES = 3_900
"""What looks and conditions; telling a pulse wave is 0.8 KB of it and 35,000 instructions."""
SLICE_INSTRUCTIONS = 400_000


@pytest.fixture(scope="module")
def segments(shared_data: Callable[[str], Path]) -> NDArray[np.int16]:
    real = real_segments(shared_data("challenge-2011"))
    return real[np.ptp(real, axis=1) > 0]


def _device(kind: str, segments: NDArray[np.int16], **options: object) -> Device:
    spec = KINDS[kind].spec
    tflite = network(kind, segments, FS_HZ)
    return plan_device(spec, tables.build(spec, FS_HZ), tflite, 0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", qemu_cortex_m.CORES)
@pytest.mark.requirement("MEM-3")
def test_light_cnn(name: str, segments: NDArray[np.int16], tmp_path: Path) -> None:
    figures = qemu_cortex_m.measure(
        _device("light", segments), segments[::12], usable(name), tmp_path
    )
    assert figures.ram_bytes <= LIGHT_RAM_BYTES
    assert figures.instructions <= LIGHT_INSTRUCTIONS
    assert figures.per_mac <= PER_MAC[name]
    added = _look_bytes(usable(name), tmp_path)
    print(f"{name}: code {figures.code_bytes:,} bytes, of these {added:,} look and condition")
    assert figures.code_bytes - added <= CODE_BYTES
    assert added <= LOOK_BYTES
    assert figures.macs == 78_785_920


def _code_bytes(
    board: boards.Board, names: Sequence[str], folder: Path, functions: Set[str] | None = None
) -> int:
    """Code and constants of sources of the library, or of some functions in them."""
    sources = [firmware_bridge_dir() / "src" / name for name in names]
    objects = boards.compile_sources(board, sources, folder)
    symbols = [s for built in objects.values() for s in boards.read_symbols(board, built)]
    return sum(
        s.size for s in symbols if s.kind in "tTrR" and (functions is None or s.name in functions)
    )


def _look_bytes(board: boards.Board, folder: Path) -> int:
    """What looks at the samples and conditions them: two sources, and their callers' part."""
    callers = ("cwt.c", "ecgqa.c", "status.c")
    of_callers = {"ecgqa_cwt_look", "ecgqa_push_missing", "ecgqa_reason_str"}
    return _code_bytes(board, ("condition.c", "lost.c"), folder) + _code_bytes(
        board, callers, folder, of_callers
    )


@pytest.mark.parametrize("name", qemu_cortex_m.CORES)
@pytest.mark.requirement("MEM-3")
def test_small_network(name: str, segments: NDArray[np.int16], tmp_path: Path) -> None:
    figures = qemu_cortex_m.measure(
        _device("small", segments), segments[::12], usable(name), tmp_path
    )
    assert figures.ram_bytes <= SMALL_RAM_BYTES
    assert figures.instructions <= SMALL_INSTRUCTIONS


@pytest.mark.parametrize(("name", "most"), PORTABLE_INSTRUCTIONS.items())
def test_small_network_on_small_cores(
    name: str, most: int, segments: NDArray[np.int16], tmp_path: Path
) -> None:
    figures = qemu_cortex_m.measure(
        _device("small", segments), segments[::24], usable(name), tmp_path
    )
    assert figures.ram_bytes <= SMALL_CORE_RAM_BYTES
    assert figures.instructions <= most


@pytest.mark.parametrize(("name", "most"), SHIPPED_INSTRUCTIONS.items())
def test_the_shipped_small_model(
    name: str, most: int, segments: NDArray[np.int16], tmp_path: Path
) -> None:
    model = open_model(models_dir() / "light_cnn_small")
    built_tables = tables.build(model.spec, FS_HZ)
    device = plan_device(
        model.spec, built_tables, model.tflite_path.read_bytes(), model.threshold_int8
    )
    figures = qemu_cortex_m.measure(device, segments[::24], usable(name), tmp_path)
    assert figures.ram_bytes <= SMALL_CORE_RAM_BYTES
    assert figures.instructions <= most


@pytest.mark.parametrize("flags", [("-Os",), ("-O0",)], ids=" ".join)
@pytest.mark.parametrize("name", ["mps2-an386", "mps3-an547"])
def test_kernels_stay_optimised(
    name: str, flags: tuple[str, ...], segments: NDArray[np.int16], tmp_path: Path
) -> None:
    device, board = _device("small", segments), usable(name)
    built = [
        qemu_cortex_m.measure(device, segments[:2], board, tmp_path / f[0], flags=f)
        for f in (boards.OPTIMISE, flags)
    ]
    # measured: 1.12 at most, where what calls the kernels of a Cortex-M55 is not optimised
    assert built[1].instructions <= 1.15 * built[0].instructions


def test_counts_are_the_same_three_times(segments: NDArray[np.int16], tmp_path: Path) -> None:
    device = _device("small", segments)
    measured = [
        qemu_cortex_m.measure(device, segments[:3], usable("mps2-an386"), tmp_path / str(i))
        for i in range(3)
    ]
    assert measured[0] == measured[1] == measured[2]


def _scanned(stage: boards.Stage) -> bool:
    """The first pass ends where the first row starts."""
    return bool(stage.by_function.get("ecgqa_cwt_scan_step"))


@pytest.mark.parametrize("scaling", ["qrs", "minmax"])
def test_the_front_end_alone(scaling: Scaling, segments: NDArray[np.int16], tmp_path: Path) -> None:
    (tmp_path / "segments.bin").write_bytes(segments.astype("<i2").tobytes())
    image = built(usable("mps2-an386"), tmp_path, FrontEnd(scaling=scaling))
    run = boards.run(image, [str(tmp_path / "segments.bin")], marks=MARKS)
    assert run.status == 0, run.output
    totals: list[int] = []
    for stage in run.stages:
        if stage.mark == "mark_analyse":
            totals.append(0)
        elif stage.mark in ("mark_scan", "mark_end") or _scanned(stage):
            totals[-1] += stage.total
    assert len(totals) == len(segments)
    print(f"{scaling}: median {median(totals):,} instructions of {len(totals)} segments")
    assert median(totals) <= CWT_INSTRUCTIONS


@pytest.fixture(scope="module")
def analysed(
    segments: NDArray[np.int16], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[list[int], list[int], int]]:
    """By conditioning: M4 instructions of the signal's check and of the analysis; stack, bytes."""
    found = {}
    for spec in (FrontEnd(), FrontEnd.preset("wearable")):
        folder = tmp_path_factory.mktemp(spec.conditioning)
        (folder / "segments.bin").write_bytes(segments.astype("<i2").tobytes())
        image = built(usable("mps2-an386"), folder, spec)
        run = boards.run(image, [str(folder / "segments.bin")], marks=MARKS)
        assert run.status == 0, run.output
        # A stage is what ends at its mark.
        signal, analyse = (
            [stage.total for stage in run.stages if stage.mark == mark]
            for mark in ("mark_analyse", "mark_scan")
        )
        stack = next(line for line in run.output.splitlines() if line.startswith("stack "))
        found[spec.conditioning] = signal, analyse, int(stack.split()[1])
    return found


def test_what_the_signal_shows_costs_little(
    analysed: dict[str, tuple[list[int], list[int], int]],
) -> None:
    signal = analysed["baseline"][0]
    print(f"signal: median {median(signal):,}, most {max(signal):,} instructions of {len(signal)}")
    assert max(signal) <= SIGNAL_INSTRUCTIONS


def test_conditioning_costs_little_and_no_memory(
    analysed: dict[str, tuple[list[int], list[int], int]],
) -> None:
    (_, plain, plain_stack), (_, analyse, stack) = analysed["none"], analysed["baseline"]
    more = np.array(analyse) - plain
    print(
        f"conditioning: median {np.median(more):,} instructions, stack {stack - plain_stack} bytes"
    )
    assert np.median(more) <= CONDITIONING_INSTRUCTIONS
    assert stack - plain_stack <= CONDITIONING_STACK_BYTES
    specs = FrontEnd.preset("wearable"), FrontEnd()
    memory, plain_memory = (front_end_bytes(tables.build(spec, FS_HZ)) for spec in specs)
    assert memory == plain_memory


def test_collecting_while_classifying_costs_its_samples(segments: NDArray[np.int16]) -> None:
    held, apart = (_device("light", segments, collect=collect) for collect in (False, True))
    assert apart.workspace_bytes <= held.workspace_bytes + 2 * apart.tables.segment_len + 8


def test_tensorflow_lite_micro_beside_it(segments: NDArray[np.int16]) -> None:
    require_module("tflite_micro")
    device = _device("light", segments)
    spec = device.spec
    maps = NativeFrontEnd(spec, FS_HZ).index_maps(segments[:12])
    images = to_int8(colormap.image(maps, spec.colormap))
    reference = Int8Network(device.tflite, reference_kernels=True)
    arena = tflm.find_arena(device.tflite, reference.graph)
    np.testing.assert_array_equal(
        tflm.tflm_scores(device.tflite, images, arena.bytes), reference.scores(images)
    )
    # The figure that the engine is compared with; another one means another TFLM.
    assert 400_000 < arena.least_bytes < 440_000
    assert device.workspace_bytes * 16 < arena.least_bytes


def test_a_slice_is_bounded(segments: NDArray[np.int16], tmp_path: Path) -> None:
    device = _device("small", segments)
    _, run = qemu_cortex_m.run_path(
        device, segments[:2], usable("mps2-an386"), tmp_path, how="slices", marks=SLICE_MARKS
    )
    slices = [stage.total for stage in run.stages if stage.mark == SLICE_MARKS[1]]
    assert len(slices) > 2 * device.spec.rows
    assert max(slices) <= SLICE_INSTRUCTIONS
