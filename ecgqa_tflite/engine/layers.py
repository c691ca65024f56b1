# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What the row-streaming engine runs: layers, and the operators that make them.

A :class:`Layer` mirrors ``ecgqa_nn_layer_t`` (``firmware_bridge/include/ecgqa/nn.h``) without the
plan. Each file of ``engine/operators`` holds one operator of the ``.tflite``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.tflite.read import Graph, Operator


@dataclass(frozen=True)
class Shape:
    """rows x cols x channels of a feature map."""

    rows: int
    cols: int
    channels: int

    @property
    def row_bytes(self) -> int:
        """int8 bytes of a row."""
        return self.cols * self.channels

    def __str__(self) -> str:
        return f"{self.rows} x {self.cols} x {self.channels}"


@dataclass(frozen=True)
class Window:
    """A sliding window; ``rows == 0``: there is none."""

    rows: int = 0
    cols: int = 0
    stride_rows: int = 0
    stride_cols: int = 0
    pad_top: int = 0
    pad_left: int = 0

    def reach(self, out: int) -> int:
        """Input rows that ``out`` output rows span, those of the padding above left out."""
        return (out - 1) * self.stride_rows + self.rows - self.pad_top

    def reach_cols(self, out: int) -> int:
        """As :meth:`reach`, of columns."""
        return (out - 1) * self.stride_cols + self.cols - self.pad_left


class EngineOperator(ABC):
    """An operator of a ``.tflite`` that the engine runs.

    Attributes
    ----------
    name
        As in the schema's BuiltinOperator.
    """

    name: ClassVar[str]

    @abstractmethod
    def add(self, op: Operator, chain: Chain) -> None:
        """Put the operator at the end of the chain.

        Raises
        ------
        ConversionError
            The engine can't run it to the same bytes.
        """


class LayerOperator(EngineOperator):
    """An operator that becomes a layer: ``ECGQA_NN_<name>`` of ``ecgqa_nn_kind_t``.

    Attributes
    ----------
    number
        Its value in C.
    accumulates
        Takes rows into accumulators that stay.
    packed
        Has weights in packed pairs; see :mod:`ecgqa_tflite.engine.packing`.
    convolves
        Does its output channels in blocks; max pooling that follows runs in its rows.
    colours
        Takes a row of indices and colours it at the gather.
    pixels
        Output pixels that a call of its kernel does.
    """

    number: ClassVar[int]
    accumulates: ClassVar[bool] = False
    packed: ClassVar[bool] = False
    convolves: ClassVar[bool] = False
    colours: ClassVar[bool] = False
    pixels: ClassVar[int] = 1

    def add(self, op: Operator, chain: Chain) -> None:
        """Put one more layer at the end of the chain."""
        chain.layers.append(self.layer(op, chain))

    @abstractmethod
    def layer(self, op: Operator, chain: Chain) -> Layer:
        """The layer, its weights not packed yet."""

    def packing(self, layer: Layer) -> Layer:
        """The layer as the C takes it, once its shapes are final."""
        return layer

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Layer:
    """One layer with the max pooling that follows it.

    ``in_``, ``out`` (before the pooling) and ``pooled`` leave out rows and columns that nothing
    later needs. ``output`` is the tensor of the ``.tflite`` that the pooled output is, ``taps`` the
    multiply-accumulates of one output. Arrays are as the C has them. ``order``: the channel of
    ``output`` that each output channel is; empty where they are the same.
    """

    kind: LayerOperator
    operators: tuple[int, ...]
    output: int
    in_: Shape
    out: Shape
    pooled: Shape
    kernel: Window
    pool: Window
    in_zero_point: int
    out_zero_point: int
    act_min: int
    act_max: int
    from_index: bool = False
    gather: bool = False
    runs: int = 0
    run_len: int = 0
    taps: int = 0
    weights: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8), repr=False)
    bias: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32), repr=False)
    multiplier_q31: NDArray[np.int32] = field(
        default_factory=lambda: np.zeros(0, np.int32), repr=False
    )
    shift: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8), repr=False)
    order: tuple[int, ...] = ()

    @property
    def in_row_bytes(self) -> int:
        """Bytes of an input row as the engine keeps it."""
        return self.in_.cols if self.from_index else self.in_.row_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return self.out.rows * self.out.row_bytes * self.taps

    @property
    def padded(self) -> bool:
        """Whether a window reaches beyond the input."""
        k = self.kernel
        return bool(
            k.pad_top
            or k.pad_left
            or k.reach(self.out.rows) > self.in_.rows
            or k.reach_cols(self.out.cols) > self.in_.cols
        )

    def uses_row(self, row: int) -> bool:
        """Whether an input row is used: all are, unless the stride is above the kernel."""
        if self.kind.accumulates:
            return True
        k = self.kernel
        position = (row + k.pad_top) % k.stride_rows
        return position < k.rows and row < k.reach(self.out.rows)

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights, bias and requantisation."""
        return sum(a.nbytes for a in (self.weights, self.bias, self.multiplier_q31, self.shift))


@dataclass(frozen=True)
class Softmax:
    """``ecgqa_nn_softmax_t``."""

    multiplier_q31: int
    left_shift: int
    diff_min: int


@dataclass(frozen=True)
class Network:
    """A chain of layers from the index map to the scores."""

    layers: tuple[Layer, ...]
    softmax: Softmax | None
    image: Shape
    classes: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    def kept_rows(self, index: int) -> list[int]:
        """Rows of a layer's pooled output that the engine keeps, and so can show."""
        rows = range(self.layers[index].pooled.rows)
        following = self.layers[index + 1 : index + 2]
        return [r for r in rows if all(layer.uses_row(r) for layer in following)]


@dataclass
class Chain:
    """A network while its operators are read, first to last."""

    graph: Graph
    layers: list[Layer] = field(default_factory=list)
    softmax: Softmax | None = None

    @property
    def end(self) -> Shape | None:
        """What the last layer gives; None before the first."""
        return self.layers[-1].pooled if self.layers else None
