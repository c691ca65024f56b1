# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro: array, resolver of exactly the operators, arena found by search.

Bench runs its host package: the reference kernels of a firmware.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.job import Bench, Job
from ecgqa_tflite.benchmark.path import time_path
from ecgqa_tflite.benchmark.protocol import pinned
from ecgqa_tflite.benchmark.results import Row
from ecgqa_tflite.devices._device import BundleKind, Device, Parts, Prepared
from ecgqa_tflite.devices._tflm_source import tflm_header
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.errors import SelfTestError, ToolError
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.spec import FrontEnd, Quality
from ecgqa_tflite.tflite import tflm
from ecgqa_tflite.tflite.read import read_tflite


def prepare(parts: Parts) -> Prepared:
    """Resolver and arena."""
    model = parts.model
    methods = tflm.resolver_methods([op.name for op in parts.graph.operators], model.name)
    arena = tflm.find_arena(parts.tflite, parts.graph)
    header = tflm_header(model.name, methods, arena.bytes, f"{arena.how}.", parts.tables.spec_hash)
    rows, cols, channels = model.spec.image_shape
    return Prepared(
        files={f"model/{model.name}_tflm.h": header},
        manifest={
            "target": {
                "name": "tflm",
                "resolver": methods,
                "arena": {
                    "bytes": arena.bytes,
                    "least_bytes": arena.least_bytes,
                    "margin_bytes": arena.margin_bytes,
                    "how": arena.how,
                },
                "versions": {"tflite-micro": arena.version},
            }
        },
        device_tflite=(model.name, parts.tflite),
        input_shape=(rows, cols, channels),
        ram_bytes=parts.with_arena(arena.bytes),
        flash_bytes=len(parts.tflite) + parts.tables.nbytes,
        words={
            "arena_bytes": f"{arena.bytes:,}",
            "arena_how": arena.how,
            "score_slack": str(tflm.score_slack(parts.graph)),
        },
    )


def prove(folder: Path, manifest: Mapping[str, Any], golden: Golden) -> tuple[str, ...]:
    """The golden images through TFLM itself, with the arena that the header names.

    The same decisions, and scores within :func:`ecgqa_tflite.tflite.tflm.score_slack`.
    """
    if not tflm.installed():
        return ("TensorFlow Lite Micro was not run: the package tflite-micro is not installed.",)
    model, arena = manifest["model"], manifest["target"]["arena"]
    images = to_int8(image(golden.index_maps, FrontEnd.from_dict(manifest["spec"]).colormap))
    tflite = (folder / model["tflite"]).read_bytes()
    scores = tflm.tflm_scores(tflite, images, arena["bytes"])
    graph = read_tflite(tflite, model["tflite"])
    apart = np.abs(scores.astype(int) - golden.scores).max(axis=1)
    got, expected = (x[:, Quality.HIGH] >= model["threshold_int8"] for x in (scores, golden.scores))
    wrong = (apart > tflm.score_slack(graph)) | (got != expected)
    if wrong.any():
        first = int(wrong.argmax())
        raise SelfTestError(
            f"TensorFlow Lite Micro's scores differ from the golden ones: segment "
            f"{golden.names[first]!r}: {scores[first].tolist()}, should be "
            f"{golden.scores[first].tolist()}"
        )
    same = f"gives the same {len(scores)} scores"
    if apart.any():
        same = (
            f"decides the {len(scores)} segments alike; the scores of {np.count_nonzero(apart)} "
            f"differ, by at most {apart.max()} (it rounds twice in FULLY_CONNECTED),"
        )
    return (
        f"TensorFlow Lite Micro {same} in an arena of {arena['bytes']:,} bytes (least that works "
        f"here: {arena['least_bytes']:,}).",
    )


def missing() -> str | None:
    """The package that the arena is searched with."""
    return None if tflm.installed() else "pip install '.[tflm]' (x86-64 Linux)"


def missing_to_measure() -> str | None:
    """The package has wheels for x86-64 Linux only."""
    if not tflm.installed():
        return "tflite-micro is not installed (pip install tflite-micro; x86-64 Linux only)"
    return None


def variants() -> list[str]:
    """It has one thread and one set of kernels."""
    return ["TFLM host, 1 thread"]


def measure(job: Job) -> Row:
    """In a process that has run nothing else."""
    from tflite_micro import runtime

    data = job.model.tflite_path.read_bytes()
    with pinned(1):
        started = time.perf_counter()
        interpreter = runtime.Interpreter.from_bytes(data)
        load_ms = (time.perf_counter() - started) * 1e3

        def scores(image: NDArray[np.int8]) -> NDArray[np.int8]:
            interpreter.set_input(image, 0)
            interpreter.invoke()
            return np.asarray(interpreter.get_output(0))

        times = time_path(job, scores)
    notes = ["flash is the .tflite, without TFLM's code"]
    arena: int | None = None
    try:
        arena = tflm.find_arena(data, read_tflite(data)).least_bytes
        notes.append("RAM is the least arena that works")
    except ToolError as error:
        notes.append(f"no least arena: {error}")
    return job.timed(
        times,
        load_ms=load_ms,
        ram_bytes=arena,
        flash_bytes=len(data),
        no_layers="the package tflite-micro binds no profiler",
        notes=tuple(notes),
    )


DEVICES = (
    Device(
        "tflm",
        BundleKind(
            place=1,
            summary="TensorFlow Lite Micro",
            bundle="network as an array, resolver of exactly its operators, arena found by search",
            proof="golden segments through LiteRT, through TFLM in that arena, front end as "
            "compiled C",
            firmware=True,
            templates="tflm",
            prepare=prepare,
            prove=prove,
            missing=missing,
            files=(
                *("example.cc", "model/NAME_tflite.[ch]", "model/NAME_tflm.h"),
                "model/ecgqa_image.[ch]",
            ),
        ),
        Bench(2, variants, measure, missing_to_measure),
    ),
)
