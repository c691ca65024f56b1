# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What the page of a day costs: size, seconds to write, and until Chromium has painted it."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ecgqa_tflite.assess import assess
from ecgqa_tflite.decisions.page import write_page
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.disturbances import Disturbance, ElectrodeMotion, MuscleNoise
from ecgqa_tflite.recording.simulator import simulate

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from chromium import chromium

DAY_S, FS_HZ, OPENED = 86400, 250, 5


def day(n_leads: int) -> Recording:
    """24 h of so many leads, each disturbed 300 times."""
    leads = []
    for seed in range(n_leads):
        rng = np.random.default_rng(seed)
        kinds = (MuscleNoise, ElectrodeMotion)
        at = rng.uniform(0, DAY_S - 100, 300).tolist()
        disturbed: list[Disturbance] = [
            kinds[i % 2](t, 5 + float(rng.exponential(20)), 1.0) for i, t in enumerate(at)
        ]
        leads.append(simulate(DAY_S, FS_HZ, seed=seed, disturbances=disturbed).signal_mv)
    names = tuple(f"lead {i}" for i in range(n_leads))
    noise = np.random.default_rng(9).normal(0, 0.01, (DAY_S * FS_HZ, n_leads))
    return Recording("day", np.hstack(leads) + noise.astype(np.float32), FS_HZ, names)


def opened(page: Path) -> tuple[float, float, float]:
    """Ms to the first contentful paint, until all is drawn, and of the main thread's time."""
    with chromium("chromium") as new_tab:
        tab = new_tab()
        tab.size(1440, 900)
        tab.call("Performance.enable", timeDomain="threadTicks")
        tab.open(page, "document.body?.dataset.ready !== undefined")
        paint, drawn = tab.evaluate(
            "[performance.getEntriesByName('first-contentful-paint')[0].startTime,"
            "performance.getEntriesByName('drawn')[0].startTime]"
        )
        found = tab.call("Performance.getMetrics")["metrics"]
        busy = next(m["value"] for m in found if m["name"] == "TaskDuration")
        return paint, drawn, 1000 * busy


if __name__ == "__main__":
    model = open_model("light_cnn_small")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "day.html")
        for n_leads in (1, 3):
            recording = day(n_leads)
            decided = [(n, assess(recording, model, lead=n)) for n in recording.lead_names]
            for full in (False, True) if n_leads == 1 else (False,):
                started, busy = time.perf_counter(), time.process_time()
                write_page(page, recording, decided, model, full=full)
                took, cpu = time.perf_counter() - started, time.process_time() - busy
                figures = zip(*(opened(page) for _ in range(OPENED)), strict=True)
                paint, drawn, thread = map(statistics.median, figures)
                print(
                    f"24 h, {n_leads} lead{'s' if n_leads > 1 else ''}{', --full' if full else ''}:"
                    f" {page.stat().st_size:,} bytes, written in {took:.1f} s ({cpu:.1f} s of CPU);"
                    f" Chromium: first contentful paint {paint:.0f} ms, all drawn {drawn:.0f} ms,"
                    f" main thread busy {thread:.0f} ms (medians of {OPENED})"
                )
