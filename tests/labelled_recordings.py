# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder of labelled recordings, as a user's: beats on one lead, noise on the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb

FS_HZ = 250.0


def write_labelled(folder: Path, records: int = 20) -> Path:
    """``folder`` with ``LEADS.csv`` and records ``0``, ``1``, ... of 10 s; the folder."""
    rows = ["record,lead,quality"]
    for i in range(records):
        beats = simulate(10, FS_HZ, seed=i, name=str(i))
        noise = np.random.default_rng(i).normal(size=len(beats.signal_mv))
        both = np.stack([beats.signal_mv[:, 0], noise], axis=1)
        write_wfdb(Recording(str(i), both, FS_HZ, ("I", "II")), folder)
        rows += [f"{i},I,good", f"{i},II,bad"]
    (folder / "LEADS.csv").write_text("\n".join(rows) + "\n")
    return folder
