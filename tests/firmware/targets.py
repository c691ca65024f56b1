# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The boards as tests meet them: usable, or skipped (in CI: failed) with the reason."""

from __future__ import annotations

import pytest
from conftest import require_tool

from ecgqa_tflite.boards import boards

every_board = pytest.mark.parametrize("name", boards.boards())
every_emulated_board = pytest.mark.parametrize(
    "name", [name for name, board in boards.boards().items() if board.emulator]
)


def usable(name: str) -> boards.Board:
    """The board called ``name``, once its tools are known to be there."""
    board = boards.boards()[name]
    require_tool(board.compiler)
    for program in board.emulator[:1]:
        require_tool(program)
    return board
