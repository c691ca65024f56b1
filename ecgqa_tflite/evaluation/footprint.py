# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model takes on a device, as far as arithmetic tells: no compiler, no emulator."""

from __future__ import annotations

from typing import Any

from ecgqa_tflite.devices.cortex_m import network_bytes
from ecgqa_tflite.engine.device_source import plan_device
from ecgqa_tflite.engine.image_source import image_workspace_bytes
from ecgqa_tflite.errors import ConversionError, ToolError
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.tflite import tflm
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.read import read_tflite

FS_HZ = 250.0
"""Of the device that is assumed: tables and samples depend on it, the network doesn't."""

ENGINE, ARENA = "row-streaming engine", "TensorFlow Lite Micro"


def footprint(model: ModelFolder) -> dict[str, Any]:
    """Work and memory of a segment, front end and network together.

    Returns
    -------
    dict
        ``fs_hz``; ``macs`` of the network; ``runtime``: the row-streaming engine, or TensorFlow
        Lite Micro where the engine can't run the network; ``ram_bytes``: workspace, without stack
        (None where tflite-micro would have to be installed to tell); ``constant_bytes``: flash of
        weights and tables, without code.

    Raises
    ------
    ModelError, ConversionError
        The model has no ``.tflite``, or one that is damaged or not full int8.
    """
    tflite = model.tflite_path.read_bytes()
    macs = census(tflite, model.name).macs
    front_end = tables.build(model.spec, FS_HZ)
    ram_bytes: int | None
    try:
        device = plan_device(model.spec, front_end, tflite, model.threshold_int8)
    except ConversionError:
        runtime, network = ARENA, len(tflite)
        try:
            arena = tflm.find_arena(tflite, read_tflite(tflite, model.name))
            ram_bytes = arena.bytes + image_workspace_bytes(front_end)
        except ToolError:
            ram_bytes = None
    else:
        runtime, network, ram_bytes = ENGINE, network_bytes(device), device.workspace_bytes
    return {
        "fs_hz": FS_HZ,
        "macs": macs,
        "runtime": runtime,
        "ram_bytes": ram_bytes,
        "constant_bytes": front_end.nbytes + network,
    }
