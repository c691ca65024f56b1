# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The sdist and, built out of it, wheels for Linux that are tagged manylinux.

python .ci/wheels.py OUT                        this machine's
python .ci/wheels.py OUT x86_64 aarch64         another one's too, with its cross gcc

A wheel holds one C library without Python's headers, so one serves every Python (py3-none).
Wheels for macOS and Windows are cibuildwheel's, by what pyproject.toml says.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from scikit_build_core.build import build_sdist

REPO = Path(__file__).resolve().parents[1]


CROSS = {"aarch64": "aarch64-linux-gnu-gcc", "armv7l": "arm-linux-gnueabihf-gcc"}
"""Debian's compilers for other machines."""


def compiler(machine: str) -> dict[str, str]:
    """What makes CMake and the wheel's tag be of another machine; empty for this one."""
    if machine == platform.machine():
        return {}
    return {
        "CC": CROSS[machine],
        "CMAKE_ARGS": f"-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR={machine}",
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
    }


def make_wheel(sdist: Path, machine: str, out: Path) -> None:
    """One wheel, with the oldest manylinux tag that its library allows."""
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"),
                *("--no-deps", "--no-build-isolation", "--wheel-dir", scratch, str(sdist)),
            ],
            check=True, env={**os.environ, "PATH": tools, **compiler(machine)},
        )  # fmt: skip
        (raw,) = Path(scratch).glob("*.whl")
        repair = [sys.executable, "-m", "auditwheel", "repair", "--plat", "auto", "-w", str(out)]
        done = subprocess.run(
            [*repair, str(raw)], env={**os.environ, "PATH": tools},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"auditwheel: {done.stderr.strip()[-500:]}")


def main(out: Path, machines: list[str]) -> None:
    """Make all into ``out`` and say what there is."""
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(REPO)
    sdist = out / build_sdist(str(out))
    for machine in machines or [platform.machine()]:
        make_wheel(sdist, machine, out)
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size / 1e6:6.1f} MB  {path.name}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python .ci/wheels.py OUT [MACHINE...]")
    main(Path(sys.argv[1]), sys.argv[2:])
