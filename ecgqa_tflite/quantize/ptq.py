# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation: a float network and some images to a full-int8 ``.tflite``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.quantize.converter import INPUT_NAME, float_tflite, image_shape, int8_tflite

__all__ = ["checked_calibration", "float_tflite", "quantise_ptq"]


def quantise_ptq(
    model: Any,
    calibration_images: NDArray[np.uint8],
    input_range: tuple[float, float] = (0.0, 1.0),
) -> bytes:
    """Quantise a network to int8, weights, activations, input and output.

    Batch 1, input ``image`` (codes image - 128: quant_scale exactly 1/255 of [0, 1]), output
    ``scores``, weights of convolutions per channel, batch normalisation folded. The same network
    and images give the same bytes.

    Parameters
    ----------
    model
        Keras model from (n, rows, cols, channels) in ``input_range`` to (n, classes).
    calibration_images
        uint8, (n, rows, cols, channels): what the ranges of activations are measured on; some 200
        images of the training domain. Where no pixel of them is 0, or none 255, one corner pixel
        of the first image stands in, so that the input's range is the whole of it.
    input_range
        What black and white are to the network.

    Raises
    ------
    ConversionError
        No image, images of another shape, or constant ones; a model with a dynamic shape or
        several inputs; a layer that stays float; an input scale that isn't exactly 1/255.
    """
    from ecgqa_tflite.networks import preprocess

    images = checked_calibration(calibration_images, image_shape(model))

    def representative() -> Iterator[dict[str, NDArray[np.float32]]]:
        for image in images:
            yield {INPUT_NAME: preprocess(image[None], input_range)}

    def configure(converter: Any, tf: Any) -> None:
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    return int8_tflite(model, configure)


def checked_calibration(images: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The images, from 0 to 255; see :func:`quantise_ptq`."""
    images = np.asarray(images)
    if len(images) == 0:
        raise ConversionError("no calibration images: give segments of the training domain")
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise ConversionError(
            f"calibration images are {images.dtype} {images.shape}; the network takes uint8 "
            f"(n, {', '.join(map(str, shape))})"
        )
    low, high = int(images.min()), int(images.max())
    if low == high:
        raise ConversionError(
            f"every calibration pixel is {low}: no range can be measured on such images; give "
            f"segments that hold an ECG"
        )
    if (low, high) != (0, 255):
        images = images.copy()
        if low != 0:
            images[0, 0, 0, 0] = 0
        if high != 255:
            images[0, -1, -1, -1] = 255
    return images
