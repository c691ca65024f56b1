# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Changing a ``.tflite``: to the schema's objects and back to bytes, with constants aligned.

Only files that :func:`ecgqa_tflite.tflite.read.read_tflite` has passed come here.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ecgqa_tflite.tflite.read import IDENTIFIER

CONSTANT_ALIGN = 16
"""TensorFlow Lite reads constants in place and wants them on this boundary, bytes."""


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes are aligned; the schema's own writer aligns to one byte."""

    def __init__(self, data: Any = None) -> None:
        super().__init__()  # the schema's own takes no data in older releases
        self.data = data

    def Pack(self, builder: Any) -> int:
        data = None
        if self.data is not None and len(self.data):
            raw = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(raw), CONSTANT_ALIGN)
            builder.head -= len(raw)
            builder.Bytes[builder.head : builder.head + len(raw)] = raw
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def unpack(tflite: bytes) -> Any:
    """The file as a ``ModelT`` whose parts may be changed."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite, 0))
    for i, buffer in enumerate(model.buffers):
        model.buffers[i] = _Buffer(buffer.data)
    return model


def add_buffer(model: Any, data: bytes) -> int:
    """Append a buffer and return its number."""
    model.buffers.append(_Buffer(np.frombuffer(data, np.uint8)))
    return len(model.buffers) - 1


def set_buffer(model: Any, index: int, data: bytes) -> None:
    """Replace a buffer's bytes."""
    model.buffers[index] = _Buffer(np.frombuffer(data, np.uint8))


def pack(model: Any) -> bytes:
    """The file's bytes: the same model gives the same ones."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())
