# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What is done to clean ECG, and what stands in for ECG, to show where the line is drawn.

High whatever it looks like: a step, a spike, a wander under beats that stay visible; a pause. Low:
noise that hides beats for more than a second, a stretch of bare hum, waves that are no ECG.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.mitdb import AnnotatedLead
from ecgqa_tflite.datasets.noise import NoiseBank, jump

Signal = NDArray[np.float64]

HIDING_KINDS = ("em", "ma", "white", "emg", "pink", "pop")
MAINS_HZ = (50.0, 60.0)
WAVES_MAX_HZ, BELLS_MAX_HZ = 12.0, 1.9
PAUSED_RR_S = (0.6, 1.3)
"""Beat intervals that a pause is cut into: shorter ones have no flat baseline."""


def beat_height(signal_mv: NDArray[Any]) -> float:
    """Height of the beats over the median, mV, whatever a few samples do."""
    return float(np.quantile(np.abs(signal_mv - np.median(signal_mv)), 0.995))


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# ---- high: beats stay visible -------------------------------------------------------------------


def disturbed(signal_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
    """One disturbance of the baseline, half to twelve times as high as the beats.

    A step, stairs of two to four, a spike of 4-40 ms, wander below 0.6 Hz, a jump that decays or
    ends, or a slow recovery, each as often.
    """
    t = np.arange(len(signal_mv)) / fs_hz
    end = len(signal_mv) / fs_hz
    height = beat_height(signal_mv) * _log_uniform(0.5, 12.0, rng) * rng.choice([-1.0, 1.0])
    kind, at = rng.integers(6), rng.uniform(0, end)
    if kind == 0:
        added = (t >= at).astype(float)
    elif kind == 1:
        added = ((t >= at) & (t < at + rng.uniform(0.004, 0.04))).astype(float)
    elif kind == 2:
        waves = [(rng.uniform(0.3, 1), rng.uniform(0.05, 0.6), rng.random()) for _ in range(2)]
        added = sum((a * np.sin(2 * np.pi * (f * t + p)) for a, f, p in waves), np.zeros(len(t)))
    elif kind == 3:
        n = int(rng.integers(2, 5))
        steps = zip(rng.uniform(-1, 1, n), rng.uniform(0, end, n), strict=True)
        added = sum((a * (t >= s) for a, s in steps), np.zeros(len(t)))
    elif kind == 4:
        added = jump(len(t), fs_hz, rng)
    else:
        added = np.where(t >= at, np.exp(-np.maximum(t - at, 0) / rng.uniform(0.3, 3)), 0.0)
    return np.asarray(signal_mv + height * added)


def paused(
    lead: AnnotatedLead, pause_s: float, segment_s: float, rng: np.random.Generator
) -> Signal | None:
    """A window of clean ECG one of whose beat intervals lasts ``pause_s``.

    The record is cut at the flat baseline before a beat, and what lies between T and P there,
    levelled, is repeated to and fro: natural noise, no beat. None where the place that was drawn
    doesn't allow it (not clean, no flat baseline).
    """
    fs_hz, beats = lead.fs_hz, lead.beats_s
    if len(beats) < 20:
        return None
    k = int(rng.integers(5, len(beats) - 12))
    if not lead.clean(beats[k] - segment_s - 1, beats[k] + segment_s + 1):
        return None
    rr = float(beats[k + 1] - beats[k])
    first = round((beats[k] + min(0.45, 0.6 * rr)) * fs_hz)
    cut = round((beats[k + 1] - 0.24) * fs_hz)
    if not PAUSED_RR_S[0] <= rr <= PAUSED_RR_S[1] or cut - first < round(0.08 * fs_hz):
        return None
    rest = lead.signal_mv[first:cut].astype(float)
    level = rest[-5:].mean()
    rest = rest - np.linspace(rest[:5].mean(), level, len(rest))
    n = max(round((pause_s - rr) * fs_hz), 0)
    there_and_back = np.concatenate([rest, rest[::-1]])
    filler = level + np.resize(there_and_back, n)
    around = round((segment_s + 1) * fs_hz)
    whole = np.concatenate(
        [lead.signal_mv[cut - around : cut], filler, lead.signal_mv[cut : cut + around]]
    ).astype(float)
    length = round(segment_s * fs_hz)
    # the pause lies within the window where it fits: a beat before it, and one after
    earliest, latest = around + n - length + round(0.5 * fs_hz), around - round(0.9 * fs_hz)
    start = int(rng.integers(min(earliest, latest), max(earliest, latest) + 1))
    window = whole[start : start + length]
    return window if len(window) == length and np.isfinite(window).all() else None


# ---- low: beats hidden, lost, or none ------------------------------------------------------------


def hidden(signal_mv: Signal, fs_hz: float, bank: NoiseBank, rng: np.random.Generator) -> Signal:
    """Noise as large as the beats, or larger, over a stretch of 1.3-4 s."""
    t, end = np.arange(len(signal_mv)) / fs_hz, len(signal_mv) / fs_hz
    length = rng.uniform(1.3, 4.0)
    at = rng.uniform(-0.2 * length, end - 0.8 * length)
    noise, _ = bank.draw(str(rng.choice(HIDING_KINDS)), len(t), fs_hz, rng)
    window = np.clip(np.minimum(t - at, at + length - t) / 0.05, 0, 1)
    inside = noise[window > 0]
    scale = beat_height(signal_mv) * rng.uniform(0.5, 2.5) / max(inside.std(), 1e-9)
    return np.asarray(signal_mv + window * (noise - inside.mean()) * scale)


def only_hum(signal_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
    """The same, but for 1.5 s or more there is nothing but mains hum: a lead has come off."""
    t, end = np.arange(len(signal_mv)) / fs_hz, len(signal_mv) / fs_hz
    length = rng.uniform(1.5, end + 0.5)
    at = rng.uniform(-0.2 * length, end - 0.8 * length)
    gone = (t >= at) & (t < at + length)
    level = signal_mv[int(np.argmax(gone))] if rng.random() < 0.5 else 0.0
    height = beat_height(signal_mv) * _log_uniform(0.03, 2.0, rng)
    hum = np.sin(2 * np.pi * (rng.choice(MAINS_HZ) * t + rng.random()))
    return np.where(gone, level + height * hum, signal_mv)


def hum_alone(n_samples: int, fs_hz: float, rng: np.random.Generator) -> Signal:
    """Nothing but mains hum of height 1, which may breathe, and a little noise."""
    t = np.arange(n_samples) / fs_hz
    noise = _log_uniform(1e-3, 0.1, rng) * rng.standard_normal(n_samples)
    phase = rng.uniform(0.1, 1.0) * t
    return np.asarray(_breathing_hum(phase, t + rng.random(), fs_hz, rng) + noise)


def wave(kind: int, n_samples: int, fs_hz: float, rng: np.random.Generator) -> Signal:
    """A wave that is no ECG, 0.3-12 Hz, of height 1, exactly periodic but for a little noise.

    Parameters
    ----------
    kind
        Below :data:`WAVES`: sine, square, rectangles, one or two bells (as of a pressure or a
        photoplethysmogram; below 1.9 Hz), hum that breathes, saw or triangle. Rounded
        rectangles and ramps are left out: a wide ventricular tachycardia looks like them.
    """
    t = np.arange(n_samples) / fs_hz
    top_hz = BELLS_MAX_HZ if _SHAPES[kind] is _bells else WAVES_MAX_HZ
    phase = (_log_uniform(0.3, top_hz, rng) * t + rng.random()) % 1
    noise = _log_uniform(1e-4, 0.05, rng) * rng.standard_normal(n_samples)
    breath = 1 + rng.choice([0.0, 0.1]) * np.sin(0.5 * np.pi * t)
    return np.asarray(_SHAPES[kind](phase, t, fs_hz, rng) * breath + noise)


def _bells(phase: Signal, t: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
    first = np.exp(-(((phase - 0.3) / rng.uniform(0.03, 0.25)) ** 2))
    at, width = 0.3 + rng.uniform(0.15, 0.4), rng.uniform(0.05, 0.2)
    second = rng.choice([0.0, rng.uniform(0.05, 0.6)]) * np.exp(-(((phase - at) / width) ** 2))
    return np.asarray(first + second)


def _breathing_hum(phase: Signal, t: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
    depth = rng.uniform(0, 0.5)
    hum = np.sin(2 * np.pi * rng.choice(MAINS_HZ) * t)
    return np.asarray(hum * (1 + depth * np.sin(2 * np.pi * phase)))


_SHAPES: tuple[Callable[[Signal, Signal, float, np.random.Generator], NDArray[Any]], ...] = (
    lambda phase, t, fs_hz, rng: np.sin(2 * np.pi * phase),
    lambda phase, t, fs_hz, rng: np.sign(phase - 0.5),
    lambda phase, t, fs_hz, rng: (phase < rng.uniform(0.02, 0.5)) * 1.0,
    _bells,
    _breathing_hum,
    lambda phase, t, fs_hz, rng: phase if rng.random() < 0.5 else np.abs(phase - 0.5),
)
WAVES = len(_SHAPES)
"""Kinds of waves."""
BELLS = _SHAPES.index(_bells)
"""The kind of pressure and pulse waves."""
