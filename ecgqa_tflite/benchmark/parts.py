# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""From instructions to a part: ms, duty cycle, mJ a decision and battery days. A model only.

Milliseconds are exact instructions times cycles per instruction over the clock; millijoules are
milliseconds times power while inferring. Cycles an instruction come from published MLPerf Tiny
results: cycles a multiply-accumulate of ResNet8 (12.5 million of them), over the instructions that
such kernels are assumed to take. That assumption is most of the error bar. ``parts.json`` holds
each number with its source; a calibration file of the same format replaces or adds parts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgqa_tflite.benchmark.results import Kind, Report, Row
from ecgqa_tflite.benchmark.tables import wrapped
from ecgqa_tflite.errors import ArgumentError

BATTERY_MWH = 370.0
"""A 100 mAh lithium-polymer cell of 3.7 V."""

SHIPPED = Path(__file__).with_name("parts.json")


@dataclass(frozen=True)
class Range:
    """A number with its bounds."""

    low: float
    middle: float
    high: float

    def times(self, other: Range) -> Range:
        """Product, bounds with bounds."""
        return Range(self.low * other.low, self.middle * other.middle, self.high * other.high)

    def scaled(self, factor: float) -> Range:
        """Times a number above 0."""
        return Range(self.low * factor, self.middle * factor, self.high * factor)

    def inverse(self, numerator: float) -> Range:
        """``numerator`` over it."""
        return Range(numerator / self.high, numerator / self.middle, numerator / self.low)


@dataclass(frozen=True)
class Part:
    """A microcontroller.

    Attributes
    ----------
    target
        Of ``ecgqa bench``: whose instructions it executes.
    power_mw
        While inferring; None where no figure with a source is known.
    sources
        Where the numbers are from, a line each.
    ram_bytes, flash_bytes
        All that it has; None where that isn't known.
    """

    name: str
    target: str
    clock_mhz: float
    cycles_per_instruction: Range
    power_mw: Range | None
    sources: tuple[str, ...]
    ram_bytes: int | None = None
    flash_bytes: int | None = None


@dataclass(frozen=True)
class Modelled:
    """What a decision of one model costs on a part; all but the instructions modelled."""

    part: Part
    model: str
    instructions: float
    ms: Range
    duty_cycle: Range
    mj: Range | None
    battery_days: Range | None


def read_parts(calibration: Path | None = None) -> list[Part]:
    """The shipped parts, with those of a calibration file in their place or added.

    Raises
    ------
    ArgumentError
        The file is missing or does not say what it must.
    """
    parts = _read(SHIPPED)
    if calibration is not None:
        parts |= _read(calibration)
    return list(parts.values())


def _read(path: Path) -> dict[str, Part]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"{path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise ArgumentError(f"{path}: is not JSON ({error})") from error
    parts = data.get("parts") if isinstance(data, dict) else None
    if not isinstance(parts, dict) or not parts:
        raise ArgumentError(f'{path}: needs {{"parts": {{NAME: ...}}}}, as parts.json has it')
    return {str(name): _part(path, str(name), entry) for name, entry in parts.items()}


def _part(path: Path, name: str, entry: Any) -> Part:
    needed = {"target", "clock_mhz", "cycles_per_instruction", "power_mw"}
    if not isinstance(entry, dict) or needed - entry.keys():
        raise ArgumentError(f"{path}: part {name} needs {', '.join(sorted(needed))}")
    cycles = _range(path, name, "cycles_per_instruction", entry["cycles_per_instruction"])
    power = entry["power_mw"]
    clock = _range(path, name, "clock_mhz", entry["clock_mhz"])
    sources = entry.get("sources", ["your calibration"])
    if not isinstance(sources, list):
        raise ArgumentError(f"{path}: part {name}: sources must be a list of texts")
    return Part(
        name=name,
        target=str(entry["target"]),
        clock_mhz=clock.middle,
        cycles_per_instruction=cycles,
        power_mw=None if power is None else _range(path, name, "power_mw", power),
        sources=tuple(map(str, sources)),
        ram_bytes=_memory(path, name, "ram_kb", entry),
        flash_bytes=_memory(path, name, "flash_kb", entry),
    )


def _memory(path: Path, name: str, key: str, entry: Mapping[str, Any]) -> int | None:
    kb = entry.get(key)
    return None if kb is None else int(_range(path, name, key, kb).low * 1024)


def find_part(name: str, parts: Sequence[Part]) -> Part:
    """The part of that name, in capitals or not.

    Raises
    ------
    ArgumentError
        There is none; the message names those there are, of a core those that have it.
    """
    for part in parts:
        if part.name.lower() == name.lower():
            return part
    if having := [part.name for part in parts if part.target == name.lower()]:
        raise ArgumentError(
            f"{name} is a core; clock, memory and power are a part's: {', '.join(having)}"
        )
    raise ArgumentError(f"no part {name!r}; there are: {', '.join(p.name for p in parts)}")


def _range(path: Path, name: str, key: str, value: Any) -> Range:
    """A number, or [low, middle, high]."""
    numbers = value if isinstance(value, list) else [value] * 3
    usable = len(numbers) == 3 and all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) and n > 0
        for n in numbers
    )
    if not usable or sorted(numbers) != numbers:
        raise ArgumentError(
            f"{path}: part {name}: {key} is {value!r}; "
            f"needs a number above 0 or [low, middle, high]"
        )
    return Range(*map(float, numbers))


def estimate(row: Row, part: Part, hop_s: float, battery_mwh: float = BATTERY_MWH) -> Modelled:
    """Model a row of exact instructions on a part.

    Parameters
    ----------
    hop_s
        Time between two decisions, s.
    battery_mwh
        For the days that a battery would last if this were all that it fed.
    """
    assert row.kind is Kind.EMULATED and row.total is not None
    return modelled(part, row.model, row.total.p50, hop_s, battery_mwh)


def modelled(
    part: Part, model: str, instructions: float, hop_s: float, battery_mwh: float = BATTERY_MWH
) -> Modelled:
    """As :func:`estimate`, from the instructions of a decision."""
    ms = part.cycles_per_instruction.scaled(instructions / part.clock_mhz / 1e3)
    duty = ms.scaled(1 / (1e3 * hop_s))
    mj = None if part.power_mw is None else ms.times(part.power_mw).scaled(1e-3)
    days = None if mj is None else mj.scaled(86400 / hop_s).inverse(battery_mwh * 3600)
    return Modelled(part, model, instructions, ms, duty, mj, days)


def estimates(
    report: Report, parts: Sequence[Part], battery_mwh: float = BATTERY_MWH
) -> list[Modelled]:
    """Every part whose instructions the report has, model by model."""
    found = []
    for model, facts in report.models.items():
        rows: Mapping[str, Row] = {
            r.target: r for r in report.rows if r.model == model and r.kind is Kind.EMULATED
        }
        found += [
            estimate(rows[part.target], part, facts["segment_s"], battery_mwh)
            for part in parts
            if part.target in rows
        ]
    return found


def table(found: Sequence[Modelled], battery_mwh: float = BATTERY_MWH) -> Iterator[str]:
    """As text: what is counted and what is modelled told apart, bounds in brackets, sources."""
    if not found:
        yield "no part: the report has no instructions of their cores (--target cortex-m4 ...)"
        return
    yield "Instructions are counted, exact; the rest is MODELLED, not measured:"
    yield "middle [low .. high]"
    for model in dict.fromkeys(m.model for m in found):
        yield (
            f"{model[:19]:<19} {'instructions':>13} | {'ms per decision':>20} {'duty cycle, %':>20}"
        )
        yield f"{'':<33} | {'mJ per decision':>20} {'battery days':>20}"
        for m in (m for m in found if m.model == model):
            yield (
                f"  {m.part.name[:17]:<17} {m.instructions / 1e6:>11.2f} M | "
                f"{words(m.ms):>20} {words(m.duty_cycle.scaled(100)):>20}"
            )
            yield f"{'':<33} | {words(m.mj):>20} {words(m.battery_days):>20}"
    yield from notes(found, battery_mwh)


def notes(found: Sequence[Modelled], battery_mwh: float) -> Iterator[str]:
    """What the figures are and where each part's numbers are from."""
    text = (
        f"battery days: of {battery_mwh:g} mWh if it fed these decisions alone, no sensor, radio "
        f"or sleep; --: no power with a source is known, give a calibration file"
    )
    yield from wrapped(text)
    for part in {m.part.name: m.part for m in found}.values():
        yield f"{part.name}, {part.clock_mhz:g} MHz:"
        for source in part.sources:
            yield from wrapped(source, "  ")


def words(r: Range | None, unit: str = "") -> str:
    """Middle and bounds as text."""
    if r is None:
        return "--"
    middle, low, high = (f"{x:,.0f}" if x >= 100 else f"{x:.3g}" for x in (r.middle, r.low, r.high))
    return f"{middle}{unit} [{low} .. {high}]"
