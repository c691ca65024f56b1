# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Sources of segments that are drawn one at a time, each from the leads and the noise of one part.

A source is a rule that turns a clean window of mitdb (or nothing) into a signal whose quality is
known; :func:`draw` asks it until it has as many as are wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets import defects, ventricular
from ecgqa_tflite.datasets.beats import qrs_band
from ecgqa_tflite.datasets.labelled import LabelledSegments
from ecgqa_tflite.datasets.mitdb import AnnotatedLead
from ecgqa_tflite.datasets.noise import KINDS, NoiseBank
from ecgqa_tflite.datasets.visible import errors_of
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.segments import SegmentStatus, quantise, signal_status
from ecgqa_tflite.spec import FrontEnd, Quality

Signal = NDArray[np.float64]

ATTEMPTS = 1000
"""So many in a row that find nothing: the source has no material."""
WINDOWS = 3000
"""Clean windows that a set draws from, at most."""
MIXTURE_KINDS = (
    ("em", 0.34),
    ("ma", 0.20),
    ("bw", 0.08),
    ("white", 0.08),
    ("pink", 0.08),
    ("emg", 0.12),
    ("pop", 0.10),
)
SNR_DB = (-10.0, 18.0)
FOUND_SNR_DB, FOUND_SPURIOUS, LOST_ERRORS = 4.0, 1, 3
"""A mixture is high where no beat is lost and at most one peak is taken for one (that is what one
artefact does), low from three errors on, which is more than a second of doubt."""
POOR_SNR_DB, POOR_ERRORS = 2.0, 2
"""Below this ratio it is low from so many errors on."""
DISTURBED_SHARE = 0.25
"""Of mixtures, these have a disturbance of the baseline too, whatever their label."""
DISTURBED_SPURIOUS, HIDDEN_ERRORS = 2, 2
"""So many peaks that are no beats, at most, come of one to three disturbances; so many errors, at
least, of noise that hides beats."""
PAUSE_S = (1.3, 4.0)
"""The longer, the more of them."""
SLOW_RR_S, FAST_RR_S, WIDE_BEATS = 1.5, 0.4, 3


@dataclass(frozen=True)
class Window:
    """A clean window: its lead, where it starts, its signal, its beats (s from its start)."""

    lead: AnnotatedLead
    start_s: float
    signal_mv: Signal
    beats_s: NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """What the sources of one part draw from.

    Attributes
    ----------
    leads
        Leads of mitdb with known beats, one sampling rate.
    bank
        Noise of the same part.
    spec
        The front end: its segment, and what it finds lost.
    n_windows
        Clean windows to draw from.
    """

    leads: tuple[AnnotatedLead, ...]
    bank: NoiseBank
    spec: FrontEnd
    n_windows: int = WINDOWS

    @property
    def segment_s(self) -> float:
        """Length of a segment, s."""
        return self.spec.segment_s

    @cached_property
    def front_end(self) -> NativeFrontEnd:
        """The front end of the leads' rate."""
        return NativeFrontEnd(self.spec, self.fs_hz)

    @property
    def fs_hz(self) -> float:
        """Sampling rate of the leads, Hz."""
        return self.leads[0].fs_hz

    @property
    def segment_len(self) -> int:
        """Samples in a segment."""
        return round(self.segment_s * self.fs_hz)

    @cached_property
    def windows(self) -> list[Window]:
        """Clean windows whose beats stand out by themselves, drawn once: they are used again."""
        rng, found, in_vain = np.random.default_rng(len(self.leads)), list[Window](), 0
        while len(found) < self.n_windows and in_vain < ATTEMPTS:
            window = _clean_window(self, rng)
            in_vain = in_vain + 1 if window is None else 0
            found += [] if window is None else [window]
        return found

    def clean(self, rng: np.random.Generator) -> Window | None:
        """One of :attr:`windows`; None where there is none."""
        return self.windows[int(rng.integers(len(self.windows)))] if self.windows else None

    def any_lead(self, rng: np.random.Generator) -> AnnotatedLead:
        """One of the leads, each as likely."""
        return self.leads[int(rng.integers(len(self.leads)))]


@dataclass(frozen=True)
class Drawn:
    """One signal, the group it may not be parted from, and a name that says how it was made."""

    signal_mv: Signal
    group: str
    name: str


Rule = Callable[[Material, np.random.Generator], Drawn | None]


def _clean_window(material: Material, rng: np.random.Generator) -> Window | None:
    """A random window, or None where it isn't clean or its beats don't stand out by themselves."""
    lead = material.any_lead(rng)
    first = int(rng.integers(len(lead.signal_mv) - material.segment_len + 1))
    start_s = first / lead.fs_hz
    if not lead.clean(start_s, start_s + material.segment_s):
        return None
    signal = lead.signal_mv[first : first + material.segment_len].astype(float)
    beats = lead.beats_s - start_s
    beats = beats[(beats > -0.3) & (beats < material.segment_s + 0.3)]
    lost, spurious = errors_of(signal, lead.fs_hz, beats)
    if spurious or lost > (len(beats) > 4):
        return None
    return Window(lead, start_s, signal, beats)


def _from_clean(
    name: str,
    change: Callable[[Window, Material, np.random.Generator], Signal],
    belongs: Callable[[int, int], bool] | None = None,
) -> Rule:
    """``belongs``: of beats lost and of spurious ones after the change; None: whatever it did."""

    def rule(material: Material, rng: np.random.Generator) -> Drawn | None:
        window = material.clean(rng)
        if window is None:
            return None
        signal = change(window, material, rng)
        if belongs and not belongs(*errors_of(signal, material.fs_hz, window.beats_s)):
            return None
        return Drawn(signal, window.lead.group, _name(window.lead, window.start_s, name))

    return rule


def _disturb(window: Window, material: Material, rng: np.random.Generator) -> Signal:
    """One to three disturbances; a short burst of noise is one of seven."""
    signal, fs_hz = window.signal_mv, material.fs_hz
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 1 / 7:
            signal = defects.burst(signal, fs_hz, material.bank, rng)
        else:
            signal = defects.disturbed(signal, fs_hz, rng)
    return signal


def _name(lead: AnnotatedLead, start_s: float, what: str) -> str:
    return f"{lead.name}@{start_s:.2f}+{what}"


def _mixture(belongs: Callable[[int, int, float], bool]) -> Rule:
    """Of lost beats, spurious ones and the signal-to-noise ratio, dB."""

    def rule(material: Material, rng: np.random.Generator) -> Drawn | None:
        window = material.clean(rng)
        if window is None:
            return None
        kinds, weights = zip(*MIXTURE_KINDS, strict=True)
        kind = str(rng.choice(kinds, p=np.asarray(weights) / sum(weights)))
        clean, fs_hz = window.signal_mv, material.fs_hz
        noise, where = material.bank.draw(kind, len(clean), fs_hz, rng)
        snr_db = rng.uniform(*SNR_DB)
        ratio = np.mean(qrs_band(clean, fs_hz) ** 2) / np.mean(qrs_band(noise, fs_hz) ** 2)
        mixed = clean + noise * np.sqrt(ratio) * 10 ** (-snr_db / 20)
        if rng.random() < DISTURBED_SHARE:
            mixed, where = defects.disturbed(mixed, fs_hz, rng), f"{where}+disturbed"
        lost, spurious = errors_of(mixed, fs_hz, window.beats_s)
        if not belongs(lost, spurious, snr_db):
            return None
        what = f"{where}/{snr_db:.1f}dB"
        return Drawn(mixed, window.lead.group, _name(window.lead, window.start_s, what))

    return rule


def _found(lost: int, spurious: int, snr_db: float) -> bool:
    return not lost and spurious <= FOUND_SPURIOUS and snr_db > FOUND_SNR_DB


def _poor(lost: int, spurious: int, snr_db: float) -> bool:
    return lost + spurious >= POOR_ERRORS and snr_db < POOR_SNR_DB


def _rhythm(material: Material, rng: np.random.Generator) -> Drawn | None:
    """Clean, with three wide beats or more, or a slow or a fast interval."""
    lead, length_s = material.any_lead(rng), material.segment_s
    start_s = float(rng.uniform(0, lead.duration_s - length_s))
    if not lead.clean(start_s, start_s + length_s):
        return None
    inside = lead.beats_s[(lead.beats_s >= start_s) & (lead.beats_s < start_s + length_s)]
    n_wide = int(np.sum((lead.wide_s >= start_s) & (lead.wide_s < start_s + length_s)))
    intervals = np.diff(inside)
    if len(intervals) == 0 or not (
        n_wide >= WIDE_BEATS or intervals.max() > SLOW_RR_S or intervals.min() < FAST_RR_S
    ):
        return None
    first = round(start_s * lead.fs_hz)
    signal = lead.signal_mv[first : first + material.segment_len].astype(float)
    if len(signal) < material.segment_len:
        return None
    if errors_of(signal, lead.fs_hz, lead.beats_s - first / lead.fs_hz)[1] > 1:
        return None
    return Drawn(signal, lead.group, _name(lead, start_s, "rhythm"))


def _pause(material: Material, rng: np.random.Generator) -> Drawn | None:
    """Its beats stand out, and nothing in the pause does: not every lead of mitdb is plain."""
    lead = material.any_lead(rng)
    pause_s = rng.triangular(PAUSE_S[0], PAUSE_S[1], PAUSE_S[1])
    found = defects.paused(lead, pause_s, material.segment_s, rng)
    if found is None or errors_of(found[0], lead.fs_hz, found[1]) != (0, 0):
        return None
    return Drawn(found[0], lead.group, f"{lead.name}+{pause_s:.2f}s")


def _harmonic(monomorphic: bool) -> Rule:
    def rule(material: Material, rng: np.random.Generator) -> Drawn:
        n, bank = material.segment_len, material.bank
        signal = ventricular.harmonic(monomorphic, n, material.fs_hz, bank, rng)
        return Drawn(signal, "harmonic", f"harmonic/{monomorphic:d}")

    return rule


def _noise(material: Material, rng: np.random.Generator) -> Drawn:
    kind = str(rng.choice(KINDS))
    noise, where = material.bank.draw(kind, material.segment_len, material.fs_hz, rng)
    return Drawn(noise, f"noise/{where.split('@')[0]}", f"noise/{where}")


def _hum_alone(material: Material, rng: np.random.Generator) -> Drawn:
    signal = defects.hum_alone(material.segment_len, material.fs_hz, rng)
    return Drawn(signal, "hum", "hum")


def _wave(material: Material, rng: np.random.Generator) -> Drawn:
    kind = int(rng.integers(defects.WAVES))
    signal = defects.wave(kind, material.segment_len, material.fs_hz, rng)
    return Drawn(signal, "wave", f"wave/{kind}")


def _pulses(material: Material, rng: np.random.Generator) -> Drawn:
    kind = int(rng.integers(defects.PULSES))
    signal = defects.pulses(kind, material.segment_len, material.fs_hz, rng)
    return Drawn(signal, "wave", f"pulses/{kind}")


RULES: dict[str, tuple[Quality, Rule]] = {
    "clean": (Quality.HIGH, _from_clean("clean", lambda w, m, rng: w.signal_mv)),
    "disturbed": (
        Quality.HIGH,
        _from_clean(
            "disturbed",
            _disturb,
            lambda lost, spurious: not lost and spurious <= DISTURBED_SPURIOUS,
        ),
    ),
    "mixtures_found": (Quality.HIGH, _mixture(_found)),
    "rhythms": (Quality.HIGH, _rhythm),
    "pauses": (Quality.HIGH, _pause),
    "tachycardia": (Quality.HIGH, _harmonic(True)),
    "mixtures_lost": (
        Quality.LOW,
        _mixture(lambda lost, spurious, snr_db: lost + spurious >= LOST_ERRORS),
    ),
    "mixtures_poor": (Quality.LOW, _mixture(_poor)),
    "hidden": (
        Quality.LOW,
        _from_clean(
            "hidden",
            lambda w, m, rng: defects.hidden(w.signal_mv, m.fs_hz, m.bank, rng),
            lambda lost, spurious: lost + spurious >= HIDDEN_ERRORS,
        ),
    ),
    "hum": (
        Quality.LOW,
        _from_clean("hum", lambda w, m, rng: defects.only_hum(w.signal_mv, m.fs_hz, rng)),
    ),
    "hum_alone": (Quality.LOW, _hum_alone),
    "fibrillation": (Quality.LOW, _harmonic(False)),
    "waves": (Quality.LOW, _wave),
    "bells": (Quality.LOW, _pulses),
    "noise": (Quality.LOW, _noise),
}
"""Source to its quality and its rule."""
CERTAIN = frozenset(RULES) - {"mixtures_found", "mixtures_lost", "mixtures_poor"}
"""Sources whose segments are what they were drawn as; what noise does to a mixture's beats, two
detectors say."""
MADE = frozenset({"noise", "tachycardia", "hum_alone", "fibrillation", "waves", "bells"})
"""Sources that hold no recording's ECG: noise alone, and what is made by rule."""


def draw(
    source: str,
    n: int,
    material: Material,
    rng: np.random.Generator,
    tick: Tick | None = None,
) -> LabelledSegments:
    """``n`` segments of a source, none of which shows by itself what needs no network to see.

    Raises
    ------
    DatasetError
        The leads hold nothing of what the source is made of.
    """
    quality, rule = RULES[source]
    found: list[Drawn] = []
    samples = np.zeros((n, material.segment_len), np.int16)
    in_vain = 0
    while len(found) < n:
        drawn = rule(material, rng)
        if drawn is not None and np.isfinite(drawn.signal_mv).all():
            row = quantise(drawn.signal_mv)
            if signal_status(row[None], material.front_end)[0] == SegmentStatus.OK.value:
                samples[len(found)], in_vain = row, 0
                found.append(drawn)
                if tick:
                    tick(n)
                continue
        in_vain += 1
        if in_vain == ATTEMPTS:
            raise DatasetError(
                f"{source}: {n} segments wanted, {len(found)} found; leave it out of the recipe"
            )
    part = material.bank.part
    return LabelledSegments(
        samples,
        material.fs_hz,
        np.full(n, quality, np.uint8),
        np.array([d.group for d in found], np.str_),
        np.array([f"{d.name}#{part}.{i}" for i, d in enumerate(found)], np.str_),
        source,
    )
