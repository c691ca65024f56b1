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
import io
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from ecgqa_tflite.cli.quiet import without_notes
from ecgqa_tflite.errors import EcgqaError
from ecgqa_tflite.escape import terminal

DEFAULT_MODEL = "light_cnn"
"""Shipped model that commands take where none is named."""

COMMANDS: dict[str, str] = {
    "assess": "Tell which seconds of recordings can be trusted.",
    "bulk": "Assess an archive, on one machine or a cluster.",
    "stream": "Tell of samples as they come in whether they can be trusted.",
    "formats": "List the formats of recordings that are read.",
    "scalogram": "Draw a segment of a recording as the network sees it.",
    "convert": "Make a full-int8 model and its firmware bundle.",
    "recommend": "Tell which model to take for a microcontroller.",
    "validate": "Prove a bundle again, on this machine.",
    "inspect": "Tell what a .tflite is, ours or not.",
    "targets": "List the devices that a bundle can be made for.",
    "bench": "Tell what a segment costs on each device.",
    "evaluate": "Score a model on a labelled set, with intervals.",
    "threshold": "Choose from which score a model calls high.",
    "pretrain": "Train a network's body on photographs.",
    "train": "Train a model and write its folder.",
    "experiment": "Repeat the paper's table and its ablations.",
    "data": "Fetch public PhysioNet sets.",
}
"""Command names and what ``ecgqa --help`` says of them, in the order in which it lists them."""

EXTRAS: dict[str, str] = {
    "distributed": "cluster",
    "gcsfs": "cloud",
    "matplotlib": "train",
    "edfio": "edf",
    "pyarrow": "bulk",
    "pywt": "train",
    "s3fs": "cloud",
    "serial": "serial",
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
        if module == "ai_edge_litert":
            raise click.ClickException(
                "this needs ai-edge-litert, which has wheels for 64-bit systems: run it on one"
            ) from error
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


SOME_FAILED = 3
"""Exit code where some of what was asked for was done, and the rest named and left out."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn Ctrl-C into one line and its exit code."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _printable() -> None:
    """Let a letter that the console's encoding lacks be replaced: no text is worth a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program."""
        _printable()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the callback."""
        with without_notes(), _interruptible(), one_line_errors():
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

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program."""
        _printable()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with without_notes(), _interruptible(), one_line_errors():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ecgqa-tflite", prog_name="ecgqa")
def main() -> None:
    """Which seconds of an ECG can be trusted: on this computer, and on a wearable.

    \b
    Examples:
      ecgqa assess mitdb/100                     a WFDB record
      ecgqa assess night.edf --lead all          or another of `ecgqa formats`
      ecgqa assess mitdb/100 --picture strip.png
      ecgqa convert light_cnn -o build/bundle    what a firmware needs
      ecgqa COMMAND --help                       every command has examples
    """
