# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What each channel of an int8 network holds over many segments: its least and largest value."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.progress import Count
from ecgqa_tflite.spec import Quality
from ecgqa_tflite.tflite.run import BATCH, Int8Network


@dataclass(frozen=True, eq=False)
class Range:
    """Least and largest value of each channel of a tensor, int8, (channels,)."""

    low: NDArray[np.int8]
    high: NDArray[np.int8]

    @property
    def steady(self) -> NDArray[np.bool_]:
        """Channels that held one value, (channels,)."""
        found: NDArray[np.bool_] = self.low == self.high
        return found

    def joined(self, other: Range) -> Range:
        """Over the segments of both."""
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


@dataclass(frozen=True, eq=False)
class Ranges:
    """Of a network over segments.

    Attributes
    ----------
    of
        By tensor, as in ``graph.tensors``: every int8 output of an operator, its last dimension
        taken for channels.
    scores
        Class 1's score of each segment, int8, (n,).
    """

    of: dict[int, Range]
    scores: NDArray[np.int8]


def channel_ranges(
    tflite: bytes,
    images: Callable[[NDArray[np.intp]], NDArray[np.int8]],
    n: int,
    *,
    threads: int = 1,
    progress: Count | None = None,
) -> Ranges:
    """Run a network on segments by LiteRT's reference kernels, which a device's bits are, and look.

    Parameters
    ----------
    images
        From indices of segments, (m,), to their int8 images, (m, rows, cols, channels); called in
        the threads.
    n
        Segments; at least one.
    progress
        Called with segments seen and segments to see.

    Raises
    ------
    ModelError
        See :class:`~ecgqa_tflite.tflite.run.Int8Network`.
    """
    batches = [np.arange(i, min(i + BATCH, n)) for i in range(0, n, BATCH)]
    idle = [Int8Network(tflite, reference_kernels=True)]

    def look(batch: NDArray[np.intp]) -> Ranges:
        try:
            network = idle.pop()
        except IndexError:  # all at work
            network = Int8Network(tflite, reference_kernels=True)
        try:
            return _look(network, images(batch))
        finally:
            idle.append(network)

    found: dict[int, Range] = {}
    scores = np.empty(n, np.int8)
    pool = ThreadPoolExecutor(threads)
    try:
        for batch, seen in zip(batches, pool.map(look, batches), strict=True):
            scores[batch] = seen.scores
            found = {i: r.joined(found.get(i, r)) for i, r in seen.of.items()}
            if progress is not None:
                progress(int(batch[-1]) + 1, n)
    finally:
        pool.shutdown(cancel_futures=True)
    return Ranges(found, scores)


def _look(network: Int8Network, images: NDArray[np.int8]) -> Ranges:
    found: dict[int, Range] = {}
    scores = np.empty(len(images), np.int8)
    (output,) = network.graph.outputs
    for i, one in enumerate(images):
        tensors = network.tensors(one)
        scores[i] = tensors[output][0, Quality.HIGH]
        for index, tensor in tensors.items():
            if tensor.dtype == np.int8:
                flat = tensor.reshape(-1, tensor.shape[-1])
                seen = Range(flat.min(axis=0), flat.max(axis=0))
                found[index] = seen.joined(found.get(index, seen))
    return Ranges(found, scores)
