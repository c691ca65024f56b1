"""The process that TFLM runs in: ``python -m ecgqa_tflite.export.tflm_process FOLDER ARENA``.

``FOLDER`` holds ``model.tflite`` and, for scores, ``images.npy``; ``answer.json`` is written to
it. An arena of 0 bytes asks for the least that works.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.export.tflm import GRANULE

MOST_BYTES = 1 << 27


def _interpreter(tflite: bytes, arena: int) -> Any:
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(tflite, arena_size=arena)


def _works(tflite: bytes, arena: int) -> bool:
    try:
        interpreter = _interpreter(tflite, arena)
        interpreter.set_input(np.zeros(interpreter.get_input_details(0)["shape"], np.int8), 0)
        interpreter.invoke()
    except RuntimeError:
        return False
    return True


def least_arena(tflite: bytes) -> int:
    """Least arena, bytes, that allocates and invokes, by bisection over multiples of 16."""
    low, high = 0, 1024  # low: known not to work
    while not _works(tflite, high * GRANULE):
        low, high = high, 2 * high
        if high * GRANULE > MOST_BYTES:
            raise SystemExit(f"no arena up to {MOST_BYTES} bytes works")
    while high - low > 1:
        middle = (low + high) // 2
        if _works(tflite, middle * GRANULE):
            high = middle
        else:
            low = middle
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
