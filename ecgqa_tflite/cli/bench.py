# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa bench``: what a segment costs on each device."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ecgqa_tflite.benchmark import (
    board_log,
    compare,
    front_ends,
    inputs,
    parts,
    peers,
    pictures,
    run,
    soak,
    stream,
    tables,
)
from ecgqa_tflite.benchmark.protocol import FULL, QUICK
from ecgqa_tflite.benchmark.results import Report, read_report
from ecgqa_tflite.boards import boards, count
from ecgqa_tflite.cli import DEFAULT_MODEL, SOME_FAILED, Command
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.devices import BENCHES
from ecgqa_tflite.devices.cortex_m import CORES
from ecgqa_tflite.engine.device_source import plan_device
from ecgqa_tflite.errors import ArgumentError, DatasetError, EcgqaError, ToolError
from ecgqa_tflite.frontend.tables import build as tables_of_front_end
from ecgqa_tflite.model_folder import json_text, open_model, seal
from ecgqa_tflite.output import refuse_existing, whole_file, whole_folder
from ecgqa_tflite.spec import FrontEnd

COMPARED = (DEFAULT_MODEL, "inception_v1")
"""The seed paper's two networks."""
HOST = "host"
"""What --quick looks at where no target is named."""
TARGETS = ", ".join(BENCHES)

_FILE = click.Path(dir_okay=False, path_type=Path)
_RECORD = click.option(
    "--record", help="A WFDB record to time with.  [default: simulated segments]"
)
_QUICK = click.option("--quick", is_flag=True, help="Short loops: for a look, not for a report.")
_JSON = click.option("--json", "file", type=_FILE, metavar="FILE", help="Write the report there.")

_CALIBRATION = click.option(
    "--calibration", type=_FILE, metavar="FILE",
    help="Your parts, in the format of benchmark/parts.json; they replace ours of the same name.",
)  # fmt: skip
_BATTERY = click.option(
    "--battery", "battery_mwh", type=click.FloatRange(min=0, min_open=True),
    default=parts.BATTERY_MWH, show_default=True, metavar="MWH", help="Energy of the battery.",
)  # fmt: skip

UNIT_S = {"s": 1, "m": 60, "h": 3600}


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """``90s``, ``10m`` or ``1h``, as seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", value.strip().lower())
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{value!r}: a time above 0, as 90s, 10m or 1h")
    return float(found[1]) * UNIT_S[found[2]]


class RunUnlessNamed(click.Group):
    """``ecgqa bench MODEL`` is ``ecgqa bench run MODEL``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before what names no subcommand."""
        if not args or args[0] not in (*self.commands, "--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A subcommand; ``run`` for any other word."""
        return super().get_command(ctx, cmd_name) or self.commands["run"]


@click.group(cls=RunUnlessNamed)
def command() -> None:
    """Tell what a segment costs, from samples to decision, on each device.

    `ecgqa bench` alone runs everything that this machine can and says of the rest why not; with
    --quick it looks at this machine alone. Every figure says of what kind it is: measured,
    instructions (counted in an emulator, exact), or estimated.

    \b
    Examples:
      ecgqa bench --quick
      ecgqa bench
      ecgqa bench light_cnn --target host --target cortex-m4
      ecgqa bench compare before/report.json after/report.json
      ecgqa bench parts report/report.json --battery 740
      ecgqa bench firmware light_cnn -o bench_firmware
      ecgqa bench read-log board.log
      ecgqa bench size
      ecgqa bench stream
    """


@command.command("run", cls=Command)
@click.argument("models", nargs=-1)
@click.option("--target", "targets", multiple=True, metavar="NAME", help=f"One of {TARGETS}. Repeatable.  [default: all; with --quick: {HOST}]")  # noqa: E501  # fmt: skip
@_RECORD
@click.option("--quick", is_flag=True, help=f"Short loops, and {DEFAULT_MODEL} on {HOST} alone where neither models nor targets are named: for a look, not for a report.")  # noqa: E501  # fmt: skip
@click.option("--layers", is_flag=True, help="Print what each layer costs, too.")
@click.option("--soak", "soak_s", callback=_duration, metavar="TIME", help="Then keep each model busy on all cores for so long (10m, 90s, 1h): first and last minute apart.")  # noqa: E501  # fmt: skip
@click.option(
    "-o", "--out", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path),
    help="Write report.json, table.txt, the pictures, and soak.json there.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the folder where it exists.")
def run_command(
    models: tuple[str, ...],
    targets: tuple[str, ...],
    record: str | None,
    quick: bool,
    layers: bool,
    soak_s: float | None,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Measure MODELS (default: light_cnn and inception_v1) on targets and print one table.

    Each row runs in a process of its own. Where nothing could be measured, it fails with exit code
    1 and writes nothing; where a target that was named could not, or not every model on it, it says
    so and the exit code is 3.

    \b
    Examples:
      ecgqa bench run --quick
      ecgqa bench run -o report
      ecgqa bench run light_cnn --target raspberry-pi --soak 10m -o report
      ecgqa bench run light_cnn my_model --target engine --quick
      ecgqa bench run --target cortex-m4 --layers
    """
    run.check_targets(BENCHES, targets)
    if out is not None:
        refuse_existing(out, overwrite)
    if quick:
        models, targets = models or (DEFAULT_MODEL,), targets or (HOST,)
    opened = [open_model(name) for name in models or COMPARED]
    if len({m.name for m in opened}) < len(opened):
        raise ArgumentError("two models have the same name: rows could not be told apart")
    with progress() as tell:
        report = run.run(BENCHES, opened, targets, record=record, quick=quick, tell=tell)
    text = tables.text(report)
    modelled = parts.estimates(report, parts.read_parts())
    if modelled:
        text += "\n" + "\n".join(parts.table(modelled)) + "\n"
    if layers:
        text += "\n".join(tables.layers(report)) + "\n"
    click.echo(text, nl=False)
    if not report.rows:
        raise ToolError(f"nothing was measured: {report.missing[0].reason}")
    soaks = []
    for model in opened if soak_s is not None else ():
        with progress() as tell:
            soaks.append(soak.run(model, soak_s or 0.0, tell))
        told = "\n" + "\n".join(soak.table(soaks[-1])) + "\n"
        click.echo(told, nl=False)
        text += told
    if out is not None:
        _write(report, soaks, text, out, overwrite)
    lacking = [m for m in report.missing if m.target in targets]
    if lacking:
        names = ", ".join(dict.fromkeys(m.target for m in lacking))
        click.echo(f"Not all that was asked for was measured: {names}", err=True)
        raise click.exceptions.Exit(SOME_FAILED)


def _write(
    report: Report, soaks: Sequence[soak.Soak], text: str, out: Path, overwrite: bool
) -> None:
    with whole_folder(out, overwrite) as folder:
        report.write(folder / "report.json")
        (folder / "table.txt").write_text(text, encoding="utf-8")
        if soaks:
            (folder / "soak.json").write_text(json_text(soak.to_dict(soaks)), encoding="utf-8")
        if importlib.util.find_spec("matplotlib"):
            pictures.save_all(report, folder)
        else:
            click.echo("no pictures: pip install '.[train]'", err=True)
        seal(folder)
    click.echo(f"\nWritten: {out}: {', '.join(sorted(p.name for p in out.iterdir()))}")


@command.command("compare", cls=Command)
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
def compare_command(before: Path, after: Path) -> None:
    """Compare two reports row by row: AFTER over BEFORE, with intervals.

    An interval that holds 1 is not a difference. It holds the noise within each run only: a ratio
    that matters is seen in two pairs of runs.

    \b
    Examples:
      ecgqa bench compare before/report.json after/report.json
    """
    click.echo(compare.text(read_report(before), read_report(after)), nl=False)


@command.command("parts", cls=Command)
@click.argument("report_file", metavar="REPORT", type=_FILE)
@_CALIBRATION
@_BATTERY
def parts_command(report_file: Path, calibration: Path | None, battery_mwh: float) -> None:
    """Model what a decision costs on named parts, from a report's exact instructions.

    Milliseconds, duty cycle, millijoules and battery days are modelled, with bounds and sources;
    one board's own cycles and power, in a calibration file, beat them.

    \b
    Examples:
      ecgqa bench parts report/report.json
      ecgqa bench parts report/report.json --calibration my_board.json
    """
    found = parts.estimates(read_report(report_file), parts.read_parts(calibration), battery_mwh)
    for line in parts.table(found, battery_mwh):
        click.echo(line)


@command.command("firmware", cls=Command)
@click.argument("model", default=DEFAULT_MODEL)
@click.option(
    "-o", "--out", metavar="FOLDER", required=True,
    type=click.Path(file_okay=False, path_type=Path), help="The folder to write.",
)  # fmt: skip
@_RECORD
@click.option(
    "--segments", type=click.IntRange(min=1), default=4, show_default=True,
    help="How many the program holds, each some 2.5 KB of flash.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the folder where it exists.")
def firmware_command(
    model: str, out: Path, record: str | None, segments: int, overwrite: bool
) -> None:
    """Write the bench program of MODEL for your own board, as C.

    The same protocol as here: a cycle counter (DWT CYCCNT) and a UART are all that it needs of the
    board. What it reports is read by `ecgqa bench read-log`.

    \b
    Examples:
      ecgqa bench firmware light_cnn -o bench_firmware
    """
    opened = open_model(model)
    samples, fs_hz, _ = inputs.load(record, opened.spec, segments)
    device = plan_device(
        opened.spec,
        tables_of_front_end(opened.spec, fs_hz),
        opened.tflite_path.read_bytes(),
        opened.threshold_int8,
    )
    with whole_folder(out, overwrite) as folder:
        board_log.export_program(device, samples, folder)
        seal(folder)
    click.echo(f"Written: {out}: see its README.md")


@command.command("read-log", cls=Command)
@click.argument("log", type=_FILE, required=False)
@click.option(
    "--serial", metavar="PORT", help="Read the board's serial port until its report ends."
)
@click.option("--baud", type=int, default=115200, show_default=True, help="Of the serial port.")
@click.option(
    "--timeout", "timeout_s", type=float, default=120.0, show_default=True, metavar="S",
    help="How long to wait for the report's end.",
)  # fmt: skip
@click.option("--name", default="board", show_default=True, help="What to call the board.")
def read_log_command(
    log: Path | None, serial: str | None, baud: int, timeout_s: float, name: str
) -> None:
    """Read what the board program (firmware_bridge/bench) reported.

    From a LOG file, which may hold other lines too, or from a serial port.

    \b
    Examples:
      ecgqa bench read-log board.log
      ecgqa bench read-log --serial /dev/ttyACM0 --name nucleo-l4r5
    """
    if (log is None) == (serial is None):
        raise ArgumentError("give either a log file or --serial PORT")
    if serial is not None:
        text = board_log.read_serial(serial, baud=baud, timeout_s=timeout_s)
    else:
        assert log is not None
        try:
            text = log.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise DatasetError(f"{log}: can't be read ({error.strerror})") from error
    parsed = board_log.parse(text)
    row = parsed.row(name, parsed.unit, f"model {parsed.model}")
    for line in tables.main_table([row]):
        click.echo(line)
    for layer, cost in row.layers.items():
        click.echo(f"  {layer:<10} {cost:>16,.3f} {row.unit}")


@command.command("frontend", cls=Command)
@click.argument("model", default=DEFAULT_MODEL)
@_RECORD
@_QUICK
@_JSON
@click.option("--overwrite", is_flag=True, help="Replace the report where it exists.")
def frontend_command(
    model: str, record: str | None, quick: bool, file: Path | None, overwrite: bool
) -> None:
    """Compare front ends on one core: ours in C, the float64 reference, pywt.

    With `assess` of MODEL end to end; where there is no such model, without.

    \b
    Examples:
      ecgqa bench frontend
      ecgqa bench frontend --quick --json frontend.json
    """
    _refuse(file, overwrite)
    try:
        opened = open_model(model)
    except EcgqaError as error:
        click.echo(f"assess is left out: {error}", err=True)
        opened = None
    spec = FrontEnd.preset("seed") if opened is None else opened.spec
    found = front_ends.run(spec, opened, QUICK if quick else FULL, record=record)
    _tell(found, front_ends.table(found), file, overwrite)


@command.command("peers", cls=Command)
@click.argument("model", default=DEFAULT_MODEL)
@_RECORD
@_QUICK
@_JSON
@click.option(
    "--packages", metavar="FOLDER", type=click.Path(exists=True, file_okay=False),
    help="Where more peers are installed (make bench-peers); ours come first.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the report where it exists.")
def peers_command(
    model: str,
    record: str | None,
    quick: bool,
    file: Path | None,
    packages: str | None,
    overwrite: bool,
) -> None:
    """Compare with peers in one run: wavelet transforms, MODEL's runtimes, a quality index.

    \b
    Examples:
      ecgqa bench peers
      ecgqa bench peers --packages build/peers --json peers.json
    """
    _refuse(file, overwrite)
    if packages is not None:
        sys.path.append(packages)  # last: numpy and scipy stay ours
    found = peers.run(BENCHES, open_model(model), QUICK if quick else FULL, record=record)
    _tell(found, peers.table(found), file, overwrite)


def _refuse(file: Path | None, overwrite: bool) -> None:
    if file is not None:
        refuse_existing(file, overwrite)


def _tell(report: dict[str, Any], table: str, file: Path | None, overwrite: bool) -> None:
    """Print a comparison, and write it where it was asked for."""
    click.echo(table, nl=False)
    if file is not None:
        with whole_file(file, overwrite) as temporary:
            temporary.write_text(json_text(report), encoding="utf-8")
        click.echo(f"Written: {file}")


@command.command("size", cls=Command)
@click.argument("model", default=DEFAULT_MODEL)
@click.option(
    "--board", "board_names", multiple=True, metavar="NAME",
    help="A board of firmware_bridge/boards/boards.json. Repeatable.  [default: one of each core]",
)  # fmt: skip
def size_command(model: str, board_names: tuple[str, ...]) -> None:
    """Tell MODEL's RAM, flash and instructions on emulated Cortex-M cores.

    \b
    Examples:
      ecgqa bench size
      ecgqa bench size my_model --board mps2-an386
    """
    opened = open_model(model)
    figures, macs = count.sizes(opened, board_names)
    click.echo(f"{opened.name}: {macs:,} multiply-accumulates; bytes, instructions")
    click.echo(count.table(figures), nl=False)


@command.command("stream", cls=Command)
@click.argument("model", default=DEFAULT_MODEL)
@click.option("--target", type=click.Choice(list(CORES)), default="cortex-m4", show_default=True, help="The core.")  # noqa: E501  # fmt: skip
@click.option("--quick", is_flag=True, help="A minute of ECG: for a look, not for a report.")
@_CALIBRATION
@_BATTERY
@_JSON
@click.option("--overwrite", is_flag=True, help="Replace the report where it exists.")
def stream_command(
    model: str,
    target: str,
    quick: bool,
    calibration: Path | None,
    battery_mwh: float,
    file: Path | None,
    overwrite: bool,
) -> None:
    """Stream 20 minutes of ECG in two leads through MODEL on an emulated core.

    Simulated, with noise, lost packets and stretches that are flat, held or clipped: instructions
    per decision (least, median, most), what never reaches the network and why, and what both leads
    cost on named parts: duty cycle, energy and battery days, modelled with bounds. Some minutes.

    \b
    Examples:
      ecgqa bench stream --quick
      ecgqa bench stream light_cnn --json stream.json
      ecgqa bench stream --target cortex-m33 --battery 740
    """
    _refuse(file, overwrite)
    named = parts.read_parts(calibration)
    duration_s = stream.QUICK_S if quick else stream.FULL_S
    report = stream.run(open_model(model), target, boards.boards()[CORES[target]], duration_s)
    modelled = report.modelled(named, battery_mwh)
    text = stream.table(report, modelled, battery_mwh)
    _tell(report.to_dict(modelled), text, file, overwrite)
