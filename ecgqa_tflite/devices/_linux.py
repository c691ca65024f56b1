# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles for boards that run Linux and LiteRT: what they share, and how they prove themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecgqa_tflite.devices._device import Parts, Prepared
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.errors import SelfTestError

TIMEOUT_S = 600
RUNNER = ("run.py", "classify.cc", "model/ecgqa_image.[ch]")


def prepared(
    parts: Parts,
    target: Mapping[str, Any],
    words: Mapping[str, object] | None = None,
    files: Mapping[str, bytes | str] | None = None,
) -> Prepared:
    """The runner's words; ``target`` is the manifest's, ``compiled`` in it an Edge TPU's file."""
    rows, cols, channels = parts.model.spec.image_shape
    return Prepared(
        files=files or {},
        manifest={"target": target},
        device_tflite=(parts.model.name, parts.tflite),
        input_shape=(rows, cols, channels),
        ram_bytes=None,
        flash_bytes=len(parts.tflite) + parts.tables.nbytes,
        words={"coral": False, "compiled": target.get("compiled"), **(words or {})},
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
