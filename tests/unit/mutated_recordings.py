# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Damaged files of every format: each is read or refused in one line, at once, in little memory.

    python tests/unit/mutated_recordings.py 700

makes so many, tells what came of them and stops at the first that is worse.
"""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from recording_files import MAKERS

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import read_recording

LIMIT_S = 5
"""Processor time of one file; the machine may be busy with other things."""

MEMORY_BYTES = 2**30

TOKENS = (b"9" * 12, b"-1", b"\xff" * 8, b"\0" * 8, b"1e308", b"nan", b"[", b'"', b"\n")


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes; most in the first 1,200 bytes, for headers matter more than samples."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        reach = len(data) if rng.random() < 0.3 else min(len(data), 1200)
        at = int(rng.integers(0, max(reach, 1)))
        kind = rng.integers(0, 6)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at : at + 1] = bytes(rng.integers(0, 256, 1, np.uint8))
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 64))]
        elif kind == 3:
            data[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 32)), np.uint8))
        elif kind == 4:
            pick = TOKENS[int(rng.integers(0, len(TOKENS)))]
            data[at : at + len(pick)] = pick
        else:
            data[at:at] = data[at : at + 200]
    return bytes(data)


def run(folder: Path, kinds: Sequence[str], count: int, seed: int = 7) -> Counter[str]:
    """Make ``count`` files in all; how many were read and how many refused.

    Raises
    ------
    AssertionError
        Another exception than RecordingError, more than ``LIMIT_S`` or ``MEMORY_BYTES``; the file
        that did it is kept in ``folder``.
    """
    rng = np.random.default_rng(seed)

    def late(*_: object) -> None:
        raise TimeoutError(f"longer than {LIMIT_S} s")

    before = signal.signal(signal.SIGPROF, late)
    outcomes: Counter[str] = Counter()
    try:
        for number, kind in enumerate(kinds):
            of_kind = folder / kind.replace("+", "")
            of_kind.mkdir()
            made = MAKERS[kind][1](of_kind)
            content = made.path.read_bytes()
            read_recording(made.path, options=made.options)  # what it imports is not its cost
            for turn in range(count // len(kinds) + (number < count % len(kinds))):
                made.path.write_bytes(mutate(content, rng))
                memory = _peak_bytes()
                signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
                try:
                    read_recording(made.path, options=made.options)
                    outcomes["read"] += 1
                except RecordingError as error:
                    outcomes["refused"] += 1
                    assert "\n" not in str(error), (kind, turn)
                except Exception as error:
                    kept = folder / f"{kind}-{turn}"
                    kept.write_bytes(made.path.read_bytes())
                    raise AssertionError(f"{kept}: {type(error).__name__}: {error}") from error
                finally:
                    signal.setitimer(signal.ITIMER_PROF, 0)
                assert _peak_bytes() - memory < MEMORY_BYTES, (kind, turn)
    finally:
        signal.signal(signal.SIGPROF, before)
    return outcomes


def _peak_bytes() -> int:
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


if __name__ == "__main__":
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        found = run(Path(temporary), list(MAKERS), int(sys.argv[1]))
    peak = _peak_bytes() / 1e6
    print(dict(found), f"{time.perf_counter() - started:.0f} s, peak {peak:.0f} MB")
