# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A report as text: one table, ratios between models, scaling, and what could not be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecgqa_tflite.benchmark.protocol import Timing
from ecgqa_tflite.benchmark.results import STAGES, Kind, Report, Row

SHORT = {Kind.MEASURED: "measured", Kind.EMULATED: "instructions", Kind.ESTIMATED: "estimated"}
LEGEND = (
    "M: millions of instructions. RAM: workspace, context and stack; TFLM: its arena; in MB: the "
    "whole process. CWT: its share of the whole path. load: ms to the first inference's start."
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
    yield f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, " + ", ".join(
        f"{name} {version}" for name, version in machine["packages"].items()
    )
    load = "unknown" if state["load"] is None else f"{state['load']:.1f}"
    yield f"{report.segments}; {report.protocol}; load {load}; {report.took_s:.0f} s in all"
    for model, facts in report.models.items():
        rows = [row for row in report.rows if row.model == model]
        yield f"\n{model}   image {' x '.join(map(str, facts['image']))}"
        yield from main_table(rows)
    yield LEGEND
    yield from ratios(report)
    yield from scaling(report)
    if report.missing:
        yield "\nNot run:"
        by_reason: dict[tuple[str | None, str], list[str]] = {}
        for m in report.missing:
            by_reason.setdefault((m.model, m.reason), []).append(m.target)
        for (model_name, reason), targets in by_reason.items():
            of = f", {model_name}" if model_name else ""
            yield f"  {', '.join(targets)}{of}: {reason}"
    noise = [*report.noise, *(f"{_name(r)}: {', '.join(r.noise)}" for r in report.rows if r.noise)]
    if noise:
        yield "\nNoisy:"
        yield from (f"  {phrase}" for phrase in noise)


def main_table(rows: list[Row]) -> Iterator[str]:
    """A row per line: ms where the kind is not ``instructions``, else millions of them."""
    yield (
        f"{'target':<14} {'variant':<28} {'kind':<12} {'':>2} "
        + " ".join(f"{name:>8}" for name in STAGES)
        + f" {'total':>9} {'p90':>8} {'p99':>8} {'first':>8} {'CWT':>5} {'RAM':>9} {'load':>8}"
    )
    for row in rows:
        factor = 1e-6 if row.unit == "instructions" else 1.0
        stages = " ".join(_cell(row.stages.get(name), factor, 8) for name in STAGES)
        share = "" if row.cwt_share is None else f"{row.cwt_share:.0%}"
        total = row.total
        rest = [
            _number(getattr(total, name, None), factor, width)
            for name, width in (("p50", 9), ("p90", 8), ("p99", 8), ("first", 8))
        ]
        ram = row.ram_bytes if row.ram_bytes is not None else row.process_bytes
        yield (
            f"{row.target:<14} {_short(row.variant):<28} {SHORT[row.kind]:<12} "
            f"{'M' if row.unit == 'instructions' else 'ms':>2} {stages} {' '.join(rest)} "
            f"{share:>5} {_bytes(ram):>9} {_number(row.load_ms, 1.0, 8)}"
        )


def ratios(report: Report) -> Iterator[str]:
    """Each model against the first, target by target, in the seed's layout."""
    found = report.ratios()
    for other in dict.fromkeys(r.model for r in found):
        first = next(iter(report.models))
        yield f"\n{first} against {other}: the network; the whole path for assess"
        yield f"{'target':<14} {'variant':<28} {first[:14]:>14} {other[:20]:>20} {'ratio':>7}"
        for r in found:
            if r.model != other:
                continue
            factor, unit = (1e-6, " M") if r.unit == "instructions" else (1.0, " ms")
            yield (
                f"{r.target:<14} {_short(r.variant):<28} {r.first * factor:>11.3f}{unit:<3} "
                f"{r.other * factor:>17.3f}{unit:<3} {r.value:>6.1f}x"
            )
        yield (
            f"{'the seed':<14} {'CNN alone, one workstation':<28} {'':>14} {'':>20} "
            f"{SEED_RATIO:>6.1f}x"
        )


def scaling(report: Report) -> Iterator[str]:
    """Throughput of the whole path by threads."""
    whole = report.throughputs()
    if whole:
        yield "\nWhole path, a long recording:"
    for t in whole:
        yield (
            f"  {t.model:<22} {t.variant:<20} {t.segments_per_s:>8,.0f} segments/s   "
            f"{t.hours_per_s:>6.2f} hours of ECG a second   {t.speed_up:.2f}x"
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
        factor, unit = (1e-6, "M") if row.unit == "instructions" else (1.0, row.unit)
        whole = sum(row.layers.values())
        yield f"\n{_name(row)}: {SHORT[row.kind]}, {unit}"
        for name, cost in row.layers.items():
            share = f"{cost / whole:>6.1%}" if whole > 0 else ""
            yield f"  {name[:52]:<52} {_number(cost, factor, 11)} {share}"
    if silent:
        yield "\nNo layers:"
        yield from (f"  {'; '.join(names)}: {reason}" for reason, names in silent.items())


def _name(row: Row) -> str:
    return f"{row.target}, {row.variant}, {row.model}"


def _short(variant: str) -> str:
    return variant if len(variant) <= 28 else variant[:27] + "."


def _cell(t: Timing | None, factor: float, width: int) -> str:
    return _number(None if t is None else t.p50, factor, width)


def _number(value: float | None, factor: float, width: int) -> str:
    if value is None or value != value:  # NaN: not known
        return " " * width
    scaled = value * factor
    decimals = 3 if scaled < 10 else 2 if scaled < 1000 else 0
    return f"{scaled:>{width},.{decimals}f}"


def _bytes(n: int | None) -> str:
    if n is None:
        return ""
    return f"{n / 1e6:.0f} MB" if n >= 10_000_000 else f"{n / 1024:,.1f} KB"
