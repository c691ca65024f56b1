# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa stream``: decisions while the samples come in."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ecgqa_tflite.cli import DEFAULT_MODEL, Command, need
from ecgqa_tflite.cli.reading import reading_options
from ecgqa_tflite.decisions import Decision
from ecgqa_tflite.decisions.json import decision_row
from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.live import Tally, decide
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.recording.file import ReadOptions
from ecgqa_tflite.recording.samples import DECODERS, Decoder, Form, blocks, chunks
from ecgqa_tflite.spec import Quality

AT_ONCE = 1 << 16
"""Bytes that are taken from the source at a time, if so many wait."""
SHOWN = 48
"""Decisions of a lead that --watch shows."""


@click.command(cls=Command)
@click.argument("source", metavar="[SOURCE]", default="-")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped model or folder.")
@click.option(
    "--form", type=click.Choice(list(DECODERS)), default="text", show_default=True,
    help="A line per time, or little-endian int16, leads interleaved.",
)  # fmt: skip
@reading_options
@click.option(
    "--hop", "hop_s", type=float, metavar="S",
    help="Seconds from one segment's start to the next.  [default: a segment's length]",
)  # fmt: skip
@click.option(
    "--gap-after", "gap_after_s", type=click.FloatRange(min=0, min_open=True), metavar="S",
    help="Silence after which samples count as missing, by the clock.  [default: never]",
)  # fmt: skip
@click.option(
    "--baud", type=click.IntRange(min=1), metavar="N",
    help="SOURCE is a serial port of this speed (needs pyserial).",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="A JSON object per line.")
@click.option("--watch", is_flag=True, help="A view that follows, instead of lines.")
def command(
    source: str,
    model: str,
    form: Form,
    options: ReadOptions,
    hop_s: float | None,
    gap_after_s: float | None,
    baud: int | None,
    as_json: bool,
    watch: bool,
) -> None:
    """Tell of samples as they come in whether they can be trusted.

    SOURCE is a file, a FIFO, a serial port (with --baud) or - for standard input. A decision is
    printed as soon as its segment is whole: the same as `ecgqa assess` gives on the recording. A
    missing sample is an empty line or `nan` in a text and -32768 as int16; its segment is low, with
    the reason gap, and the time goes on. The end of SOURCE ends the command with 0, Ctrl-C with
    130; what it came to is said on stderr.

    \b
    Examples:
      ecgqa stream --fs 250 < samples.txt
      cat /dev/ttyACM0 | ecgqa stream --fs 250 --form int16 --counts-per-mv 200
      ecgqa stream /dev/ttyUSB0 --baud 115200 --json \\
          --fs 500 --form int16 --channels 2 --counts-per-mv 200
      ecgqa stream --fs 130 --unit uV --hop 1 --gap-after 2 --watch < fifo
    """
    _check(options, form, as_json, watch)
    assert options.fs_hz is not None
    decoder = DECODERS[form](options)
    opened = open_model(model)
    tallies: dict[str, Tally] = {}
    show = _Lines(opened, as_json)
    with ExitStack() as stack:
        stack.callback(_tell, tallies, decoder)
        read = stack.enter_context(_opened(source, baud))
        if watch:
            show = stack.enter_context(_watching(opened))
        samples = blocks(chunks(read, gap_after_s), decoder, options.fs_hz)
        for column, decision in decide(samples, opened, options.fs_hz, hop_s):
            name = decoder.names[column]
            tallies.setdefault(name, Tally()).add(decision)
            show(name, decision, tallies[name], len(decoder.names))
    if decoder.n_bad and not tallies:
        raise RecordingError(
            "no decision: the input is no lines of samples; where it is binary, say so: "
            "--form int16 --counts-per-mv N"
        )


def _check(options: ReadOptions, form: Form, as_json: bool, watch: bool) -> None:
    if options.fs_hz is None:
        raise click.UsageError("--fs HZ is needed: a stream does not say its sampling rate")
    if form == "text" and options.channels is not None:
        raise click.UsageError("--channels is of --form int16: a line shows how many there are")
    if form == "int16" and options.counts_per_mv is None and options.unit is None:
        raise click.UsageError("--counts-per-mv N (or --unit) is needed with --form int16")
    if watch and as_json:
        raise click.UsageError("--watch is a view, --json lines: give one of them")
    if watch and not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal: leave it out")


@contextmanager
def _opened(source: str, baud: int | None) -> Iterator[Callable[[], bytes]]:
    """What waits for bytes of the source."""
    if baud is not None:
        need("serial")
        import serial

        try:
            port = serial.Serial(source, baud)
        except serial.SerialException as error:
            raise click.ClickException(str(error)) from error
        with port:
            yield _told(source, lambda: bytes(port.read(max(1, port.in_waiting))))
    elif source == "-":
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as file:
            yield _told("standard input", lambda: file.read(AT_ONCE) or b"")
    else:
        with Path(source).open("rb", buffering=0) as file:
            yield _told(source, lambda: file.read(AT_ONCE) or b"")


def _told(source: str, read: Callable[[], bytes]) -> Callable[[], bytes]:
    """``read``, which says of what source it can't go on: a cable that was pulled."""

    def told() -> bytes:
        try:
            return read()
        except OSError as error:  # pyserial's too
            why = error.strerror or error
            raise RecordingError(f"{source} gives no more samples: {why}") from error

    return told


class _Lines:
    """A line per decision, at once."""

    def __init__(self, model: ModelFolder, as_json: bool) -> None:
        self._model, self._as_json = model, as_json

    def __call__(self, lead: str, decision: Decision, tally: Tally, n_leads: int) -> None:
        if self._as_json:
            click.echo(json.dumps({"lead": lead, **decision_row(decision, self._model)}))
            return
        quality = self._model.labels[decision.quality]
        who = f"{lead}  " if n_leads > 1 else ""
        why = f"{decision.score:.2f}" if decision.reason == "ok" else decision.reason
        click.echo(f"{decision.start_s:9.1f} - {decision.end_s:9.1f} s  {who}{quality}  {why}")


@contextmanager
def _watching(model: ModelFolder) -> Iterator[Any]:
    """A table of the leads that follows."""
    latest: dict[str, deque[Decision]] = {}
    tallies: dict[str, Tally] = {}
    with Live(console=Console(), auto_refresh=False) as live:

        def show(lead: str, decision: Decision, tally: Tally, n_leads: int) -> None:
            latest.setdefault(lead, deque(maxlen=SHOWN)).append(decision)
            tallies[lead] = tally
            live.update(_table(latest, tallies, model), refresh=True)

        yield show


def _table(
    latest: dict[str, deque[Decision]], tallies: dict[str, Tally], model: ModelFolder
) -> Table:
    table = Table("lead", "time, s", "now", "score", "high", "latest")
    for lead, decisions in latest.items():
        now, tally = decisions[-1], tallies[lead]
        bars = "".join("█" if d.quality == Quality.HIGH else "·" for d in decisions)
        table.add_row(
            lead,
            f"{now.end_s:.1f}",
            model.labels[now.quality] if now.reason == "ok" else now.reason,
            f"{now.score:.2f}",
            f"{tally.n_high / tally.n:.0%}",
            bars,
        )
    return table


def _tell(tallies: dict[str, Tally], decoder: Decoder) -> None:
    """What it came to, on stderr."""
    if not tallies:
        click.echo("No whole segment came in", err=True)
    for lead, tally in tallies.items():
        reasons = "".join(f", {n} {reason}" for reason, n in sorted(tally.reasons.items()))
        click.echo(f"{lead}: {tally.n_high} of {tally.n} segments high{reasons}", err=True)
    if decoder.n_bad:
        click.echo(f"{decoder.n_bad} lines were no samples: taken as missing", err=True)
