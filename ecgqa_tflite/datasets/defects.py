# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What is done to clean ECG, and what stands in for ECG, to show where the line is drawn.

High whatever it looks like: a step, a spike, a wander, a short burst of noise under beats that stay
visible; a pause. Low: noise that hides beats for more than a second, a stretch of bare hum, waves
that are no ECG.
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
WAVES_HZ, PULSES_HZ = (0.5, 12.0), (0.5, 1.7)
"""Rates of waves that are no ECG, and of pulses: slower ones look like beats with pauses, and from
pulses of up to 2.5 Hz a network learns that a wide ventricular tachycardia is low (held-out windows
of it called high: 1.00 -> .05)."""
NARROWEST_PULSE_S = 0.035
"""Of half a pulse, at 1/e of its height: a narrower one is a QRS complex."""
PAUSED_RR_S = (0.6, 1.3)
"""Beat intervals that a pause is cut into: shorter ones have no flat baseline."""
P_WAVE_S = (0.24, 0.06)
"""Before the R peak, where a P wave is cut out."""
BARE_HUM_S = 1.5


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
        added = _wander(t, rng)
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
) -> tuple[Signal, Signal] | None:
    """A window of clean ECG one of whose beat intervals lasts ``pause_s``.

    The record is cut at the flat baseline before a beat, and what lies between T and P there,
    levelled, is repeated to and fro: natural noise, no beat. In half of the windows that noise is
    weaker, by up to a factor of five; in a quarter P waves go on at their rate (a block); in a
    third all of it wanders.

    Returns
    -------
    signal, beats
        mV, (n_samples,); times of its beats and of those around, s from its start. None where the
        place that was drawn doesn't allow it (not clean, no flat baseline).
    """
    fs_hz, beats = lead.fs_hz, lead.beats_s
    if len(beats) < 20:
        return None
    k = int(rng.integers(5, len(beats) - 12))
    if not lead.clean(beats[k] - segment_s - 1, beats[k] + segment_s + 1):
        return None
    rr = float(beats[k + 1] - beats[k])
    first = round((beats[k] + min(0.45, 0.6 * rr)) * fs_hz)
    cut = round((beats[k + 1] - P_WAVE_S[0]) * fs_hz)
    if not PAUSED_RR_S[0] <= rr <= PAUSED_RR_S[1] or cut - first < round(0.08 * fs_hz):
        return None
    n = max(round((pause_s - rr) * fs_hz), 0)
    filler = _rest(lead.signal_mv[first:cut].astype(float), n, rng)
    if rng.random() < 0.25:
        p_wave = lead.signal_mv[cut : cut + round((P_WAVE_S[0] - P_WAVE_S[1]) * fs_hz)]
        filler += _blocked(p_wave.astype(float), n, round(rr * fs_hz))
    around, length = round((segment_s + 1) * fs_hz), round(segment_s * fs_hz)
    whole = np.concatenate(
        [lead.signal_mv[cut - around : cut], filler, lead.signal_mv[cut : cut + around]]
    ).astype(float)
    # the pause lies within the window where it fits: a beat before it, and one after
    earliest, latest = around + n - length + round(0.5 * fs_hz), around - round(0.9 * fs_hz)
    start = int(rng.integers(min(earliest, latest), max(earliest, latest) + 1))
    window = whole[start : start + length]
    if len(window) < length or not np.isfinite(window).all():
        return None
    if rng.random() < 1 / 3:
        window = window + beat_height(window) * _wander(np.arange(length) / fs_hz, rng)
    moved = beats + np.where(np.arange(len(beats)) > k, n, 0) / fs_hz
    return window, moved - (cut - around + start) / fs_hz


def _rest(rest: Signal, n: int, rng: np.random.Generator) -> Signal:
    """``n`` samples of baseline, from a stretch of it; they end on its level."""
    level = rest[-5:].mean()
    noise = rest - np.linspace(rest[:5].mean(), level, len(rest))
    if rng.random() < 0.5:
        noise = noise * _log_uniform(0.2, 1.0, rng)
    return np.asarray(level + np.resize(np.concatenate([noise, noise[::-1]]), n))


def _blocked(p_wave: Signal, n: int, interval: int) -> Signal:
    """P waves from the start of ``n`` samples on, as many as fit at about such an interval."""
    bump = p_wave - np.linspace(p_wave[0], p_wave[-1], len(p_wave))
    filled, times = np.zeros(n), max(round(n / interval), 1)
    for j in range(times):
        at = j * n // times
        filled[at : at + len(bump)] += bump[: n - at]
    return filled


def _wander(t: Signal, rng: np.random.Generator) -> Signal:
    waves = [(rng.uniform(0.3, 1), rng.uniform(0.05, 0.6), rng.random()) for _ in range(2)]
    return sum((a * np.sin(2 * np.pi * (f * t + p)) for a, f, p in waves), np.zeros(len(t)))


def burst(signal_mv: Signal, fs_hz: float, bank: NoiseBank, rng: np.random.Generator) -> Signal:
    """Noise for 0.1-0.5 s, somewhere: whether a beat is lost in it remains to be seen."""
    length, times = rng.uniform(0.1, 0.5), rng.uniform(0.3, 1.5)
    at = rng.uniform(0, len(signal_mv) / fs_hz - length)
    return _under_noise(signal_mv, fs_hz, (at, length, times), bank, rng)


# ---- low: beats hidden, lost, or none ------------------------------------------------------------


def hidden(signal_mv: Signal, fs_hz: float, bank: NoiseBank, rng: np.random.Generator) -> Signal:
    """Noise as large as the beats, or larger, over a stretch of 1.3-4 s."""
    length, end = rng.uniform(1.3, 4.0), len(signal_mv) / fs_hz
    at, times = rng.uniform(-0.2 * length, end - 0.8 * length), rng.uniform(0.5, 2.5)
    return _under_noise(signal_mv, fs_hz, (at, length, times), bank, rng)


def _under_noise(
    signal_mv: Signal,
    fs_hz: float,
    where: tuple[float, float, float],
    bank: NoiseBank,
    rng: np.random.Generator,
) -> Signal:
    """``where``: the stretch's start and length, s, and the noise's deviation, of beats' height."""
    (at, length, times), t = where, np.arange(len(signal_mv)) / fs_hz
    noise, _ = bank.draw(str(rng.choice(HIDING_KINDS)), len(t), fs_hz, rng)
    window = np.clip(np.minimum(t - at, at + length - t) / 0.05, 0, 1)
    inside = noise[window > 0]
    scale = times * beat_height(signal_mv) / max(inside.std(), 1e-9)
    return np.asarray(signal_mv + window * (noise - inside.mean()) * scale)


def only_hum(signal_mv: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
    """The same, but for 1.5 s or more there is nothing but mains hum: a lead has come off.

    Low hum, at 60 Hz above all, leaves no trace below 40 Hz, and then only the front end's own
    rule tells it from a pause: what that rule finds is in no set.
    """
    t, end = np.arange(len(signal_mv)) / fs_hz, len(signal_mv) / fs_hz
    length = rng.uniform(BARE_HUM_S, end)
    at = rng.uniform(0, end - length)
    gone = (t >= at) & (t < at + length)
    level = signal_mv[int(np.argmax(gone))] if rng.random() < 0.5 else 0.0
    height = beat_height(signal_mv) * _log_uniform(0.1, 2.0, rng)
    hum = np.sin(2 * np.pi * (rng.choice(MAINS_HZ) * t + rng.random()))
    return np.where(gone, level + height * hum, signal_mv)


def hum_alone(n_samples: int, fs_hz: float, rng: np.random.Generator) -> Signal:
    """Mains hum of height 1, which may breathe, in noise: bare hum is the front end's to tell."""
    t = np.arange(n_samples) / fs_hz
    noise = _log_uniform(0.1, 1.0, rng) * rng.standard_normal(n_samples)
    phase = rng.uniform(0.1, 1.0) * t
    return np.asarray(_breathing_hum(phase, t + rng.random(), fs_hz, rng) + noise)


def wave(kind: int, n_samples: int, fs_hz: float, rng: np.random.Generator) -> Signal:
    """A wave that is no ECG, 0.5-12 Hz, of height 1, exactly periodic but for a little noise.

    Parameters
    ----------
    kind
        Below :data:`WAVES`: sine, square, rectangles, hum that breathes, saw or triangle. Rounded
        rectangles and ramps are left out: a wide ventricular tachycardia looks like them.
    """
    t = np.arange(n_samples) / fs_hz
    phase = (_log_uniform(*WAVES_HZ, rng) * t + rng.random()) % 1
    return _breathing(_SHAPES[kind](phase, t, fs_hz, rng), t, rng)


def pulses(kind: int, n_samples: int, fs_hz: float, rng: np.random.Generator) -> Signal:
    """A pulse wave, as of a pressure or a photoplethysmogram, 30-100 a minute, of height 1.

    Intervals are equal, or vary by up to 5 %; it may wander.

    Parameters
    ----------
    kind
        Below :data:`PULSES`: one or two bells, twice; a steep upstroke, a slow fall and a dicrotic
        notch.
    """
    t, rate_hz = np.arange(n_samples) / fs_hz, _log_uniform(*PULSES_HZ, rng)
    n_turns = int(rate_hz * n_samples / fs_hz) + 4
    changes = 1 + rng.choice([0.0, rng.uniform(0, 0.05)]) * rng.standard_normal(n_turns)
    turns = np.cumsum(changes) / rate_hz - rng.uniform(1, 2) / rate_hz
    turn = np.interp(t, turns, np.arange(n_turns))
    signal = _PULSES[kind](turn % 1, NARROWEST_PULSE_S * rate_hz, rng)
    if rng.random() < 0.5:
        signal = signal + rng.uniform(0, 1) * _wander(t, rng)
    return _breathing(signal, t, rng)


def _breathing(signal: Signal, t: Signal, rng: np.random.Generator) -> Signal:
    noise = _log_uniform(1e-4, 0.05, rng) * rng.standard_normal(len(t))
    breath = 1 + rng.choice([0.0, 0.1]) * np.sin(0.5 * np.pi * t)
    return np.asarray(signal * breath + noise)


def _breathing_hum(phase: Signal, t: Signal, fs_hz: float, rng: np.random.Generator) -> Signal:
    depth = rng.uniform(0, 0.5)
    hum = np.sin(2 * np.pi * rng.choice(MAINS_HZ) * t)
    return np.asarray(hum * (1 + depth * np.sin(2 * np.pi * phase)))


_SHAPES: tuple[Callable[[Signal, Signal, float, np.random.Generator], NDArray[Any]], ...] = (
    lambda phase, t, fs_hz, rng: np.sin(2 * np.pi * phase),
    lambda phase, t, fs_hz, rng: np.sign(phase - 0.5),
    lambda phase, t, fs_hz, rng: (phase < rng.uniform(0.02, 0.5)) * 1.0,
    _breathing_hum,
    lambda phase, t, fs_hz, rng: phase if rng.random() < 0.5 else np.abs(phase - 0.5),
)
WAVES = len(_SHAPES)
"""Kinds of waves."""


def _bells(phase: Signal, narrowest: float, rng: np.random.Generator) -> Signal:
    first = np.exp(-(((phase - 0.3) / max(rng.uniform(0.04, 0.25), narrowest)) ** 2))
    at, width = 0.3 + rng.uniform(0.15, 0.4), max(rng.uniform(0.05, 0.2), narrowest)
    second = rng.choice([0.0, rng.uniform(0.05, 0.6)]) * np.exp(-(((phase - at) / width) ** 2))
    return np.asarray(first + second)


def _notched(phase: Signal, narrowest: float, rng: np.random.Generator) -> Signal:
    peak, steepness = rng.uniform(0.1, 0.3), rng.uniform(2, 6)
    at, height = peak + rng.uniform(0.2, 0.35), rng.uniform(0.1, 0.6)
    first = _upstroke(phase / peak, steepness)
    return first + height * _upstroke((phase - at + 0.5 * peak) / (0.5 * peak), 2 * steepness)


def _upstroke(x: Signal, steepness: float) -> Signal:
    """A gamma curve: 1 at 1, 0 below 0, steep before and slow after."""
    x = np.maximum(x, 0)
    return np.asarray((x * np.exp(1 - x)) ** steepness)


_PULSES: tuple[Callable[[Signal, float, np.random.Generator], Signal], ...] = (
    _bells,
    _bells,
    _notched,
)
PULSES = len(_PULSES)
"""Kinds of pulses."""
