# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise stress test: beats that detectors lose to noise, window by window.

Recordings that trained no model get nstdb's noise, held out of training too, by the noise stress
test's recipe (Moody, Muldrow and Mark, Computers in Cardiology 1984; WFDB's ``nst``): a clean
lead-in, then two minutes with noise and two without in turn, at a signal-to-noise ratio that is
the power of the beats over that of the noise. Two detectors of different kinds look for the beats,
and what they find is held against the annotations by ANSI/AAMI EC57's 150 ms. No reader grades
anything: a window is good as far as its beats are found.

The lead-in is one minute where ``nst`` has five, for both detectors learn within seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets import mitdb
from ecgqa_tflite.datasets.beats import detect_beats
from ecgqa_tflite.datasets.noise import RECORDED, NoiseBank
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress, ticks

SNRS_DB = (24, 18, 12, 6, 0, -6)
KINDS = tuple(RECORDED)
LEAD_IN_S, TURN_S, TURNS = 60.0, 120.0, 3
"""Clean signal first; then turns with noise and without, the first and the last with."""
TOLERANCE_S = 0.150
DETECTORS = ("XQRS", "GQRS")
"""Adaptive thresholds on the integrated band-passed signal; a matched filter with search back."""
FORMAT = 1
QRS_HALF_S = 0.05
TRIMMED = 0.05
"""Share of beats, or of seconds of noise, that is left out at either end of their amplitudes."""


@dataclass(frozen=True, eq=False)
class Stress:
    """Windows under noise, n of them, and what detectors make of their beats.

    Attributes
    ----------
    signal_mv
        float32, shape (n, window_len).
    record, kind
        Recording and kind of noise; str, shape (n,).
    snr_db, start_s
        Signal-to-noise ratio; start from the lead-in's first second, s; float64, shape (n,).
    beats
        Annotated beats in each; int64, shape (n,).
    found, extra
        Of these those that each of :data:`DETECTORS` finds, and its detections that are none;
        int64, shape (n, 2).
    fs_hz
        Sampling rate, Hz.
    """

    signal_mv: NDArray[np.float32]
    record: NDArray[np.str_]
    kind: NDArray[np.str_]
    snr_db: NDArray[np.float64]
    start_s: NDArray[np.float64]
    beats: NDArray[np.int64]
    found: NDArray[np.int64]
    extra: NDArray[np.int64]
    fs_hz: float

    def __len__(self) -> int:
        return len(self.beats)

    def take(self, at: NDArray[np.intp]) -> Stress:
        """Some of the windows."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return Stress(**{k: v if k == "fs_hz" else v[at] for k, v in arrays.items()})


def stress_windows(
    data: Path,
    records: Sequence[str],
    segment_s: float,
    cache: Path,
    n: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Stress:
    """Windows of recordings under every kind of noise at every ratio, or ``n`` drawn from them.

    Parameters
    ----------
    data
        Folder that holds ``mitdb`` and ``nstdb``.
    records
        Names of mitdb's recordings.
    cache
        Folder that keeps each recording's windows: the same call goes on where it was killed.
    n
        Windows drawn at random; 0: all.

    Raises
    ------
    DatasetError
        A set is missing, or no window of the recordings is clean.
    """
    bank = NoiseBank.read(data, "validation")
    tick, parts = ticks(progress, "mixing, and finding beats"), []
    for record in records:
        path = cache / f"{_key(data, record, segment_s, seed)}.npz"
        if not path.exists():
            made = _together(list(_record_windows(data, record, bank, segment_s, seed)))
            with whole_file(path) as temporary:
                np.savez(temporary, **{f.name: getattr(made, f.name) for f in fields(made)})
        with np.load(path) as arrays:
            loaded = {f.name: arrays[f.name] for f in fields(Stress)}
        parts.append(Stress(**(loaded | {"fs_hz": float(loaded["fs_hz"])})))
        tick(len(records))
    whole = _together([part for part in parts if len(part)])
    if not 0 < n < len(whole):
        return whole
    drawn = np.random.default_rng(seed).choice(len(whole), n, replace=False)
    return whole.take(np.sort(drawn))


def _key(data: Path, record: str, segment_s: float, seed: int) -> str:
    plain = [FORMAT, str(data.resolve()), record, segment_s, seed, SNRS_DB, KINDS]
    return f"{record}-{hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]}"


def _together(parts: list[Stress]) -> Stress:
    if not parts:
        raise DatasetError("no window of these recordings is clean: nothing to put noise on")
    arrays = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(Stress)
        if f.name != "fs_hz"
    }
    return Stress(**arrays, fs_hz=parts[0].fs_hz)


def _record_windows(
    data: Path, record: str, bank: NoiseBank, segment_s: float, seed: int
) -> Iterator[Stress]:
    """A recording's first lead under each noise."""
    lead = next(iter(mitdb.read_leads(data, record)))
    length_s = LEAD_IN_S + TURNS * TURN_S
    n_samples = round(length_s * lead.fs_hz)
    signal = lead.signal_mv[:n_samples].astype(np.float64)
    beats_s = lead.beats_s[lead.beats_s < length_s]
    signal = np.where(np.isfinite(signal), signal, 0.0)
    power = beat_power(signal, beats_s, lead.fs_hz)
    for i, kind in enumerate(KINDS):
        for snr_db in SNRS_DB:
            rng = np.random.default_rng([seed, int(record), i])  # the same noise at every ratio
            noisy = signal.copy()
            for start_s in _noisy_turns():
                first, stop = (round(t * lead.fs_hz) for t in (start_s, start_s + TURN_S))
                noise, _ = bank.draw(kind, stop - first, lead.fs_hz, rng)
                noise = noise - noise.mean()
                gain = np.sqrt(power / (noise_power(noise, lead.fs_hz) * 10 ** (snr_db / 10)))
                noisy[first:stop] += gain * noise
            yield _judged(noisy, lead, beats_s, segment_s, kind, snr_db)


def _noisy_turns() -> list[float]:
    return [LEAD_IN_S + turn * TURN_S for turn in range(0, TURNS, 2)]


def beat_power(signal: NDArray[np.float64], beats_s: NDArray[np.float64], fs_hz: float) -> float:
    """Power of the beats, mV^2: an eighth of the squared mean peak-to-peak range within 50 ms."""
    half = round(QRS_HALF_S * fs_hz)
    at = np.rint(beats_s * fs_hz).astype(int)
    ranges = [np.ptp(signal[max(i - half, 0) : i + half + 1]) for i in at]
    return float(_trimmed_mean(np.array(ranges)) ** 2 / 8)


def noise_power(noise: NDArray[np.float64], fs_hz: float) -> float:
    """Power of the noise, mV^2: the squared mean over seconds of its RMS in each."""
    second = round(fs_hz)
    seconds = noise[: len(noise) // second * second].reshape(-1, second)
    return float(_trimmed_mean(seconds.std(axis=1)) ** 2)


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    ordered, cut = np.sort(values), int(TRIMMED * len(values))
    return float(ordered[cut : len(ordered) - cut].mean())


def _judged(
    noisy: NDArray[np.float64],
    lead: mitdb.AnnotatedLead,
    beats_s: NDArray[np.float64],
    segment_s: float,
    kind: str,
    snr_db: float,
) -> Stress:
    starts = [
        start
        for turn in _noisy_turns()
        for start in turn + np.arange(int(TURN_S // segment_s)) * segment_s
        if lead.clean(start, start + segment_s)
    ]
    start_s, length = np.array(starts), round(segment_s * lead.fs_hz)
    edges = np.column_stack([start_s, start_s + segment_s]).reshape(-1, 2)
    found, extra = [], []
    for detected in detect_beats(noisy, lead.fs_hz):
        hit, right = matched(beats_s, detected)
        found.append(_inside(beats_s[hit], edges))
        extra.append(_inside(detected[~right], edges))
    first = np.rint(start_s * lead.fs_hz).astype(int)
    n = len(starts)
    return Stress(
        np.array([noisy[i : i + length] for i in first], np.float32).reshape(n, length),
        np.full(n, lead.name.split("/")[1]),
        np.full(n, kind),
        np.full(n, float(snr_db)),
        start_s,
        _inside(beats_s, edges),
        np.column_stack(found),
        np.column_stack(extra),
        lead.fs_hz,
    )


def _inside(times: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of the times, sorted, lie in each span; shape (n,)."""
    first, stop = (np.searchsorted(times, edges[:, i]) for i in (0, 1))
    return (stop - first).astype(np.int64)


def matched(
    known_s: NDArray[np.float64], found_s: NDArray[np.float64], tolerance_s: float = TOLERANCE_S
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which known beats are found and which detections are beats, one for one.

    In order of time each beat takes the first detection within the tolerance, unless the next one
    is nearer.

    Parameters
    ----------
    known_s, found_s
        Times, s, ascending, shapes (n,) and (m,).

    Returns
    -------
    tuple of masks
        Shapes (n,) and (m,).
    """
    hit, right = np.zeros(len(known_s), bool), np.zeros(len(found_s), bool)
    i = j = 0
    while i < len(known_s) and j < len(found_s):
        apart = abs(found_s[j] - known_s[i])
        if apart > tolerance_s:
            i, j = (i, j + 1) if found_s[j] < known_s[i] else (i + 1, j)
            continue
        if j + 1 < len(found_s) and abs(found_s[j + 1] - known_s[i]) < apart:
            j += 1
        hit[i] = right[j] = True
        i, j = i + 1, j + 1
    return hit, right


# ---- what is kept ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ranking:
    """Windows in the order of an index, best first, in blocks of equal scores.

    Attributes
    ----------
    order
        Indices of the windows, shape (n,).
    starts
        Where each block begins in ``order``.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> Ranking:
        """From a score per window; higher is better."""
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        return cls(order, np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]))

    def kept(self, weights: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        """How much of each window is kept where a share of all is; shape of ``weights``.

        Of windows that score alike as large a part is kept as of a random draw.

        Parameters
        ----------
        weights
            How often each window counts, shape (b, n).
        """
        ranked = weights[:, self.order]
        size = np.add.reduceat(ranked, self.starts, axis=1)
        before = np.cumsum(size, axis=1) - size
        room = share * ranked.sum(axis=1, keepdims=True) - before
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.where(size > 0, np.clip(room / size, 0, 1), 0.0)
        lengths = np.diff(np.r_[self.starts, len(self.order)])
        out = np.empty_like(weights)
        out[:, self.order] = np.repeat(part, lengths, axis=1) * ranked
        return out


def beat_figures(
    stress: Stress, kept: NDArray[np.float64], detector: int | None = None
) -> dict[str, NDArray[np.float64]]:
    """``se``, ``ppv`` and ``f1`` of beats in what is kept; a row of ``kept`` each.

    Parameters
    ----------
    kept
        How much of each window counts, shape (b, n).
    detector
        Of :data:`DETECTORS`; None: both, their counts added.
    """
    at = slice(None) if detector is None else slice(detector, detector + 1)
    found, extra = stress.found[:, at].sum(axis=1), stress.extra[:, at].sum(axis=1)
    known = stress.beats * stress.found[:, at].shape[1]
    tp, fp, beats = kept @ found, kept @ extra, kept @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "se": tp / beats,
            "ppv": tp / (tp + fp),
            "f1": 2 * tp / (beats + tp + fp),
        }


def lead(
    stress: Stress,
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    share: float,
    n_boot: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """F1 of beats by one index less that by another where both keep the same share.

    Parameters
    ----------
    ours, theirs
        Scores, higher is better, shape (n,).
    share
        Of the windows.

    Returns
    -------
    dict
        ``value``, ``low``, ``high``: 95 %, of a bootstrap over recordings.
    """
    names, member = np.unique(stress.record, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(names), size=(n_boot, len(names)))
    counts = np.array([np.bincount(row, minlength=len(names)) for row in drawn], float)
    weights = np.vstack([np.ones(len(stress)), counts.reshape(-1, len(names))[:, member]])
    gaps = np.subtract(
        *(
            beat_figures(stress, Ranking.of(scores).kept(weights, share))["f1"]
            for scores in (ours, theirs)
        )
    )
    low, high = np.percentile(gaps[1:], [2.5, 97.5]) if n_boot else (np.nan, np.nan)
    return {"value": float(gaps[0]), "low": float(low), "high": float(high)}


def curve(stress: Stress, scores: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """F1 of beats, both detectors together, at each share kept."""
    ranking, ones = Ranking.of(scores), np.ones((1, len(stress)))
    return [float(beat_figures(stress, ranking.kept(ones, s))["f1"][0]) for s in shares]


def kept_figures(stress: Stress, kept: NDArray[np.bool_]) -> dict[str, Any]:
    """What an index keeps by its own rule, and what the beats in it come to.

    Returns
    -------
    dict
        ``share`` (of windows), ``beats_lost`` (share of beats in what was dropped) and, by
        detector, ``se``, ``ppv`` and ``f1``; None for those where nothing was kept.
    """
    weights = kept.astype(float)[None]
    found: dict[str, Any] = {
        "share": float(kept.mean()),
        "beats_lost": float(1 - stress.beats[kept].sum() / stress.beats.sum()),
    }
    for i, name in enumerate(DETECTORS):
        figures = beat_figures(stress, weights, i)
        found[name] = {k: float(v[0]) if np.isfinite(v[0]) else None for k, v in figures.items()}
    return found
