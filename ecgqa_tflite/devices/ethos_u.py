# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Arm Ethos-U through TensorFlow Lite Micro, compiled by Vela.

Bench tells Vela's estimate of the network on the NPU; the CWT stays on the core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.results import Kind, Row, exact
from ecgqa_tflite.devices import _vela as vela
from ecgqa_tflite.devices._device import BundleKind, Device, Parts, Prepared
from ecgqa_tflite.devices._tflm_source import tflm_header
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.errors import SelfTestError
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite import tflm
from ecgqa_tflite.tflite.identity import identity_of, read_identity, with_identity
from ecgqa_tflite.tflite.read import network_digest, read_tflite
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.tflite.space_to_depth import fold_image, foldable_stride, rewrite

ACCELERATORS = (
    vela.Accelerator("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram"),
    vela.Accelerator("ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram"),
    vela.Accelerator("ethos-u65-256", "Ethos_U65_Client_Server", "Dedicated_Sram_384KB"),
    vela.Accelerator("ethos-u85-256", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB"),
)
"""Vela's defaults for each, said in full."""

ARENA_SPARE_BYTES = 16 << 10
"""Arena beside what Vela plans: TFLM's own structures and the driver's, bytes."""
RANDOM_IMAGES = 8
"""Noise images, beside the golden ones, that a rewritten network is compared on."""

AS_IT_IS = "Vela, as it is"
FOLDED = "Vela, conv 1's stride folded"


@dataclass(frozen=True)
class _Candidate:
    """A form of the network that Vela was given: its identity, its input, what came out."""

    identity: dict[str, Any]
    input_shape: tuple[int, int, int]
    compiled: vela.Compiled


def prepare(parts: Parts, accelerator: vela.Accelerator) -> Prepared:
    """Compile as it is; where conv 1's stride can be folded, fold it and compile again."""
    name = parts.model.name
    rows, cols, channels = parts.model.spec.image_shape
    own = identity_of(parts.model, parts.graph)
    plain = chosen = _Candidate(
        own, (rows, cols, channels), vela.compile_for(parts.tflite, accelerator, name)
    )
    target: dict[str, Any] = {
        "name": accelerator.config,
        "accelerator": vars(accelerator),
        "label": "Vela's estimates; no board was measured",
        "before": plain.compiled.figures,
        "after": None,
        "rewrite": None,
        "versions": {"ethos-u-vela": vela.version()},
    }
    files: dict[str, bytes | str] = {}
    stride = foldable_stride(parts.graph)
    if stride is not None:
        folded, files[f"{name}_folded.tflite"] = _fold(parts, accelerator, own, stride)
        target["after"] = after = folded.compiled.figures
        faster = after["cycles_estimated"] < plain.compiled.figures["cycles_estimated"]
        target["rewrite"] = {
            "what": f"conv 1's stride of {stride} folded into the input's layout",
            "file": f"{name}_folded.tflite",
            "used": faster,
        }
        chosen = folded if faster else plain
    array = f"{name}_vela"
    compiled = _with_origin(chosen, array)
    target["compiled"] = f"{array}.tflite"
    target["arena"], header = _arena(chosen.compiled, array, parts)
    return Prepared(
        files=files | {target["compiled"]: compiled, f"model/{array}_tflm.h": header},
        manifest={"target": target},
        device_tflite=(array, compiled),
        input_shape=chosen.input_shape,
        ram_bytes=parts.with_arena(target["arena"]["bytes"]),
        flash_bytes=len(compiled) + parts.tables.nbytes,
        words=_words(target, chosen is not plain),
    )


def _fold(
    parts: Parts, accelerator: vela.Accelerator, own: dict[str, Any], stride: int
) -> tuple[_Candidate, bytes]:
    """The network rewritten, held against the original and compiled; the rewritten file."""
    name = parts.model.name
    rewritten = rewrite(parts.tflite, name)
    identity = identity_of(parts.model, read_tflite(rewritten, name))
    identity["input"]["from_image"] += f", blocks of {stride} x {stride} pixels as channels"
    identity["rewritten_from"] = own["model_id"]
    rewritten = with_identity(rewritten, identity)
    colour = image(parts.golden.index_maps, parts.model.spec.colormap)
    compare(parts.tflite, rewritten, to_int8(colour))
    _, rows, cols, depth = identity["input"]["shape"]
    compiled = vela.compile_for(rewritten, accelerator, f"{name}_folded")
    return _Candidate(identity, (rows, cols, depth), compiled), rewritten


def _with_origin(chosen: _Candidate, array: str) -> bytes:
    """The compiled file, saying what it is and what it was compiled from.

    Vela keeps the identity of what it compiled, which names another network than its output.
    """
    made = chosen.compiled.tflite
    return with_identity(
        made,
        chosen.identity
        | {
            "model_id": network_digest(read_tflite(made, array))[:16],
            "compiled_from": chosen.identity["model_id"],
        },
    )


def _arena(compiled: vela.Compiled, array: str, parts: Parts) -> tuple[dict[str, Any], str]:
    """The arena for the manifest, and the header that names it and the operators."""
    methods = tflm.resolver_methods(list(compiled.operators), parts.model.name)
    placed = compiled.figures["sram_bytes"] + compiled.figures["dram_bytes"]
    n_bytes = placed + ARENA_SPARE_BYTES
    how = (
        f"an upper bound, not measured: all that Vela {vela.version()} places in SRAM and DRAM "
        f"({placed} bytes), and {ARENA_SPARE_BYTES} for TensorFlow Lite Micro"
    )
    header = tflm_header(array, methods, n_bytes, f"{how}.", parts.tables.spec_hash)
    return {"bytes": n_bytes, "how": how}, header


def _words(target: Mapping[str, Any], folded: bool) -> dict[str, object]:
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
        "folded": target["rewrite"] is not None,
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
    estimated = f"Vela's estimate for {target['name']}: {before:g} ms per inference as it is"
    if target["after"] is not None:
        estimated += f", {target['after']['inference_ms_estimated']:g} ms rewritten"
    lines.append(f"{estimated} (estimated, not measured).")
    return tuple(lines)


def missing() -> str | None:
    """Vela, for a bundle."""
    return None if vela.installed() else "pip install '.[ethos-u]'"


def missing_to_measure() -> str | None:
    """Vela, for an estimate."""
    return None if vela.installed() else "Vela is not installed: pip install ethos-u-vela"


def variants() -> list[str]:
    """The network as it is, and as a bundle for the NPU holds it."""
    return [AS_IT_IS, FOLDED]


def measure(job: Job, accelerator: vela.Accelerator) -> Row:
    """Compile for the accelerator and read Vela's summary."""
    tflite = job.model.tflite_path.read_bytes()
    if job.variant == FOLDED:
        tflite = rewrite(tflite, job.model.name)
    compiled = vela.compile_for(tflite, accelerator, job.model.name)
    system = f"{accelerator.system}, {accelerator.memory}"
    return from_figures(job, compiled.figures, compiled.layer_cycles, system)


def from_figures(
    job: Job, figures: Mapping[str, Any], layer_cycles: Mapping[str, float], system: str
) -> Row:
    """A row of Vela's figures."""
    return job.row(
        Kind.ESTIMATED,
        "ms",
        stages={"network": exact([figures["inference_ms_estimated"]])},
        total=None,
        layers={name: n / figures["clock_mhz"] / 1e3 for name, n in layer_cycles.items()},
        ram_bytes=figures["sram_bytes"] + figures["dram_bytes"],
        flash_bytes=figures["flash_bytes"],
        notes=(
            f"the network alone, {system}, {figures['clock_mhz']:g} MHz",
            "RAM is what Vela places; the CWT runs on the core beside the NPU",
        ),
    )


def _device(accelerator: vela.Accelerator) -> Device:
    name = accelerator.config
    return Device(
        name,
        BundleKind(
            place=4,
            summary=f"Arm {name.replace('ethos-u', 'Ethos-U')} and TensorFlow Lite Micro",
            bundle="network compiled by Vela, conv 1's stride folded into the image; its estimates",
            proof="the rewritten network equals the original; front end and layout as compiled C",
            firmware=True,
            templates="ethos_u",
            prepare=partial(prepare, accelerator=accelerator),
            prove=prove,
            missing=missing,
            files=(
                *("NAME_vela.tflite", "(NAME_folded.tflite)", "example.cc"),
                *("model/NAME_vela_tflite.[ch]", "model/NAME_vela_tflm.h"),
                "model/ecgqa_image.[ch]",
            ),
        ),
        Bench(
            7, variants, partial(measure, accelerator=accelerator), missing_to_measure, takes_s=4
        ),
    )


DEVICES = tuple(map(_device, ACCELERATORS))
