# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a command was asked to write: refused at once where it can not be, else written whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ecgqa_tflite.decisions.report import Run
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.output import refuse_existing, refuse_inputs, refuse_unwritable_file, whole_file
from ecgqa_tflite.recording.file import RecordingFile

STDOUT = "-"

MakeText = Callable[[Run], str]
"""The text of a file about everything that was assessed."""

WriteFile = Callable[[Path, RecordingFile, Run], str]
"""Writes a file about one recording, the only one of the run, to the path given, a temporary one;
what is to be said of it, empty for nothing."""

WriteRun = Callable[[Path, Run], None]
"""Writes a file about everything that was assessed to the path given, a temporary one."""

CheckFile = Callable[[Path, RecordingFile], None]
"""Raises where the file can't be written about this recording, before it is assessed."""


@dataclass(frozen=True)
class _Output:
    option: str
    path: Path
    text: MakeText | None
    write: WriteFile | None = None
    check: CheckFile | None = None
    write_run: WriteRun | None = None

    @property
    def on_stdout(self) -> bool:
        return str(self.path) == STDOUT


class Outputs:
    """The outputs of one run; an option adds itself with one call.

    Parameters
    ----------
    overwrite
        Whether files that exist may be replaced.
    """

    def __init__(self, overwrite: bool) -> None:
        self._overwrite = overwrite
        self._outputs: list[_Output] = []

    def add_text(self, option: str, path: Path | None, text: MakeText) -> None:
        """A file about all recordings, or ``-`` for standard output; no path, no output."""
        if path is not None:
            self._outputs.append(_Output(option, path, text))

    def add_run(self, option: str, path: Path | None, write: WriteRun) -> None:
        """A file about all recordings that is no text."""
        if path is not None:
            self._outputs.append(_Output(option, path, None, write_run=write))

    def add_file(
        self, option: str, path: Path | None, write: WriteFile, check: CheckFile | None = None
    ) -> None:
        """A file about the one recording that is assessed."""
        if path is not None:
            self._outputs.append(_Output(option, path, None, write, check))

    @property
    def files(self) -> list[Path]:
        """What is written beside standard output."""
        return [output.path for output in self._outputs if not output.on_stdout]

    @property
    def to_stdout(self) -> bool:
        """Whether standard output belongs to a file."""
        return any(output.on_stdout for output in self._outputs)

    def check(self, recordings: Sequence[Path]) -> None:
        """Say what can't be written before any work.

        Raises
        ------
        click.UsageError
            Two outputs for standard output; an output about one recording, and there are several;
            ``--overwrite`` without an output.
        ArgumentError
            Two outputs of one name, one that can't be written or would replace an input.
        OutputExistsError
            One is there and may not be replaced.
        """
        if sum(output.on_stdout for output in self._outputs) > 1:
            raise click.UsageError("two outputs for standard output: give one of them a file")
        if self._overwrite and not self.files:
            raise click.UsageError("--overwrite has no effect: no file is written")
        for output in self._outputs:
            if output.write is not None and len(recordings) > 1:
                raise click.UsageError(
                    f"{output.option} is of one recording, and {len(recordings)} are named"
                )
        files = [file.absolute() for file in self.files]
        if len(set(files)) < len(files):
            raise ArgumentError("two outputs have the same name: give each its own")
        for file in files:
            refuse_unwritable_file(file)
            refuse_existing(file, self._overwrite)
        refuse_inputs(self.files, recordings)

    def check_file(self, file: RecordingFile) -> None:
        """Say what can't be written about a recording, now that its header is known.

        Raises
        ------
        ArgumentError
            An output would replace one of its files, or makes no sense of it.
        """
        refuse_inputs(self.files, file.files)
        for output in self._outputs:
            if output.check is not None:
                output.check(output.path, file)

    def write(self, run: Run, file: RecordingFile) -> Iterator[str]:
        """Write everything and yield what is to be said; ``file`` is the first recording."""
        for output in self._outputs:
            if output.text is not None:
                text = output.text(run)
                if output.on_stdout:
                    # UTF-8 as in a file: a console's encoding may lack a lead's letters
                    click.echo(text.encode(), nl=False)
                    continue
                with whole_file(output.path, self._overwrite) as temporary:
                    temporary.write_text(text, encoding="utf-8", newline="")
            if output.write_run is not None:
                with whole_file(output.path, self._overwrite) as temporary:
                    output.write_run(temporary, run)
            if output.write is not None:
                with whole_file(output.path, self._overwrite) as temporary:
                    said = output.write(temporary, file, run)
                if said:
                    yield said
            yield f"Written: {output.path}"
