"""TensorFlow Lite Micro on the host: the scores it gives and the smallest arena that works.

The ``tflite-micro`` package (x86-64 Linux) runs TFLM's portable kernels. An arena measured here is
a host's: pointers of 8 bytes make its persistent part larger than a device's, never smaller.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ModelError, ToolError
from ecgqa_tflite.litert import Int8Network

ARENA_ALIGN = 16
"""TFLM aligns its arena to this; sizes are multiples of it."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TFLM reports each failed attempt on the process's standard error."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _interpreter(tflite: bytes, arena_bytes: int | None) -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        raise ToolError(
            "tflite-micro is not installed (x86-64 Linux alone): pip install tflite-micro"
        ) from None
    return runtime.Interpreter.from_bytes(tflite, arena_size=arena_bytes)


def scores(tflite: bytes, images: NDArray[np.int8]) -> NDArray[np.int8]:
    """Scores of TFLM's kernels: int8 images (n, rows, cols, channels) to int8 (n, classes).

    Raises
    ------
    ModelError
        TFLM has no kernel for an operator of the network.
    ToolError
        The package is not installed.
    """
    try:
        interpreter = _interpreter(tflite, None)
        out = []
        for image in images:
            interpreter.set_input(image[None], 0)
            interpreter.invoke()
            out.append(interpreter.get_output(0)[0].copy())
    except RuntimeError as error:
        raise ModelError(f"TensorFlow Lite Micro can't run this network: {error}") from error
    return np.stack(out)


def smallest_arena_bytes(tflite: bytes) -> int:
    """Least arena that allocates and invokes, bytes, found by bisection.

    Raises
    ------
    ModelError, ToolError
        As :func:`scores`.
    """
    image = np.zeros((1, *Int8Network(tflite).input_shape), np.int8)

    def works(arena_bytes: int) -> bool:
        try:
            interpreter = _interpreter(tflite, arena_bytes)
            interpreter.set_input(image, 0)
            interpreter.invoke()
        except RuntimeError:
            return False
        return True

    with _quiet():
        high = 1
        while not works(high * ARENA_ALIGN):
            high *= 2
            if high * ARENA_ALIGN > 1 << 30:
                raise ModelError("TensorFlow Lite Micro can't run this network in 1 GiB")
        low = high // 2  # fails, or nothing
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if works(middle * ARENA_ALIGN) else (middle, high)
    return high * ARENA_ALIGN
