# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A run over a plan: what came of each entry, how far it is, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ecgqa_tflite.bulk.work import Outcome
from ecgqa_tflite.errors import StorageError

UNREAD_IN_A_ROW = 20
"""So many files after each other that can't be read are no accident: their storage is gone."""

MOST_KEPT = 10
"""Of the slowest records."""

GO_ON = "what was done is kept: the same command goes on"


@dataclass
class Run:
    """What came of the entries so far.

    Attributes
    ----------
    n
        Entries by :data:`~ecgqa_tflite.bulk.work.Kind`.
    n_bytes
        Of the entries that came, those apart whose result was there.
    n_bytes_kept
        Of those.
    recorded_s
        Seconds of ECG that were assessed.
    took_s
        Seconds since the start.
    slowest
        The entries that took longest, longest first.
    aside, unread
        Those without a result.
    """

    n: dict[str, int] = field(
        default_factory=lambda: {"done": 0, "kept": 0, "aside": 0, "unread": 0}
    )
    n_bytes: int = 0
    n_bytes_kept: int = 0
    recorded_s: float = 0.0
    took_s: float = 0.0
    slowest: list[Outcome] = field(default_factory=list)
    aside: list[Outcome] = field(default_factory=list)
    unread: list[Outcome] = field(default_factory=list)

    @property
    def n_settled(self) -> int:
        """Entries that came."""
        return sum(self.n.values())

    @property
    def hours_per_s(self) -> float:
        """Recorded hours that were assessed a second."""
        return self.recorded_s / 3600 / self.took_s if self.took_s else 0.0


def run(outcomes: Iterable[Outcome], tell: Callable[[Run], None] | None = None) -> Run:
    """Take outcomes in as an engine has them.

    Raises
    ------
    StorageError
        ``UNREAD_IN_A_ROW`` entries after each other could not be read.
    """
    so_far, in_a_row = Run(), 0
    started = time.monotonic()
    for outcome in outcomes:
        so_far.n[outcome.kind] += 1
        if outcome.kind == "kept":
            so_far.n_bytes_kept += outcome.entry.n_bytes
        else:
            so_far.n_bytes += outcome.entry.n_bytes
        so_far.recorded_s += outcome.recorded_s
        so_far.took_s = time.monotonic() - started
        if outcome.kind == "aside":
            so_far.aside.append(outcome)
        if outcome.kind == "done":
            so_far.slowest = sorted([*so_far.slowest, outcome], key=lambda o: -o.took_s)
            del so_far.slowest[MOST_KEPT:]
        in_a_row = in_a_row + 1 if outcome.kind == "unread" else 0
        if outcome.kind == "unread":
            so_far.unread.append(outcome)
            if in_a_row == UNREAD_IN_A_ROW:
                raise StorageError(f"{in_a_row} records in a row, {outcome.reason}")
        if tell is not None:
            tell(so_far)
    return so_far
