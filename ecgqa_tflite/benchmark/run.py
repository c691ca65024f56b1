"""Every target that this machine can run, one process a row, one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ecgqa_tflite.benchmark import inputs, stand_in, worker
from ecgqa_tflite.benchmark.protocol import (
    FULL,
    QUICK,
    describe_machine,
    machine_state,
    noise_of_states,
)
from ecgqa_tflite.benchmark.results import Missing, Report, Row
from ecgqa_tflite.errors import ArgumentError, EcgqaError
from ecgqa_tflite.model_folder import ModelFolder

Tell = Callable[[str, int, int], None]


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
    tell: Tell | None = None,
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
        Called with what is done, rows done and rows in all.

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
    wanted: list[tuple[str, str, ModelFolder]] = []
    missing: list[Missing] = []
    for name in dict.fromkeys(targets or worker.TARGETS):
        target = worker.target(name)
        reason = target.missing(name)
        if reason is not None:
            missing.append(Missing(name, None, reason))
            continue
        wanted += [(name, variant, m) for m in models for variant in target.variants(name)]
    rows: list[Row] = []
    for i, (name, variant, model) in enumerate(wanted):
        if tell is not None:
            tell(f"rows, {name} {model.name}", i, len(wanted))
        try:
            rows.append(worker.measure_apart(name, variant, model.path, record, quick))
        except EcgqaError as error:
            reason = str(error).removeprefix(f"{model.name}: ")
            missing.append(Missing(name, model.name, reason))
    if tell is not None:
        tell("rows", len(wanted), len(wanted))
    protocol = QUICK if quick else FULL
    return Report(
        machine=machine,
        segments=segments,
        protocol=f"median of {protocol.loops} loops of {protocol.loop_s:g} s, warm-up apart, "
        f"pinned, each row in a process of its own",
        models={m.name: describe(m) for m in models},
        rows=rows,
        missing=missing,
        noise=noise_of_states(machine["state"], machine_state(), machine["cores"]),
        took_s=time.perf_counter() - started,
    )


def describe(model: ModelFolder) -> dict[str, Any]:
    """What a report says of a model."""
    return {
        "architecture": model.architecture,
        "random": stand_in.is_random(model),
        "image": list(model.spec.image_shape),
        "segment_s": model.spec.segment_s,
        "tflite_bytes": model.tflite_path.stat().st_size,
        "bacc": balanced_accuracy(model.metrics),
    }


def balanced_accuracy(metrics: Mapping[str, Any]) -> dict[str, float]:
    """int8 balanced accuracy by set: the external ones, else the validation's."""
    external = metrics.get("external")
    found = _of_sets(external if isinstance(external, Mapping) else {})
    return found or _of_sets({"validation": metrics.get("validation")})


def _of_sets(sets: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, figures in sets.items():
        try:
            found[name] = float(figures["int8"]["bacc"]["value"])
        except (KeyError, TypeError, ValueError):
            continue  # a set that was not scored with the int8 model
    return found
