# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A report as text: one table, ratios between models, scaling, and what could not be run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from ecgqa_tflite.benchmark.protocol import Timing
from ecgqa_tflite.benchmark.results import STAGES, Kind, Report, Row

WIDTH = 80
"""Columns of a terminal that every table fits."""

UNITS = {Kind.MEASURED: "ms", Kind.EMULATED: "M", Kind.ESTIMATED: "~"}
SHORT = {Kind.MEASURED: "measured", Kind.EMULATED: "instructions", Kind.ESTIMATED: "estimated"}
LEGEND = (
    "ms: measured; M: millions of instructions, counted in an emulator, exact; ~: ms, estimated. "
    "RAM: workspace, context and stack; TFLM: its arena; in MB: the whole process. CWT: its share "
    "of the whole path. first: the very first call; load: ms to the first inference's start."
)
SEED_RATIO = 12.0
"""The seed's InceptionV1 (GoogLeNet) against its Light-CNN, classification on one computer."""

README_TARGETS = ("host", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "ethos-u55-128")
README_LEFT_OUT = ("reference kernels, 1 thread", "XNNPACK, 2 threads")


def text(report: Report) -> str:
    """Everything, in the order in which it is read."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    machine, state = report.machine, report.machine["state"]
    yield from wrapped(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        + ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    )
    load = "unknown" if state["load"] is None else f"{state['load']:.1f}"
    yield from wrapped(
        f"{report.segments}; {report.protocol}; load {load}; {report.took_s:.0f} s in all"
    )
    for model, facts in report.models.items():
        rows = [row for row in report.rows if row.model == model]
        yield f"\n{model}   image {' x '.join(map(str, facts['image']))}"
        yield from main_table(rows)
    yield ""
    yield from wrapped(LEGEND)
    yield from ratios(report)
    yield from scaling(report)
    if report.missing:
        yield "\nNot run:"
        by_reason: dict[tuple[str | None, str], list[str]] = {}
        for m in report.missing:
            by_reason.setdefault((m.model, m.reason), []).append(m.target)
        for (model_name, reason), targets in by_reason.items():
            of = f", {model_name}" if model_name else ""
            yield from wrapped(f"{', '.join(targets)}{of}: {reason}", "  ")
    noise = [*report.noise, *(f"{_name(r)}: {', '.join(r.noise)}" for r in report.rows if r.noise)]
    if noise:
        yield "\nNoisy:"
        for phrase in noise:
            yield from wrapped(phrase, "  ")


def wrapped(text: str, indent: str = "") -> list[str]:
    """Text in lines of :data:`WIDTH` columns, ``indent`` before each and more from the second."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent and indent + "  ",
        break_on_hyphens=False,
    )  # fmt: skip


def main_table(rows: list[Row]) -> Iterator[str]:
    """What rows cost, then their stages, then times beside the median, where they were taken."""
    yield _head("", "total", "p90", "CWT", "RAM")
    for row in rows:
        factor = _factor(row)
        ram = row.ram_bytes if row.ram_bytes is not None else row.process_bytes
        yield _named(
            row,
            _cell(row.total, factor),
            _number(getattr(row.total, "p90", None), factor, 8),
            f"{'' if row.cwt_share is None else f'{row.cwt_share:.0%}':>8}",
            f"{_bytes(ram):>8}",
        )
    told = [row for row in rows if row.stages]
    if told:
        yield ""
        yield _head("stages", *STAGES)
    for row in told:
        yield _named(row, *(_cell(row.stages.get(name), _factor(row)) for name in STAGES))
    timed = [row for row in rows if row.kind is Kind.MEASURED]
    if timed:
        yield ""
        yield _head("times", "p99", "first", "load")
    for row in timed:
        yield _named(
            row,
            _number(getattr(row.total, "p99", None), 1.0, 8),
            _number(getattr(row.total, "first", None), 1.0, 8),
            _number(row.load_ms, 1.0, 8),
        )


def _head(what: str, *columns: str) -> str:
    cells = " ".join(f"{name:>8}" for name in columns)
    return f"{what or 'target':<13} {'' if what else 'variant':<27} {'':>2} {cells}".rstrip()


def _named(row: Row, *cells: str) -> str:
    start = f"{row.target:<13} {_short(row.variant):<27} {UNITS[row.kind]:>2}"
    return " ".join([start, *cells]).rstrip()


def _factor(row: Row) -> float:
    return 1e-6 if row.unit == "instructions" else 1.0


def ratios(report: Report) -> Iterator[str]:
    """Each model against the first, target by target, in the seed's layout."""
    found = report.ratios()
    for other in dict.fromkeys(r.model for r in found):
        first = next(iter(report.models))
        yield f"\n{first} against {other}: the network; the whole path for assess"
        yield f"{'target':<13} {'variant':<27} {first[:13]:>13} {other[:15]:>15} {'ratio':>7}"
        for r in found:
            if r.model != other:
                continue
            factor, unit = (1e-6, " M") if r.unit == "instructions" else (1.0, " ms")
            yield (
                f"{r.target:<13} {_short(r.variant):<27} {r.first * factor:>10.3f}{unit:<3} "
                f"{r.other * factor:>12.3f}{unit:<3} {r.value:>6.1f}x"
            )
        yield (
            f"{'the seed':<13} {'CNN alone, one workstation':<27} {'':>13} {'':>15} "
            f"{SEED_RATIO:>6.1f}x"
        )


def scaling(report: Report) -> Iterator[str]:
    """Throughput of the whole path by threads."""
    whole = report.throughputs()
    if whole:
        yield (
            f"\n{'Whole path, a long recording':<41} {'segments/s':>12} {'hours/s':>9} "
            f"{'speed-up':>9}"
        )
    for t in whole:
        yield (
            f"  {t.model[:19]:<19} {_short(t.variant)[:19]:<19} {t.segments_per_s:>12,.0f} "
            f"{t.hours_per_s:>9.2f} {t.speed_up:>8.2f}x"
        )


def readme(report: Report) -> str:
    """What the first model costs on a few targets, Markdown, with the ratio of the networks."""
    machine, first = report.machine, next(iter(report.models))
    rates = {t.variant: t.hours_per_s for t in report.throughputs() if t.model == first}
    lines = [
        f"`ecgqa bench` on {machine['cores']} cores ({machine['cpu']}), every target that they can "
        f"run in {report.took_s / 60:.0f} minutes. Of {first}:",
        "",
        "| samples to decision | kind | cost | wavelet's share | RAM |",
        "|---|---|---|---|---|",
    ]
    lines += [
        _readme_row(row, whole, rates)
        for row in report.rows
        if row.model == first
        and row.target in README_TARGETS
        and row.variant not in README_LEFT_OUT
        and (whole := row.total or row.stages.get("network")) is not None
    ]
    against = [
        f"{r.value:.1f} times ({r.target}, {r.variant})"
        for r in report.ratios()
        if r.target in ("host", "tflm") and not r.variant.startswith("assess")
    ]
    words = "No board was measured."
    if against:
        other = next(r.model for r in report.ratios())
        words = (
            f"{other}'s network takes {', '.join(against)} as long as {first}'s; in the seed paper "
            f"{SEED_RATIO:.0f} times. {words}"
        )
    return "\n".join([*lines, "", words]) + "\n"


def _readme_row(row: Row, whole: Timing, rates: Mapping[str, float]) -> str:
    cost = whole.p50
    figure = f"{cost / 1e6:.1f} M" if row.unit == "instructions" else f"{cost:.3g} ms"
    if row.target == "host" and row.variant in rates:
        figure += f", {rates[row.variant]:.2f} hours of ECG a second"
    alone = "; network alone" if row.total is None else ""
    share = "" if row.cwt_share is None else f"{row.cwt_share:.0%}"
    return (
        f"| {row.target}: {row.variant}{alone} | {row.kind} | {figure} | {share} "
        f"| {_bytes(row.ram_bytes)} |"
    )


def layers(report: Report) -> Iterator[str]:
    """Cost of each layer, where a target tells it; why not, where it does not."""
    silent: dict[str, list[str]] = {}
    for row in report.rows:
        if row.no_layers:
            silent.setdefault(row.no_layers, []).append(_name(row))
        if not row.layers:
            continue
        factor, unit = _factor(row), UNITS[row.kind] if row.unit == "instructions" else row.unit
        whole = sum(row.layers.values())
        yield f"\n{_name(row)}: {SHORT[row.kind]}, {unit}"
        for name, cost in row.layers.items():
            share = f"{cost / whole:>6.1%}" if whole > 0 else ""
            yield f"  {name[:52]:<52} {_number(cost, factor, 11)} {share}"
    if silent:
        yield "\nNo layers:"
        for reason, names in silent.items():
            yield from wrapped(f"{'; '.join(names)}: {reason}", "  ")


def _name(row: Row) -> str:
    return f"{row.target}, {row.variant}, {row.model}"


def _short(variant: str) -> str:
    return variant if len(variant) <= 27 else variant[:26] + "."


def _cell(t: Timing | None, factor: float) -> str:
    return _number(None if t is None else t.p50, factor, 8)


def _number(value: float | None, factor: float, width: int) -> str:
    if value is None or value != value:  # NaN: not known
        return " " * width
    scaled = value * factor
    decimals = 3 if scaled < 10 else 2 if scaled < 1000 else 0
    return f"{scaled:>{width},.{decimals}f}"


def _bytes(n: int | None) -> str:
    if n is None:
        return ""
    if n >= 10_000_000:
        return f"{n / 1e6:.0f} MB"
    return f"{n / 1024:,.{0 if n >= 1024 * 1000 else 1}f} KB"
