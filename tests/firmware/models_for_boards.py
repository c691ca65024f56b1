# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""int8 networks that boards run: random weights, scaled so that no score saturates."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from conftest import require_module
from numpy.typing import NDArray

from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.run import Int8Network

CALIBRATION = 24
SPREAD_OF_LOGITS = 1.0


@dataclass(frozen=True)
class Kind:
    """A network to build: its spec and how wide it is."""

    spec: FrontEnd
    alpha: float


KINDS = {
    "light": Kind(FrontEnd(), 1.0),
    "small": Kind(FrontEnd(rows=113, cols=113, colormap="grey"), 0.125),
}


@functools.cache
def _built(kind: str, samples: bytes, fs_hz: float) -> bytes:
    require_module("tensorflow")
    from ecgqa_tflite.networks import LightCNN
    from ecgqa_tflite.networks._keras import keras
    from ecgqa_tflite.quantize.ptq import quantise_ptq

    spec, alpha = KINDS[kind].spec, KINDS[kind].alpha
    front_end = NativeFrontEnd(spec, fs_hz)
    segments = np.frombuffer(samples, np.int16).reshape(-1, front_end.segment_len)
    images = colormap.image(front_end.index_maps(segments), spec.colormap)
    keras.utils.set_random_seed(7)
    model = LightCNN(spec.image_shape, alpha=alpha, name=kind)
    # Biases that are zero would hide a kernel that drops them.
    model.set_weights(
        [w if w.ndim > 1 else np.linspace(-0.2, 0.2, w.size) for w in model.get_weights()]
    )
    _spread(model, images)
    return quantise_ptq(model, images)


def _spread(model: Any, images: NDArray[np.uint8]) -> None:
    """Scale and shift the last dense layer so that its outputs are centred and of one size."""
    from ecgqa_tflite.networks._keras import keras

    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][-1]
    softmax, dense.activation = dense.activation, keras.activations.linear
    logits = keras.Model(model.input, dense.output)(images / np.float32(255)).numpy()
    dense.activation = softmax
    kernel, bias = dense.get_weights()
    scale = SPREAD_OF_LOGITS / logits.std(axis=0)
    dense.set_weights([kernel * scale, (bias - logits.mean(axis=0)) * scale])


def network(kind: str, segments: NDArray[np.int16], fs_hz: float) -> bytes:
    """The ``.tflite`` of one of :data:`KINDS`, calibrated on the first of ``segments``."""
    alive = segments[np.ptp(segments, axis=1) > 0][:CALIBRATION]
    return _built(kind, alive.tobytes(), fs_hz)


def reference(
    tflite: bytes, spec: FrontEnd, segments: NDArray[np.int16], fs_hz: float
) -> list[tuple[NDArray[np.uint8], dict[int, NDArray]]]:
    """Index map and every tensor by LiteRT's reference kernels, an entry per segment."""
    litert = Int8Network(tflite, reference_kernels=True)
    maps = NativeFrontEnd(spec, fs_hz).index_maps(segments)
    return [(m, litert.tensors(to_int8(colormap.image(m, spec.colormap)))) for m in maps]
