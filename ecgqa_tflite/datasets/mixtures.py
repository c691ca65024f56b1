"""Clean ECG with noise mixed in, labelled by what the noise does to the beats.

A mixture is low quality when both detectors err on its known beats or the signal-to-noise ratio is
poor; high quality when both find every beat and nothing else, with signal-to-noise ratio to spare.
What lies between is left out. (Labels by SNR alone generalise
badly: 3 dB of baseline wander harms no beat, 3 dB of electrode motion hides several.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.beats import count_errors, detect_beats, qrs_band
from ecgqa_tflite.datasets.labelled import LabelledSegments
from ecgqa_tflite.datasets.mitdb import AnnotatedLead
from ecgqa_tflite.datasets.noise import NoiseBank
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd

CONTEXT_S = 5.0
"""Signal before and after the judged segments, so that the detectors have adapted."""


@dataclass(frozen=True)
class MixtureRule:
    """How mixtures are made and labelled.

    Attributes
    ----------
    snr_db
        Lowest and highest ratio drawn (uniform) for a stretch, 5-25 Hz, dB.
    low_snr_db, high_snr_db
        Below the first a segment is low whatever the beats; above the second it may be high.
    kinds
        Kinds of noise and their weights.
    see_through
        Kinds that confuse detectors more than readers: such mixtures are never low quality. (A
        candidate is ``pop``: R peaks between electrode pops are plain to see.)
    segments_per_stretch
        Segments judged side by side in one stretch.
    """

    snr_db: tuple[float, float] = (-8.0, 20.0)
    low_snr_db: float = 2.0
    high_snr_db: float = 6.0
    kinds: tuple[tuple[str, float], ...] = (
        ("em", 0.3),
        ("ma", 0.2),
        ("bw", 0.1),
        ("white", 0.08),
        ("pink", 0.08),
        ("emg", 0.12),
        ("pop", 0.12),
    )
    see_through: tuple[str, ...] = ()
    segments_per_stretch: int = 5


@dataclass(frozen=True)
class Mixtures:
    """Mixed segments of one sampling rate with everything their label follows from.

    Attributes
    ----------
    samples
        int16, shape (n, segment_len).
    ids, group
        As in :class:`LabelledSegments`; an id names the lead, the noise and its place.
    snr_db
        Ratio of mean powers in 5-25 Hz inside the segment, dB, shape (n,).
    known
        Known beats judged, shape (n,).
    missed, extra
        By XQRS and GQRS, shape (n, 2).
    """

    samples: NDArray[np.int16]
    ids: NDArray[np.str_]
    group: NDArray[np.str_]
    snr_db: NDArray[np.float32]
    known: NDArray[np.int16]
    missed: NDArray[np.int16]
    extra: NDArray[np.int16]

    @property
    def kind(self) -> NDArray[np.str_]:
        """Kind of noise of each, shape (n,)."""
        noise = (str(name).split("+")[1] for name in self.ids)
        return np.array([re.split("[/#]", name)[0] for name in noise], np.str_)

    @property
    def beats_lost(self) -> NDArray[np.bool_]:
        """Both detectors err at least twice: known beats missed, or found where there is none."""
        return np.asarray((self.missed + self.extra).min(axis=1) > 1)

    @property
    def beats_found(self) -> NDArray[np.bool_]:
        """Both detectors find every known beat and nothing else."""
        return np.asarray((self.missed + self.extra).max(axis=1) == 0)

    def labelled(self, chosen: NDArray[Any], quality: int, fs_hz: float) -> LabelledSegments:
        """The segments at ``chosen``, all of one quality."""
        index = np.arange(len(self.samples))[chosen]
        return LabelledSegments(
            self.samples[index],
            fs_hz,
            np.full(len(index), quality, np.uint8),
            self.group[index],
            self.ids[index],
            "mixtures",
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name, for ``np.savez``."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Mixtures:
        """Inverse of :meth:`arrays`; other names are ignored."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def mix_lead(
    lead: AnnotatedLead,
    clean_beats_s: tuple[NDArray[Any], NDArray[Any]],
    bank: NoiseBank,
    n_stretches: int,
    rule: MixtureRule,
    spec: FrontEnd,
    seed: int | Sequence[int],
) -> Mixtures:
    """Mix noise into clean stretches of a lead and let the detectors judge each segment.

    A segment enters only if the lead is clean around it and both detectors find every beat in it
    before anything is mixed in: what they lose afterwards, the noise took. A lead too short for a
    stretch is mirrored at its ends.

    Parameters
    ----------
    lead
        Clean lead with known beats.
    clean_beats_s
        What :func:`beats_before` finds in it.
    bank
        Noise, of the part that the lead's patient is in.
    n_stretches
        Stretches to draw; how many segments pass is up to the lead.
    rule, spec
        Numbers of the mixture and of the segment.
    seed
        Of this lead's draws.
    """
    rng = np.random.default_rng(seed)
    fs_hz, length = lead.fs_hz, spec.segment_len(lead.fs_hz)
    context = round(CONTEXT_S * fs_hz)
    n_side = min(rule.segments_per_stretch, len(lead.signal_mv) // length)
    judged = n_side * length
    kinds, weights = zip(*rule.kinds, strict=True)
    p = np.asarray(weights) / sum(weights)
    rows: list[tuple[Any, ...]] = []
    for stretch in range(n_stretches):
        first = int(rng.integers(len(lead.signal_mv) - judged + 1))
        kind, snr_db = str(rng.choice(kinds, p=p)), rng.uniform(*rule.snr_db)
        noise, name = bank.draw(kind, judged + 2 * context, fs_hz, rng)
        starts = first + length * np.arange(n_side)
        good = [int(s) for s in starts if _sound(lead, clean_beats_s, s / fs_hz, spec.segment_s)]
        if good:
            named = f"{name}#{stretch}"
            rows += _judged(lead, good, _mix(lead, first, noise, snr_db), named, spec)
    return _mixtures(rows, length)


@dataclass(frozen=True)
class _Stretch:
    """A stretch with context before and after it, mV; ``begin`` is its first sample in the lead."""

    begin: int
    mixed: NDArray[np.float64]
    clean_band: NDArray[np.float64]
    noise_band: NDArray[np.float64]


def _mix(lead: AnnotatedLead, first: int, noise: NDArray[np.float64], snr_db: float) -> _Stretch:
    """Add noise, with context, to the stretch of the lead that starts at ``first``."""
    context = round(CONTEXT_S * lead.fs_hz)
    clean = _with_context(lead.signal_mv, first, first + len(noise) - 2 * context, context)
    clean_band, noise_band = qrs_band(clean, lead.fs_hz), qrs_band(noise, lead.fs_hz)
    gain = np.sqrt(np.mean(clean_band**2) / np.mean(noise_band**2)) * 10 ** (-snr_db / 20)
    return _Stretch(first - context, clean + gain * noise, clean_band, gain * noise_band)


def _judged(
    lead: AnnotatedLead, starts: Sequence[int], stretch: _Stretch, name: str, spec: FrontEnd
) -> Iterator[tuple[Any, ...]]:
    """The fields of :class:`Mixtures` of each segment, by where it starts in the lead."""
    fs_hz, length = lead.fs_hz, spec.segment_len(lead.fs_hz)
    known_s = lead.beats_s - stretch.begin / fs_hz
    found = detect_beats(stretch.mixed, fs_hz)
    for start in starts:
        at = start - stretch.begin
        here = slice(at, at + length)
        snr = 10 * np.log10(
            np.mean(stretch.clean_band[here] ** 2) / np.mean(stretch.noise_band[here] ** 2)
        )
        begin = at / fs_hz
        counts = [count_errors(known_s, times, begin, begin + spec.segment_s) for times in found]
        yield (
            quantise(stretch.mixed[here]),
            f"{lead.name}@{start / fs_hz:.2f}+{name}",
            lead.group,
            snr,
            counts[0][0],
            [count[1] for count in counts],
            [count[2] for count in counts],
        )


def _mixtures(rows: Sequence[tuple[Any, ...]], length: int) -> Mixtures:
    """The segments as arrays; there may be none."""
    n = len(rows)
    samples, ids, group, snr, known, missed, extra = zip(*rows, strict=True) if n else ((),) * 7
    return Mixtures(
        np.array(samples, np.int16).reshape(n, length),
        np.array(ids, np.str_),
        np.array(group, np.str_),
        np.array(snr, np.float32),
        np.array(known, np.int16),
        np.array(missed, np.int16).reshape(n, 2),
        np.array(extra, np.int16).reshape(n, 2),
    )


def _sound(
    lead: AnnotatedLead, found: tuple[NDArray[Any], NDArray[Any]], start_s: float, length_s: float
) -> bool:
    """Whether the lead is clean there and both detectors see exactly its beats."""
    if not lead.clean(start_s, start_s + length_s):
        return False
    counts = [count_errors(lead.beats_s, times, start_s, start_s + length_s) for times in found]
    return counts[0][0] > 0 and all(missed == extra == 0 for _, missed, extra in counts)


def _with_context(signal: NDArray[Any], start: int, stop: int, context: int) -> NDArray[np.float64]:
    """``signal[start - context : stop + context]``, mirrored where it ends."""
    before, after = min(context, start), min(context, len(signal) - stop)
    piece = np.asarray(signal[start - before : stop + after], float)
    return np.pad(piece, (context - before, context - after), mode="symmetric")


def beats_before(lead: AnnotatedLead) -> tuple[NDArray[Any], NDArray[Any]]:
    """Beat times, s, that XQRS and GQRS find in the lead as it is, mirrored at its ends."""
    context = round(CONTEXT_S * lead.fs_hz)
    padded = _with_context(lead.signal_mv, 0, len(lead.signal_mv), context)
    xqrs, gqrs = (times - CONTEXT_S for times in detect_beats(padded, lead.fs_hz))
    return xqrs, gqrs


def clean_starts_s(
    lead: AnnotatedLead, clean_beats_s: tuple[NDArray[Any], NDArray[Any]], spec: FrontEnd
) -> NDArray[np.float64]:
    """Starts, s, of the lead's segments side by side that are clean and whose beats all show."""
    starts = np.arange(int(lead.duration_s // spec.segment_s)) * spec.segment_s
    sound = [_sound(lead, clean_beats_s, start, spec.segment_s) for start in starts]
    return np.asarray(starts[np.array(sound, bool)])


def with_agreed_beats(
    lead: AnnotatedLead, clean_beats_s: tuple[NDArray[Any], NDArray[Any]]
) -> AnnotatedLead | None:
    """The same lead with the beats on which both detectors agree; None where they don't.

    For recordings that are known to be good but come without beat annotations.
    """
    xqrs, gqrs = clean_beats_s
    n_judged, missed, extra = count_errors(xqrs, gqrs, 0.0, lead.duration_s)
    return replace(lead, beats_s=xqrs) if n_judged and not missed and not extra else None
