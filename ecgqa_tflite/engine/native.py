# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The C engine bound into Python: a device's scores where a device's sources run, no LiteRT.

The constants are those that :mod:`~ecgqa_tflite.engine.nn_source` writes as C, laid out in memory
instead.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine import c_struct
from ecgqa_tflite.engine.c_struct import Number
from ecgqa_tflite.engine.chain import read_network
from ecgqa_tflite.engine.nn_source import (
    LAYER_POINTERS,
    constants,
    layer_numbers,
    model_numbers,
    softmax_numbers,
)
from ecgqa_tflite.engine.planner import Plan, plan_network
from ecgqa_tflite.errors import ArgumentError, ConversionError, EcgqaError, ModelError
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.frontend.native import error_of, library
from ecgqa_tflite.tflite.numbers import check_numbers
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import check_int8_contract


def _laid_out(numbers: Sequence[Number], pointers: Sequence[int] = ()) -> bytes:
    """A sealed struct of constants as C has it here: numbers, digest, pointers, pointers again."""
    digest = struct.pack("<I", c_struct.digest(numbers))
    head = b"".join(number.packed for number in numbers) + digest
    padding = bytes(-len(head) % struct.calcsize("P")) if pointers else b""
    return head + padding + 2 * struct.pack(f"{len(pointers)}P", *pointers)


class NativeModel:
    """``ecgqa_nn_model_t`` of a plan, with all that it leads to; constant, as on a device.

    Parameters
    ----------
    lut
        Colour of each index, uint8 (256, channels): ``frontend.colormap.lut``.

    Raises
    ------
    ArgumentError
        The LUT has another number of channels than the network's image.
    """

    def __init__(self, plan: Plan, lut: NDArray[np.uint8]) -> None:
        if lut.shape != (256, plan.network.image.channels):
            raise ArgumentError(
                f"a colour map of {lut.shape[1]} channels for a network that takes "
                f"{plan.network.image}: not the one it was trained on"
            )
        self.plan = plan
        self._alive: list[object] = []
        layers = b"".join(
            _laid_out(layer_numbers(layer), self._pointers(constants(layer)))
            for layer in plan.layers
        )
        softmax = plan.network.softmax
        pointers = (
            self._address(to_int8(lut)),
            self._address(_words(layers)),
            0 if softmax is None else self._address(_words(_laid_out(softmax_numbers(softmax)))),
        )
        model = _laid_out(model_numbers(plan, 0, 0), pointers)
        sizes = library().ecgqa_host_sizeof_layer(), library().ecgqa_host_sizeof_model()
        if (len(layers), len(model)) != (len(plan.layers) * sizes[0], sizes[1]):
            raise EcgqaError("the compiled engine is of another version; reinstall: pip install .")
        self.address = self._address(_words(model))

    def _address(self, array: NDArray[np.generic]) -> int:
        """Where an array lies, which lives as long as this does."""
        array = np.ascontiguousarray(array)
        self._alive.append(array)
        return int(array.ctypes.data)

    def _pointers(self, there: dict[str, NDArray[np.generic]]) -> list[int]:
        return [self._address(there[key]) if key in there else 0 for key in LAYER_POINTERS]

    @cached_property
    def is_valid(self) -> bool:
        """What ``ecgqa_nn_model_is_valid`` says of it."""
        return bool(library().ecgqa_nn_model_is_valid(ctypes.c_void_p(self.address)))


def _words(data: bytes) -> NDArray[np.uint64]:
    """A copy at an address that suits any struct."""
    return np.frombuffer(data + bytes(-len(data) % 8), np.uint64).copy()


class NativeNetwork:
    """A full-int8 network in the C engine; several threads may ask it at once.

    Parameters
    ----------
    tflite
        The file's bytes.
    lut
        Colour of each index, uint8 (256, channels): ``frontend.colormap.lut``.
    source
        What to call the file in messages.

    Raises
    ------
    ModelError
        Damaged, not full-int8 in and out, or not a network that the engine runs.
    ArgumentError
        As :class:`NativeModel`.
    """

    def __init__(self, tflite: bytes, lut: NDArray[np.uint8], *, source: str = "model") -> None:
        graph = read_tflite(tflite, source)
        check_int8_contract(graph, source)
        check_numbers(graph, source)
        try:
            # no activity: who counts channels is LiteRT, and the order changes no score
            plan = plan_network(read_network(graph))
        except ConversionError as error:
            reason = str(error).partition(": ")[0]
            raise ModelError(
                f"{source}: the device's engine can't run it ({reason}); it needs ai-edge-litert, "
                f"which has wheels for 64-bit systems"
            ) from error
        self._model = NativeModel(plan, lut)
        self._image = plan.network.image
        self.classes = plan.network.classes

    def scores(self, index_maps: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Scores of index maps, a device's to the bit.

        Parameters
        ----------
        index_maps
            uint8, (n, rows, cols), before the colours.

        Returns
        -------
        int8, (n, classes).

        Raises
        ------
        ArgumentError
            Another type or shape.
        """
        shape = (self._image.rows, self._image.cols)
        if index_maps.dtype != np.uint8 or index_maps.shape[1:] != shape:
            raise ArgumentError(
                f"index maps are {index_maps.dtype} {index_maps.shape}; this network takes uint8 "
                f"(n, {shape[0]}, {shape[1]})"
            )
        index_maps = np.ascontiguousarray(index_maps)
        out = np.empty((len(index_maps), self.classes), np.int8)
        status = library().ecgqa_host_scores(
            self._model.address, index_maps.ctypes.data, len(index_maps), out.ctypes.data
        )
        if status != 0:
            raise error_of(int(status))
        return out
