# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Leads with known beats, made of pulses: what the tests of datasets and training share."""

from __future__ import annotations

from pathlib import Path

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


def write_training_sets(root: Path) -> None:
    """A folder laid out like challenge-2011, mitdb and nstdb, with a few synthetic recordings."""
    import wfdb

    def write(
        folder: str, name: str, signal_mv: np.ndarray, fs_hz: float, leads: list[str]
    ) -> None:
        (root / folder).mkdir(exist_ok=True)
        n = len(leads)
        wfdb.wrsamp(
            name,
            fs=fs_hz,
            units=["mV"] * n,
            sig_name=leads,
            p_signal=signal_mv.astype(float),
            fmt=["16"] * n,
            adc_gain=[1000.0] * n,
            baseline=[0] * n,
            write_dir=str(root / folder),
        )

    rng = np.random.default_rng(0)
    rows = ["record,lead,quality"]
    for i in range(8):
        good = pulse_train(10, 0.7 + 0.03 * i, seed=i).signal_mv
        write(
            "challenge-2011", f"{i}", np.stack([good, rng.normal(size=2500)], 1), 250, ["I", "II"]
        )
        rows += [f"{i},I,good", f"{i},II,bad"]
    (root / "challenge-2011" / "LEADS.csv").write_text("\n".join(rows) + "\n")
    for i in range(4):
        lead = pulse_train(70, 0.8 + 0.05 * i, seed=20 + i)
        write("mitdb", f"{100 + i}", lead.signal_mv[:, None], 250, ["MLII"])
        marks = np.round(lead.beats_s * 250).astype(int)
        kinds = ["N", "V"] * len(marks)
        wfdb.wrann(f"{100 + i}", "atr", marks, kinds[: len(marks)], write_dir=str(root / "mitdb"))
    for kind in ("bw", "em", "ma"):
        noise = rng.normal(size=(360 * 300, 1)).cumsum(0) / 50 + rng.normal(size=(360 * 300, 1))
        write("nstdb", kind, noise, 360, ["noise1"])
