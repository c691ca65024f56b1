# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Two reports, row by row: ratios with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecgqa_tflite.benchmark.results import Kind, Report


@dataclass(frozen=True)
class Ratio:
    """How a figure changed: after over before.

    Attributes
    ----------
    key
        Target, variant, model.
    value, low, high
        Of the medians; the interval takes each loop's median against each other one's, so it
        holds the noise within a run and not what differs between two. Counts have no interval.
    """

    key: tuple[str, str, str]
    what: str
    kind: Kind
    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``less``, ``more`` or ``same`` (the interval holds 1)."""
        return "less" if self.high < 1 else "more" if self.low > 1 else "same"


def compare(before: Report, after: Report) -> list[Ratio]:
    """Ratios of what both have, stage by stage and in all."""
    old = {row.key: row for row in before.rows}
    found = []
    for row in after.rows:
        was = old.get(row.key)
        if was is None or was.unit != row.unit or was.kind != row.kind:
            continue
        pairs = [(name, was.stages.get(name), t) for name, t in row.stages.items()]
        for name, a, b in [*pairs, ("total", was.total, row.total)]:
            if a is None or b is None or a.p50 <= 0 or b.p50 <= 0:
                continue
            value = b.p50 / a.p50
            if row.kind is Kind.MEASURED and a.low > 0:
                low, high = b.low / a.high, b.high / a.low
            else:
                low = high = value
            found.append(Ratio(row.key, name, row.kind, value, low, high))
    return found


def text(before: Report, after: Report) -> str:
    """The comparison as text, with what differs between the machines first."""
    lines = []
    for name in ("cpu", "cores", "system", "python", "packages", "board"):
        a, b = before.machine.get(name), after.machine.get(name)
        if a != b:
            lines.append(f"{name}: {_words(a)} before, {_words(b)} after")
    if before.segments != after.segments:
        lines.append(f"segments: {before.segments} before, {after.segments} after")
    lines.append(f"{'':<43} {'after/before':>12} {'interval':>13}")
    ratios = compare(before, after)
    for key in dict.fromkeys(r.key for r in ratios):
        lines.append(f"{', '.join(key)}")
        lines += [_line(r) for r in ratios if r.key == key]
    gone = [row.key for row in before.rows if row.key not in {r.key for r in after.rows}]
    new = [row.key for row in after.rows if row.key not in {r.key for r in before.rows}]
    lines += [f"only before: {', '.join(key)}" for key in gone]
    lines += [f"only after: {', '.join(key)}" for key in new]
    if not ratios:
        lines.append("nothing to compare: no row is in both")
    return "\n".join(lines) + "\n"


def _line(r: Ratio) -> str:
    interval = "exact" if r.low == r.high else f"{r.low:.3f}-{r.high:.3f}"
    what = f"  {r.what}, {r.kind}"
    return f"{what:<43} {r.value:>11.3f}x {interval:>13} {r.verdict}"


def _words(value: object) -> str:
    if isinstance(value, dict):
        items: Sequence[str] = [f"{k} {v}" for k, v in value.items()]
        return ", ".join(items)
    return str(value)
