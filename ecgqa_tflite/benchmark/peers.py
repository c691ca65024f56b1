# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Peers in the same run: other wavelet transforms, other runtimes, another quality index.

``ecgqa bench peers`` prints the tables and writes JSON (``make bench-peers`` puts ssqueezepy, fCWT
and NeuroKit2 into a folder of their own first, where they install). Front ends take turns on one
core; runtimes run in processes of their own, as in ``ecgqa bench run``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark import inputs, worker
from ecgqa_tflite.benchmark.front_ends import PYWT_WAVELET
from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.protocol import (
    Protocol,
    Timing,
    describe_machine,
    machine_state,
    noise_of_states,
    pinned,
    take_times,
)
from ecgqa_tflite.errors import EcgqaError
from ecgqa_tflite.frontend import morse
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import FrontEnd

FORMAT = 2
PRESETS = ("wearable", "seed")
"""Whose front ends are held against the peers: each preset's rows and frequencies."""
SEGMENTS = 8
RUNTIMES = ("host", "tflm", "engine")
"""Targets whose networks are compared on one thread."""

PUBLISHED = (
    "the seed paper: a segment takes its GoogLeNet about 12 times as long as its Light-CNN, "
    "classification alone, the wavelet left out",
    "MLPerf Tiny v1.1, ResNet8 (12.5 M multiply-accumulates) on NUCLEO-L4R5ZI (Cortex-M4): "
    "X-CUBE-AI 8.0.0 4.505 inferences a second at 17.3 mJ each, microTVM with CMSIS-NN 2.567 a "
    "second (mlcommons/tiny_results_v1.1, closed/Krai/results/README.md)",
    "the same on NUCLEO-H7A3ZI (Cortex-M7): X-CUBE-AI 8.0.0 18.215 a second at 7.6 mJ each; on "
    "nRF5340-DK (Cortex-M33): microTVM with CMSIS-NN 3.146 a second (same file)",
    "a convolutional-recurrent arrhythmia detector for one lead, fixed point with CMSIS-NN on an "
    "nRF52 (Cortex-M4): 195.6 KB of memory, 33.98 M operations a second (Faraone and "
    "Delgado-Gonzalo, abstract, as scite.ai quotes it)",
    "an int8 autoencoder for arrhythmias with TensorFlow Lite Micro on an ESP32-S3: about 180 KB "
    "of model, 9 ms per inference (Nagarajan and Polachan, ArrythML, arXiv 2606.02256, abstract)",
)
"""Figures of others, on other machines: quoted, not compared. Of an ECG quality network on a device
we found none whose source we could read."""

Call = Callable[[int], object]
Maker = Callable[[NDArray[np.int16], float, FrontEnd], Call]


def _ours(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    front_end = NativeFrontEnd(spec, fs_hz)
    return lambda i: front_end.index_maps(segments[i : i + 1], threads=1)


def _ours_by_rows(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    front_end = NativeFrontEnd(spec, fs_hz)
    return lambda i: front_end.index_maps(segments[i : i + 1], threads=1, lanes=1)


def _pywt(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd, method: str) -> Call:
    pywt = importlib.import_module("pywt")
    wavelet = pywt.ContinuousWavelet(PYWT_WAVELET)
    scales = pywt.central_frequency(wavelet) / spec.centre_frequencies_hz * fs_hz
    signals = segments.astype(np.float64)
    return lambda i: np.abs(pywt.cwt(signals[i], scales, wavelet, method=method)[0])


def _pywt_fft(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    return _pywt(segments, fs_hz, spec, "fft")


def _pywt_conv(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    return _pywt(segments, fs_hz, spec, "conv")


def _scipy(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    """Morse transform in the frequency domain, all rows in one batched FFT, complex64."""
    from scipy import fft

    n = 2 * segments.shape[1]  # half-sample symmetric extension
    f = np.arange(n // 2 + 1) * fs_hz / n
    ratio = f[None, :] / spec.centre_frequencies_hz[:, None]
    psi = np.zeros((spec.rows, n), np.float32)
    psi[:, : n // 2 + 1] = morse.psi_at(ratio, spec.gamma, spec.time_bandwidth)
    signals = segments.astype(np.float32)

    def transform(i: int) -> object:
        extended = np.concatenate([signals[i], signals[i][::-1]])
        return np.abs(fft.ifft(psi * fft.fft(extended)[None, :], axis=1)[:, : n // 2])

    return transform


def _ssqueezepy(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    ssq = importlib.import_module("ssqueezepy")
    f_hz, shape = spec.centre_frequencies_hz, (spec.gamma, spec.time_bandwidth)
    scales = morse.cwt_scale(f_hz, fs_hz, *shape).astype(np.float32)
    signals = segments.astype(np.float32)
    wavelet = ssq.Wavelet(("gmw", {"gamma": spec.gamma, "beta": morse.beta(*shape)}))
    return lambda i: np.abs(ssq.cwt(signals[i], wavelet, scales=scales)[0])


def _fcwt(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    fcwt = importlib.import_module("fcwt")
    f = spec.centre_frequencies_hz
    signals = segments.astype(np.float32)
    return lambda i: np.abs(fcwt.cwt(signals[i], int(fs_hz), float(f[-1]), float(f[0]), len(f))[1])


FRONT_ENDS: dict[str, Maker] = {
    "ours: C, to the index map": _ours,
    "ours: C, without SIMD lanes": _ours_by_rows,
    f"pywt.cwt fft, {PYWT_WAVELET}": _pywt_fft,
    f"pywt.cwt conv, {PYWT_WAVELET}": _pywt_conv,
    "scipy.fft batched, Morse": _scipy,
    "ssqueezepy.cwt, Morse": _ssqueezepy,
    "fCWT, Morlet": _fcwt,
}


def _neurokit(segments: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> Call:
    nk = importlib.import_module("neurokit2")
    signals = segments.astype(np.float64) / 1000

    def quality(i: int) -> object:
        cleaned = nk.ecg_clean(signals[i], sampling_rate=int(fs_hz))
        return nk.ecg_quality(cleaned, sampling_rate=int(fs_hz), method="zhao2018")

    return quality


INDICES: dict[str, Maker] = {"NeuroKit2 ecg_quality, zhao2018": _neurokit}


def time_makers(
    makers: dict[str, Maker],
    segments: NDArray[np.int16],
    fs_hz: float,
    spec: FrontEnd,
    protocol: Protocol,
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Times of those that are there, in turns; of the others, why not."""
    calls, missing = {}, {}
    for name, maker in makers.items():
        try:
            call = maker(segments, fs_hz, spec)
            for i in range(len(segments)):
                call(i)  # compiles what is compiled on first use, and meets every segment once
        except Exception as error:  # a peer may fail in any way: say how, go on
            reason = " ".join(str(error).split())[:120]
            missing[name] = f"{type(error).__name__}: {reason}"
            continue
        calls[name] = call
    if not calls:
        return {}, missing
    taken = take_times(list(calls.values()), len(segments), protocol, peers=True)
    return dict(zip(calls, taken, strict=False)), missing


def _one_thread(benches: Mapping[str, Bench]) -> Iterator[tuple[str, str, Bench]]:
    """Target, variant and bench of each runtime's kernels on one thread."""
    for target in RUNTIMES:
        for variant in benches[target].variants():
            if "1 thread" in variant and not variant.startswith("assess"):
                yield target, variant, benches[target]


def run(
    benches: Mapping[str, Bench],
    model: ModelFolder,
    protocol: Protocol,
    *,
    record: str | None = None,
) -> dict[str, Any]:
    """Everything that the command reports, as plain types for JSON."""
    segments, fs_hz, what = inputs.load(record, model.spec, SEGMENTS)
    machine = describe_machine()
    times: dict[str, dict[str, Timing]] = {}
    missing: dict[str, str] = {}
    with pinned(1):
        for name in PRESETS:
            spec = FrontEnd.preset(name)
            times[name], more = time_makers(FRONT_ENDS, segments, fs_hz, spec, protocol)
            missing |= more
        indices, more = time_makers(INDICES, segments, fs_hz, model.spec, protocol)
    missing |= more
    runtimes: dict[str, Timing] = {}
    given, _, _ = inputs.load(record, model.spec)
    for target, variant, bench in _one_thread(benches):
        reason = bench.missing()
        if reason is None:
            try:
                row = worker.measure_apart(
                    bench, Job(target, variant, model, given, fs_hz, protocol)
                )
                runtimes[f"{target}: {variant}"] = row.stages["network"]
            except EcgqaError as error:
                reason = str(error)
        if reason is not None:
            missing[f"{target}: {variant}"] = reason
    noise = noise_of_states(machine["state"], machine_state(), machine["cores"])
    for name, t in (indices | runtimes).items():
        noise += [f"{name}: {phrase}" for phrase in t.noise()]
    for preset, timed in times.items():
        for name, t in timed.items():
            noise += [f"{preset}, {name}: {phrase}" for phrase in t.noise()]
    return {
        "format": FORMAT,
        "kind": "measured",
        "machine": machine,
        "segments": what,
        "model": model.name,
        "front_ends_ms": {preset: _plain(timed) for preset, timed in times.items()},
        "networks_ms": _plain(runtimes),
        "quality_indices_ms": _plain(indices),
        "missing": missing,
        "published": list(PUBLISHED),
        "noise": noise,
    }


def _plain(times: dict[str, Timing]) -> dict[str, dict[str, float]]:
    return {
        name: {"median": t.p50, "low": t.low, "high": t.high, "p90": t.p90, "first": t.first}
        for name, t in times.items()
    }


def table(report: dict[str, Any]) -> str:
    """The report as text; ratios are to the first of each group."""
    lines = [
        f"{report['machine']['cpu']}, one core; {report['segments']}; network: {report['model']}"
    ]
    groups = [
        (f"front end `{preset}`, ms per segment", rows)
        for preset, rows in report["front_ends_ms"].items()
    ]
    groups.append(("network alone, ms per segment", report["networks_ms"]))
    groups.append(("quality index, ms per segment", report["quality_indices_ms"]))
    for title, rows in groups:
        if not rows:
            continue
        lines.append(f"{title:<46} {'median':>9} {'of loops':>19} {'p90':>9} {'x first':>8}")
        one = next(iter(rows.values()))["median"]
        lines += [
            f"  {name:<44} {t['median']:>9.3f} {t['low']:>9.3f}-{t['high']:<9.3f} "
            f"{t['p90']:>9.3f} {t['median'] / one:>8.1f}"
            for name, t in rows.items()
        ]
    lines += [f"not run: {name}: {reason}" for name, reason in report["missing"].items()]
    lines += [f"published, elsewhere: {figure}" for figure in report["published"]]
    lines += [f"noise: {phrase}" for phrase in report["noise"]]
    return "\n".join(lines) + "\n"
