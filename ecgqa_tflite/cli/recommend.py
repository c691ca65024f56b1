# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa recommend``: which model to take for a microcontroller."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ecgqa_tflite.benchmark.parts import BATTERY_MWH, find_part, read_parts
from ecgqa_tflite.benchmark.results import read_report
from ecgqa_tflite.cli import Command
from ecgqa_tflite.evaluation import choice
from ecgqa_tflite.model_folder import open_model

SHIPPED = ("light_cnn", "light_cnn_pruned", "light_cnn_small")
"""Models that the row-streaming engine runs."""
PART = "nRF52840"
HOP_S = 5.0
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _energy(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """``370``, ``370mWh`` or ``0.37Wh``, as mWh."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(mwh|wh)?", value.strip(), re.IGNORECASE)
    mwh = 0.0
    if found:
        mwh = float(found[1]) * (1000 if (found[2] or "").lower() == "wh" else 1)
    if mwh <= 0:
        raise click.BadParameter(f"{value!r}: an energy above 0, as 370mWh or 0.37Wh")
    return mwh


@click.command(cls=Command)
@click.argument("models", nargs=-1)
@click.option("--part", "part_name", default=PART, show_default=True, metavar="NAME", help="A microcontroller of benchmark/parts.json, or of --calibration.")  # noqa: E501  # fmt: skip
@click.option("--hop", "hop_s", type=float, default=HOP_S, show_default=True, metavar="SECONDS", help="Time between two decisions; below a segment, they overlap.")  # noqa: E501  # fmt: skip
@click.option("--battery", "battery_mwh", callback=_energy, default=f"{BATTERY_MWH:g}mWh", show_default=True, metavar="ENERGY", help="Energy of the battery.")  # noqa: E501  # fmt: skip
@click.option("--calibration", type=_FILE, metavar="FILE", help="Your parts, in the format of benchmark/parts.json; they replace ours of the same name.")  # noqa: E501  # fmt: skip
@click.option("--report", type=_FILE, metavar="REPORT", help="Report of ecgqa bench with MODELS on the part's core.  [default: of the shipped models]")  # noqa: E501  # fmt: skip
def command(
    models: tuple[str, ...],
    part_name: str,
    hop_s: float,
    battery_mwh: float,
    calibration: Path | None,
    report: Path | None,
) -> None:
    """Tell which of MODELS (default: the shipped ones that a microcontroller runs) to take.

    RAM and flash are counted, duty cycle and battery days modelled with bounds, accuracy is the
    model's own. Of those that fit, it takes the cheapest that can't be told from the best.

    \b
    Examples:
      ecgqa recommend
      ecgqa recommend --part STM32U575 --hop 1 --battery 740mWh
      ecgqa recommend mine light_cnn_small --report report/report.json
    """
    part = find_part(part_name, read_parts(calibration))
    found = choice.choices(
        [open_model(name) for name in models or SHIPPED],
        read_report(report or choice.shipped_report()),
        part,
        hop_s,
        battery_mwh,
    )
    for line in choice.table(found, hop_s, battery_mwh):
        click.echo(line)
