# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa data``: fetch public PhysioNet sets."""

from __future__ import annotations

from pathlib import Path

import click

from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.datasets import download

_BYTES_PER_MB = 1e6


@click.group()
def command() -> None:
    """Fetch public PhysioNet sets.

    \b
    Examples:
      ecgqa data list                      what there is
      ecgqa data get mitdb                 into data/mitdb
      ecgqa data get challenge-2017 ~/ecg  into ~/ecg/challenge-2017
    """


@command.command("list")
def list_sets() -> None:
    """List the sets that `get` knows, with what each takes to fetch.

    \b
    Examples:
      ecgqa data list
    """
    for s in download.SETS.values():
        click.echo(f"{s.name} {s.version}, {s.size_mb} MB\n  {s.title}")
        if s.note:
            click.echo(f"  {s.note}")
        click.echo(f"  {s.page}")


@command.command("get")
@click.argument("name", metavar="NAME", type=click.Choice(list(download.SETS)))
@click.argument(
    "dest", metavar="[DEST]", default="data", type=click.Path(file_okay=False, path_type=Path)
)
def get_set(name: str, dest: Path) -> None:
    """Fetch the set NAME into DEST/NAME (DEST: data), as its publisher lays it out.

    Each file is held against the checksums that PhysioNet publishes. An interrupted download goes
    on where it stopped when the same command is run again; files that are there and right are not
    fetched again.

    \b
    Examples:
      ecgqa data get nstdb
      ecgqa data get challenge-2017 ~/ecg
    """
    with progress() as tell:

        def show(p: download.Progress) -> None:
            fetched_mb = p.bytes_fetched / _BYTES_PER_MB
            tell(f"{name}, {p.current}, {fetched_mb:.1f} MB", p.files_done, p.files_total)

        result = download.get(name, dest, progress=show)
    wanted = download.SETS[name]
    click.echo(
        f"{result.folder}: {result.files_total} files, {result.files_fetched} fetched now "
        f"({result.bytes_fetched / _BYTES_PER_MB:.1f} MB), checksums right"
    )
    if wanted.note:
        click.echo(f"Note: {wanted.note}")
    click.echo(f"Licence and citation: {wanted.page}")
