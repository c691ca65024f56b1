# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A plan as the C library takes it, without generating or compiling anything."""

from __future__ import annotations

import ctypes as c
from typing import Any

import numpy as np

from ecgqa_tflite.engine.nn_source import NN_FORMAT
from ecgqa_tflite.engine.packing import EVEN_BIAS
from ecgqa_tflite.engine.planner import LayerPlan, Plan
from ecgqa_tflite.frontend import native


class _Shape(c.Structure):
    _fields_ = [(name, c.c_uint16) for name in ("rows", "cols", "channels")]


class _Window(c.Structure):
    _fields_ = [
        (name, c.c_uint8)
        for name in ("rows", "cols", "stride_rows", "stride_cols", "pad_top", "pad_left")
    ]


class _Layer(c.Structure):
    """``ecgqa_nn_layer_t``."""

    _fields_ = [
        ("kind", c.c_uint8),
        *((n, c.c_int8) for n in ("in_zero_point", "out_zero_point", "act_min", "act_max")),
        *((n, c.c_uint8) for n in ("from_index", "gather")),
        *((n, _Window) for n in ("kernel", "pool")),
        ("reserved", c.c_uint8 * 3),
        *((n, _Shape) for n in ("in_", "out", "pooled")),
        *((n, c.c_uint16) for n in ("runs", "run_len", "chunk_len", "patch_bytes", "chunks")),
        *((n, c.c_uint16) for n in ("chunks_a_step", "channel_block", "blocks_a_step")),
        *((n, c.c_uint16) for n in ("window_rows", "carry_rows")),
        *((n, c.c_uint32) for n in ("window_at", "carry_at", "accumulators_at")),
        *((n, c.c_uint32) for n in ("gather_at", "patch_at", "digest")),
        *((n, c.c_void_p) for n in ("weights", "bias", "multiplier_q31", "shift")),
        ("again", c.c_void_p * 4),
    ]


class _Model(c.Structure):
    """``ecgqa_nn_model_t``."""

    _fields_ = [
        *((n, c.c_uint16) for n in ("format", "n_layers", "rows", "cols")),
        *((n, c.c_uint64) for n in ("spec_hash", "model_id")),
        *((n, c.c_uint32) for n in ("progress_at", "logits_at", "scores_at")),
        *((n, c.c_uint32) for n in ("idle_at", "idle_bytes", "workspace_bytes")),
        *((n, c.c_uint16) for n in ("channels", "classes")),
        ("digest", c.c_uint32),
        *((n, c.c_void_p) for n in ("lut_s8", "layers", "softmax")),
        ("again", c.c_void_p * 3),
    ]


_WEIGHTS = np.full(1 << 22, EVEN_BIAS, np.uint16)
"""Pairs of zeros."""
_BIAS = np.zeros(1 << 14, np.int32)
_MULTIPLIERS = np.full(1 << 14, 1 << 30, np.int32)
_SHIFTS = np.zeros(1 << 14, np.int8)


def _layer(plan: LayerPlan) -> _Layer:
    layer, out = plan.layer, _Layer()
    for name, kind in _Layer._fields_:
        source: Any = plan if hasattr(plan, name) else layer
        if issubclass(kind, c.Structure):
            value = getattr(layer, name)
            setattr(out, name, kind(*(getattr(value, field) for field, _ in kind._fields_)))
        elif kind is not c.c_void_p and name not in ("kind", "reserved", "digest", "again"):
            setattr(out, name, int(getattr(source, name)))
    out.kind = layer.kind.number
    if layer.kind.name not in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        out.weights, out.bias = _WEIGHTS.ctypes.data, _BIAS.ctypes.data
        out.multiplier_q31, out.shift = _MULTIPLIERS.ctypes.data, _SHIFTS.ctypes.data
    return out


def is_valid(plan: Plan) -> bool:
    """What ``ecgqa_nn_model_is_valid`` says of the plan."""
    layers = (_Layer * len(plan.layers))(*map(_layer, plan.layers))
    image = plan.network.image
    model = _Model(
        format=NN_FORMAT, n_layers=len(layers), classes=plan.network.classes,
        rows=image.rows, cols=image.cols, channels=image.channels,
        lut_s8=_WEIGHTS.ctypes.data, layers=c.addressof(layers),
    )  # fmt: skip
    for name in (
        *("progress_at", "logits_at", "scores_at", "idle_at", "idle_bytes", "workspace_bytes"),
    ):
        setattr(model, name, getattr(plan, name))
    return bool(native.library().ecgqa_nn_model_is_valid(c.byref(model)))
