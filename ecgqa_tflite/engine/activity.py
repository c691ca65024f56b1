# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How often a network's channels are active: what decides the order that the engine has them in."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine.golden import golden_samples
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.run import Int8Network

FS_HZ = 250.0
"""Sampling rate of the segments that are counted: the same order for every device."""


@functools.lru_cache(maxsize=8)
def channel_activity(spec: FrontEnd, tflite: bytes) -> dict[int, NDArray[np.int64]]:
    """Pixels above the least int8 value, by tensor and channel, over the golden segments.

    These are simulated, so that the order holds nothing of a patient's; on 21 real segments an
    order of their own would skip as much within 1 % (light_cnn). LiteRT's reference kernels count,
    so every machine gets the same order.
    """
    names, samples = golden_samples(spec, FS_HZ)
    # no network is asked about hum: the order stays what the benchmark was counted with
    alive = samples[(np.ptp(samples, axis=1) > 0) & (np.array(names) != "hum")]
    network = Int8Network(tflite, reference_kernels=True)
    counts: dict[int, NDArray[np.int64]] = {}
    for index_map in NativeFrontEnd(spec, FS_HZ).index_maps(alive, threads=1):
        tensors = network.tensors(to_int8(image(index_map, spec.colormap)))
        for index, tensor in tensors.items():
            if tensor.dtype == np.int8 and tensor.ndim == 4:
                active = np.count_nonzero(tensor > np.iinfo(np.int8).min, axis=(0, 1, 2))
                counts[index] = counts.get(index, 0) + active
    return counts
