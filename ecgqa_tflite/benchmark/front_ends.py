# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The front end against its peers, and ``assess`` end to end, on one core in one run.

``ecgqa bench frontend`` prints the table and writes JSON (``make bench-frontend``).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import assess
from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.benchmark.path import time_assess
from ecgqa_tflite.benchmark.protocol import (
    Protocol,
    cpu_ms,
    describe_machine,
    machine_state,
    noise_of_states,
    pinned,
    take_times,
)
from ecgqa_tflite.frontend import reference
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import FrontEnd

FORMAT = 1
PYWT_WAVELET = "cmor1.5-1.0"
"""A complex Morlet: what a magnitude needs. pywt has no Morse wavelet."""

SEGMENTS = 8

AIMS = {
    "C_ms": "C front end <= 0.2 ms",
    "times_pywt": "C >= 40 x pywt",
    "assess_per_s": "assess >= 700 segments/s",
}


def front_ends(
    segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd
) -> dict[str, Callable[[int], object]]:
    """Callables of a segment's number: ours, the float64 reference, pywt where it is installed.

    pywt gets the same number of rows at the same centre frequencies and only transforms: |W| at
    every sample, no image.
    """
    native = NativeFrontEnd(spec, fs_hz)
    calls: dict[str, Callable[[int], object]] = {
        "C, one pass (host)": lambda i: native.index_maps(segments[i : i + 1], threads=1),
        "C, one pass, no SIMD lanes": lambda i: native.index_maps(
            segments[i : i + 1], threads=1, lanes=1
        ),
        "C, two passes (as a device)": lambda i: native.index_maps(
            segments[i : i + 1], threads=1, two_pass=True
        ),
        "float64 reference": lambda i: reference.index_map(segments[i], fs_hz, spec),
    }
    if importlib.util.find_spec("pywt"):
        import pywt

        wavelet = pywt.ContinuousWavelet(PYWT_WAVELET)
        scales = pywt.central_frequency(wavelet) / spec.centre_frequencies_hz * fs_hz
        signals = segments.astype(np.float64)
        calls[f"pywt.cwt fft {PYWT_WAVELET}"] = lambda i: np.abs(
            pywt.cwt(signals[i], scales, wavelet, method="fft")[0]
        )
    return calls


def _all(call: Callable[[int], object], n: int) -> Callable[[], int]:
    """All segments as one call."""

    def run_all() -> int:
        for i in range(n):
            call(i)
        return n

    return run_all


def run(
    spec: FrontEnd,
    model: ModelFolder | None,
    protocol: Protocol,
    *,
    record: str | None = None,
) -> dict[str, Any]:
    """Everything that the command reports, as plain types for JSON."""
    segments, fs_hz, what = inputs.load(record, spec, SEGMENTS)
    machine = describe_machine()
    with pinned(1):
        calls = front_ends(segments, fs_hz, spec)
        taken = take_times(list(calls.values()), len(segments), protocol, peers=True)
        times = dict(zip(calls, taken, strict=False))  # the last is the sum of all
        cpu = {name: cpu_ms(_all(call, len(segments)), protocol) for name, call in calls.items()}
        if model is not None:
            times["assess, end to end"] = time_assess(model, protocol, 1)
            recording = inputs.simulated(protocol.recording_segments * model.spec.segment_s)
            cpu["assess, end to end"] = cpu_ms(lambda: len(assess(recording, model)), protocol)
    state = machine_state()
    ours = next(iter(times.values())).p50
    pywt_ms = next((t.p50 for name, t in times.items() if name.startswith("pywt")), None)
    told = noise_of_states(machine["state"], state, machine["cores"])
    for name, t in times.items():
        told += [f"{name}: {phrase}" for phrase in t.noise()]
    return {
        "format": FORMAT,
        "kind": "measured",
        "machine": machine,
        "state_after": state,
        "segments": what,
        "rows": spec.rows,
        "cols": spec.cols,
        "model": None if model is None else model.name,
        "ms_a_segment": {
            name: {
                "median": t.p50, "low": t.low, "high": t.high, "p90": t.p90, "p99": t.p99,
                "calls": t.calls, "cpu": cpu[name],
            }
            for name, t in times.items()
        },
        "figures": {
            "C_ms": ours,
            "times_pywt": None if pywt_ms is None else pywt_ms / ours,
            "assess_per_s": None if model is None else 1e3 / times["assess, end to end"].p50,
        },
        "noise": told,
    }  # fmt: skip


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    machine = report["machine"]
    ours = report["figures"]["C_ms"]
    lines = [
        f"{machine['cpu']}, one core; {report['segments']}; {report['rows']} x {report['cols']}; "
        f"load {machine['state']['load']:.1f} before",
        f"{'ms per segment':<34} {'median':>8} {'of loops':>17} {'p90':>8} {'segments/s':>11} "
        f"{'x ours':>7} {'CPU time':>9}",
    ]
    for name, t in report["ms_a_segment"].items():
        lines.append(
            f"{name:<34} {t['median']:>8.3f} {t['low']:>8.3f}-{t['high']:<8.3f} {t['p90']:>8.3f} "
            f"{1e3 / t['median']:>11,.0f} {t['median'] / ours:>7.1f} {t['cpu']:>9.3f}"
        )
    met = {
        "C_ms": lambda v: v <= 0.2,
        "times_pywt": lambda v: v >= 40,
        "assess_per_s": lambda v: v >= 700,
    }
    for name, aim in AIMS.items():
        value = report["figures"][name]
        verdict = "not measured" if value is None else "met" if met[name](value) else "missed"
        shown = "" if value is None else f" ({value:.3g})"
        lines.append(f"aim {aim}: {verdict}{shown}")
    if report["noise"]:
        lines.append("noisy: CPU time, which others can't take, says what a quiet core would do")
    lines += [f"noise: {phrase}" for phrase in report["noise"]]
    return "\n".join(lines) + "\n"
