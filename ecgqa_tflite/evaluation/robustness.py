# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How many decisions one artefact, another amplifier or another sampling rate changes.

Windows of recordings are judged as they are and again with one thing changed; nobody's label is
needed. What is changed is done to millivolts, before the device's own quantisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecgqa_tflite.assess import Assessor
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.evaluation.breakdown import share_with_interval
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.recording import read_recording
from ecgqa_tflite.segments import cut, usable_rate
from ecgqa_tflite.spec import FrontEnd

WINDOWS = 500
CONTEXT_S = 1.0
"""Signal after a window that a shift or lost samples take the place of."""
STEP_MV, SPIKE_MV, SPIKE_S, HUM_MV, DROPPED = 1.0, 5.0, 0.01, 0.1, 0.01

Changed = tuple[NDArray[np.float64], float]
"""A window, mV, and its sampling rate, Hz."""
Change = Callable[[NDArray[np.float64], int, float, np.random.Generator], Changed]
"""From a window with its context, the window's length, its rate, and what draws."""


@dataclass(frozen=True, eq=False)
class Window:
    """A window and :data:`CONTEXT_S` more.

    Attributes
    ----------
    signal_mv
        float64, shape (n,), finite.
    fs_hz
        Sampling rate, Hz.
    group
        Recording.
    """

    signal_mv: NDArray[np.float64]
    fs_hz: float
    group: str


def _step(x: NDArray[np.float64], n: int, fs_hz: float, rng: np.random.Generator) -> Changed:
    at = int(rng.integers(n // 5, n - n // 5))
    return x[:n] + rng.choice([-STEP_MV, STEP_MV]) * (np.arange(n) >= at), fs_hz


def _spike(x: NDArray[np.float64], n: int, fs_hz: float, rng: np.random.Generator) -> Changed:
    length = max(1, round(SPIKE_S * fs_hz))
    at, found = int(rng.integers(n - length)), x[:n].copy()
    found[at : at + length] += rng.choice([-SPIKE_MV, SPIKE_MV])
    return found, fs_hz


def _shift(x: NDArray[np.float64], n: int, fs_hz: float, rng: np.random.Generator) -> Changed:
    first = round(CONTEXT_S * fs_hz)
    return x[first : first + n], fs_hz


def _hum(hz: float) -> Change:
    def change(x: NDArray[np.float64], n: int, fs_hz: float, rng: np.random.Generator) -> Changed:
        t = np.arange(n) / fs_hz
        return x[:n] + HUM_MV * np.sin(2 * np.pi * hz * t + rng.uniform(0, 2 * np.pi)), fs_hz

    return change


def _gain(factor: float) -> Change:
    return lambda x, n, fs_hz, rng: (factor * x[:n], fs_hz)


def _rate(to_hz: float) -> Change:
    def change(x: NDArray[np.float64], n: int, fs_hz: float, rng: np.random.Generator) -> Changed:
        ratio = Fraction(to_hz / fs_hz).limit_denominator(1000)
        level = float(np.median(x))
        other = resample_poly(x - level, ratio.numerator, ratio.denominator) + level
        return other[: round(n * to_hz / fs_hz)], to_hz

    return change


def _dropped(x: NDArray[np.float64], n: int, fs_hz: float, rng: np.random.Generator) -> Changed:
    lost = rng.choice(n, max(1, round(DROPPED * n)), replace=False)
    return np.delete(x, lost)[:n], fs_hz


CHANGES: dict[str, Change] = {
    f"a step of {STEP_MV:g} mV": _step,
    f"a spike of {SPIKE_MV:g} mV, {1000 * SPIKE_S:g} ms": _spike,
    f"the window {CONTEXT_S:g} s later": _shift,
    f"hum, 50 Hz, {HUM_MV:g} mV": _hum(50.0),
    f"hum, 60 Hz, {HUM_MV:g} mV": _hum(60.0),
    "gain x 0.1": _gain(0.1),
    "gain x 10": _gain(10.0),
    "sampled at 125 Hz": _rate(125.0),
    "sampled at 500 Hz": _rate(500.0),
    f"{DROPPED:.0%} of the samples lost, the rest closed up": _dropped,
}
"""By name. Lost samples are lost without a word: time runs faster, as from a careless link."""


def draw_windows(
    base: Path,
    ids: NDArray[np.str_],
    groups: NDArray[np.str_],
    spec: FrontEnd,
    n: int = WINDOWS,
    seed: int = 0,
    tick: Tick | None = None,
) -> list[Window]:
    """``n`` of a set's segments, drawn at random, as millivolts with what follows them.

    Parameters
    ----------
    base
        Folder of the recordings.
    ids, groups
        Of the segments, ``set/record@start`` or ``set/record/lead@start``; shape (m,) each.

    Raises
    ------
    DatasetError
        None of them has enough signal behind it.
    """
    order = np.random.default_rng(seed).permutation(len(ids))
    found: list[Window] = []
    names: dict[str, Any] = {}
    for i in order:
        if len(found) == n:
            break
        place, _, start = str(ids[i]).partition("@")
        _, record, *lead = place.split("/")
        if record not in names:
            names[record] = read_recording(base / record)
        recording = names[record]
        first = round(float(start) * recording.fs_hz)
        length = round((spec.segment_s + CONTEXT_S) * recording.fs_hz)
        signal = recording.lead(lead[0] if lead else None)[first : first + length]
        if len(signal) == length and np.isfinite(signal).all():
            found.append(Window(signal.astype(np.float64), recording.fs_hz, str(groups[i])))
            if tick is not None:
                tick(n)
    if not found:
        raise DatasetError(f"{base}: no segment has {CONTEXT_S:g} s more of signal behind it")
    return found


def robustness(
    model: ModelFolder,
    windows: list[Window],
    seed: int = 0,
    n_boot: int = 2000,
    tick: Tick | None = None,
) -> dict[str, dict[str, Any]]:
    """Share of decisions that each change changes.

    Returns
    -------
    dict
        By name of the change: ``n`` (windows, those that can be judged at that rate), ``groups``,
        ``high`` (called high as they are), ``changed``, ``to_high``, ``to_low`` (counts) and
        ``share``: ``{"value", "low", "high"}``, of a bootstrap over recordings.
    """
    assessors: dict[float, Assessor] = {}
    plain = [(w.signal_mv[: _length(w, model.spec)], w.fs_hz) for w in windows]
    before = _decide(model, plain, assessors)
    groups = np.array([window.group for window in windows])
    found = {}
    for name, change in CHANGES.items():
        rng = np.random.default_rng(seed)
        changed = [change(w.signal_mv, _length(w, model.spec), w.fs_hz, rng) for w in windows]
        if any(fs_hz < model.spec.fs_min_hz for _, fs_hz in changed):
            continue
        after = _decide(model, changed, assessors)
        found[name] = _compared(before, after, groups, n_boot)
        if tick is not None:
            tick(len(CHANGES))
    return found


def _length(window: Window, spec: FrontEnd) -> int:
    return round(spec.segment_s * window.fs_hz)


def _decide(
    model: ModelFolder, windows: list[Changed], assessors: dict[float, Assessor]
) -> NDArray[np.bool_]:
    """Whether each window is called high, shape (n,)."""
    out = np.zeros(len(windows), bool)
    for i, (signal, fs_hz) in enumerate(windows):
        rate = usable_rate(fs_hz, model.spec)
        if rate not in assessors:
            assessors[rate] = Assessor(model, rate)
        segments = cut(signal, fs_hz, model.spec)
        score = assessors[rate].scores(segments)[0]
        out[i] = bool(segments.ok[0]) and score >= model.threshold_int8
    return out


def _compared(
    before: NDArray[np.bool_], after: NDArray[np.bool_], groups: NDArray[np.str_], n_boot: int
) -> dict[str, Any]:
    changed = before != after
    return {
        "n": len(before),
        "groups": len(np.unique(groups)),
        "high": int(before.sum()),
        "changed": int(changed.sum()),
        "to_high": int((~before & after).sum()),
        "to_low": int((before & ~after).sum()),
        "share": share_with_interval(changed, groups, n_boot),
    }
