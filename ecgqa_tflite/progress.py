# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How long work tells where it is: callbacks that the CLI draws as bars."""

from __future__ import annotations

import itertools
from collections.abc import Callable

Count = Callable[[int, int], None]
"""Called with what is done and what there is in all."""
Progress = Callable[[str, int, int], None]
"""As :data:`Count`, with the name of what is counted before."""
Tick = Callable[[int], None]
"""Called once an item, with how many there are in all."""


def ticks(progress: Progress | None, what: str) -> Tick:
    """What counts its calls and tells them as progress in ``what``."""
    done = itertools.count(1)
    return lambda total: progress(what, next(done), total) if progress is not None else None


def within(progress: Count | None, done: int, total: int) -> Count | None:
    """For a part of some work: what the part has done is told as so many more of the whole."""
    return None if progress is None else lambda n, _: progress(done + n, total)
