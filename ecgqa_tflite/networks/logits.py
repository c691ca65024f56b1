# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a float network says of index maps, before its softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.networks._keras import keras, tf
from ecgqa_tflite.spec import FrontEnd, Quality

LogitFunction = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def logit_function(network: Any, spec: FrontEnd, batch: int = 64) -> LogitFunction:
    """A function from index maps (n, rows, cols) to the float network's log odds of high, (n,)."""
    logits_of = keras.Model(network.input, network.layers[-2].output)

    images_of_any_number = tf.TensorSpec((None, *spec.image_shape), tf.uint8)

    @tf.function(input_signature=[images_of_any_number])  # type: ignore[untyped-decorator]
    def forward(images: Any) -> Any:
        return logits_of(tf.cast(images, tf.float32) / 255.0, training=False)

    def logits(index_maps: NDArray[np.uint8]) -> NDArray[np.float64]:
        out = np.empty(len(index_maps))
        for start in range(0, len(index_maps), batch):
            images = image(np.asarray(index_maps[start : start + batch]), spec.colormap)
            pair = forward(tf.constant(images)).numpy().astype(float)
            out[start : start + len(images)] = pair[:, Quality.HIGH] - pair[:, Quality.LOW]
        return out

    return logits
