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
PACE_S = 180.0
"""How far back the pace is taken from: longer than an epoch's validation, which no step counts."""
NOTED_S = 1.0


@contextmanager
def progress(*, at_least_s: float = 0.0) -> Iterator[Progress]:
    """Yield a callback (what, done, total); each kind of work gets a bar of its own on stderr.

    What follows a comma in ``what`` may change while the bar stays.

    Parameters
    ----------
    at_least_s
        Where stderr is not a terminal, work that takes less says nothing, s.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console, at_least_s)
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


def _lines(console: Console, at_least_s: float) -> Progress:
    started = time.monotonic()
    paces: dict[str, Pace] = {}
    last: dict[str, float] = {}

    def tell(what: str, done: int, total: int) -> None:
        kind, now = what.split(",")[0], time.monotonic()
        pace = paces.setdefault(kind, Pace())
        pace.note(now, done)
        whole = done == total and now - started >= at_least_s
        if whole or now - last.get(kind, started) >= LOG_INTERVAL_S:
            last[kind] = now
            left_s = pace.left_s(total)
            left = "" if done == total or left_s is None else f", about {left_s:.0f} s left"
            counted = f": {done} of {total}{left}" if total > 1 else ""
            console.print(
                f"{now - started:6.0f} s  {what}{counted}",
                highlight=False,
                soft_wrap=True,
            )

    return tell


class Pace:
    """How long work will take at the pace of its last minutes.

    Not of all of it: what was done before this run took no time of it, and the first step, which
    compiles, says nothing of the next ones.
    """

    def __init__(self) -> None:
        self._notes: list[tuple[float, int]] = []

    def note(self, now_s: float, done: int) -> None:
        """Take note of what is done at a time, s."""
        notes = self._notes
        if len(notes) < 2 or now_s - notes[-2][0] >= NOTED_S:
            notes.append((now_s, done))
        else:
            notes[-1] = now_s, done
        while len(notes) > 2 and now_s - notes[1][0] >= PACE_S:
            del notes[0]

    def left_s(self, total: int) -> float | None:
        """Seconds to go; None where nothing can be told yet."""
        (first_s, first), (now_s, done) = self._notes[0], self._notes[-1]
        if done <= first or now_s <= first_s:
            return None
        return (total - done) * (now_s - first_s) / (done - first)
