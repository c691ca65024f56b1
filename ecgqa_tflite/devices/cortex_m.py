"""Cortex-M, or any core with a C99 compiler: the row-streaming engine."""

from __future__ import annotations

from typing import Any

from ecgqa_tflite.devices.base import Parts, Prepared, Target, nothing_missing, nothing_more
from ecgqa_tflite.engine.device_source import Device, device_sources, golden, plan_device
from ecgqa_tflite.engine.memory_map import memory_map_svg
from ecgqa_tflite.engine.planner import memory_map
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.frontend.colormap import lut

MEMORY_MAP = "memory_map.svg"


def prepare(parts: Parts) -> Prepared:
    """The engine's form of the network; where it can't run it, why, and the front end alone.

    Who asks for collecting asks for the engine: there a refusal is raised.
    """
    model = parts.model
    device: Device | None = None
    files: dict[str, bytes | str] = {}
    engine: dict[str, Any]
    try:
        device = plan_device(
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
        sources = device_sources(device, golden(device, parts.golden.samples[0]))
        files = {f"model/{name}": text for name, text in sources.items()}
        files["memory_map.txt"] = memory_map(device.plan)
        files[MEMORY_MAP] = memory_map_svg(device.plan)
        engine = {
            "workspace_bytes": device.workspace_bytes,
            "network_bytes": device.plan.workspace_bytes,
            "hop_len": device.hop_len,
            "collect_while_classifying": device.collect,
        }
    rows, cols, channels = model.spec.image_shape
    return Prepared(
        files=files,
        manifest={"target": {"name": TARGET.name}, "engine": engine},
        device_tflite=(model.name, parts.tflite),
        input_shape=None if device else (rows, cols, channels),
        ram_bytes=device.workspace_bytes if device else None,
        flash_bytes=parts.tables.nbytes + (network_bytes(device) if device else len(parts.tflite)),
        words={
            "workspace_bytes": f"{engine.get('workspace_bytes', 0):,}",
            "refused": str(engine.get("refused")),
            "collects": _collects(device),
        },
        sections={"engine": device is not None, "tflm": device is None},
    )


def _collects(device: Device | None) -> str:
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


def network_bytes(device: Device) -> int:
    """Constants of the engine's form of the network, the colour LUT included."""
    arrays = [
        array
        for layer in device.plan.network.layers
        for array in (layer.weights, layer.bias, layer.multiplier_q31, layer.shift)
    ]
    return sum(array.nbytes for array in arrays) + lut(device.spec.colormap).nbytes


TARGET = Target(
    name="cortex-m",
    summary="this toolkit's row-streaming engine, C99, any core",
    bundle="network, front end and memory plan as C; the workspace's size as a constant",
    proof="golden segments through LiteRT and through the bundle's C, compiled here",
    firmware=True,
    templates="cortex_m",
    prepare=prepare,
    prove=nothing_more,
    missing=nothing_missing,
    files=(
        "model/NAME_tflite.[ch]",
        *("(memory_map.svg)", "(memory_map.txt)", "(model/ecgqa_bundle.[ch])"),
        *("(model/ecgqa_model.c)", "(model/ecgqa_image.[ch])"),
    ),
    collects=True,
)
