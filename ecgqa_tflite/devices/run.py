"""Every target that this machine can run, one process a row, one report.

Rows whose figures are times run one after another, alone. Counts of instructions and estimates do
not depend on what else runs, so those rows share the cores afterwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.benchmark.protocol import (
    FULL,
    QUICK,
    Protocol,
    cores,
    describe_machine,
    machine_state,
    noise_of_states,
)
from ecgqa_tflite.benchmark.results import Missing, Report, Row
from ecgqa_tflite.devices import worker
from ecgqa_tflite.errors import ArgumentError, EcgqaError
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Progress

Wanted = tuple[str, str, ModelFolder]

START_S = 5
"""What a row takes besides its loops, about, s: for the time that is left, not for a report."""

UNTIMED_S = {"cortex_m": 10, "ethos_u": 4}
"""As :data:`START_S`: all that a row takes of a target that counts or estimates, by module."""


def check_targets(names: Sequence[str]) -> None:
    """Raise :class:`ArgumentError` where a target is not known."""
    for name in names:
        if name not in worker.TARGETS:
            raise ArgumentError(f"no target {name!r}; there are {', '.join(worker.TARGETS)}")


def run(
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
    targets
        Names; none: all. One that this machine can't run is a line of the report.
    record
        A WFDB record to time with; None: simulated segments.
    quick
        Shorter loops.
    tell
        Called with what is done, and expected seconds of work done and in all.

    Raises
    ------
    ArgumentError
        A target that is not known.
    RecordingError
        The record can't be used.
    """
    check_targets(targets)
    machine, started = describe_machine(), time.perf_counter()
    _, _, segments = inputs.load(record, models[0].spec)
    wanted: list[Wanted] = []
    missing: list[Missing] = []
    for name in dict.fromkeys(targets or worker.TARGETS):
        target = worker.target(name)
        reason = target.missing(name)
        if reason is not None:
            missing.append(Missing(name, None, reason))
            continue
        wanted += [(name, variant, m) for m in models for variant in target.variants(name)]
    protocol = QUICK if quick else FULL
    progress = _Told([_expected_s(w, protocol) for w in wanted], tell)

    def measure(i: int) -> Row | Missing:
        name, variant, model = wanted[i]
        with progress.of(i, f"{name} {model.name}"):
            begun = time.perf_counter()
            try:
                row = worker.measure_apart(name, variant, model.path, record, quick)
            except EcgqaError as error:
                reason = str(error).removeprefix(f"{model.name}: ")
                alone = len(worker.target(name).variants(name)) == 1
                return Missing(name, model.name, reason if alone else f"{variant}: {reason}")
            return replace(row, took_s=round(time.perf_counter() - begun, 1))

    timed = [i for i, w in enumerate(wanted) if worker.TARGETS[w[0]] not in UNTIMED_S]
    found = {i: measure(i) for i in timed}
    after = machine_state()
    untimed = [i for i in range(len(wanted)) if i not in found]
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        found |= zip(untimed, pool.map(measure, untimed), strict=True)
    results = [found[i] for i in range(len(wanted))]
    rows = [r for r in results if isinstance(r, Row)]
    missing += [r for r in results if isinstance(r, Missing)]
    return Report(
        machine=machine,
        segments=segments,
        protocol=f"median of {protocol.loops} loops of {protocol.loop_s:g} s, warm-up apart, "
        f"pinned, each row in a process of its own; rows of times alone, then counts and estimates "
        f"up to {cores()} at a time",
        models={m.name: describe(m) for m in models},
        rows=rows,
        missing=missing,
        noise=noise_of_states(
            machine["state"], after, machine["cores"], emulated=machine["emulated"]
        ),
        took_s=time.perf_counter() - started,
    )


def _expected_s(wanted: Wanted, protocol: Protocol) -> int:
    module = worker.TARGETS[wanted[0]]
    if module in UNTIMED_S:
        return UNTIMED_S[module]
    return START_S + round(protocol.warm_up_s + protocol.loops * protocol.loop_s)


class _Told:
    """Tells how many of the expected seconds are done; several threads may work."""

    def __init__(self, expected_s: Sequence[int], tell: Progress | None) -> None:
        self._expected_s = expected_s
        self._tell = tell
        self._done = 0
        self._lock = threading.Lock()

    @contextmanager
    def of(self, i: int, what: str) -> Iterator[None]:
        self._say(what, 0)
        yield
        self._say(what, self._expected_s[i])

    def _say(self, what: str, more: int) -> None:
        with self._lock:
            self._done += more
            if self._tell is not None:
                self._tell(f"expected seconds, {what}", self._done, sum(self._expected_s))


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
