# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Options of every command that reads recordings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ecgqa_tflite.recording.file import ReadOptions

_OPTIONS = (
    click.option(
        "--fs", "fs_hz", type=float, metavar="HZ",
        help="Sampling rate, where a file states none or a wrong one.",
    ),
    click.option("--unit", metavar="U", help="Unit of the samples: V, mV, uV or nV."),
    click.option(
        "--column", "columns", multiple=True, metavar="C",
        help="Name or number (from 0) of a column of a table or array; may be repeated.",
    ),
    click.option("--channels", type=int, metavar="N", help="Interleaved channels of a raw file."),
    click.option(
        "--counts-per-mv", type=float, metavar="N", help="Counts that make 1 mV in a raw file."
    ),
)  # fmt: skip


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as ``options``, a :class:`ReadOptions`."""

    @functools.wraps(command)
    def with_options(
        *,
        fs_hz: float | None,
        unit: str | None,
        columns: tuple[str, ...],
        channels: int | None,
        counts_per_mv: float | None,
        **others: Any,
    ) -> None:
        command(options=ReadOptions(fs_hz, unit, columns, channels, counts_per_mv), **others)

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options
