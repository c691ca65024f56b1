# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Every target that this machine can run, one process per row, one report.

Rows whose figures are times run one after another, alone. Counts of instructions and estimates do
not depend on what else runs, so those rows share the cores afterwards.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ecgqa_tflite.benchmark import inputs, worker
from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.protocol import (
    FULL,
    QUICK,
    cores,
    describe_machine,
    machine_state,
    noise_of_states,
)
from ecgqa_tflite.benchmark.results import Missing, Report, Row
from ecgqa_tflite.errors import ArgumentError, EcgqaError
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Progress

START_S = 5
"""What a row takes besides its loops, about, s: for the time that is left, not for a report."""


@dataclass(frozen=True)
class _Wanted:
    """A row to be."""

    bench: Bench
    job: Job

    @property
    def expected_s(self) -> int:
        if self.bench.takes_s is not None:
            return self.bench.takes_s
        protocol = self.job.protocol
        return START_S + round(protocol.warm_up_s + protocol.loops * protocol.loop_s)


def check_targets(benches: Mapping[str, Bench], names: Sequence[str]) -> None:
    """Raise :class:`ArgumentError` where a target is not known."""
    for name in names:
        if name not in benches:
            raise ArgumentError(f"no target {name!r}; there are {', '.join(benches)}")


def run(
    benches: Mapping[str, Bench],
    models: Sequence[ModelFolder],
    targets: Sequence[str] = (),
    *,
    record: str | None = None,
    quick: bool = False,
    tell: Progress | None = None,
) -> Report:
    """Measure models on targets, one after another.

    Parameters
    ----------
    benches
        What there is: :data:`ecgqa_tflite.devices.BENCHES`.
    targets
        Names; none: all. One that this machine can't run is a line of the report.
    record
        A WFDB record to time with; None: simulated segments.
    quick
        Shorter loops.
    tell
        Called with what is done, and expected seconds of work done and in all; and with each
        target's model, the rows done and in all.

    Raises
    ------
    ArgumentError
        A target that is not known.
    RecordingError
        The record can't be used.
    """
    check_targets(benches, targets)
    machine, started = describe_machine(), time.perf_counter()
    protocol = QUICK if quick else FULL
    inputs_of = [(model, *inputs.load(record, model.spec)) for model in models]
    wanted: list[_Wanted] = []
    missing: list[Missing] = []
    for name in dict.fromkeys(targets or benches):
        bench = benches[name]
        if (reason := bench.missing()) is not None:
            missing.append(Missing(name, None, reason))
            continue
        wanted += [
            _Wanted(bench, Job(name, variant, model, segments, fs_hz, protocol))
            for model, segments, fs_hz, _ in inputs_of
            for variant in bench.variants()
        ]
    results, after = _measure(wanted, tell)
    return Report(
        machine=machine,
        segments=inputs_of[0][-1],
        protocol=f"median of {protocol.loops} loops of {protocol.loop_s:g} s, warm-up apart, "
        f"pinned, each row in a process of its own; rows of times alone, then counts and estimates "
        f"up to {cores()} at a time",
        models={m.name: describe(m) for m in models},
        rows=[r for r in results if isinstance(r, Row)],
        missing=[*missing, *(r for r in results if isinstance(r, Missing))],
        noise=noise_of_states(
            machine["state"], after, machine["cores"], emulated=machine["emulated"]
        ),
        took_s=time.perf_counter() - started,
    )


def _measure(
    wanted: Sequence[_Wanted], tell: Progress | None
) -> tuple[list[Row | Missing], dict[str, Any]]:
    """What came of each, and the machine's state once the times were taken."""
    progress = _Told(wanted, tell)
    pool = ThreadPoolExecutor(max_workers=cores())
    with worker.Workers() as workers:

        def measure(i: int) -> Row | Missing:
            with progress.of(wanted[i]):
                return _row(wanted[i], workers)

        try:
            found = {i: measure(i) for i, w in enumerate(wanted) if w.bench.takes_s is None}
            after = machine_state()
            untimed = [i for i in range(len(wanted)) if i not in found]
            found |= zip(untimed, pool.map(measure, untimed), strict=True)
        finally:  # interrupted, it waits for no row
            pool.shutdown(wait=False, cancel_futures=True)
    return [found[i] for i in range(len(wanted))], after


def _row(wanted: _Wanted, workers: worker.Workers) -> Row | Missing:
    """Of one configuration; why not, where it fails."""
    bench, job = wanted.bench, wanted.job
    begun = time.perf_counter()
    try:
        row = workers.measure(bench, job)
    except EcgqaError as error:
        reason = str(error).removeprefix(f"{job.model.name}: ")
        alone = len(bench.variants()) == 1
        return Missing(job.target, job.model.name, reason if alone else f"{job.variant}: {reason}")
    return replace(row, took_s=round(time.perf_counter() - begun, 1))


class _Told:
    """Tells how much is done, in all and of each target's models; several threads may work."""

    def __init__(self, wanted: Sequence[_Wanted], tell: Progress | None) -> None:
        self._tell = tell
        self._all_s = sum(w.expected_s for w in wanted)
        self._done_s = 0
        self._rows = Counter(_name(w) for w in wanted)
        self._done: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, wanted: _Wanted) -> Iterator[None]:
        self._say(wanted, 0, 0)
        yield
        self._say(wanted, 1, wanted.expected_s)

    def _say(self, wanted: _Wanted, row: int, more_s: int) -> None:
        name = _name(wanted)
        with self._lock:
            self._done[name] += row
            self._done_s += more_s
            if self._tell is not None:
                self._tell("expected seconds", self._done_s, self._all_s)
                self._tell(f"{name}, {wanted.job.variant}", self._done[name], self._rows[name])


def _name(wanted: _Wanted) -> str:
    return f"{wanted.job.target} {wanted.job.model.name}"


def describe(model: ModelFolder) -> dict[str, Any]:
    """What a report says of a model."""
    return {
        "architecture": model.architecture,
        "image": list(model.spec.image_shape),
        "segment_s": model.spec.segment_s,
        "tflite_bytes": model.tflite_path.stat().st_size,
        "bacc": balanced_accuracy(model.metrics),
    }


def balanced_accuracy(metrics: Mapping[str, Any]) -> dict[str, float]:
    """int8 balanced accuracy by set: the external ones, else the validation's."""
    external = metrics.get("external")
    found = _of_sets(external if isinstance(external, Mapping) else {})
    validation = metrics.get("validation")
    int8 = validation.get("int8") if isinstance(validation, Mapping) else None
    return found or _of_sets({"validation": int8})


def _of_sets(sets: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, figures in sets.items():
        try:
            found[name] = float(figures["bacc"]["value"])
        except (KeyError, TypeError, ValueError):
            continue  # not scored
    return found
