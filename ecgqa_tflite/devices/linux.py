"""Boards that run Linux and LiteRT: a Raspberry Pi, and one with a Coral Edge TPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecgqa_tflite.devices import _edge_tpu as edge_tpu
from ecgqa_tflite.devices.base import Parts, Prepared, Target, nothing_missing
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.errors import SelfTestError
from ecgqa_tflite.tflite.census import census

TIMEOUT_S = 600
RUNNER = ("run.py", "classify.cc", "model/ecgqa_image.[ch]")


def prepare_raspberry_pi(parts: Parts) -> Prepared:
    """Nothing beyond the runner, which is a template."""
    return _prepared(parts, {"name": RASPBERRY_PI.name}, {}, coral=False)


def prepare_coral(parts: Parts) -> Prepared:
    """The check against the documented constraints, and the compiled file where it can be had."""
    name = parts.model.name
    checked = edge_tpu.check(parts.graph, census(parts.tflite, name).constant_bytes)
    compiled = edge_tpu.compile_if_installed(parts.tflite, name)
    files: dict[str, bytes | str] = {}
    manifest: dict[str, Any] = {"name": CORAL.name, "check": checked, "compiled": None}
    if compiled is not None:
        tflite, version = compiled
        manifest["compiled"] = f"{name}_edgetpu.tflite"
        manifest["versions"] = {edge_tpu.COMPILER: version}
        files[manifest["compiled"]] = tflite
    table = "\n".join(
        f"| {op['operator']} | {'Edge TPU' if op['mapped'] else 'CPU: ' + op['why_not']} |"
        for op in checked["operators"]
    )
    words = {
        "mapped": f"{checked['mapped']} of {len(checked['operators'])}",
        "mapping": table,
        "parameters_bytes": f"{checked['parameters_bytes']:,}",
        "fits": "fit" if checked["parameters_fit_cache"] else "do not fit",
    }
    return _prepared(parts, manifest, words, coral=True, files=files)


def _prepared(
    parts: Parts,
    target: dict[str, Any],
    words: Mapping[str, str],
    *,
    coral: bool,
    files: Mapping[str, bytes | str] | None = None,
) -> Prepared:
    rows, cols, channels = parts.model.spec.image_shape
    compiled = target.get("compiled")
    return Prepared(
        files=files or {},
        manifest={"target": target},
        device_tflite=(parts.model.name, parts.tflite),
        input_shape=(rows, cols, channels),
        ram_bytes=None,
        flash_bytes=len(parts.tflite) + parts.tables.nbytes,
        words={"compiled": str(compiled), **words},
        sections={
            "coral": coral,
            "compiled": compiled is not None,
            "uncompiled": coral and compiled is None,
        },
    )


def prove(folder: Path, manifest: Mapping[str, Any], golden: Golden) -> tuple[str, ...]:
    """Build a copy with its own Makefile and let its own runner test itself.

    The runner imports numpy and LiteRT, not this package.
    """
    make = shutil.which("make")
    if make is None or not any(shutil.which(c) for c in ("cc", "gcc", "clang")):
        return ("The bundle's runner was not run: it needs make and a C compiler.",)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "bundle"))
        command = [make, "-C", str(copy), "selftest", f"PYTHON={sys.executable}"]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
                env=os.environ | {"PYTHONPATH": ""},
            )
        except subprocess.TimeoutExpired as error:
            raise SelfTestError(f"the bundle's runner did not finish in {TIMEOUT_S} s") from error
        said = (done.stdout + done.stderr).replace(str(copy) + os.sep, "").splitlines()
        if done.returncode:
            marks = ("error:", "differs", "Error")
            word = next((x for x in said if any(m in x for m in marks)), (said or [""])[-1])
            raise SelfTestError(f"the bundle's runner fails ({word.strip()[:300]})")
    return tuple(line for line in said if line.startswith("selftest:"))


def _missing_for_coral() -> str | None:
    if shutil.which(edge_tpu.COMPILER) is None:
        return f"{edge_tpu.COMPILER} (coral.ai/docs/edgetpu/compiler): without it, CPU only"
    return None


RASPBERRY_PI = Target(
    name="raspberry-pi",
    summary="LiteRT on Linux, any board with a C compiler and Python",
    bundle="runner in Python that needs numpy and LiteRT alone; the same in C++ as an example",
    proof="the bundle's own runner on the golden segments, built and run here",
    firmware=False,
    templates="linux",
    prepare=prepare_raspberry_pi,
    prove=prove,
    missing=nothing_missing,
    files=RUNNER,
    runs_float=True,
)
CORAL = Target(
    name="coral",
    summary="Coral Edge TPU through LiteRT; the CPU where there is none",
    bundle="check of every operator against the documented constraints; compiled where possible",
    proof="as raspberry-pi, on the CPU",
    firmware=False,
    templates="linux",
    prepare=prepare_coral,
    prove=prove,
    missing=_missing_for_coral,
    files=(*RUNNER, "(NAME_edgetpu.tflite)"),
)
