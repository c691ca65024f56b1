# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Cortex-M, or any core with a C99 compiler: the row-streaming engine.

Bench counts its instructions on emulated cores, exactly.
"""

from __future__ import annotations

from typing import Any

from ecgqa_tflite.devices import _counted
from ecgqa_tflite.devices._device import BundleKind, Device, Parts, Prepared
from ecgqa_tflite.engine import device_source
from ecgqa_tflite.engine.memory_map import memory_map_svg
from ecgqa_tflite.engine.planner import memory_map
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.frontend.colormap import lut
from ecgqa_tflite.resources import firmware_bridge_dir

CORES = {
    "cortex-m0plus": "microbit",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
}
"""Cores that bench counts on, and a board that QEMU has of each."""


def prepare(parts: Parts) -> Prepared:
    """The engine's form of the network; where it can't run it, why, and the front end alone.

    Who asks for collecting asks for the engine: there a refusal is raised.
    """
    model = parts.model
    device: device_source.Device | None = None
    files: dict[str, bytes | str] = {}
    engine: dict[str, Any]
    svg: str | None = None
    try:
        device = device_source.plan_device(
            model.spec,
            parts.tables,
            parts.tflite,
            model.threshold_int8,
            collect=parts.collect,
            hop_s=parts.hop_s,
        )
    except ConversionError as refusal:
        if parts.collect:
            raise
        engine = {"refused": str(refusal)}
    else:
        golden = device_source.golden(device, parts.golden.samples[0])
        sources = device_source.device_sources(device, golden)
        files = {f"model/{name}": text for name, text in sources.items()}
        files |= _examples()
        files["memory_map.txt"] = memory_map(device.plan)
        files["memory_map.svg"] = svg = memory_map_svg(device.plan)
        engine = {
            "workspace_bytes": device.workspace_bytes,
            "network_bytes": device.plan.workspace_bytes,
            "hop_len": device.hop_len,
            "collect_while_classifying": device.collect,
            "channel_order": {
                str(i): list(layer.order)
                for i, layer in enumerate(device.plan.network.layers)
                if layer.order
            },
        }
    rows, cols, channels = model.spec.image_shape
    return Prepared(
        files=files,
        manifest={"target": {"name": "cortex-m"}, "engine": engine},
        device_tflite=(model.name, parts.tflite),
        input_shape=None if device else (rows, cols, channels),
        ram_bytes=device.workspace_bytes if device else None,
        no_ram=f"the engine can't run it ({engine.get('refused')})",
        flash_bytes=parts.tables.nbytes + (network_bytes(device) if device else len(parts.tflite)),
        words={
            "engine": device is not None,
            "workspace_bytes": f"{engine.get('workspace_bytes', 0):,}",
            "refused": engine.get("refused"),
            "collects": _collects(device),
        },
        memory_map=svg,
    )


def _examples() -> dict[str, bytes | str]:
    """Programs that decide samples of the user's with the bundle, by their paths in it."""
    examples = firmware_bridge_dir() / "examples"
    found = {"example.c": examples / "recording" / "example.c"}
    zephyr = examples / "zephyr"
    for path in sorted(p for p in zephyr.rglob("*") if p.is_file()):
        found[f"zephyr/{path.relative_to(zephyr).as_posix()}"] = path
    return {name: path.read_bytes() for name, path in found.items()}


def _collects(device: device_source.Device | None) -> str:
    """What becomes of samples that come in while a segment is classified, for the README."""
    if device is None:
        return ""
    if not device.collect:
        return (
            "`ecgqa_push` takes no sample while a segment is classified: let a queue of yours\n"
            "hold what comes in, up to `ECGQA_SEGMENT_LEN` samples, or export with `--collect`."
        )
    hop_s = device.hop_len / device.tables.segment_len * device.spec.segment_s
    return (
        f"Samples come in while a segment is classified; a segment starts every {hop_s:g} s, and\n"
        f"must be classified by then."
    )


def network_bytes(device: device_source.Device) -> int:
    """Constants of the engine's form of the network, the colour LUT included."""
    arrays = [
        array
        for layer in device.plan.network.layers
        for array in (layer.weights, layer.bias, layer.multiplier_q31, layer.shift)
    ]
    return sum(array.nbytes for array in arrays) + lut(device.spec.colormap).nbytes


DEVICES = (
    Device(
        "cortex-m",
        BundleKind(
            place=0,
            summary="this toolkit's row-streaming engine, C99, any core",
            bundle="network, front end and memory plan as C; the workspace's size as a constant",
            proof="golden segments through LiteRT and through the bundle's C, compiled here",
            firmware=True,
            templates="cortex_m",
            prepare=prepare,
            files=(
                "model/NAME_tflite.[ch]",
                *("(memory_map.svg)", "(memory_map.txt)", "(model/ecgqa_bundle.[ch])"),
                *("(model/ecgqa_model.c)", "(model/ecgqa_image.[ch])"),
                *("(example.c)", "(zephyr/...)"),
            ),
            collects=True,
        ),
    ),
    *_counted.cores(CORES, place=5),
)
