"""``ecgqa data``: fetch public PhysioNet sets."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

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
    table = Table("set", "version", "MB", box=None, pad_edge=False)
    table.add_column("what", overflow="fold")
    for s in download.SETS.values():
        note = f"\n{s.note}" if s.note else ""
        table.add_row(s.name, s.version, f"{s.size_mb}", f"{s.title}{note}\n{s.page}")
    Console().print(table)


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
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[mb]:.1f} MB"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, mb=0.0)

        def show(progress: download.Progress) -> None:
            bar.update(
                task,
                total=progress.files_total,
                completed=progress.files_done,
                mb=progress.bytes_fetched / _BYTES_PER_MB,
                description=f"{name}: {progress.current}",
            )

        result = download.get(name, dest, progress=show)
    wanted = download.SETS[name]
    click.echo(
        f"{result.folder}: {result.files_total} files, {result.files_fetched} fetched now "
        f"({result.bytes_fetched / _BYTES_PER_MB:.1f} MB), checksums right"
    )
    if wanted.note:
        click.echo(f"Note: {wanted.note}")
    click.echo(f"Licence and citation: {wanted.page}")
