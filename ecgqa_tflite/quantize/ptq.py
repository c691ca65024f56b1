"""Post-training quantisation: a float network and some images to a full-int8 ``.tflite``."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError, ModelError
from ecgqa_tflite.litert import check_int8_contract
from ecgqa_tflite.quantize.census import census
from ecgqa_tflite.tflite import read_tflite

INPUT_NAME = "image"
OUTPUT_NAME = "scores"


def quantise_ptq(model: Any, calibration_images: NDArray[np.uint8]) -> bytes:
    """Quantise a network to int8, weights, activations, input and output.

    Batch 1, input ``image`` (quant_scale exactly 1/255, zero point -128: image - 128), output
    ``scores``, weights of convolutions per channel, batch normalisation folded. The same network
    and images give the same bytes.

    Parameters
    ----------
    model
        tf_keras model from (n, rows, cols, channels) in [0, 1] to (n, classes).
    calibration_images
        uint8, (n, rows, cols, channels): what the ranges of activations are measured on; some 200
        images of the training domain. Where no pixel of them is 0, or none 255, one corner pixel
        of the first image stands in, so that the input's range is the whole of [0, 1].

    Raises
    ------
    ConversionError
        No image, images of another shape, or constant ones; a model with a dynamic shape or
        several inputs; a layer that stays float; an input scale that isn't exactly 1/255.
    """
    rows_cols_channels = _image_shape(model)
    images = _calibration(np.asarray(calibration_images), rows_cols_channels)
    tflite = _name_tensors(_convert(model, images))
    census(tflite, model.name)
    try:
        check_int8_contract(read_tflite(tflite), model.name)
    except ModelError as error:
        raise ConversionError(str(error)) from error
    return tflite


def _image_shape(model: Any) -> tuple[int, ...]:
    shapes = (model.input_shape, model.output_shape)
    if any(isinstance(shape, list) for shape in shapes):
        raise ConversionError(f"{model.name}: has several inputs or outputs; needs one of each")
    image, scores = shapes
    if len(image) != 4 or len(scores) != 2 or None in image[1:] or None in scores[1:]:
        raise ConversionError(
            f"{model.name}: maps {image} to {scores}; needs images of a fixed size "
            f"(batch, rows, cols, channels) to scores (batch, classes)"
        )
    return tuple(image[1:])


def _calibration(images: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.uint8]:
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


def float_tflite(model: Any) -> bytes:
    """The network as a float ``.tflite``, batch 1: what the int8 one is compared with."""
    converter, _ = _converter(model)
    return _converted(converter, model.name, "a .tflite")


def _convert(model: Any, images: NDArray[np.uint8]) -> bytes:
    from ecgqa_tflite.networks import preprocess

    def representative() -> Iterator[dict[str, NDArray[np.float32]]]:
        for image in images:
            yield {INPUT_NAME: preprocess(image[None])}

    converter, tf = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _converted(converter, model.name, "full int8")


def _converter(model: Any) -> tuple[Any, Any]:
    """TensorFlow's converter of the network for one image, and TensorFlow."""
    from ecgqa_tflite.networks._keras import tf

    def infer(image: Any) -> dict[str, Any]:
        return {OUTPUT_NAME: model(image, training=False)}

    batch_of_one = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name=INPUT_NAME)
    module = tf.Module()
    module.model = model
    module.infer = tf.function(infer, input_signature=[batch_of_one])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.infer.get_concrete_function()], module
    )
    return converter, tf


def _converted(converter: Any, name: str, what: str) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an interpreter's end of life, which we don't use
            return bytes(converter.convert())
    except Exception as error:  # the converter raises many kinds, with pages of MLIR
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise ConversionError(
            f"{name}: TensorFlow can't make it {what} ({reason.strip()[:200]})"
        ) from error


def _name_tensors(tflite: bytes) -> bytes:
    """Give the input and output tensors their names, in place.

    The converter names them after its own plumbing (``serving_default_image:0``,
    ``StatefulPartitionedCall:0``). The new names are shorter, so nothing has to move.
    """
    data = bytearray(tflite)
    subgraph = schema.Model.GetRootAs(tflite, 0).Subgraphs(0)
    for index, name in ((subgraph.Inputs(0), INPUT_NAME), (subgraph.Outputs(0), OUTPUT_NAME)):
        table = subgraph.Tensors(index)._tab
        field = table.Pos + table.Offset(10)  # slot 3 of Tensor, `name`
        start = field + struct.unpack_from("<I", data, field)[0]
        (length,) = struct.unpack_from("<I", data, start)
        new = name.encode()
        if length < len(new):
            raise ConversionError(f"tensor name {subgraph.Tensors(index).Name()!r}: unexpected")
        data[start : start + 4 + length] = struct.pack("<I", len(new)) + new.ljust(length, b"\0")
    return bytes(data)
