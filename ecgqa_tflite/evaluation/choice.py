# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which model to take for a part: accuracy beside RAM, flash, duty cycle and battery days.

Instructions, RAM and flash are counted, exactly, under QEMU; milliseconds, duty cycle and days are
modelled by :mod:`ecgqa_tflite.benchmark.parts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgqa_tflite.benchmark.parts import Modelled, Part, estimate, words
from ecgqa_tflite.benchmark.results import Kind, Report, Row
from ecgqa_tflite.boards.count import FS_HZ
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.evaluation.figures import Figure
from ecgqa_tflite.model_folder import ModelFolder, understood
from ecgqa_tflite.resources import models_dir

MOST_DUTY = 1.0
"""Share of the time between two decisions that one may take."""


@dataclass(frozen=True)
class Choice:
    """A model on a part.

    Attributes
    ----------
    modelled
        Its exact instructions, and what they come to.
    ram_bytes, flash_bytes
        Workspace, context and stack, and the samples that come in meanwhile where segments
        overlap; code and constants.
    bacc, tested_on
        Balanced accuracy of the int8 model, and the set.
    why_not
        What speaks against it, a phrase each; empty where it fits.
    """

    model: str
    modelled: Modelled
    ram_bytes: int
    flash_bytes: int
    bacc: Figure
    tested_on: str
    why_not: tuple[str, ...]


def shipped_report() -> Path:
    """Counts of the shipped models on each core: ``ecgqa bench ... --target cortex-m4 ... -o``."""
    return models_dir() / "experiments" / "cores.json"


def choices(
    models: Sequence[ModelFolder], report: Report, part: Part, hop_s: float, battery_mwh: float
) -> list[Choice]:
    """Each model that the report has counts of, the most accurate first.

    Parameters
    ----------
    hop_s
        Time between two decisions, s.

    Raises
    ------
    ArgumentError
        No model has counts of the part's core, or the hop is longer than a segment.
    """
    found = []
    for model in models:
        row = _row(model, report, part)
        if row is None:
            continue
        if not 0 < hop_s <= model.spec.segment_s:
            raise ArgumentError(f"--hop {hop_s:g}: from 0 to a segment, {model.spec.segment_s:g} s")
        found.append(_choice(model, row, part, hop_s, battery_mwh))
    if not found:
        names = " ".join(model.name for model in models)
        raise ArgumentError(
            f"no counts of {', '.join(m.name for m in models)} on {part.target}: ecgqa bench "
            f"{names} --target {part.target} -o FOLDER, then --report FOLDER/report.json"
        )
    return sorted(found, key=lambda c: (-(c.bacc.value or 0.0), c.modelled.instructions))


def _row(model: ModelFolder, report: Report, part: Part) -> Row | None:
    """Exact counts of this very network on the part's core."""
    facts = report.models.get(model.name)
    if facts is None or facts["tflite_bytes"] != model.tflite_path.stat().st_size:
        return None
    for row in report.rows:
        if (row.model, row.target, row.kind) == (model.name, part.target, Kind.EMULATED):
            return row if row.total and row.ram_bytes and row.flash_bytes else None
    return None


def _choice(model: ModelFolder, row: Row, part: Part, hop_s: float, battery_mwh: float) -> Choice:
    assert row.ram_bytes is not None and row.flash_bytes is not None
    modelled = estimate(row, part, hop_s, battery_mwh)
    overlap = hop_s < model.spec.segment_s
    ram_bytes = row.ram_bytes + (2 * model.spec.segment_len(FS_HZ) + 8 if overlap else 0)
    why_not = []
    if part.ram_bytes is not None and ram_bytes > part.ram_bytes:
        why_not.append(f"RAM: it has {part.ram_bytes:,}")
    if part.flash_bytes is not None and row.flash_bytes > part.flash_bytes:
        why_not.append(f"flash: it has {part.flash_bytes:,}")
    if modelled.duty_cycle.high >= MOST_DUTY:
        why_not.append("too slow")
    with understood(model.path):
        tested_on, bacc = accuracy(model.metrics)
    return Choice(model.name, modelled, ram_bytes, row.flash_bytes, bacc, tested_on, tuple(why_not))


def accuracy(metrics: Mapping[str, Any]) -> tuple[str, Figure]:
    """Of segments graded one by one, else of an external set, else of the validation set."""
    for name, table in metrics.get("external", {}).items():
        if graded := table.get("graded"):
            return f"{name}, graded by eye", Figure.of(graded["bacc"])
        return name, Figure.of(table["bacc"])
    table = metrics.get("validation", {}).get("int8")
    return ("validation", Figure.of(table["bacc"])) if table else ("nothing", Figure(None))


def advice(found: Sequence[Choice]) -> str:
    """Which to take: of those that fit, the cheapest whose interval reaches the best accuracy."""
    fitting = [c for c in found if not c.why_not]
    if not fitting:
        return "None fits: take a larger part, or a smaller model (ecgqa train --alpha)."
    best = fitting[0]
    alike = [
        c
        for c in fitting
        if c.tested_on == best.tested_on and (c.bacc.high or 0.0) >= (best.bacc.value or 0.0)
    ]
    take = min([best, *alike], key=lambda c: c.modelled.instructions)
    if take is best:
        return f"Take {best.model}: the most accurate of those that fit."
    return (
        f"Take {take.model}: by balanced accuracy it can't be told from {best.model}, which takes "
        f"{best.modelled.instructions / take.modelled.instructions:.1f} times as long."
    )


def table(found: Sequence[Choice], hop_s: float, battery_mwh: float) -> Iterator[str]:
    """One screen: figures with what they are, and which model to take."""
    part = found[0].modelled.part
    yield _part(part)
    yield f"a decision every {hop_s:g} s, a battery of {battery_mwh:g} mWh"
    yield ""
    yield (
        f"{'model':<18} {'RAM':>8} {'flash':>9} | {'duty cycle, %':>20} "
        f"{'days':>18} | {'BAcc':<19} fits"
    )
    for c in found:
        yield (
            f"{c.model[:18]:<18} {c.ram_bytes:>8,} {c.flash_bytes:>9,} | "
            f"{words(c.modelled.duty_cycle.scaled(100)):>20} "
            f"{words(c.modelled.battery_days):>18} | {c.bacc:<.3f}"
            f"{'' if c.bacc.low is not None else ' ' * 14} {'; '.join(c.why_not) or 'yes'}"
        )
    yield ""
    yield advice(found)
    yield ""
    yield f"RAM and flash in bytes, code and stack included: counted, at {FS_HZ:g} Hz."
    yield "Duty cycle, days: MODELLED, middle [low .. high]; no board was measured. A battery"
    yield "feeds these decisions alone, no sensor, radio or sleep. Sources: ecgqa bench parts."
    for tested_on in dict.fromkeys(c.tested_on for c in found):
        yield f"BAcc: int8, on {tested_on} (95 % interval)."


def _part(part: Part) -> str:
    memory = [
        f"{size // 1024:,} KB of {what}"
        for size, what in ((part.ram_bytes, "RAM"), (part.flash_bytes, "flash"))
        if size is not None
    ]
    return ", ".join([f"{part.name}: {part.target}, {part.clock_mhz:g} MHz", *memory])


def readme(found: Sequence[Choice], hop_s: float, battery_mwh: float) -> str:
    """The same as Markdown."""
    lines = [
        f"On an {_part(found[0].modelled.part)}, with a decision every {hop_s:g} s and a battery "
        f"of {battery_mwh:g} mWh (`ecgqa recommend`):",
        "",
        "| model | RAM, bytes | flash, bytes | duty cycle, modelled | days, modelled | BAcc |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.model} | {c.ram_bytes:,} | {c.flash_bytes:,} | "
        f"{words(c.modelled.duty_cycle.scaled(100), ' %')} | {words(c.modelled.battery_days)} | "
        f"{c.bacc:.3f} |"
        for c in found
    ]
    tested = ", ".join(dict.fromkeys(c.tested_on for c in found))
    lines += [
        "",
        f"RAM and flash are counted, code and stack included; duty cycle and days are modelled, "
        f"with bounds: no board was measured. BAcc: {tested}. {advice(found)}",
    ]
    return "\n".join(lines) + "\n"
