# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""`ecgqa stream` at real time and as fast as it goes: decisions as `assess` has them, and delay."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import assess
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate

FS_HZ, SECONDS, HOP_S, PACKET, COUNTS_PER_MV = 250, 60, 1.0, 5, 1000
STARTS_S = 15
"""Before the first sample: the command imports and opens its model."""
STREAM = (
    sys.executable, "-c", "from ecgqa_tflite.cli import main; main()", "stream", "--json",
    "--form", "int16", "--fs", str(FS_HZ), "--counts-per-mv", str(COUNTS_PER_MV),
    "--hop", str(HOP_S), "--model",
)  # fmt: skip
Told = tuple[float, dict[str, object]]


def expected(counts: NDArray[np.int16], model: str) -> list[tuple[object, ...]]:
    """What `assess` decides on the same numbers."""
    signal_mv = counts.astype(np.float32)[:, None] * np.float32(1 / COUNTS_PER_MV)
    recording = Recording("stream", signal_mv, FS_HZ, ("ch0",))
    decided = assess(recording, open_model(model), hop_s=HOP_S)
    return [(d.start_s, d.quality.name.lower(), d.score, d.reason) for d in decided]


def fed(
    counts: NDArray[np.int16], model: str, packet: int | None
) -> tuple[list[Told], list[float]]:
    """Lines of the command with when they came, and when each packet went; None: all at once."""
    process = subprocess.Popen((*STREAM, model), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    told: list[Told] = []
    lines = process.stdout
    reader = threading.Thread(
        target=lambda: told.extend((time.monotonic(), json.loads(line)) for line in lines)
    )
    reader.start()
    sent: list[float] = []
    if packet is None:
        process.stdin.write(counts.tobytes())
    else:
        time.sleep(STARTS_S)
        started = time.monotonic()
        for end in range(packet, len(counts) + 1, packet):
            time.sleep(max(0.0, started + end / FS_HZ - time.monotonic()))
            process.stdin.write(counts[end - packet : end].tobytes())
            process.stdin.flush()
            sent.append(time.monotonic())
    process.stdin.close()
    process.wait()
    reader.join()
    return told, sent


def same(told: Sequence[Told], decided: list[tuple[object, ...]]) -> str:
    """Whether the lines say what `assess` says."""
    got = [
        tuple(line[key] for key in ("start_s", "quality", "score", "reason")) for _, line in told
    ]
    return f"{len(got)} decisions, {'those' if got == decided else 'NOT those'} of assess"


def main() -> None:
    """Both models, both ways."""
    signal_mv = simulate(SECONDS, FS_HZ, seed=5).signal_mv[:, 0]
    counts = np.rint(signal_mv * COUNTS_PER_MV).astype("<i2")
    for model in ("light_cnn", "light_cnn_small"):
        decided = expected(counts, model)
        told, sent = fed(counts, model, PACKET)
        ms = [
            1000 * (at - sent[round(float(str(line["end_s"])) * FS_HZ) // PACKET - 1])
            for at, line in told
        ]
        print(
            f"{model}, {1000 * PACKET / FS_HZ:.0f}-ms packets in real time: {same(told, decided)};"
            f" last sample to decision: median {np.median(ms):.1f} ms,"
            f" 95 % within {np.percentile(ms, 95):.1f}, most {max(ms):.1f}"
        )
        started = time.monotonic()
        told, _ = fed(counts, model, None)
        print(
            f"{model}, as fast as it goes: {same(told, decided)}; {SECONDS} s of samples in"
            f" {time.monotonic() - started:.1f} s, start included"
        )


if __name__ == "__main__":
    main()
