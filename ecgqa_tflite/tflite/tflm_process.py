# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The process that TFLM runs in: ``python -m ecgqa_tflite.tflite.tflm_process FOLDER ARENA``.

``FOLDER`` holds ``model.tflite`` and, for scores, ``images.npy``; ``answer.json`` is written to
it. An arena of 0 bytes asks for the least that works.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.tflite.tflm import GRANULE

MOST_BYTES = 1 << 27


def _interpreter(tflite: bytes, arena: int) -> Any:
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(tflite, arena_size=arena)


def _allocate(tflite: bytes, arena: int) -> None:
    _interpreter(tflite, arena)


def _invoke(tflite: bytes, arena: int) -> None:
    interpreter = _interpreter(tflite, arena)
    interpreter.set_input(np.zeros(interpreter.get_input_details(0)["shape"], np.int8), 0)
    interpreter.invoke()


def _succeeds(attempt: Callable[[bytes, int], None], tflite: bytes, arena: int) -> bool:
    """Whether it ends well, in a process of its own.

    Some arenas that are too small end in no error but in a write through a null pointer (seen with
    InceptionV1: its allocator is asked for more than the 4 bytes below zero that it believes free).
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            attempt(tflite, arena)
            status = 0
        except RuntimeError:
            pass  # TFLM has said what it lacks
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def least_arena(tflite: bytes) -> int:
    """Least arena, bytes, that allocates and invokes, by bisection over multiples of 16.

    An inference plans its memory when it allocates, so only the answer has to invoke too.
    """
    low, high = 0, 1024  # low: known not to work
    while not _succeeds(_allocate, tflite, high * GRANULE):
        low, high = high, 2 * high
        if high * GRANULE > MOST_BYTES:
            raise SystemExit(f"no arena up to {MOST_BYTES} bytes works")
    while high - low > 1:
        middle = (low + high) // 2
        if _succeeds(_allocate, tflite, middle * GRANULE):
            high = middle
        else:
            low = middle
    while not _succeeds(_invoke, tflite, high * GRANULE):
        high += 1
        if high * GRANULE > MOST_BYTES:
            raise SystemExit(f"no arena up to {MOST_BYTES} bytes works")
    return high * GRANULE


def main(folder: Path, arena: int) -> None:
    """Answer what was asked."""
    tflite = (folder / "model.tflite").read_bytes()
    answer: dict[str, Any]
    if arena == 0:
        answer = {"least": least_arena(tflite)}
    else:
        interpreter = _interpreter(tflite, arena)
        scores = []
        for image in np.load(folder / "images.npy"):
            interpreter.set_input(image[None], 0)
            interpreter.invoke()
            scores.append(interpreter.get_output(0)[0].tolist())
        answer = {"scores": scores}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
