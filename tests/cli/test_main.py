# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa`` itself: errors in one line, missing extras, standalone commands."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ecgqa_tflite import cli
from ecgqa_tflite.errors import EcgqaError


def run(error: BaseException):  # type: ignore[no-untyped-def]
    """A standalone command that raises ``error``."""

    @click.command(cls=cli.Command)
    def command() -> None:
        raise error

    return CliRunner().invoke(command, [])


def test_what_a_user_can_cause_is_one_line() -> None:
    done = run(EcgqaError("a message\nthat was broken"))
    assert (done.exit_code, done.stderr) == (1, "Error: a message that was broken\n")
    done = run(PermissionError(13, "Permission denied", "out.json"))
    assert (done.exit_code, done.stderr) == (1, "Error: out.json: Permission denied\n")


def test_a_missing_extra_says_how_to_get_it() -> None:
    done = run(ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib.figure"))
    assert done.exit_code == 1
    assert "pip install '.[train]'" in done.stderr and done.stderr.count("\n") == 1


def test_training_says_so_before_it_prepares_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = CliRunner().invoke(
        cli.main, ["train", "--data", str(tmp_path), "-o", str(tmp_path / "out")]
    )
    assert done.exit_code == 1 and "this needs tensorflow" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError(), ModuleNotFoundError("no nonesuch", name="nonesuch"), OSError("of ours")],
)
def test_a_fault_of_ours_is_no_user_error(error: Exception) -> None:
    assert run(error).exception is error


def test_an_unknown_command_is_a_usage_error() -> None:
    done = CliRunner().invoke(cli.main, ["asses"])
    assert done.exit_code == 2 and "asses" in done.stderr


def test_help_is_short_too() -> None:
    done = CliRunner().invoke(cli.main, ["-h"])
    assert done.exit_code == 0 and "Examples:" in done.stdout
