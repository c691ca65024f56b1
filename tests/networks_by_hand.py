# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""int8 ``.tflite`` files of random weights, laid out as TensorFlow's converter does, without it."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ecgqa_tflite.tflite.flatbuffer import add_buffer, pack

SCALE = 0.05
"""Of every tensor between the image and the scores."""
SPREAD = 40.0
"""Standard deviation of a layer's outputs, int8 steps, about."""
DEAD = -(1 << 24)
"""Bias of a channel that a ReLU always cuts off."""
CONSTANT = 60
"""Steps above the zero point of a channel that has no weights."""

ACTIVATIONS = {
    "none": (schema.ActivationFunctionType.NONE, 3),
    "relu": (schema.ActivationFunctionType.RELU, -128),
    "relu6": (schema.ActivationFunctionType.RELU6, -128),
}
"""The schema's number, and the zero point of what comes out."""
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1}
"""Of operators whose int8 form is not version 2."""
PADDINGS = {"valid": schema.Padding.VALID, "same": schema.Padding.SAME}


class Builder:
    """A network that grows from its image (1, rows, cols, channels) on.

    Attributes
    ----------
    shape
        Of what the last operator gives.
    """

    def __init__(self, rows: int, cols: int, channels: int, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers, self._model.operatorCodes = [], []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]
        add_buffer(self._model, b"")
        self._scale, self._zero_point = 1 / 255, -128
        self.shape: tuple[int, ...] = (1, rows, cols, channels)
        self._graph.inputs = [self._activation()]

    def conv(
        self,
        channels: int,
        size: int,
        stride: int = 1,
        padding: str = "valid",
        activation: str = "relu",
        *,
        dead: tuple[int, ...] = (),
        constant: tuple[int, ...] = (),
    ) -> Builder:
        """A convolution; ``dead`` and ``constant`` are some of its channels."""
        options = schema.Conv2DOptionsT()
        options.dilationHFactor = options.dilationWFactor = 1
        self._strided(options, stride, padding)
        shape = (channels, size, size, self.shape[-1])
        at, inputs = self._weighted(shape, 0, activation, dead, constant)
        options.fusedActivationFunction = ACTIVATIONS[activation][0]
        self.shape = (*self._windows(size, stride, padding), channels)
        return self._operator("CONV_2D", (at, *inputs), "Conv2DOptions", options, activation)

    def depthwise(
        self, size: int, multiplier: int = 1, padding: str = "same", activation: str = "relu"
    ) -> Builder:
        """A depthwise convolution."""
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = multiplier
        options.dilationHFactor = options.dilationWFactor = 1
        self._strided(options, 1, padding)
        channels = multiplier * self.shape[-1]
        at, inputs = self._weighted((1, size, size, channels), 3, activation, (), ())
        options.fusedActivationFunction = ACTIVATIONS[activation][0]
        self.shape = (*self._windows(size, 1, padding), channels)
        return self._operator(
            "DEPTHWISE_CONV_2D", (at, *inputs), "DepthwiseConv2DOptions", options, activation
        )

    def pool(self, kind: str, size: int, stride: int = 1, padding: str = "valid") -> Builder:
        """``MAX`` or ``AVERAGE`` pooling."""
        options = schema.Pool2DOptionsT()
        options.filterHeight = options.filterWidth = size
        self._strided(options, stride, padding)
        at = self._last
        self.shape = (*self._windows(size, stride, padding), self.shape[-1])
        return self._operator(f"{kind}_POOL_2D", (at,), "Pool2DOptions", options)

    def flatten(self) -> Builder:
        """A RESHAPE to one row."""
        options = schema.ReshapeOptionsT()
        at, self.shape = self._last, (1, int(np.prod(self.shape)))
        options.newShape = np.array(self.shape, np.int32)
        told = self._constant(np.array([-1, self.shape[1]], np.int32))
        return self._operator("RESHAPE", (at, told), "ReshapeOptions", options)

    def mean(self) -> Builder:
        """The mean over rows and columns."""
        at, self.shape = self._last, (1, self.shape[-1])
        axes = self._constant(np.array([1, 2], np.int32))
        return self._operator("MEAN", (at, axes), "ReducerOptions", schema.ReducerOptionsT())

    def add(self, back: int) -> Builder:
        """The sum of what the last operator gives and what one ``back`` operators before gave."""
        other = int(self._graph.operators[-1 - back].outputs[0])
        options = schema.AddOptionsT()
        return self._operator("ADD", (self._last, other), "AddOptions", options)

    def scores(self, classes: int = 2) -> bytes:
        """A fully connected layer with an output a class, a softmax; the file."""
        at, inputs = self._weighted((classes, self.shape[-1]), 0, "none", (), ())
        self.shape = (1, classes)
        full = schema.FullyConnectedOptionsT()
        self._operator("FULLY_CONNECTED", (at, *inputs), "FullyConnectedOptions", full, "none")
        return self.softmax()

    def softmax(self) -> bytes:
        """A softmax over the channels; the file."""
        softmax, at = schema.SoftmaxOptionsT(), self._last
        softmax.beta = 1.0
        self._scale, self._zero_point = 1 / 256, -128
        self._operator("SOFTMAX", (at,), "SoftmaxOptions", softmax)
        self._graph.outputs = [self._last]
        return pack(self._model)

    @property
    def _last(self) -> int:
        return int(self._graph.operators[-1].outputs[0]) if self._graph.operators else 0

    @staticmethod
    def _strided(options: Any, stride: int, padding: str) -> None:
        options.strideH = options.strideW = stride
        options.padding = PADDINGS[padding]

    def _windows(self, size: int, stride: int, padding: str) -> tuple[int, ...]:
        reach = 0 if padding == "same" else size - 1
        return (1, *(-(-(n - reach) // stride) for n in self.shape[1:3]))

    def _weighted(
        self,
        shape: tuple[int, ...],
        axis: int,
        activation: str,
        dead: tuple[int, ...],
        constant: tuple[int, ...],
    ) -> tuple[int, tuple[int, int]]:
        """Tensors of the input, and of weights and bias of a layer."""
        rng, at, scale = self._rng, self._last, self._scale
        self._scale, self._zero_point = SCALE, ACTIVATIONS[activation][1]
        channels = shape[axis]
        weights = rng.integers(-127, 128, shape).astype(np.int8)
        taps = weights.size / channels
        spread = 7000 * np.sqrt(taps) * rng.uniform(0.7, 1.4, channels)
        bias = rng.normal(0, spread).astype(np.int32)
        for channel in (c for c in constant if c < channels):
            np.moveaxis(weights, axis, 0)[channel] = 0
            bias[channel] = CONSTANT * spread[channel] / SPREAD
        bias[[c for c in dead if c < channels]] = DEAD
        real = (SPREAD / spread * SCALE / scale).astype(np.float32)
        return at, (
            self._constant(weights, real, axis),
            self._constant(bias, (real * np.float32(scale)), 0),
        )

    def _constant(
        self, data: NDArray[Any], scale: NDArray[np.float32] | None = None, axis: int = 0
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.name = np.array(data.shape, np.int32), f"constant_{self._count}"
        kinds = {np.dtype(np.int8): schema.TensorType.INT8, np.dtype(np.int32): 2}
        tensor.type = kinds[data.dtype]
        tensor.buffer = add_buffer(self._model, data.tobytes())
        if scale is not None:
            tensor.quantization = _quantisation(scale, np.zeros(scale.size, np.int64), axis)
        return self._add(tensor)

    def _activation(self) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.name = np.array(self.shape, np.int32), f"tensor_{self._count}"
        tensor.type = schema.TensorType.INT8
        tensor.quantization = _quantisation(
            np.array([self._scale], np.float32), np.array([self._zero_point], np.int64), 0
        )
        return self._add(tensor)

    @property
    def _count(self) -> int:
        return len(self._graph.tensors)

    def _add(self, tensor: Any) -> int:
        self._graph.tensors.append(tensor)
        return self._count - 1

    def _operator(
        self,
        name: str,
        inputs: tuple[int, ...],
        kind: str,
        options: Any,
        activation: str | None = None,
    ) -> Builder:
        operator, code = schema.OperatorT(), schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name)
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = VERSIONS.get(name, 2)
        self._model.operatorCodes.append(code)
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), [self._activation()]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = options
        self._graph.operators.append(operator)
        return self


def _quantisation(scale: NDArray[np.float32], zero_point: NDArray[np.int64], axis: int) -> Any:
    found = schema.QuantizationParametersT()
    found.scale, found.zeroPoint, found.quantizedDimension = scale, zero_point, axis
    return found
