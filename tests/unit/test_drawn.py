# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Sources of the training sets: what they draw is what they are called."""

from dataclasses import replace

import numpy as np
import pytest

from ecgqa_tflite.datasets import defects
from ecgqa_tflite.datasets.drawn import RULES, Material, draw
from ecgqa_tflite.datasets.mitdb import AnnotatedLead
from ecgqa_tflite.datasets.noise import RECORDED, NoiseBank
from ecgqa_tflite.datasets.visible import contrast, envelope, errors_of, periodicity
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.spec import FrontEnd

FS_HZ = 250.0


def _lead(seconds: float = 120.0) -> AnnotatedLead:
    rng = np.random.default_rng(0)
    beats = np.cumsum(rng.uniform(0.75, 1.05, int(seconds)))
    beats = beats[beats < seconds - 1]
    t = np.arange(round(seconds * FS_HZ)) / FS_HZ
    x = 0.01 * rng.standard_normal(len(t))
    for beat in beats:
        near = slice(max(round((beat - 0.5) * FS_HZ), 0), round((beat + 0.5) * FS_HZ))
        since = t[near] - beat
        x[near] += np.exp(-((since / 0.012) ** 2)) + 0.2 * np.exp(-(((since - 0.25) / 0.05) ** 2))
    none = np.zeros(0)
    return AnnotatedLead("s/1/I", "s/1", x.astype(np.float32), FS_HZ, beats, none, beats[::4])


@pytest.fixture(scope="module")
def material() -> Material:
    rng = np.random.default_rng(1)
    noise = {kind: np.cumsum(rng.standard_normal((20_000, 2)), 0) for kind in RECORDED}
    recorded = {kind: x.astype(np.float32) for kind, x in noise.items()}
    return Material((_lead(),), NoiseBank(recorded, 360.0, "train"), FrontEnd(), 20)


@pytest.mark.parametrize("source", sorted(set(RULES) - {"rhythms"}))
def test_each_source_gives_what_is_asked(source: str, material: Material) -> None:
    part = draw(source, 4, material, np.random.default_rng(2))
    assert part.samples.shape == (4, 1250) and (part.quality == RULES[source][0]).all()
    assert part.usable.all() and len(set(part.ids)) == 4


def test_a_source_without_material_says_so(material: Material) -> None:
    bare = Material(
        tuple(
            AnnotatedLead(m.name, m.group, m.signal_mv, m.fs_hz, m.beats_s, m.bars_s)
            for m in material.leads
        ),
        material.bank,
        FrontEnd(),
    )
    with pytest.raises(DatasetError, match="rhythms: 1 segments wanted, 0 found; leave it out"):
        draw("rhythms", 1, bare, np.random.default_rng(0))


def test_a_step_and_a_wander_hide_no_beat_and_noise_does() -> None:
    lead = _lead()
    x, beats = lead.signal_mv[2500:3750].astype(float), lead.beats_s - 10
    t = np.arange(1250) / FS_HZ
    noise = np.random.default_rng(3).standard_normal(1250)
    assert errors_of(x, FS_HZ, beats) == (0, 0)
    assert errors_of(x + 5 * (t > 2.2) + 2 * np.sin(t), FS_HZ, beats) == (0, 0)
    assert sum(errors_of(x + noise, FS_HZ, beats)) >= 4


def test_a_pause_has_its_length_and_no_beat_in_it() -> None:
    rng, lead = np.random.default_rng(4), _lead()
    found = [defects.paused(lead, 3.0, 5.0, rng) for _ in range(40)]
    windows = [pause for pause in found if pause is not None]
    assert windows
    for x, beats in windows:
        assert errors_of(x, FS_HZ, beats) == (0, 0)
        inside = beats[(beats > 0) & (beats < 5)]
        assert np.diff(inside).max() == pytest.approx(3.0, abs=0.01)


def test_a_lead_whose_beats_cannot_be_told_gives_no_pause(material: Material) -> None:
    lead = _lead()
    noise = 2.0 * np.random.default_rng(6).standard_normal(len(lead.signal_mv))
    hidden = replace(lead, signal_mv=(lead.signal_mv + noise).astype(np.float32))
    with pytest.raises(DatasetError, match="pauses: 1 segments wanted, 0 found"):
        draw("pauses", 1, replace(material, leads=(hidden,)), np.random.default_rng(0))


@pytest.mark.parametrize("source", ["disturbed", "hidden"])
def test_a_label_holds_after_the_change_or_there_is_no_segment(
    source: str, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(7).standard_normal(1250)
    for name in ("disturbed", "burst"):
        monkeypatch.setattr(defects, name, lambda x, *_: x + noise)
    monkeypatch.setattr(defects, "hidden", lambda x, *_: x)
    rule, rng = RULES[source][1], np.random.default_rng(8)
    assert not any(rule(material, rng) for _ in range(20))


def test_bare_hum_lasts() -> None:
    x, rng = np.linspace(0, 1, 1250), np.random.default_rng(9)
    for _ in range(40):
        changed = defects.only_hum(x, FS_HZ, rng) != x
        assert changed.sum() >= 1.48 * FS_HZ and np.abs(np.diff(changed.astype(int))).sum() <= 2


@pytest.mark.parametrize("kind", range(defects.PULSES))
def test_pulses_are_as_wide_and_as_many_as_they_should_be(
    kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defects, "_wander", lambda t, rng: np.zeros(len(t)))
    rng = np.random.default_rng(10)
    for _ in range(40):
        x = defects.pulses(kind, 1250, FS_HZ, rng)
        smooth = np.convolve(x, np.full(9, 1 / 9), "same")
        rises = np.flatnonzero(np.diff((smooth > 0.5).astype(int)) == 1)
        assert 0.5 * 5 - 1 <= len(rises) <= 2 * (2.5 * 5 + 1)
        assert (smooth > 0.5).sum() / max(len(rises), 1) > 0.03 * FS_HZ


def test_contrast_and_periodicity_tell_rhythm_from_noise() -> None:
    lead = _lead()
    x = lead.signal_mv[2500:3750].astype(float)
    noise = np.random.default_rng(5).standard_normal(1250)
    assert contrast(envelope(x, FS_HZ), FS_HZ) > 2 > contrast(envelope(noise, FS_HZ), FS_HZ)
    t = np.arange(1250) / FS_HZ
    assert periodicity(np.sin(2 * np.pi * 3 * t) ** 3, FS_HZ) > 0.9 > periodicity(noise, FS_HZ)
