"""Arm Ethos-U through TensorFlow Lite Micro, compiled by Vela."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.devices import _vela as vela
from ecgqa_tflite.devices._tflm_source import tflm_header
from ecgqa_tflite.devices.base import Parts, Prepared, Target
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.errors import SelfTestError
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite import tflm
from ecgqa_tflite.tflite.identity import identity_of, read_identity, with_identity
from ecgqa_tflite.tflite.read import network_digest, read_tflite
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.tflite.space_to_depth import fold_image, foldable_stride, rewrite

ACCELERATORS = {
    "ethos-u55-128": vela.Accelerator(
        "ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram"
    ),
    "ethos-u55-256": vela.Accelerator(
        "ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram"
    ),
    "ethos-u65-256": vela.Accelerator(
        "ethos-u65-256", "Ethos_U65_Client_Server", "Dedicated_Sram_384KB"
    ),
    "ethos-u85-256": vela.Accelerator(
        "ethos-u85-256", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB"
    ),
}
"""Vela's defaults for each, said in full."""

ARENA_SPARE_BYTES = 16 << 10
"""Arena beside what Vela plans: TFLM's own structures and the driver's, bytes."""
RANDOM_IMAGES = 8
"""Noise images, beside the golden ones, that a rewritten network is compared on."""


def prepare(parts: Parts, accelerator: vela.Accelerator) -> Prepared:
    """Compile as it is; where conv 1's stride can be folded, fold it and compile again."""
    name, spec = parts.model.name, parts.model.spec
    rows, cols, channels = spec.image_shape
    input_shape = (rows, cols, channels)
    files: dict[str, bytes | str] = {}
    before = chosen = vela.compile_for(parts.tflite, accelerator, name)
    target: dict[str, Any] = {
        "name": accelerator.config,
        "accelerator": vars(accelerator),
        "label": "Vela's estimates; no board was measured",
        "before": before.figures,
        "after": None,
        "rewrite": None,
        "versions": {"ethos-u-vela": vela.version()},
    }
    own = identity_of(parts.model, parts.graph)
    origin = {"compiled_from": own["model_id"]}
    stride = foldable_stride(parts.graph)
    if stride is not None:
        rewritten = rewrite(parts.tflite, name)
        folded = identity_of(parts.model, read_tflite(rewritten, name))
        folded["input"]["from_image"] += f", blocks of {stride} x {stride} pixels as channels"
        folded["rewritten_from"] = own["model_id"]
        rewritten = with_identity(rewritten, folded)
        compare(parts.tflite, rewritten, to_int8(image(parts.golden.index_maps, spec.colormap)))
        after = vela.compile_for(rewritten, accelerator, f"{name}_folded")
        target["after"] = after.figures
        slower = after.figures["cycles_estimated"] >= before.figures["cycles_estimated"]
        target["rewrite"] = {
            "what": f"conv 1's stride of {stride} folded into the input's layout",
            "file": f"{name}_folded.tflite",
            "used": not slower,
        }
        files[f"{name}_folded.tflite"] = rewritten
        if not slower:
            chosen = after
            _, rows, cols, depth = folded["input"]["shape"]
            input_shape = (rows, cols, depth)
            own = folded
            origin["compiled_from"] = folded["model_id"]
            origin["rewritten_from"] = folded["rewritten_from"]
    array = f"{name}_vela"
    # Vela keeps the identity of what it compiled, which names another network than its output.
    compiled_id = network_digest(read_tflite(chosen.tflite, array))[:16]
    compiled = with_identity(chosen.tflite, own | {"model_id": compiled_id} | origin)
    target["compiled"] = f"{array}.tflite"
    files[target["compiled"]] = compiled
    methods = tflm.resolver_methods(list(chosen.operators), name)
    arena = chosen.figures["sram_bytes"] + chosen.figures["dram_bytes"] + ARENA_SPARE_BYTES
    how = (
        f"an upper bound, not measured: all that Vela {vela.version()} places in SRAM and DRAM "
        f"({arena - ARENA_SPARE_BYTES} bytes), and {ARENA_SPARE_BYTES} for TensorFlow Lite Micro"
    )
    files[f"model/{array}_tflm.h"] = tflm_header(
        array, methods, arena, f"{how}.", parts.tables.spec_hash
    )
    target["arena"] = {"bytes": arena, "how": how}
    return Prepared(
        files=files,
        manifest={"target": target},
        device_tflite=(array, compiled),
        input_shape=input_shape,
        ram_bytes=parts.with_arena(arena),
        flash_bytes=len(compiled) + parts.tables.nbytes,
        words=_words(target, chosen is not before),
        sections={"folded": target["rewrite"] is not None},
    )


def _words(target: Mapping[str, Any], folded: bool) -> dict[str, str]:
    before, after = target["before"], target["after"]
    lines = []
    for what, key, unit in (
        ("an inference", "inference_ms_estimated", "ms"),
        ("cycles", "cycles_estimated", ""),
        ("SRAM", "sram_bytes", "bytes"),
        ("DRAM", "dram_bytes", "bytes"),
        ("flash", "flash_bytes", "bytes"),
        ("multiply-accumulates", "macs", ""),
    ):
        cells = [f"{figures[key]:,} {unit}".strip() for figures in (before, after) if figures]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    accelerator = target["accelerator"]
    return {
        "estimates": "\n".join(lines),
        "system": f"{accelerator['system']}, {accelerator['memory']}, {before['clock_mhz']:g} MHz",
        "accelerator": accelerator["config"],
        "arena_bytes": f"{target['arena']['bytes']:,}",
        "arena_how": target["arena"]["how"],
        "chosen": "the rewritten network" if folded else "the network as it is",
    }


def compare(original: bytes, rewritten: bytes, images: Any) -> int:
    """Hold every operator's output of two networks together, bit for bit; the images compared.

    On ``images``, int8 (n, rows, cols, channels), and on noise; LiteRT's reference kernels.

    Raises
    ------
    SelfTestError
        A bit differs.
    """
    first, second = Int8Network(original), Int8Network(rewritten)
    rng = np.random.default_rng(0)
    noise = rng.integers(-128, 128, (RANDOM_IMAGES, *first.input_shape)).astype(np.int8)
    images = np.concatenate([images, noise])
    for one, folded in zip(images, fold_image(images, second.input_shape), strict=True):
        expected, got = first.tensors(one), second.tensors(folded)
        for op in first.graph.operators:
            index = op.outputs[0]
            if not np.array_equal(expected[index], got[index]):
                raise SelfTestError(f"the rewritten network differs after {op.name} {op.index}")
    return len(images)


def prove(folder: Path, manifest: Mapping[str, Any], golden: Golden) -> tuple[str, ...]:
    """The rewritten network against the original; the accelerator itself can't be run here."""
    target, model = manifest["target"], manifest["model"]
    lines = []
    compiled = read_identity((folder / target["compiled"]).read_bytes(), target["compiled"]) or {}
    origins = (compiled.get("compiled_from"), compiled.get("rewritten_from"))
    if manifest["model_id"] not in origins:
        raise SelfTestError(f"{target['compiled']}: says it comes of {origins}, not of this model")
    lines.append(f"{target['compiled']} says that it was compiled from {manifest['model_id']}.")
    if target["rewrite"] is not None:
        spec = FrontEnd.from_dict(manifest["spec"])
        n = compare(
            (folder / model["tflite"]).read_bytes(),
            (folder / target["rewrite"]["file"]).read_bytes(),
            to_int8(image(golden.index_maps, spec.colormap)),
        )
        lines.append(
            f"The rewritten network equals the original after every operator, bit for bit, on "
            f"{n} images (LiteRT's reference kernels)."
        )
    before = target["before"]["inference_ms_estimated"]
    estimated = f"Vela's estimate for {target['name']}: {before:g} ms an inference as it is"
    if target["after"] is not None:
        estimated += f", {target['after']['inference_ms_estimated']:g} ms rewritten"
    lines.append(f"{estimated} (estimated, not measured).")
    return tuple(lines)


def missing() -> str | None:
    """Vela."""
    return None if vela.installed() else "pip install '.[ethos-u]'"


def _target(accelerator: vela.Accelerator) -> Target:
    return Target(
        name=accelerator.config,
        summary=f"Arm {accelerator.config.replace('ethos-u', 'Ethos-U')} and TensorFlow Lite Micro",
        bundle="network compiled by Vela, conv 1's stride folded into the image; its estimates",
        proof="the rewritten network equals the original; front end and layout as compiled C",
        firmware=True,
        templates="ethos_u",
        prepare=lambda parts: prepare(parts, accelerator),
        prove=prove,
        missing=missing,
        files=(
            *("NAME_vela.tflite", "(NAME_folded.tflite)", "example.cc"),
            *("model/NAME_vela_tflite.[ch]", "model/NAME_vela_tflm.h", "model/ecgqa_image.[ch]"),
        ),
    )


TARGETS = tuple(_target(accelerator) for accelerator in ACCELERATORS.values())
