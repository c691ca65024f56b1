# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Index maps are the same bytes, and reasons the same, on every core and compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from segments_for_boards import FS_HZ, edge_segments, fnv1a, real_segments
from targets import every_board, usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.c_source import cwt_source
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.spec import FrontEnd

pytestmark = pytest.mark.slow

SPECS = {
    "qrs": FrontEnd(),
    "minmax": FrontEnd(scaling="minmax"),
    "conditioned": FrontEnd.preset("wearable"),
}


@pytest.fixture(scope="module", params=SPECS)
def spec(request: pytest.FixtureRequest) -> FrontEnd:
    return SPECS[request.param]


def built(board: boards.Board, folder: Path, spec: FrontEnd, *flags: str) -> boards.Image:
    """The program that prints the digest of each index map, and the reason."""
    source = folder / "cwt_tables.c"
    source.write_text(cwt_source(tables.build(spec, FS_HZ), "cwt_tables"))
    library = firmware_bridge_dir()
    names = ("condition", "cwt", "cwt_dsp", "fft", "lost", "seal")
    sources = [library / "src" / f"{name}.c" for name in names]
    program = library / "tests" / "cwt_program.c"
    return boards.build(board, [*sources, program, source], folder, flags=("-O2", *flags))


@pytest.fixture(scope="module")
def segments(shared_data: Callable[[str], Path]) -> np.ndarray:
    return np.concatenate([real_segments(shared_data("challenge-2011")), edge_segments()])


@pytest.fixture(scope="module")
def expected(segments: np.ndarray, spec: FrontEnd) -> list[str]:
    maps = NativeFrontEnd(spec, FS_HZ).index_maps(segments, two_pass=True)
    shown = NativeFrontEnd(FrontEnd(), FS_HZ).reasons(segments)  # of the samples alone
    assert set(shown) == {0, 1, 2, 3}
    return [f"{fnv1a(m.tobytes()):08x} {reason}" for m, reason in zip(maps, shown, strict=True)]


@every_board
@pytest.mark.requirement("FE-1")
def test_index_maps_are_the_same_bytes(
    name: str, spec: FrontEnd, segments: np.ndarray, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / "segments.bin").write_bytes(segments.astype("<i2").tobytes())
    run = boards.run(built(usable(name), tmp_path, spec), [str(tmp_path / "segments.bin")])
    assert run.status == 0, run.output
    digests = [line[4:] for line in run.output.splitlines() if line.startswith("map ")]
    assert len(segments) >= 96
    assert digests == expected


@pytest.mark.parametrize("compiler", ["host-gcc", "host-clang"])
@pytest.mark.parametrize(
    "flags", [("-O0",), ("-O3",), ("-O1", "-fsanitize=address,undefined")], ids=" ".join
)
def test_no_optimisation_changes_a_byte_and_sanitizers_are_silent(
    compiler: str,
    flags: tuple[str, ...],
    spec: FrontEnd,
    segments: np.ndarray,
    expected: list[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "segments.bin").write_bytes(segments.astype("<i2").tobytes())
    image = built(usable(compiler), tmp_path, spec, *flags, "-fno-sanitize-recover=all")
    run = boards.run(image, [str(tmp_path / "segments.bin")])
    assert run.status == 0, run.output
    assert [x[4:] for x in run.output.splitlines() if x.startswith("map ")] == expected


def test_portable_operators_equal_the_dsp_ones_on_the_m4(
    spec: FrontEnd, segments: np.ndarray, expected: list[str], tmp_path: Path
) -> None:
    few = 12
    (tmp_path / "segments.bin").write_bytes(segments[:few].astype("<i2").tobytes())
    image = built(usable("mps2-an386"), tmp_path, spec, "-DECGQA_PORTABLE")
    run = boards.run(image, [str(tmp_path / "segments.bin")])
    assert [x[4:] for x in run.output.splitlines() if x.startswith("map ")] == expected[:few]


WIDE = [
    ("host-gcc", "-O3"),
    ("host-clang", "-O3"),
    ("host-gcc", "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"),
    ("aarch64", "-O3"),
]


@pytest.mark.parametrize(("compiler", "flags"), WIDE, ids=[" ".join(x) for x in WIDE])
def test_rows_side_by_side_are_the_same_bytes(
    compiler: str,
    flags: str,
    spec: FrontEnd,
    segments: np.ndarray,
    expected: list[str],
    tmp_path: Path,
) -> None:
    """AVX-512's kernels, AVX2's and NEON's, which a host has beside the device's sources."""
    board = usable(compiler)
    if not board.emulator and NativeFrontEnd(spec, FS_HZ).lanes == (1,):
        pytest.skip("this core has no AVX2")
    (tmp_path / "segments.bin").write_bytes(segments.astype("<i2").tobytes())
    tables_c = tmp_path / "cwt_tables.c"
    tables_c.write_text(cwt_source(tables.build(spec, FS_HZ), "cwt_tables"))
    library = firmware_bridge_dir()
    sources = [*boards.library_sources(), *sorted((library / "host").glob("*.c"))]
    sources += [library / "tests" / "wide_program.c", tables_c]
    image = boards.build(board, sources, tmp_path, flags=flags.split())
    run = boards.run(image, [str(tmp_path / "segments.bin")])
    assert run.status == 0, run.output
    digests = [x[4:] for x in run.output.splitlines() if x.startswith("map ")]
    assert digests == [line.split()[0] for line in expected]
