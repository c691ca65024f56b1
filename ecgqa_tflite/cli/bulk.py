# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa bulk``: an archive, on one machine, on Dask or under SLURM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ecgqa_tflite.bulk import archive
from ecgqa_tflite.bulk.merge import merge
from ecgqa_tflite.bulk.page import INDEX
from ecgqa_tflite.bulk.plan import Entry, ModelId, Options, Plan, Request, part_of
from ecgqa_tflite.bulk.run import GO_ON, Run, run
from ecgqa_tflite.bulk.slurm import job_array
from ecgqa_tflite.bulk.storage import Folder, folder, is_url
from ecgqa_tflite.bulk.summary import SIDE_LIST, Summary
from ecgqa_tflite.bulk.work import Job, memory_share
from ecgqa_tflite.cli import DEFAULT_MODEL, need
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.errors import ArgumentError, EcgqaError, StorageError
from ecgqa_tflite.output import refuse_unwritable
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.recording.file import ReadOptions

Decorator = Callable[[Any], Any]
POSITIVE = click.IntRange(min=1)
DEFAULT = "all"
"""What runs where no step is named."""

PLANNING: tuple[Decorator, ...] = (
    click.argument("globs", metavar="GLOB...", nargs=-1, required=True),
    click.option(
        "-o", "--out", required=True, metavar="OUT", help="Folder of the results, or its URL."
    ),
    click.option(
        "--model", default=DEFAULT_MODEL, show_default=True, help="Shipped model or folder."
    ),
    click.option(
        "--lead", "leads", multiple=True,
        help="Name or number (from 0) of a lead; repeat for more.  [default: the first]",
    ),
    click.option(
        "--hop", "hop_s", type=float, metavar="S",
        help="Seconds from one segment's start to the next.  [default: a segment's length]",
    ),
    click.option("--fs", "fs_hz", type=float, metavar="HZ", help="Sampling rate of the files."),
    click.option("--unit", help="What the files' numbers are in: V, mV, uV or nV."),
    click.option(
        "--span-hours", type=float, metavar="H",
        help="Cut longer local records into spans of H hours, so that cores share them.",
    ),
    click.option(
        "--form", type=click.Choice(["json", "parquet"]), default="json", show_default=True,
        help="Of the result files; parquet is far smaller for long records.",
    ),
    click.option(
        "--overwrite", is_flag=True, help="Plan again; results that still hold are kept."
    ),
)  # fmt: skip
RUNNING: tuple[Decorator, ...] = (
    click.option("--workers", type=POSITIVE, help="Processes.  [default: one per core]"),
    click.option(
        "--memory", "memory_gb", type=click.FloatRange(min=0, min_open=True), metavar="GB",
        help="What a record may take; one that wants more is set aside.  [default: a share]",
    ),
    click.option(
        "--scheduler", metavar="URL",
        help="Run on Dask: tcp://HOST:PORT, or `local` for one with --workers processes here.",
    ),
    click.option("--retry", is_flag=True, help="Try records again that were set aside."),
)  # fmt: skip


def _with(options: Sequence[Decorator]) -> Decorator:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class Steps(click.Group):
    """A group in which all steps are run where none is named."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The step that is named, else all of them with every argument."""
        return super().resolve_command(ctx, args if args[0] in self.commands else [DEFAULT, *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options before the first glob are those of all steps."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=Steps)
def command() -> None:
    """Assess an archive: every record that GLOB names, whatever fails on the way.

    `ecgqa bulk GLOB... -o OUT` does it all; the steps are for clusters. A plan is frozen and
    hashed; every record has a result file of its own; the same command goes on where it was
    stopped. What can't be read is set aside, with the reason.

    \b
    Examples:
      ecgqa bulk 'archive/**/*.hea' -o out         on all cores
      ecgqa bulk 's3://bucket/ecg/*.edf' -o s3://bucket/out
      ecgqa bulk plan 'archive/*.hea' -o out --slurm 64 > job.sh
    """


@command.command(DEFAULT)
@_with(PLANNING)
@_with(RUNNING)
def run_all(
    out: str,
    workers: int | None,
    memory_gb: float | None,
    scheduler: str | None,
    retry: bool,
    **asked: Any,
) -> None:
    """Plan, run and sum up; `all` may be left out.

    \b
    Examples:
      ecgqa bulk 'archive/**/*.hea' -o out
      ecgqa bulk 'archive/*.edf' -o out --span-hours 1 --form parquet
      ecgqa bulk 'archive/*.hea' -o out --scheduler tcp://10.0.0.1:8786
    """
    place = _folder(out)
    with progress() as tell:
        plan = _plan(place, tell, **asked)
        last = _run(plan, plan.entries, place, tell, workers, memory_gb, scheduler, retry)
        summary = archive.finish(plan, place, last, _counter(tell, "results"))
    _tell_summary(plan, place, summary)
    _exit_unread(last)


@command.command("plan")
@_with(PLANNING)
@click.option(
    "--slurm", "tasks", type=POSITIVE, metavar="N", help="Print a job array of N tasks for sbatch."
)
def plan_only(out: str, tasks: int | None, **asked: Any) -> None:
    """Write OUT/plan.json: records, checksums, options.

    \b
    Examples:
      ecgqa bulk plan 'archive/*.hea' -o out
      ecgqa bulk plan 'archive/*.hea' -o out --slurm 64 > job.sh
    """
    with progress() as tell:
        plan = _plan(_folder(out), tell, **asked)
    hours = sum(entry.n_bytes for entry in plan.entries if entry.first == 0) / 1e9
    click.echo(
        f"{plan.n_records} records, {len(plan.entries)} entries, {hours:.2f} GB, plan {plan.hash}",
        err=tasks is not None,
    )
    if tasks is not None:
        click.echo(job_array(out if is_url(out) else str(Path(out).absolute()), tasks), nl=False)


@command.command("run")
@click.argument("out", metavar="OUT")
@click.option("--part", default="1/1", metavar="I/N", help="Only the I-th of N parts.")
@_with(RUNNING)
def run_part(
    out: str,
    part: str,
    workers: int | None,
    memory_gb: float | None,
    scheduler: str | None,
    retry: bool,
) -> None:
    """Run the plan in OUT, or a part of it; what has a result is not done again.

    \b
    Examples:
      ecgqa bulk run out
      ecgqa bulk run out --part 3/64
    """
    number, of = part_of(part)
    place = _folder(out)
    plan = archive.existing(place)
    with progress() as tell:
        entries = plan.part(number, of)
        last = _run(plan, entries, place, tell, workers, memory_gb, scheduler, retry)
    n = last.n
    click.echo(
        f"part {number}/{of}: {n['done']} done, {n['kept']} were, {n['aside']} set aside, "
        f"{n['unread']} could not be read, {last.hours_per_s:.2f} recorded hours/s"
    )
    _exit_unread(last)


@command.command("merge")
@click.argument("out", metavar="OUT")
@click.option(
    "--to", "target", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path),
    help="Where the Parquet set goes.  [default: OUT/merged]",
)  # fmt: skip
@click.option("--partial", is_flag=True, help="Merge although records are still to be done.")
@click.option("--overwrite", is_flag=True, help="Replace a set that is there.")
def merge_results(out: str, target: Path | None, partial: bool, overwrite: bool) -> None:
    """Merge the results in OUT to one Parquet set, and write the summary's page.

    \b
    Examples:
      ecgqa bulk merge out
      ecgqa bulk merge s3://bucket/out --to merged
    """
    need("pyarrow")
    if target is None:
        if is_url(out):
            raise ArgumentError(f"{out}: say where the set goes with --to FOLDER")
        target = Path(out) / "merged"
    refuse_unwritable(target)
    place = _folder(out)
    plan = archive.existing(place)
    with progress() as tell:
        n_rows = merge(
            plan, place, target, partial=partial, overwrite=overwrite,
            progress=_counter(tell, "merged"),
        )  # fmt: skip
        summary = archive.finish(plan, place, progress=_counter(tell, "results"))
    click.echo(f"{n_rows:,} segments in {target}")
    _tell_summary(plan, place, summary)


def _counter(tell: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(what, done, total)


def _folder(out: str) -> Folder:
    if not is_url(out):
        refuse_unwritable(Path(out))
    return folder(out)


def _plan(
    place: Folder,
    tell: Progress,
    *,
    globs: tuple[str, ...],
    model: str,
    leads: tuple[str, ...],
    hop_s: float | None,
    fs_hz: float | None,
    unit: str | None,
    span_hours: float | None,
    form: Any,
    overwrite: bool,
) -> Plan:
    if form == "parquet":
        need("pyarrow")
    options = Options(ModelId.of(model), hop_s, ReadOptions(fs_hz=fs_hz, unit=unit), form)
    request = Request(globs, leads or (None,), span_hours)
    return archive.planned(
        place, request, options, overwrite=overwrite, progress=_counter(tell, "planned")
    )


def _run(
    plan: Plan,
    entries: Sequence[Entry],
    place: Folder,
    tell: Progress,
    workers: int | None,
    memory_gb: float | None,
    scheduler: str | None,
    retry: bool,
) -> Run:
    if scheduler is not None:
        need("distributed")
    if retry:
        archive.retry_aside(place, entries)
    memory = memory_share(workers or archive.cores()) if memory_gb is None else memory_gb * 1e9
    job = Job(plan.options, place.url, int(memory))
    came = archive.outcomes(entries, job, workers=workers, scheduler=scheduler)

    n_bytes = sum(entry.n_bytes for entry in entries)

    def so_far(run: Run) -> None:
        # records may be half a minute or a week: time goes by their bytes
        tell(
            f"kB, {run.n_settled} of {len(entries)} records, {run.recorded_s / 3600:.1f} h, "
            f"{run.hours_per_s:.2f} h/s",
            run.n_bytes // 1000,
            (n_bytes - run.n_bytes_kept) // 1000,
        )

    try:
        return run(came, so_far)
    except StorageError as error:
        raise StorageError(f"{error}; {GO_ON}") from error


def _exit_unread(last: Run) -> None:
    if last.unread:
        n = len(last.unread)
        raise EcgqaError(
            f"{n} record{'s' if n > 1 else ''} could not be read now ({last.unread[0].reason}); "
            f"{GO_ON}"
        )


def _tell_summary(plan: Plan, place: Folder, summary: Summary) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]{summary.usable_hours():.1f} of {summary.hours:.1f} hours usable[/] in "
        f"{summary.n_records} of {plan.n_records} records"
    )
    shares = sorted(summary.by_reason.items(), key=lambda item: -item[1])
    console.print(", ".join(f"{reason} {n / summary.whole.n:.1%}" for reason, n in shares))
    if summary.set_aside:
        console.print(f"{len(summary.set_aside)} set aside: {place.url}/{SIDE_LIST} says why")
        for entry, reason in summary.set_aside[:5]:
            console.print(f"  {entry.path}: {reason}", markup=False)
    console.print(f"Written: {place.url}/{INDEX}", markup=False)
