# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a benchmark found: rows that say of what kind their figures are, and their JSON."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ecgqa_tflite import __version__
from ecgqa_tflite.benchmark.protocol import Timing
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.model_folder import json_text
from ecgqa_tflite.output import whole_file

FORMAT = 1
STAGES = ("cwt", "image", "network", "decision")
"""Of a segment, in order; a target that does not tell two apart says so in its notes."""


class Kind(enum.StrEnum):
    """How a figure came about."""

    MEASURED = "measured"
    EMULATED = "emulated instructions"
    ESTIMATED = "estimated"


@dataclass(frozen=True)
class Row:
    """What one model costs on one target in one configuration.

    Attributes
    ----------
    target, variant
        As ``--target`` names it; its configuration: kernels, threads, core.
    model
        The model's name.
    kind
        Of all its figures.
    unit
        Of ``stages``, ``total`` and ``layers``: ``ms`` or ``instructions``.
    stages
        One of :data:`STAGES` to its cost; those that the target can't tell are left out.
    total
        Samples to decision; of the network alone where ``stages`` has nothing else.
    layers
        Cost by layer or operator, where the target can tell.
    no_layers
        Why there are none, in a phrase, where the target can't tell.
    segments_per_s
        Throughput of the whole path, where it was measured by itself.
    load_ms
        From the ``.tflite``'s bytes to the first inference's start.
    process_bytes
        Most memory resident in the process, Python included.
    ram_bytes, flash_bytes
        What a device needs: workspace, context and stack (TFLM: the arena); code and constants.
    notes, noise
        What to know about the figures; what speaks against them. A phrase each.
    took_s
        How long all of the row took, s: start, builds, warm-up and repeats.
    """

    target: str
    variant: str
    model: str
    kind: Kind
    unit: str
    stages: Mapping[str, Timing]
    total: Timing | None
    layers: Mapping[str, float] = field(default_factory=dict)
    no_layers: str = ""
    segments_per_s: float | None = None
    load_ms: float | None = None
    process_bytes: int | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    notes: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    took_s: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What says which row of another report is the same."""
        return self.target, self.variant, self.model

    @property
    def cwt_share(self) -> float | None:
        """Share of the CWT in the whole path, 0..1; None where it is not told apart."""
        if self.total is None or "cwt" not in self.stages or self.total.p50 <= 0:
            return None
        return self.stages["cwt"].p50 / self.total.p50

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; what is not known is null."""
        data: dict[str, Any] = _without_nan({**asdict(self), "kind": str(self.kind)})
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Row:
        """Inverse of :meth:`to_dict`."""
        given = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        given["kind"] = Kind(given["kind"])
        given["stages"] = {name: _timing(t) for name, t in given["stages"].items()}
        given["total"] = None if given["total"] is None else _timing(given["total"])
        for name in ("notes", "noise"):
            given[name] = tuple(given[name])
        return cls(**given)


@dataclass(frozen=True)
class Ratio:
    """What another model's network costs, over the first model's, on one target.

    Attributes
    ----------
    first, other
        Costs, in ``unit``: of the network, or of the whole path where that is all that is known.
    """

    target: str
    variant: str
    model: str
    unit: str
    first: float
    other: float

    @property
    def value(self) -> float:
        """``other`` over ``first``."""
        return self.other / self.first


@dataclass(frozen=True)
class Throughput:
    """The whole path over a long recording.

    Attributes
    ----------
    hours_per_s
        Hours of ECG per second.
    speed_up
        Against the model's first row, the one with the fewest threads.
    """

    target: str
    variant: str
    model: str
    segments_per_s: float
    hours_per_s: float
    speed_up: float


@dataclass(frozen=True)
class Missing:
    """A target that this machine can't run, or a model that a target can't."""

    target: str
    model: str | None
    reason: str


@dataclass(frozen=True)
class Report:
    """Rows of one run on one machine.

    Attributes
    ----------
    machine
        :func:`~ecgqa_tflite.benchmark.protocol.describe_machine` at the start.
    segments
        What was timed with.
    protocol
        Repeats, as words.
    models
        Name to what is known of it: ``bacc`` (by set), ``image``, ``architecture`` and sizes.
    """

    machine: Mapping[str, Any]
    segments: str
    protocol: str
    models: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Row]
    missing: Sequence[Missing]
    noise: Sequence[str]
    took_s: float

    def ratios(self) -> list[Ratio]:
        """Each model against the first, target by target."""
        names = list(self.models)
        by_key = {row.key: row for row in self.rows}
        found = []
        for other in names[1:]:
            for row in self.rows:
                against = by_key.get((row.target, row.variant, other))
                if row.model != names[0] or against is None:
                    continue
                a, b = (r.stages.get("network") or r.total for r in (row, against))
                if a is not None and b is not None and a.p50 > 0:
                    found.append(Ratio(row.target, row.variant, other, row.unit, a.p50, b.p50))
        return found

    def throughputs(self) -> list[Throughput]:
        """Rows of the whole path over a long recording, by threads."""
        found: list[Throughput] = []
        base: dict[tuple[str, str], float] = {}
        for row in self.rows:
            if row.segments_per_s is None:
                continue
            one = base.setdefault((row.target, row.model), row.segments_per_s)
            hours = row.segments_per_s * self.models[row.model]["segment_s"] / 3600
            found.append(Throughput(*row.key, row.segments_per_s, hours, row.segments_per_s / one))
        return found

    def write(self, path: Path, overwrite: bool = False) -> None:
        """As JSON, whole or not at all."""
        data = {
            "format": FORMAT,
            "tool_version": __version__,
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "rows": [row.to_dict() for row in self.rows],
            "missing": [asdict(m) for m in self.missing],
            # Worked out from the rows, for whoever reads the file without this package.
            "ratios": [{**asdict(r), "ratio": r.value} for r in self.ratios()],
            "throughput": [asdict(t) for t in self.throughputs()],
            "cwt_share": [
                {"target": r.target, "variant": r.variant, "model": r.model,
                 "kind": str(r.kind), "share": r.cwt_share}
                for r in self.rows if r.cwt_share is not None
            ],
        }  # fmt: skip
        with whole_file(path, overwrite) as temporary:
            temporary.write_text(json_text(_without_nan(data)), encoding="utf-8")


def read_report(path: Path) -> Report:
    """Read what :meth:`Report.write` wrote.

    Raises
    ------
    DatasetError
        It is missing, or no benchmark report of this format.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise DatasetError(f"{path}: is not JSON ({error}); run ecgqa bench again") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or "rows" not in data:
        raise DatasetError(f"{path}: is no report of ecgqa bench (format {FORMAT}); run it again")
    try:
        return Report(
            rows=[Row.from_dict(row) for row in data["rows"]],
            missing=[Missing(**m) for m in data["missing"]],
            **{
                name: data[name]
                for name in ("machine", "segments", "protocol", "models", "noise", "took_s")
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: a damaged report ({error}); run ecgqa bench again") from error


def exact(values: Sequence[float]) -> Timing:
    """Counts that repeat exactly, one per segment: ``low`` and ``high`` are of the segments."""
    ordered = sorted(float(v) for v in values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else sum(ordered[middle - 1 : middle + 1]) / 2
    return Timing(
        first=float("nan"), p50=median, p90=at(0.9), p99=at(0.99), low=ordered[0],
        high=ordered[-1], calls=len(ordered), stolen=0.0, samples=tuple(ordered),
    )  # fmt: skip


def _timing(data: Mapping[str, Any]) -> Timing:
    first = data["first"]
    return Timing(
        **{
            **data,
            "first": float("nan") if first is None else first,
            "samples": tuple(data["samples"]),
        }
    )


def _without_nan(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
