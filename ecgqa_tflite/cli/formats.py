# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa formats``: what is read, and what each format needs."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from ecgqa_tflite.cli import Command


@click.command(cls=Command)
def command() -> None:
    """List the formats of recordings that are read, and what each needs.

    What a file holds tells its format, whatever its name. Where it states a wrong rate or unit,
    --fs and --unit override it.

    \b
    Examples:
      ecgqa formats
      ecgqa assess night.edf
      ecgqa assess vest.csv --fs 250 --unit uV
    """
    from ecgqa_tflite.recording.registry import readers  # imports every reader

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("format", "usual names", "needs"):
        table.add_column(name)
    for reader in readers():
        table.add_row(reader.name, " ".join(reader.suffixes), reader.needs)
    Console(highlight=False, markup=False).print(table)
