# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Sampling rate and gaps from time stamps, as loggers write them.

A stamp may be rounded, may stand for a packet of samples, may jump where radio was lost, and may
come twice. Samples are never resampled: between two gaps they follow each other at the recording's
one rate, and a run begins at the sample nearest to its first stamp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GAP_INTERVALS = 1.6
"""A step of more than so many intervals has lost something (1.5 would make jitter a gap)."""

NOMINAL_HZ = (
    50, 64, 100, 104, 120, 125, 128, 130, 133, 150, 180, 200, 208, 240, 250, 256, 300, 320, 333,
    360, 400, 416, 480, 500, 512, 600, 720, 800, 977, 1000, 1024, 2000, 2048, 4000, 4096, 8000,
)  # fmt: skip
BLOCK = 2**18
"""Stamps looked at at a time."""

NOMINAL_TOLERANCE = 2e-3
"""Clocks are off by less, and no two nominal rates are that near."""


@dataclass(frozen=True)
class Timeline:
    """Where samples lie.

    Attributes
    ----------
    fs_hz
        Rate within a run, Hz.
    n_samples
        From the first sample to the last, gaps included.
    runs
        int64, shape (n_runs, 3): first row, row after the last, place of the first row.
    n_dropped
        Rows left out because their stamps had been there already.
    """

    fs_hz: float
    n_samples: int
    runs: NDArray[np.int64]
    n_dropped: int

    @property
    def n_held(self) -> int:
        """Samples that are there."""
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())

    def notes(self) -> list[str]:
        """A line each about gaps and rows left out."""
        told = []
        ends = self.runs[:-1, 2] + self.runs[:-1, 1] - self.runs[:-1, 0]
        gaps = int((self.runs[1:, 2] > ends).sum())
        if gaps:
            lost = (self.n_samples - self.n_held) / self.fs_hz
            told.append(f"{gaps} gap{'s' * (gaps > 1)} in the time stamps, {lost:.2f} s in all")
        if self.n_dropped:
            told.append(f"{self.n_dropped} rows whose time stamps repeat or go back: left out")
        return told

    def place(self, rows: NDArray[np.floating], start: int, stop: int) -> NDArray[np.float64]:
        """Samples ``start`` to ``stop`` of a column of rows, NaN in gaps."""
        out = np.full(stop - start, np.nan)
        first = np.searchsorted(self.runs[:, 2], start, side="right") - 1
        for row, end, at in self.runs[max(int(first), 0) :].tolist():
            if at >= stop:
                break
            low, high = max(at, start), min(at + end - row, stop)
            if low < high:
                out[low - start : high - start] = rows[row + low - at : row + high - at]
        return out


def regular(n_rows: int, fs_hz: float) -> Timeline:
    """``n_rows`` rows without stamps."""
    return Timeline(fs_hz, n_rows, np.array([[0, n_rows, 0]], np.int64), 0)


def from_stamps(stamps_s: NDArray[np.float64], fs_hz: float | None = None) -> Timeline | None:
    """Rate and runs of rows stamped ``stamps_s``, s; None where the stamps say no rate.

    Parameters
    ----------
    stamps_s
        float64, shape (n_rows,); NaN means as the row before. Several rows may share a stamp.
    fs_hz
        The rate where it is known, Hz.
    """
    simple = _one_row_per_stamp(stamps_s, fs_hz)
    if simple is not None:
        return simple
    valid = np.isfinite(stamps_s)
    if not valid.any():
        return None
    # rows that repeat or go back: what a logger wrote twice
    filled = np.where(valid, stamps_s, -np.inf)
    highest = np.maximum.accumulate(filled)
    before = np.concatenate([[-np.inf], highest[:-1]])
    new = filled > before
    starts = np.flatnonzero(new)
    if len(starts) < 2:
        return None
    same = ~new & (~valid | (filled == before))
    same[: starts[0]] = False
    # a packet is the rows from a new stamp on, as far as they carry it
    broken = np.flatnonzero(~new & ~same)
    ends = np.append(starts[1:], len(stamps_s))
    if broken.size:
        at = np.searchsorted(broken, starts)
        cut = np.where(at < broken.size, broken[np.minimum(at, broken.size - 1)], len(stamps_s))
        ends = np.minimum(ends, cut)
    counts = ends - starts
    usual = int(np.median(counts))
    doubled = counts == 2 * usual if usual > 1 else np.zeros(len(counts), bool)
    counts = np.where(doubled, usual, counts)
    steps = np.diff(stamps_s[starts])
    per_row = steps / counts[:-1]
    interval = float(np.median(per_row))
    if not interval > 0:
        return None
    whole = per_row < GAP_INTERVALS * interval
    measured = counts[:-1][whole].sum() / steps[whole].sum()
    rate = fs_hz or _nominal(float(measured))
    slack = (GAP_INTERVALS - 1) * max(usual, 1) / rate
    lost = np.flatnonzero(steps - counts[:-1] / rate > slack) + 1
    return _runs(stamps_s, starts, starts + counts, lost, rate)


def _one_row_per_stamp(stamps_s: NDArray[np.float64], fs_hz: float | None) -> Timeline | None:
    """As :func:`from_stamps` where every row has a later stamp, in little memory; else None."""
    n = len(stamps_s)
    if n < 2:
        return None
    interval = float(np.median(np.diff(stamps_s[:BLOCK])))
    if not (np.isfinite(interval) and interval > 0):
        return None
    n_whole, seconds = 0, 0.0
    for at in range(0, n - 1, BLOCK):
        steps = np.diff(stamps_s[at : at + BLOCK + 1])
        if not (steps > 0).all():  # NaN is not
            return None
        whole = steps < GAP_INTERVALS * interval
        n_whole += int(whole.sum())
        seconds += float(steps[whole].sum())
    if not n_whole:
        return None
    rate = fs_hz or _nominal(n_whole / seconds)
    longest = 1 / rate + (GAP_INTERVALS - 1) / rate
    lost = [
        at + 1 + np.flatnonzero(np.diff(stamps_s[at : at + BLOCK + 1]) > longest)
        for at in range(0, n - 1, BLOCK)
    ]
    starts = np.concatenate([[0], *lost]).astype(np.int64)
    ends = np.append(starts[1:], n)
    places = (stamps_s[starts] - stamps_s[0]) * rate
    if not places[-1] < 2**53:
        return None
    runs = np.stack([starts, ends, np.rint(places).astype(np.int64)], axis=1)
    for k in range(1, len(runs)):  # a slow clock must not make runs overlap
        before = runs[k - 1]
        runs[k, 2] = max(runs[k, 2], before[2] + before[1] - before[0])
    return Timeline(rate, int(runs[-1, 2] + runs[-1, 1] - runs[-1, 0]), runs, 0)


def _runs(
    stamps_s: NDArray[np.float64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    lost: NDArray[np.int64],
    rate: float,
) -> Timeline | None:
    """Runs of packets; a new one where stamps jump (``lost``) or rows were left out."""
    jump = np.zeros(len(starts), bool)
    jump[lost] = True
    cut = np.concatenate([[True], (starts[1:] != ends[:-1]) | jump[1:]])
    runs: list[tuple[int, int, int]] = []
    origin = float(stamps_s[starts[0]])
    first = np.flatnonzero(cut)
    place = 0
    for a, b in zip(first.tolist(), [*first[1:].tolist(), len(starts)], strict=True):
        row, end = int(starts[a]), int(ends[b - 1])
        if jump[a] and runs:
            where = (float(stamps_s[row]) - origin) * rate
            if not where < 2**53:
                return None
            place = max(round(where), place)
        runs.append((row, end, place))
        place += end - row
    n_rows = len(stamps_s)
    table = np.array(runs, np.int64)
    held = int((table[:, 1] - table[:, 0]).sum())
    return Timeline(rate, place, table, n_rows - held)


def _nominal(fs_hz: float) -> float:
    near = min(NOMINAL_HZ, key=lambda nominal: abs(nominal - fs_hz))
    return float(near) if abs(near / fs_hz - 1) < NOMINAL_TOLERANCE else round(fs_hz, 3)
