# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The C front end bound into Python: training, calibration, evaluation and the device run the same
source files, ``firmware_bridge/src``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite import frontend
from ecgqa_tflite.errors import ArgumentError, EcgqaError
from ecgqa_tflite.frontend import tables as tables_module
from ecgqa_tflite.frontend.tables import Tables
from ecgqa_tflite.spec import FrontEnd

Element = TypeVar("Element", np.int16, np.uint8)

_LIBRARY = "_ecgqa.so"
_MOST_LANES = 2**16
"""More than any core has."""

_SCALARS: dict[str, Any] = {
    "format": ctypes.c_uint16,
    "segment_len": ctypes.c_uint16,
    "rows": ctypes.c_uint16,
    "cols": ctypes.c_uint16,
    "n_bins": ctypes.c_uint16,
    "forward_points": ctypes.c_uint16,
    "n_stages": ctypes.c_uint8,
    "max_log2_fft": ctypes.c_uint8,
    "subtract_min": ctypes.c_uint8,
    "conditioning": ctypes.c_uint8,
    "segment_ms": ctypes.c_uint16,
    "reserved": ctypes.c_uint16 * 3,
    "spec_hash": ctypes.c_uint64,
    "psi_first_q16": ctypes.c_uint32,
}
_ARRAYS = (
    "radices",
    "forward_order",
    "quarter_sine_q31",
    "twiddle_cos_q31",
    "twiddle_sin_q31",
    "bit_reversal",
    "psi_q15",
    "taps_q14",
    "row",
)


class _CTables(ctypes.Structure):
    """``ecgqa_cwt_tables_t``; its size is held against the library's own."""

    _fields_ = [
        *_SCALARS.items(),
        ("digest", ctypes.c_uint32),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
        ("again", ctypes.c_void_p * len(_ARRAYS)),
    ]


def c_tables(tables: Tables) -> _CTables:
    """``tables`` as the library takes them: pointers into what must outlive this."""
    c = _CTables()
    for name in _SCALARS:
        if name != "reserved":
            setattr(c, name, getattr(tables, name))
    for name in _ARRAYS:
        setattr(c, name, getattr(tables, name).ctypes.data)
    library().ecgqa_host_seal_tables(ctypes.addressof(c))
    return c


def numbers(tables: Tables) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, type as :mod:`struct` has it, and values of each number of ``ecgqa_cwt_tables_t``."""
    codes = {1: "B", 2: "H", 4: "I", 8: "Q"}
    c = c_tables(tables)
    for name in _SCALARS:
        value = getattr(c, name)
        if isinstance(value, int):
            yield name, codes[getattr(_CTables, name).size], (value,)
        else:
            yield name, codes[ctypes.sizeof(value._type_)], tuple(value)


@cache
def library() -> ctypes.CDLL:
    """The compiled library, loaded once.

    Raises
    ------
    EcgqaError
        It isn't built, or is of another version than this package.
    """
    # An editable install keeps what it compiled apart from the sources; __path__ names both.
    found = [p / _LIBRARY for p in map(Path, frontend.__path__) if (p / _LIBRARY).exists()]
    if not found:
        raise EcgqaError(f"the compiled front end {_LIBRARY} is missing; reinstall: pip install .")
    try:
        lib = ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise EcgqaError(
            f"the compiled front end {found[0]} does not load ({error}); reinstall: pip install ."
        ) from error
    sizeof = ("tables", "row", "layer", "model")
    asked = (*(f"sizeof_{name}" for name in sizeof), "lanes", "fold")
    if not all(hasattr(lib, f"ecgqa_host_{name}") for name in asked):
        raise EcgqaError(f"{found[0]} is of another version; reinstall: pip install .")
    for name in ("index_maps_two_pass", "condition", "reasons", "scores"):
        function = getattr(lib, f"ecgqa_host_{name}")
        function.restype = ctypes.c_int
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    lib.ecgqa_status_str.restype = ctypes.c_char_p
    for name in sizeof:
        getattr(lib, f"ecgqa_host_sizeof_{name}").restype = ctypes.c_size_t
    sizes = lib.ecgqa_host_sizeof_tables(), lib.ecgqa_host_sizeof_row()
    expected = ctypes.sizeof(_CTables), tables_module.ROW_DTYPE.itemsize
    if sizes != expected:
        raise EcgqaError(f"{found[0]} is of another version; reinstall: pip install .")
    lib.ecgqa_host_index_maps.restype = ctypes.c_int
    lib.ecgqa_host_index_maps.argtypes = [
        *(ctypes.c_void_p,) * 2, ctypes.c_uint, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
    ]  # fmt: skip
    lib.ecgqa_host_lanes.restype = ctypes.c_uint
    lib.ecgqa_host_lanes.argtypes = [ctypes.c_uint]
    lib.ecgqa_host_fold.restype = None
    lib.ecgqa_host_fold.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
    ]  # fmt: skip
    lib.ecgqa_host_weights_len.restype = ctypes.c_size_t
    lib.ecgqa_host_weights_len.argtypes = [ctypes.c_void_p]
    lib.ecgqa_host_weights.restype = None
    lib.ecgqa_host_weights.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    lib.ecgqa_host_seal_tables.restype = None
    lib.ecgqa_host_seal_tables.argtypes = [ctypes.c_void_p]
    lib.ecgqa_host_workspace_bytes.restype = ctypes.c_size_t
    lib.ecgqa_host_workspace_bytes.argtypes = [
        ctypes.c_void_p, *(ctypes.c_uint32,) * 3, ctypes.c_uint8
    ]  # fmt: skip
    return lib


def workspace_bytes(
    tables: Tables, network_bytes: int, *, idle_at: int, idle_bytes: int, collect: bool
) -> int:
    """Memory of the whole path on a device, bytes: what ``ecgqa_workspace_bytes`` answers there.

    Parameters
    ----------
    network_bytes
        The network's plan.
    idle_at, idle_bytes
        The part of it that holds nothing between rows: the front end's scratch goes there.
    collect
        Samples have memory of their own and are collected while a segment is classified.

    Raises
    ------
    ArgumentError
        The network takes more memory than the library allows, or none.
    """
    pointers = c_tables(tables)
    function = library().ecgqa_host_workspace_bytes
    found = int(
        function(ctypes.addressof(pointers), network_bytes, idle_at, idle_bytes, int(collect))
    )
    if not found:
        raise ArgumentError(
            f"a network of {network_bytes} bytes of memory has no place on a device"
        )
    return found


def status_text(status: int) -> str:
    """What the library says of a status code."""
    return str(library().ecgqa_status_str(status).decode())


def error_of(status: int) -> EcgqaError:
    """What the library's status stands for."""
    for cls in EcgqaError.__subclasses__():
        if cls.status == status:
            return cls(status_text(status))
    return EcgqaError(status_text(status))


def folded(
    images: NDArray[np.int8], block: int, rows: int, cols: int, fill: int
) -> NDArray[np.int8]:
    """Blocks of pixels laid into one each.

    Parameters
    ----------
    images
        int8, shape (n, r, c, channels), none of them 0.
    block
        Rows and columns of a block.
    rows, cols
        Blocks that are wanted; pixels beyond them are cut off, missing ones are ``fill``.

    Returns
    -------
    int8, shape (n, rows, cols, block * block * channels): block row, block column, channel.
    """
    images = np.ascontiguousarray(images)
    n, r, c, channels = images.shape
    out = np.empty((n, rows, cols, block * block * channels), np.int8)
    numbers = (ctypes.c_uint32 * 7)(r, c, channels, block, rows, cols, fill & 0xFFFFFFFF)
    library().ecgqa_host_fold(numbers, images.ctypes.data, n, out.ctypes.data)
    return out


class NativeFrontEnd:
    """The fixed-point front end for one spec and one sampling rate.

    Parameters
    ----------
    spec
        The front end.
    fs_hz
        Sampling rate of the segments, Hz.

    Raises
    ------
    SamplingRateError
        See :meth:`FrontEnd.segment_len`.
    """

    def __init__(self, spec: FrontEnd, fs_hz: float) -> None:
        self.spec = spec
        self.fs_hz = float(fs_hz)
        self.tables = tables_module.build(spec, self.fs_hz)
        self._c_tables = c_tables(self.tables)
        self._library = library()
        tables = ctypes.addressof(self._c_tables)
        self._weights = np.empty(self._library.ecgqa_host_weights_len(tables), np.int16)
        if self._weights.size:
            self._library.ecgqa_host_weights(tables, self._weights.ctypes.data)

    @property
    def lanes(self) -> tuple[int, ...]:
        """Rows, or segments, that this core can take side by side: AVX-512 16, AVX2 8, NEON 4.

        Most first; the last is always 1, one after the other.
        """
        found = [int(self._library.ecgqa_host_lanes(_MOST_LANES))]
        while found[-1] > 1:
            found.append(int(self._library.ecgqa_host_lanes(found[-1] - 1)))
        return tuple(found)

    @property
    def segment_len(self) -> int:
        """Samples in a segment."""
        return self.tables.segment_len

    def _checked(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        samples = np.ascontiguousarray(samples)
        if samples.dtype != np.int16 or samples.ndim != 2 or samples.shape[1] != self.segment_len:
            raise ArgumentError(
                f"segments at {self.fs_hz:g} Hz are int16 (n, {self.segment_len}), "
                f"not {samples.dtype} {samples.shape}"
            )
        return samples

    def _filled(
        self, name: str, samples: NDArray[np.int16], out: NDArray[Element], *before: int | None
    ) -> NDArray[Element]:
        """``out``, which the library's function fills from segments; takes ``before`` first."""
        tables = ctypes.addressof(self._c_tables)
        function = getattr(self._library, name)
        status = function(tables, *before, samples.ctypes.data, len(samples), out.ctypes.data)
        if status != 0:
            raise error_of(int(status))
        return out

    def conditioned(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Segments as the transform takes them: baseline off, clipped, if the spec says so.

        Parameters
        ----------
        samples
            int16, shape (n, segment_len).

        Returns
        -------
        int16, the same shape, in units of their own.

        Raises
        ------
        ArgumentError
            Wrong type or shape.
        """
        samples = self._checked(samples)
        return self._filled("ecgqa_host_condition", samples, np.empty_like(samples))

    def reasons(self, samples: NDArray[np.int16]) -> NDArray[np.uint8]:
        """What a device finds in segments before any network: ``ecgqa_reason_t`` of each.

        Parameters
        ----------
        samples
            int16, shape (n, segment_len).

        Returns
        -------
        uint8, shape (n,): 0 where the network is to be asked.

        Raises
        ------
        ArgumentError
            Wrong type or shape.
        """
        samples = self._checked(samples)
        return self._filled("ecgqa_host_reasons", samples, np.empty(len(samples), np.uint8))

    def index_map(self, samples: NDArray[np.int16]) -> NDArray[np.uint8]:
        """One segment, int16 (segment_len,), to its index map, uint8 (rows, cols).

        A constant segment's is all zeros. Raises :class:`ArgumentError` as :meth:`index_maps`.
        """
        return np.asarray(self.index_maps(np.asarray(samples)[None], threads=1)[0])

    def index_maps(
        self,
        samples: NDArray[np.int16],
        *,
        threads: int | None = None,
        out: NDArray[np.uint8] | None = None,
        lanes: int = _MOST_LANES,
        two_pass: bool = False,
    ) -> NDArray[np.uint8]:
        """Index maps of many segments.

        Parameters
        ----------
        samples
            int16, shape (n, segment_len).
        threads
            Threads to share the segments between; None takes every core.
        out
            C-contiguous uint8 (n, rows, cols) to write to.
        lanes
            Rows, and segments, side by side at most, where the core can (:attr:`lanes`); 1: one
            after the other, as on any core. The same bytes, slower.
        two_pass
            Work as the device does, finding the range before the rows: the same bytes, slower.

        Returns
        -------
        uint8, shape (n, rows, cols); ``out`` where given.

        Raises
        ------
        ArgumentError
            Wrong type, shape or memory order.
        """
        samples = self._checked(samples)
        shape = (len(samples), self.spec.rows, self.spec.cols)
        if out is None:
            out = np.empty(shape, dtype=np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ArgumentError(f"out must be C-contiguous uint8 {shape}")
        weights = self._weights.ctypes.data if self._weights.size else None

        def run(start: int, stop: int) -> None:
            # ctypes lets go of the interpreter's lock, so threads run side by side.
            if two_pass:
                self._filled("ecgqa_host_index_maps_two_pass", samples[start:stop], out[start:stop])
            else:
                self._filled(
                    "ecgqa_host_index_maps", samples[start:stop], out[start:stop], weights, lanes
                )

        n = len(samples)
        workers = min(threads or os.cpu_count() or 1, max(1, n))
        cuts = [n * i // workers for i in range(workers + 1)]
        if workers == 1:
            run(0, n)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(run, cuts[:-1], cuts[1:]))
        return out
