# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole path as generated C: ``ecgqa_bundle_t`` with its workspace and its golden vectors."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine import c_struct
from ecgqa_tflite.engine.activity import channel_activity
from ecgqa_tflite.engine.c_source import array, own_name, preamble, renamed
from ecgqa_tflite.engine.c_struct import Number
from ecgqa_tflite.engine.golden import fnv1a
from ecgqa_tflite.engine.layers import Layer
from ecgqa_tflite.engine.model_source import tables_name, tables_sources
from ecgqa_tflite.engine.nn_source import model_id, nn_source
from ecgqa_tflite.engine.packing import WEIGHTS_TAIL
from ecgqa_tflite.engine.planner import ALIGN, Plan, plan_tflite
from ecgqa_tflite.errors import ArgumentError, ConversionError
from ecgqa_tflite.frontend import colormap, native
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.frontend.tables import Tables
from ecgqa_tflite.spec import FrontEnd, Quality
from ecgqa_tflite.tflite.run import Int8Network

BUNDLE_FORMAT = 2
"""``ECGQA_BUNDLE_FORMAT``; a test holds it against the header."""


@dataclass(frozen=True)
class FrontEndBytes:
    """Memory of the front end: what lives to the last row, and scratch of its two parts."""

    keep: int
    analyse_scratch: int
    row_scratch: int


def front_end_bytes(tables: Tables) -> FrontEndBytes:
    """What ``ecgqa_cwt_keep_bytes`` and its two siblings answer, bytes."""
    pointers = native.c_tables(tables)
    answers = []
    for name in ("keep", "analyse_scratch", "row_scratch"):
        function = getattr(native.library(), f"ecgqa_cwt_{name}_bytes")
        function.restype = ctypes.c_size_t
        function.argtypes = [ctypes.c_void_p]
        answers.append(int(function(ctypes.addressof(pointers))))
    return FrontEndBytes(*answers)


@dataclass(frozen=True)
class Device:
    """A model on a device, ready to be written as C.

    Attributes
    ----------
    plan
        The network's.
    workspace_bytes
        All of the memory but the context and the stack.
    collect
        Whether samples are collected while a segment is classified.
    hop_len
        Samples between the starts of two segments.
    """

    spec: FrontEnd
    tables: Tables
    tflite: bytes
    threshold_int8: int
    plan: Plan
    workspace_bytes: int
    collect: bool
    hop_len: int

    @property
    def spec_hash(self) -> int:
        """First 8 bytes of the spec's SHA-256."""
        return self.tables.spec_hash

    @property
    def scratch_bytes(self) -> int:
        """What leads share where samples lie apart (``collect``): the workspace without them."""
        return self.workspace_bytes - -(-2 * self.tables.segment_len // ALIGN) * ALIGN


def plan_device(
    spec: FrontEnd,
    tables: Tables,
    tflite: bytes,
    threshold_int8: int,
    *,
    hop_s: float | None = None,
    collect: bool = False,
) -> Device:
    """Plan the memory of the whole path.

    Parameters
    ----------
    threshold_int8
        int8 score of class 1 from which a segment is of high quality.
    hop_s
        Time between the starts of two segments, s; None: a segment.
    collect
        Keep samples apart from the network's memory, so that they can come in while a segment is
        classified. A hop below the segment's length needs it.

    Raises
    ------
    ArgumentError
        The hop is not a whole number of samples in 1..segment_len, or needs ``collect``.
    ConversionError
        The engine can't run the network, or it has one class.
    """
    segment_len = tables.segment_len
    exact = segment_len if hop_s is None else hop_s * segment_len / spec.segment_s
    hop_len = round(exact)
    if abs(exact - hop_len) > 1e-6 or not 1 <= hop_len <= segment_len:
        raise ArgumentError(
            f"a hop of {hop_s} s is {exact:g} samples: it must be a whole number of them, "
            f"at most the segment's {segment_len}"
        )
    if hop_len != segment_len and not collect:
        raise ArgumentError("segments that overlap need memory of their own for samples: --collect")
    plan = plan_tflite(
        tflite,
        row_scratch_bytes=front_end_bytes(tables).row_scratch,
        activity=channel_activity(spec, tflite),
    )
    if plan.network.classes <= Quality.HIGH:
        raise ConversionError("the network gives one score: a decision is between two at least")
    workspace_bytes = native.workspace_bytes(
        tables,
        plan.workspace_bytes,
        idle_at=plan.idle_at,
        idle_bytes=plan.idle_bytes,
        collect=collect,
    )
    return Device(spec, tables, tflite, threshold_int8, plan, workspace_bytes, collect, hop_len)


@dataclass(frozen=True, eq=False)
class GoldenPath:
    """A golden segment, the digests of the constants and the rows of every stage."""

    samples: NDArray[np.int16]
    constants: list[int]
    rows: list[bytes]


def golden(
    device: Device, samples: NDArray[np.int16], *, rows: list[bytes] | None = None
) -> GoldenPath:
    """What the self-test compares with; ``rows`` default to :func:`golden_rows`."""
    return GoldenPath(samples, constant_digests(device), rows or golden_rows(device, samples))


def device_sources(
    device: Device, vectors: GoldenPath | None, *, golden_bytes: bool = False
) -> dict[str, str]:
    """C files of the tables, the network and ``ecgqa_bundle``.

    Parameters
    ----------
    vectors
        Golden vectors, made of the same device; None: no self-test.
    golden_bytes
        Keep the golden rows themselves beside their digests: many kilobytes of flash, for which
        the self-test names a divergence to the index.
    """
    network = nn_source(
        device.plan,
        _model_name(device),
        lut=colormap.lut(device.spec.colormap),
        spec_hash=device.spec_hash,
        model_id=model_id(device.tflite),
    )
    return {
        **tables_sources(device.tables, model_id(device.tflite)),
        "ecgqa_model.c": network,
        "ecgqa_bundle.h": _header(device),
        "ecgqa_bundle.c": _bundle(device, vectors, golden_bytes),
    }


def _model_name(device: Device) -> str:
    return own_name("ecgqa_model", model_id(device.tflite), device.tables.segment_len)


def _bundle_name(device: Device) -> str:
    what = (device.tables.segment_len, device.hop_len, device.collect, device.threshold_int8)
    return own_name("ecgqa_bundle", model_id(device.tflite), *what)


def _header(device: Device) -> str:
    return (
        preamble(
            "Everything of one model on one device.",
            device.spec_hash,
            "ecgqa/ecgqa.h",
            "ECGQA_BUNDLE_FORMAT",
            BUNDLE_FORMAT,
        ).replace("#include", "#ifndef ECGQA_BUNDLE_H\n#define ECGQA_BUNDLE_H\n\n#include", 1)
        + renamed("ecgqa_bundle", _bundle_name(device))
        + f"/* What ecgqa_workspace_bytes(&ecgqa_bundle) answers. */\n"
        f"#define ECGQA_WORKSPACE_BYTES {device.workspace_bytes}u\n"
        f"#define ECGQA_SEGMENT_LEN {device.tables.segment_len}u\n"
        f"#define ECGQA_SEGMENT_US {round(device.spec.segment_s * 1e6)}u\n"
        f"#define ECGQA_HOP_LEN {device.hop_len}u\n"
        f"/* 1: ecgqa_push takes samples while a segment is classified. */\n"
        f"#define ECGQA_COLLECTS {int(device.collect)}\n"
        + _scratch(device)
        + f"#define ECGQA_SPEC_HASH UINT64_C(0x{device.spec_hash:016x})\n"
        f"#define ECGQA_MODEL_ID UINT64_C(0x{model_id(device.tflite):016x})\n\n"
        f'#ifdef __cplusplus\nextern "C"\n#else\nextern\n#endif\n'
        f"const ecgqa_bundle_t ecgqa_bundle;\n\n#endif\n"
    )


def _scratch(device: Device) -> str:
    if not device.collect:
        return ""
    return (
        f"/* What ecgqa_scratch_bytes(&ecgqa_bundle) answers: what several leads share. */\n"
        f"#define ECGQA_SCRATCH_BYTES {device.scratch_bytes}u\n"
    )


def _bundle(device: Device, vectors: GoldenPath | None, golden_bytes: bool) -> str:
    tables, model = tables_name(device.tables, model_id(device.tflite)), _model_name(device)
    text = (
        "/* Generated with ecgqa_bundle.h. Do not edit. */\n"
        '#include "ecgqa_bundle.h"\n\n'
        '#ifdef __cplusplus\nextern "C" {\n#endif\n'
        f"extern const ecgqa_cwt_tables_t {tables};\n"
        f"extern const ecgqa_nn_model_t {model};\n"
        "#ifdef __cplusplus\n}\n#endif\n\n"
    )
    pointer = "NULL"
    if vectors is not None:
        pointer = "&golden"
        digests = [*vectors.constants, *(fnv1a(row) for row in vectors.rows)]
        text += array("golden_samples", vectors.samples) + "\n"
        text += array("golden_digests", np.array(digests, np.uint32)) + "\n"
        if golden_bytes:
            text += array("golden_bytes", np.frombuffer(b"".join(vectors.rows), np.uint8)) + "\n"
        pointers = {
            "samples": "golden_samples",
            "digests": "golden_digests",
            "bytes": "golden_bytes" if golden_bytes else "NULL",
        }
        told = [Number("samples_digest", "I", (fnv1a(vectors.samples),))]
        text += (
            "static const ecgqa_golden_t golden = {\n" + c_struct.body(told, pointers) + "\n};\n\n"
        )
    numbers = [
        Number("format", "H", (BUNDLE_FORMAT,)),
        Number("hop_len", "H", (device.hop_len,)),
        Number("collect_while_classifying", "B", (int(device.collect),)),
        Number("threshold_s8", "b", (device.threshold_int8,)),
        Number("reserved", "B", (0, 0)),
        Number("workspace_bytes", "I", (device.workspace_bytes,)),
    ]
    pointers = {"cwt": f"&{tables}", "model": f"&{model}", "golden": pointer}
    body = c_struct.body(numbers, pointers)
    return f"{text}const ecgqa_bundle_t ecgqa_bundle = {{\n{body}\n}};\n"


def constant_digests(device: Device) -> list[int]:
    """Digests of the tables, the colour LUT and each layer, in ``ecgqa_golden_t``'s order."""
    tables = [v for v in vars(device.tables).values() if isinstance(v, np.ndarray)]
    lut_s8 = to_int8(colormap.lut(device.spec.colormap))
    layers = [
        b"".join(
            (
                x.weights.tobytes(),
                bytes(WEIGHTS_TAIL if x.kind.packed else 0),
                *(a.tobytes() for a in (x.bias, x.multiplier_q31, x.shift)),
            )
        )
        for x in device.plan.network.layers
    ]
    return [fnv1a(x) for x in (*(t.tobytes() for t in tables), lut_s8.tobytes(), *layers)]


def golden_rows(device: Device, samples: NDArray[np.int16]) -> list[bytes]:
    """Every row that the golden segment gives, stage after stage: index map, layers, scores.

    The index map is the C front end's, the rest LiteRT's reference kernels'.
    """
    if np.ptp(samples) == 0:
        raise ArgumentError("a constant golden segment would leave the network untested")
    fs_hz = device.tables.segment_len / device.spec.segment_s
    index_map = NativeFrontEnd(device.spec, fs_hz).index_map(samples)
    network = Int8Network(device.tflite, reference_kernels=True)
    tensors = network.tensors(to_int8(colormap.image(index_map, device.spec.colormap)))
    rows = [row for layer in device.plan.network.layers for row in layer_rows(layer, tensors)]
    scores = tensors[network.graph.outputs[0]].tobytes()
    return [*(row.tobytes() for row in index_map), *rows, scores]


def layer_rows(layer: Layer, tensors: dict[int, NDArray[np.generic]]) -> list[bytes]:
    """Rows of a layer's pooled output as the engine makes them, from LiteRT's tensors.

    The engine leaves out rows and columns that nothing later needs, and has channels in its order.
    """
    tensor = tensors[layer.output]
    whole = tensor.reshape(tensor.shape[1:] if tensor.ndim == 4 else (1, 1, -1))
    if layer.order:
        whole = whole[:, :, list(layer.order)]
    return [row.tobytes() for row in whole[: layer.pooled.rows, : layer.pooled.cols]]
