"""Leads with known beats, made of pulses: what the tests of datasets and training share."""

from __future__ import annotations

import numpy as np

from ecgqa_tflite.datasets.mitdb import AnnotatedLead

FS_HZ = 250.0


def pulse_train(duration_s: float, rr_s: float = 0.8, seed: int = 0) -> AnnotatedLead:
    """A lead of R waves with T waves and a little noise, with its beats."""
    rng = np.random.default_rng(seed)
    beats = np.arange(0.5, duration_s - 0.2, rr_s)
    t = np.arange(round(duration_s * FS_HZ)) / FS_HZ
    x = 0.003 * rng.standard_normal(t.size)
    for beat in beats:
        x += np.exp(-0.5 * ((t - beat) / 0.012) ** 2)
        x += 0.2 * np.exp(-0.5 * ((t - beat - 0.25) / 0.04) ** 2)
    none = np.zeros(0)
    return AnnotatedLead("set/1/I", "set/1", x.astype(np.float32), FS_HZ, beats, none)
