# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: parse, call, print. No logic, and nothing slow to import.

``ecgqa --help`` reads the table below and imports no command; ``ecgqa NAME`` imports
``ecgqa_tflite.cli.NAME`` and runs its ``command``. What goes wrong on purpose is one line on
stderr and exit code 1 (2 where the command line itself is wrong, as click has it).
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from ecgqa_tflite.cli.quiet import without_notes
from ecgqa_tflite.errors import EcgqaError
from ecgqa_tflite.escape import terminal

COMMANDS: dict[str, str] = {
    "assess": "Tell which seconds of a recording can be trusted.",
    "scalogram": "Draw a segment of a recording as the network sees it.",
    "convert": "Make a full-int8 model and its firmware bundle.",
    "recommend": "Tell which model to take for a microcontroller.",
    "validate": "Prove a bundle again, on this machine.",
    "inspect": "Tell what a .tflite is, ours or not.",
    "targets": "List the devices that a bundle can be made for.",
    "bench": "Tell what a segment costs on each device.",
    "evaluate": "Score a model on a labelled set, with intervals.",
    "pretrain": "Train a network's body on photographs.",
    "train": "Train a model and write its folder.",
    "experiment": "Repeat the paper's table and its ablations.",
    "data": "Fetch public PhysioNet sets.",
}
"""Command names and what ``ecgqa --help`` says of them, in the order in which it lists them."""

EXTRAS: dict[str, str] = {
    "matplotlib": "train",
    "pywt": "train",
    "sklearn": "train",
    "tensorflow": "train",
    "tensorflow_model_optimization": "train",
    "tf_keras": "train",
}
"""Modules that a base install leaves out, and the extra of pyproject.toml that brings them."""


FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk; the system names no file with them."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can cause into one line and exit code 1; let faults of ours through."""
    try:
        yield
    except EcgqaError as error:
        raise click.ClickException(terminal(" ".join(str(error).split()))) from error
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise click.ClickException(
            f"this needs {module}, which a base install leaves out: "
            f"pip install '.[{EXTRAS[module]}]'"
        ) from error
    except shutil.Error as error:  # of copying a tree: a list of (from, to, why)
        why = str(error.args[0][0][2]).partition(": '")[0]
        raise click.ClickException(f"can't be written whole, so not at all: {why}") from error
    except OSError as error:
        if error.errno in FULL:
            raise click.ClickException(
                f"{error.strerror}: free some, or write elsewhere"
            ) from error
        if error.filename is None:  # not about a file: a closed pipe, a fault of ours
            raise
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def need(*modules: str) -> None:
    """Say that a module is missing before the work that comes ahead of its import.

    Raises
    ------
    ModuleNotFoundError
        One of ``modules`` isn't installed; :func:`one_line_errors` knows what to do about it.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given: the others are None."""
    return {name: value for name, value in options.items() if value is not None}


class Command(click.Command):
    """A command whose :class:`EcgqaError` is one line, started by ``ecgqa`` or on its own.

    Use it as ``@click.command(cls=Command)`` where a command is an entry point of its own too.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the callback."""
        with without_notes(), one_line_errors():
            return super().invoke(ctx)


class LazyGroup(click.Group):
    """A group that imports a command only when it is run or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None where there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with without_notes(), one_line_errors():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ecgqa-tflite", prog_name="ecgqa")
def main() -> None:
    """Which seconds of an ECG can be trusted: on this computer, and on a wearable.

    \b
    Examples:
      ecgqa assess mitdb/100                     a WFDB record, its first lead
      ecgqa assess mitdb/100 --picture strip.png
      ecgqa convert light_cnn -o build/bundle    what a firmware needs
      ecgqa COMMAND --help                       every command has examples
    """
