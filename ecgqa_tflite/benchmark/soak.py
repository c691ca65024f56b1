# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A machine kept busy: what it does in the first minute and in the last, and what held it back.

A fanless board may be fast for a minute and slow for the rest of the day. ``assess`` goes through a
recording again and again on all cores; the clock, the temperature and what the firmware says of
throttling are read meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ecgqa_tflite import __version__
from ecgqa_tflite.assess import assess
from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.benchmark.power import power_w
from ecgqa_tflite.benchmark.protocol import cores, describe_machine, machine_state
from ecgqa_tflite.benchmark.tables import wrapped
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Progress

FORMAT = 1
SPAN_S = 60.0
SEGMENTS = 24
"""Of the recording that is assessed again and again."""
LOOK_S = 2.0
"""Time between two looks at clock, temperature and power, s."""
SLOWER = 0.95
"""Last over first below which the machine is said to have slowed down."""


@dataclass(frozen=True)
class Span:
    """A minute, or half of a shorter soak.

    Attributes
    ----------
    segments_per_s, p50_ms, p99_ms
        Throughput; time per segment of each pass through the recording, all cores at work.
    clock_mhz, temperature_c
        Means of core 0's clock and of the first thermal zone; None: the system does not say.
    throttled
        What the firmware said, a phrase each; None: it says nothing.
    power_w
        Means by sensor; empty: the board has none.
    """

    start_s: float
    length_s: float
    segments_per_s: float
    p50_ms: float
    p99_ms: float
    clock_mhz: float | None
    temperature_c: float | None
    throttled: tuple[str, ...] | None
    power_w: dict[str, float]


@dataclass(frozen=True)
class Soak:
    """A soak of one model.

    Attributes
    ----------
    threads
        As many as cores.
    spans
        In order; the first and the last are what counts.
    """

    model: str
    threads: int
    governor: str | None
    spans: tuple[Span, ...]

    @property
    def ratio(self) -> float:
        """Throughput of the last span over the first's."""
        return self.spans[-1].segments_per_s / self.spans[0].segments_per_s


def run(model: ModelFolder, duration_s: float, tell: Progress | None = None) -> Soak:
    """Assess on all cores for so long.

    Parameters
    ----------
    duration_s
        Its spans are minutes; below two minutes, its halves.
    tell
        Called with the seconds that are done and all of them.
    """
    threads = cores()
    recording = inputs.simulated(SEGMENTS * model.spec.segment_s)
    assess(recording, model, threads=threads)  # loads what is loaded once
    n_spans = max(2, int(duration_s // SPAN_S))
    length_s = duration_s / n_spans
    spans = []
    begun = time.perf_counter()
    for i in range(n_spans):
        until = begun + (i + 1) * length_s
        times: list[float] = []
        looks = [_look()]
        started = looked = time.perf_counter()
        while not times or time.perf_counter() < until:
            before = time.perf_counter()
            n = len(assess(recording, model, threads=threads))
            now = time.perf_counter()
            times.append((now - before) / n)
            if now - looked >= LOOK_S:
                looks.append(_look())
                looked = time.perf_counter()
                if tell is not None:
                    tell(f"seconds of soak, {model.name}", round(now - begun), round(duration_s))
        spans.append(_span(started - begun, time.perf_counter() - started, times, looks))
    return Soak(model.name, threads, machine_state()["governor"], tuple(spans))


def _look() -> dict[str, Any]:
    return machine_state() | {"power_w": power_w()}


def _span(
    start_s: float, length_s: float, times: Sequence[float], looks: Sequence[dict[str, Any]]
) -> Span:
    ms = np.array(times) * 1e3
    said = [look["throttled"] for look in looks if look["throttled"] is not None]
    names = dict.fromkeys(name for look in looks for name in look["power_w"])
    return Span(
        start_s=start_s,
        length_s=length_s,
        segments_per_s=1e3 / float(ms.mean()),
        p50_ms=float(np.median(ms)),
        p99_ms=float(np.percentile(ms, 99)),
        clock_mhz=_mean([look["clock_mhz"] for look in looks]),
        temperature_c=_mean([look["temperature_c"] for look in looks]),
        throttled=tuple(dict.fromkeys(p for phrases in said for p in phrases)) if said else None,
        power_w={
            name: float(
                np.mean([look["power_w"][name] for look in looks if name in look["power_w"]])
            )
            for name in names
        },
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def to_dict(soaks: Sequence[Soak]) -> dict[str, Any]:
    """Plain types for JSON."""
    return {
        "format": FORMAT,
        "version": __version__,
        "machine": describe_machine(),
        "soaks": [{**asdict(soak), "last_over_first": soak.ratio} for soak in soaks],
    }


def table(soak: Soak) -> Iterator[str]:
    """As text, 80 columns: the first minute, the last and what lay between."""
    first, last = soak.spans[0], soak.spans[-1]
    whole_s = sum(span.length_s for span in soak.spans)
    yield (
        f"Soak: {soak.model}, assess, {soak.threads} threads, {whole_s / 60:.3g} min; "
        f"governor {soak.governor or 'unknown'}"
    )
    yield (
        f"{'':<20} {'segments/s':>11} {'ms, median':>11} {'p99':>9} {'MHz':>8} {'degrees C':>10}"
    )
    span_words = "minute" if first.length_s >= SPAN_S else f"{first.length_s:.3g} s"
    for word, span in (("first", first), ("last", last)):
        yield (
            f"{f'{word} {span_words}':<20} {span.segments_per_s:>11,.1f} {span.p50_ms:>11.3f} "
            f"{span.p99_ms:>9.3f} {_or_not(span.clock_mhz):>8} {_or_not(span.temperature_c):>10}"
        )
    slow = "; the machine slowed down" if soak.ratio < SLOWER else ""
    yield f"{'last over first':<20} {soak.ratio:>10.3f}x{slow}"
    yield from wrapped(f"throttling: {_throttling(soak)}")
    power = [
        f"{name} {first.power_w[name]:.2f} W first, {last.power_w[name]:.2f} W last"
        for name in first.power_w
        if name in last.power_w
    ]
    yield from wrapped(f"power: {'; '.join(power) or 'the board has no sensor that says'}")


def _throttling(soak: Soak) -> str:
    said = [span.throttled for span in soak.spans if span.throttled is not None]
    if not said:
        return "the board's firmware says nothing"
    return ", ".join(dict.fromkeys(p for phrases in said for p in phrases)) or "none"


def _or_not(value: float | None) -> str:
    return "--" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
