"""Targets ``ethos-u*``: Vela's estimate of the network on an Arm NPU; the CWT stays on the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecgqa_tflite.benchmark.results import Kind, Row, exact
from ecgqa_tflite.devices import _vela as vela
from ecgqa_tflite.devices.ethos_u import ACCELERATORS
from ecgqa_tflite.devices.job import Job
from ecgqa_tflite.tflite.space_to_depth import rewrite

AS_IT_IS = "Vela, as it is"
FOLDED = "Vela, conv 1's stride folded"


def missing(target: str) -> str | None:
    """Vela."""
    return None if vela.installed() else "Vela is not installed: pip install ethos-u-vela"


def variants(target: str) -> list[str]:
    """The network as it is, and as a bundle for the NPU holds it."""
    return [AS_IT_IS, FOLDED]


def measure(job: Job) -> Row:
    """Compile for the accelerator and read Vela's summary."""
    tflite = job.model.tflite_path.read_bytes()
    if job.variant == FOLDED:
        tflite = rewrite(tflite, job.model.name)
    accelerator = ACCELERATORS[job.target]
    compiled = vela.compile_for(tflite, accelerator, job.model.name)
    system = f"{accelerator.system}, {accelerator.memory}"
    return from_figures(job, compiled.figures, compiled.layer_cycles, system)


def from_figures(
    job: Job, figures: Mapping[str, Any], layer_cycles: Mapping[str, float], system: str
) -> Row:
    """A row of Vela's figures."""
    return Row(
        target=job.target,
        variant=job.variant,
        model=job.model.name,
        kind=Kind.ESTIMATED,
        unit="ms",
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
