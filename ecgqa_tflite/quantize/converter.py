# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's converter, used one way: batch 1, named ends, one line where it refuses."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ecgqa_tflite.errors import ConversionError, ModelError
from ecgqa_tflite.tflite.adapt import adapt
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import check_int8_contract

INPUT_NAME = "image"
OUTPUT_NAME = "scores"


def image_shape(model: Any) -> tuple[int, ...]:
    """(rows, cols, channels) that a network takes.

    Raises
    ------
    ConversionError
        It has several inputs or outputs, a dynamic shape, or takes no image.
    """
    try:
        shapes = (model.input_shape, model.output_shape)
    except AttributeError:  # a subclassed model that has never been called
        raise ConversionError(
            f"{model.name}: has no fixed shapes; save it as a functional or sequential Keras model"
        ) from None
    if any(isinstance(shape, list) for shape in shapes):
        raise ConversionError(f"{model.name}: has several inputs or outputs; needs one of each")
    image, scores = shapes
    if len(image) != 4 or len(scores) != 2 or None in image[1:] or None in scores[1:]:
        raise ConversionError(
            f"{model.name}: maps {image} to {scores}; needs images of a fixed size "
            f"(batch, rows, cols, channels) to scores (batch, classes)"
        )
    return tuple(image[1:])


def float_tflite(model: Any) -> bytes:
    """The network as a float ``.tflite``, batch 1."""
    converter, _ = _converter(model)
    return _name_tensors(_converted(converter, model.name, "a .tflite"))


def int8_tflite(model: Any, configure: Callable[[Any, Any], None]) -> bytes:
    """The network as a full-int8 ``.tflite`` that holds to the contract of every network here.

    Parameters
    ----------
    configure
        Called with the converter and TensorFlow: says where the ranges of activations come from.

    Raises
    ------
    ConversionError
        TensorFlow can't, a layer stays float, the input's codes are not the image's, or the scores
        are neither probabilities nor logits.
    """
    converter, tf = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    configure(converter, tf)
    tflite = _name_tensors(_converted(converter, model.name, "full int8"))
    census(tflite, model.name)
    tflite = adapt(tflite, model.name).tflite
    try:
        check_int8_contract(read_tflite(tflite), model.name)
    except ModelError as error:
        raise ConversionError(str(error)) from error
    return tflite


def _converter(model: Any) -> tuple[Any, Any]:
    """TensorFlow's converter of the network for one image, and TensorFlow."""
    from ecgqa_tflite.networks._keras import tf

    def infer(image: Any) -> dict[str, Any]:
        return {OUTPUT_NAME: model(image, training=False)}

    batch_of_one = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name=INPUT_NAME)
    module = tf.Module()
    module.model = getattr(model, "loaded", model)  # what holds the variables
    if not isinstance(model, tf.Module):  # Keras 3's variables are wrapped, and would be lost
        module.held = [v.value for v in getattr(model, "variables", ()) if not callable(v.value)]
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
        raise ConversionError(
            f"{name}: TensorFlow can't make it {what} ({first_line(error)})"
        ) from error


def first_line(error: Exception) -> str:
    """What another library's exception says, at most 200 characters of it."""
    line = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
    return line.strip()[:200]


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
