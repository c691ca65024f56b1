# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The self-test names the stage where something was disturbed; streaming and slices agree."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models_for_boards import reference
from numpy.typing import NDArray
from segments_for_boards import FS_HZ, SEGMENT_LEN, real_segments
from targets import usable
from test_path_on_boards import Case, built, lines, small_case

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine import c_source, device_source, model_source, nn_source
from ecgqa_tflite.errors import ArgumentError

TABLES = (
    *("radices", "forward_order", "quarter_sine_q31", "twiddle_cos_q31", "twiddle_sin_q31"),
    *("bit_reversal", "psi_q15", "taps_q14", "row"),
)
STAGES = ("tables", "lut", "layer constants", "index rows", "layer rows", "logits", "scores")


@pytest.fixture(scope="module")
def segments(shared_data: Callable[[str], Path]) -> NDArray[np.int16]:
    return real_segments(shared_data("challenge-2011"))


@pytest.fixture(scope="module")
def case(segments: NDArray[np.int16]) -> Case:
    return small_case(segments)


def _told(run: boards.Run) -> tuple[str, list[int]]:
    """Stage, then layer, row and index, of a self-test that failed."""
    assert run.status == 6, run.output  # -ECGQA_ERR_SELFTEST
    status, stage, *rest = map(int, lines(run, "selftest")[0].split()[1:])
    assert status == -6
    return STAGES[stage], rest


def _run(generated: list[Path], out: Path, how: str = "whole") -> boards.Run:
    image = built(usable("host-gcc"), generated, out, ("-O1",))
    return boards.run(image, [str(generated[0].parent / "segments.bin"), how])


def _replaced(values: NDArray, at: int, change: Callable[[int], int]) -> NDArray:
    out = values.copy()
    flat = out.reshape(-1)
    flat[at] = change(int(flat[at]))
    return out


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.requirement("ST-1")
def test_one_flipped_table_entry(table: str, case: Case, tmp_path: Path) -> None:
    given = getattr(case.device.tables, table)
    if table == "row":
        wrong = given.copy()
        wrong["centre_bin"][100] ^= 1
    else:
        wrong = _replaced(given, given.size // 3, lambda x: x ^ 1)
    tables = dataclasses.replace(case.device.tables, **{table: wrong})
    generated = case.write(tmp_path / "generated", tables=tables)
    if table == "radices":
        # 5 x 5 x 5 x 5 points became others: refused before anything is computed.
        assert _run(generated, tmp_path).status != 0
        return
    stage, (_, row, _) = _told(_run(generated, tmp_path))
    assert (stage, row) == ("tables", TABLES.index(table))


@pytest.mark.parametrize(
    ("layer", "array", "change"),
    [
        (0, "weights", lambda x: x ^ 1),
        (2, "weights", lambda x: x ^ 0x80),
        (1, "bias", lambda x: x + 1),
        (1, "multiplier_q31", lambda x: x + 1),
        (2, "shift", lambda x: x - 1),
    ],
)
@pytest.mark.requirement("ST-1")
def test_one_flipped_weight_bit_or_a_wrong_multiplier(
    layer: int, array: str, change: Callable[[int], int], case: Case, tmp_path: Path
) -> None:
    generated = case.write(tmp_path / "generated", plan=_with(case, layer, array, change))
    stage, (told_layer, _, _) = _told(_run(generated, tmp_path))
    assert (stage, told_layer) == ("layer constants", layer)


def _with(case: Case, layer: int, array: str, change: Callable[[int], int]) -> device_source.Plan:
    plan = case.device.plan
    planned = plan.layers[layer]
    values = getattr(planned.layer, array)
    wrong = dataclasses.replace(planned.layer, **{array: _replaced(values, 0, change)})
    layers = list(plan.layers)
    layers[layer] = dataclasses.replace(planned, layer=wrong)
    return dataclasses.replace(plan, layers=tuple(layers))


def test_a_wrong_colour(case: Case, tmp_path: Path) -> None:
    generated = case.write(tmp_path / "generated")
    model = tmp_path / "generated" / "ecgqa_model.c"
    text = model.read_text()
    assert "-128, -127, -126" in text
    model.write_text(text.replace("-128, -127, -126", "-128, -126, -126", 1))
    assert _told(_run(generated, tmp_path))[0] == "lut"


@pytest.mark.parametrize("stage", ["index rows", "layer rows", "logits", "scores"])
@pytest.mark.requirement("ST-1")
def test_code_that_computes_something_else(stage: str, case: Case, tmp_path: Path) -> None:
    # A golden row that differs in one byte, or two that changed places, stand for wrong code.
    rows = device_source.golden_rows(case.device, case.segments[0])
    first_layer_rows = case.device.spec.rows
    at = {
        "index rows": 40,
        "layer rows": first_layer_rows + 3,
        "logits": len(rows) - 2,
        "scores": len(rows) - 1,
    }[stage]
    if stage == "index rows":
        wrong = [*rows]
        wrong[at], wrong[at + 1] = rows[at + 1], rows[at]
        index = next(
            i for i, (a, b) in enumerate(zip(rows[at], rows[at + 1], strict=True)) if a != b
        )
    else:
        index = len(rows[at]) - 1
        wrong = [*rows]
        wrong[at] = rows[at][:index] + bytes([rows[at][index] ^ 1])
    for golden_bytes in (False, True):
        folder = tmp_path / f"generated{golden_bytes}"
        generated = case.write(folder, golden_bytes=golden_bytes, rows=wrong)
        told, (_, row, told_index) = _told(_run(generated, tmp_path / f"{golden_bytes}"))
        assert told == stage
        assert row == {"index rows": 40, "layer rows": 3}.get(stage, 0)
        assert told_index == (index if golden_bytes else -1)  # -1: ECGQA_INDEX_UNKNOWN


@pytest.mark.requirement("ID-1")
def test_another_spec_hash_is_refused_at_init(case: Case, tmp_path: Path) -> None:
    generated = case.write(tmp_path / "generated")
    other = dataclasses.replace(case.device.tables, spec_hash=1)
    # As if the tables were another bundle's: under this one's name, with a digest that is right.
    name = model_source.tables_name(other, nn_source.model_id(case.device.tflite))
    (tmp_path / "generated" / "ecgqa_cwt_tables.c").write_text(c_source.cwt_source(other, name))
    run = _run(generated, tmp_path)
    assert lines(run, "workspace") == ["workspace 0"]
    assert lines(run, "init") == ["init -4"]
    assert run.status == 4


@pytest.mark.parametrize(
    ("name", "macro"),
    [
        ("ecgqa_cwt_tables.c", "ECGQA_CWT_FORMAT"),
        ("ecgqa_model.c", "ECGQA_NN_FORMAT"),
        ("ecgqa_bundle.h", "ECGQA_BUNDLE_FORMAT"),
    ],
)
@pytest.mark.requirement("ID-2")
def test_another_format_number_is_refused_by_the_compiler(
    name: str, macro: str, case: Case, tmp_path: Path
) -> None:
    generated = case.write(tmp_path / "generated")
    source = tmp_path / "generated" / name
    text, found = re.subn(rf"#if {macro} != \d+", f"#if {macro} != 99", source.read_text())
    assert found == 1
    source.write_text(text)
    with pytest.raises(boards.ToolError, match=rf"generated for {macro} \d+: export again"):
        _run(generated, tmp_path)


@pytest.mark.parametrize("name", ["ecgqa_cwt_tables.c", "ecgqa_model.c", "ecgqa_bundle.c"])
@pytest.mark.requirement("ST-2")
def test_a_number_that_changed_is_refused_at_init(name: str, case: Case, tmp_path: Path) -> None:
    generated = case.write(tmp_path / "generated")
    source = tmp_path / "generated" / name
    text, found = re.subn(
        r" (\d+), /\* (segment_ms|multiplier_q31|hop_len) \*/", r" \g<1> ^ 1, /* \2 */",
        source.read_text(),
    )  # fmt: skip
    assert found == 1
    source.write_text(text)
    run = _run(generated, tmp_path)
    assert lines(run, "init") == ["init -7"]


def test_slices_and_whole_agree(case: Case, tmp_path: Path) -> None:
    generated = case.write(tmp_path / "generated")
    whole = _run(generated, tmp_path / "a", "whole")
    slices = _run(generated, tmp_path / "b", "slices")
    decisions = lines(whole, "decision")
    assert lines(slices, "decision") == decisions
    expected = [
        f"decision {i} {score} {int(score >= case.device.threshold_int8)} 0"
        for i, score in enumerate(case.scores[:, 1])
    ]
    assert decisions == expected


def test_flat_segments_are_low_with_the_reason(case: Case, tmp_path: Path) -> None:
    flat = np.full((2, SEGMENT_LEN), 5, np.int16)
    segments = np.concatenate([flat, case.segments[:1]])
    generated = dataclasses.replace(case, segments=segments).write(
        tmp_path / "generated", golden=case.segments[0]
    )
    run = _run(generated, tmp_path)
    score = case.scores[0, 1]
    assert lines(run, "decision") == [
        "decision 0 -128 0 1",
        "decision 1 -128 0 1",
        f"decision 2 {score} {int(score >= case.device.threshold_int8)} 0",
    ]


def test_a_stream_with_a_hop_gives_the_decisions_of_its_windows(
    case: Case, segments: NDArray[np.int16], tmp_path: Path
) -> None:
    stream = segments[:6].reshape(-1)
    hop_len = 400
    device = device_source.plan_device(
        case.device.spec,
        case.device.tables,
        case.device.tflite,
        case.device.threshold_int8,
        hop_s=hop_len / FS_HZ,
        collect=True,
    )
    windows = np.lib.stride_tricks.sliding_window_view(stream, SEGMENT_LEN)[::hop_len]
    maps = reference(device.tflite, device.spec, windows, FS_HZ)
    expected = [int(tensors[max(tensors)].reshape(-1)[1]) for _, tensors in maps]
    hopping = dataclasses.replace(case, device=device, segments=stream[None])
    generated = hopping.write(tmp_path / "generated", golden=case.segments[0])
    for how in ("whole", "slices"):
        decided = lines(_run(generated, tmp_path / how, how), "decision")
        assert [int(line.split()[2]) for line in decided] == expected
    assert device.workspace_bytes >= case.device.workspace_bytes


def test_a_hop_needs_its_own_memory_and_whole_samples(case: Case) -> None:
    device = case.device
    given = (device.spec, device.tables, device.tflite, 0)
    with pytest.raises(ArgumentError, match="collect"):
        device_source.plan_device(*given, hop_s=2.0)
    with pytest.raises(ArgumentError, match="whole number"):
        device_source.plan_device(*given, hop_s=0.0011, collect=True)
    with pytest.raises(ArgumentError, match="at most the segment's 1250"):
        device_source.plan_device(*given, hop_s=6.0, collect=True)
