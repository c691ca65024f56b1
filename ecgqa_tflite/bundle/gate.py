# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate: what an int8 network may lose against its float one, and a bundle may cost.

Figures come from a model's metrics: those of a labelled set that was measured for the gate, else
the training's own validation, else the calibration segments, which have no labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import ArgumentError, ConversionError

MEASURED = "gate"
"""Entry of a model's metrics that holds what was measured for the gate."""


@dataclass(frozen=True)
class Limits:
    """The most that is let through; None: anything.

    Attributes
    ----------
    bacc_drop, se_drop
        Balanced accuracy and sensitivity to high quality, float less int8.
    low_called_high
        Share of low-quality segments called high, int8 less float: what harms a patient.
    flipped
        Share of segments that float and int8 decide differently.
    ties
        Share of (high, low) pairs with equal int8 scores; 1 for an output that is dead.
    ram_bytes, flash_bytes
        Of the bundle: workspace or arena; constants, without code.
    """

    bacc_drop: float | None = 0.01
    se_drop: float | None = 0.02
    low_called_high: float | None = 0.02
    flipped: float | None = 0.02
    ties: float | None = 0.05
    ram_bytes: int | None = None
    flash_bytes: int | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain types for JSON."""
        return asdict(self)

    @classmethod
    def parse(
        cls, words: Iterable[str], ram_bytes: int | None = None, flash_bytes: int | None = None
    ) -> Limits:
        """From ``name=limit`` words; ``name=off`` lets anything through.

        Raises
        ------
        ArgumentError
            Another name, or a limit that is not a number from 0 to 1.
        """
        names = [f.name for f in fields(cls) if not f.name.endswith("_bytes")]
        changed: dict[str, Any] = {}
        for word in words:
            name, _, text = word.partition("=")
            name = name.replace("-", "_")
            if name not in names:
                raise ArgumentError(f"--gate {word}: limits are {', '.join(names)}, as NAME=LIMIT")
            try:
                changed[name] = None if text == "off" else float(text)
            except ValueError:
                raise ArgumentError(f"--gate {word}: {text!r} is not a number (or off)") from None
            if changed[name] is not None and not 0 <= changed[name] <= 1:
                raise ArgumentError(f"--gate {word}: a limit is a share from 0 to 1")
        return cls(**changed, ram_bytes=ram_bytes, flash_bytes=flash_bytes)


WORDS = {
    "bacc_drop": "balanced accuracy lost to int8",
    "se_drop": "sensitivity to high quality lost to int8",
    "low_called_high": "low quality called high, more by int8 than by float",
    "flipped": "decisions that differ between float and int8",
    "ties": "pairs of a high and a low segment that score alike",
    "ram_bytes": "RAM, bytes",
    "flash_bytes": "flash, bytes, constants without code",
}
"""What each figure is, for people."""


@dataclass(frozen=True)
class Check:
    """A figure against its limit; ``value`` is None where it was not measured."""

    name: str
    value: float | None
    limit: float | None

    @property
    def passed(self) -> bool:
        """Whether it lets the bundle through: what isn't measured does."""
        return self.value is None or self.limit is None or self.value <= self.limit

    def __str__(self) -> str:
        if self.value is None:
            return f"{WORDS[self.name]}: not measured"
        limit = "no limit" if self.limit is None else f"at most {self.limit:,g}"
        value = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:.4f}"
        return f"{WORDS[self.name]}: {value} ({limit})"


@dataclass(frozen=True)
class Gate:
    """The outcome: every check, and the set that the figures are of."""

    checks: tuple[Check, ...]
    measured_on: str | None

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "measured_on": self.measured_on,
            "limits": {check.name: check.limit for check in self.checks},
            "figures": {check.name: check.value for check in self.checks},
        }


def pass_gate(
    metrics: Mapping[str, Any],
    limits: Limits,
    *,
    distinct_golden_scores: int,
    ram_bytes: int | None,
    flash_bytes: int,
    no_ram: str = "the target has none",
) -> Gate:
    """Hold a model's figures and a bundle's sizes against the limits.

    Parameters
    ----------
    distinct_golden_scores
        How many different scores the golden segments get: one means that the output is dead.
    ram_bytes
        None where the target has no such figure.
    no_ram
        Why it has none, and what to do.

    Raises
    ------
    ConversionError
        A limit is passed; the message names every one. Or RAM is limited and has no figure.
    """
    if limits.ram_bytes is not None and ram_bytes is None:
        raise ArgumentError(f"--ram: no RAM figure to hold against it: {no_ram}")
    figures, measured_on = accuracy_figures(metrics)
    sizes: dict[str, float | None] = {"ram_bytes": ram_bytes, "flash_bytes": flash_bytes}
    limited = limits.to_dict()
    gate = Gate(
        tuple(Check(name, (figures | sizes)[name], limited[name]) for name in limited),
        measured_on,
    )
    failed = [str(check) for check in gate.checks if not check.passed]
    if distinct_golden_scores < 2:
        failed.insert(0, "every golden segment gets the same score: the output is dead")
    if failed:
        where = f" on {measured_on}" if measured_on else ""
        if any(check.name == "flipped" and not check.passed for check in gate.checks):
            failed += _examples(metrics)
        raise ConversionError(f"the gate is not passed{where}: {'; '.join(failed)}")
    return gate


@dataclass(frozen=True)
class Flips:
    """Decisions that int8 changes: how many of how many, and segments where they were kept."""

    flipped: int
    of: int
    segments: tuple[dict[str, Any], ...] | None


def flips_of(metrics: Mapping[str, Any]) -> Flips | None:
    """Of the set that :func:`accuracy_figures` reads; None where float and int8 were not compared.

    ``segments`` are as :func:`ecgqa_tflite.quantize.flips.flipped_segments` gives them, None where
    none were kept: a training keeps the count alone.
    """
    validation = metrics.get("validation", {})
    if found := metrics.get(MEASURED):
        flips, table = found.get("flips"), found
    elif validation.get("float") and validation.get("int8"):
        flips, table = validation.get("flips"), validation["int8"]
    elif found := metrics.get("calibration"):
        table = {"n": {"all": found["segments"]}}
        flips = {"flipped": found["flipped"], "segments": found.get("flipped_segments")}
    else:
        return None
    if not flips or "flipped" not in flips or not table.get("n"):
        return None
    kept = flips.get("segments")
    segments = None if kept is None else tuple(kept)
    return Flips(int(flips["flipped"]), sum(table["n"].values()), segments)


def _examples(metrics: Mapping[str, Any]) -> list[str]:
    flips = flips_of(metrics)
    if flips is None or not flips.segments:
        return []
    told = ", ".join(
        f"{x['id']} (float {x['p_high']:.2f}, int8 {probability(x['score']):.2f})"
        for x in flips.segments[:3]
    )
    return [f"farthest apart: {told}; --gate flipped=off writes the report that shows them"]


def accuracy_figures(metrics: Mapping[str, Any]) -> tuple[dict[str, float | None], str | None]:
    """Drops, flips and ties by the names of :class:`Limits`, and the set that they are of."""
    validation = metrics.get("validation", {})
    if found := metrics.get(MEASURED):
        tables, measured_on = (found.get("float"), found), str(found.get("set"))
        flips = found.get("flips")
    elif validation.get("float") and validation.get("int8"):
        tables, measured_on = (validation["float"], validation["int8"]), "validation"
        flips = validation.get("flips")
    elif found := metrics.get("calibration"):
        share = found["flipped"] / found["segments"]
        return dict.fromkeys(WORDS) | {"flipped": share}, "the calibration segments"
    else:
        return dict.fromkeys(WORDS), None

    def drop(figure: str) -> float | None:
        values = [((table or {}).get(figure) or {}).get("value") for table in tables]
        before, after = values
        return None if before is None or after is None else float(before) - float(after)

    ties = (tables[1] or {}).get("tie_share")
    return {
        "bacc_drop": drop("bacc"),
        "se_drop": drop("se"),
        "low_called_high": drop("sp"),
        "flipped": None if flips is None else float(flips["share"]),
        "ties": None if ties is None else float(ties),
    }, measured_on
