# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress of work that tells what it does, how far it is and how far it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from ecgqa_tflite.progress import Progress

LOG_INTERVAL_S = 30.0
"""Where stderr is not a terminal, a line so often takes the place of the bars."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a callback (what, done, total); each kind of work gets a bar of its own on stderr.

    What follows a comma in ``what`` may change while the bar stays.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    bars: dict[str, TaskID] = {}
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as bar:

        def tell(what: str, done: int, total: int) -> None:
            kind = what.split(",")[0]
            if kind not in bars:
                bars[kind] = bar.add_task(what, total=total)
            bar.update(bars[kind], description=what, completed=done, total=total)

        yield tell


def _lines(console: Console) -> Progress:
    started = time.monotonic()
    begun: dict[str, float] = {}
    last: dict[str, float] = {}

    def tell(what: str, done: int, total: int) -> None:
        kind, now = what.split(",")[0], time.monotonic()
        since = now - begun.setdefault(kind, now)
        if done == total or now - last.get(kind, started) >= LOG_INTERVAL_S:
            last[kind] = now
            left = f", about {since * (total - done) / done:.0f} s left" if 0 < done < total else ""
            console.print(
                f"{now - started:6.0f} s  {what}: {done} of {total}{left}",
                highlight=False,
                soft_wrap=True,
            )

    return tell
