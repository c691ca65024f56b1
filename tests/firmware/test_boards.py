# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The boards themselves: start-up, semihosting, exit status, stack paint and exact counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from targets import every_board, every_emulated_board, usable

from ecgqa_tflite.boards import boards
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.resources import firmware_bridge_dir

HELLO = firmware_bridge_dir() / "tests" / "hello.c"
MARKS = ("mark_begin", "mark_end")


@every_board
def test_text_file_arguments_and_status(name: str, tmp_path: Path) -> None:
    board = usable(name)
    data = bytes(range(200))
    (tmp_path / "data.bin").write_bytes(data)
    image = boards.build(board, [HELLO], tmp_path)
    run = boards.run(image, [str(tmp_path / "data.bin"), "37"])
    total = 0
    for byte in data:
        total = (total * 31 + byte) % 2**32
    assert run.status == 37
    said = dict(line.split(" ") for line in run.output.splitlines())
    assert said["sum"] == f"{total:08x}"
    assert said["int32"] == "-2147483648"
    # 1,000 bytes of a local array and what the caller's call costs.
    assert (1000 <= int(said["stack"]) <= 1100) if board.bare else said["stack"] == "0"


@every_emulated_board
def test_instruction_counts_are_exact_and_repeat(name: str, tmp_path: Path) -> None:
    image = boards.build(usable(name), [HELLO], tmp_path)
    first, second = (boards.run(image, ["none", "0"], marks=MARKS) for _ in range(2))
    assert first.stages == second.stages
    empty, full = (first.instructions(*MARKS, occurrence=i) for i in range(2))
    # 100 instructions, the call and the return.
    assert full - empty == 102
    assert first.stages[3].by_function["known_work"] == 101
    assert all(sum(s.by_function.values()) == s.total for s in first.stages)


def test_wearable_limits_are_the_linkers(tmp_path: Path) -> None:
    board = usable("netduinoplus2")
    source = tmp_path / "big.c"
    source.write_text(
        '#include "platform.h"\nstatic volatile char room[128 * 1024];\n'
        "int board_main(void)\n{\n    return room[0];\n}\n"
    )
    with pytest.raises(ToolError, match=r"region .RAM. overflowed"):
        boards.build(board, [source], tmp_path)


def test_a_fault_ends_the_run_with_its_own_status(tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text(
        '#include "platform.h"\nint board_main(void)\n{\n'
        "    *(volatile int *)0xFFFFFFF0u = 1;\n    return 0;\n}\n"
    )
    for name in ("mps2-an386", "mps3-an547"):
        run = boards.run(boards.build(usable(name), [source], tmp_path / name))
        assert run.status == 70
        assert "fault" in run.output


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no-such-program is not installed; `make setup-firmware`"):
        boards.tool("no-such-program")
    source = tmp_path / "wrong.c"
    source.write_text("int board_main(void) { return 1.5; }\n")
    usable("host-gcc")
    with pytest.raises(ToolError, match=r"gcc failed: .*wrong\.c"):
        boards.build(boards.boards()["host-gcc"], [source], tmp_path)
