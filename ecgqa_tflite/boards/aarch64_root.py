# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A Raspberry Pi's user land in a folder of this machine: Debian's Python for arm64 and the base
install's wheels for aarch64, under QEMU in a chroot (without one, LiteRT crashes).

``make aarch64-root`` makes it (``tests/firmware/aarch64_root.py``). QEMU and its libraries lie in
the folder itself, so that a program in there can start another one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.boards import boards
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.frontend.colormap import to_int8

VARIABLE = "ECGQA_AARCH64_ROOT"
"""Environment variable that names the folder."""

CPU = "cortex-a76"
"""A Raspberry Pi 5's."""

PYTHON = "/usr/bin/python3"
"""Starts :data:`EMULATED_PYTHON` under QEMU; a program of this machine, as its libraries are."""
EMULATED_PYTHON = "/usr/bin/python3.11"
EMULATOR = ("/emulator/ld.so", "--library-path", "/emulator", "/emulator/qemu-aarch64")

INVOKES = 3
"""Inferences between the two runs whose difference counts."""

_SCRIPT = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]
image = np.load(sys.argv[2])
for _ in range(int(sys.argv[3])):
    interpreter.set_tensor(given, image)
    interpreter.invoke()
    scores = interpreter.get_tensor(made["index"])
print("scores", *scores[0])
"""


@dataclass(frozen=True)
class Root:
    """The folder, once made; ``cpu`` as QEMU calls it."""

    path: Path
    cpu: str = CPU

    def run(self, *command: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a program of the folder, its path as seen from inside.

        Raises
        ------
        ToolError
            The folder can't be entered, or the program did not end in time.
        """
        names = ("chroot",) if os.geteuid() == 0 else ("unshare", "--map-root-user", "--root")
        enter = shutil.which(names[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if enter is None:
            raise ToolError(f"{names[0]} is not installed")
        variables = {
            "PATH": "/usr/bin", "HOME": "/tmp", "QEMU_CPU": self.cpu, "PYTHONHASHSEED": "0",
            "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip
        try:
            return subprocess.run(
                [enter, *names[1:], str(self.path), *command], env=variables, text=True,
                capture_output=True, timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ToolError(f"{command[0]} under QEMU did not end in {timeout_s:g} s") from None

    def network_instructions(
        self, tflite: bytes, image: NDArray[np.uint8]
    ) -> tuple[float, tuple[int, ...]]:
        """Instructions of one inference by LiteRT's aarch64 wheel with one thread; its scores.

        The difference of two runs, which holds what Python adds to a call.

        Parameters
        ----------
        image
            uint8 (1, rows, cols, channels).

        Raises
        ------
        ToolError
            It did not run.
        """
        inside = f"/tmp/{uuid.uuid4().hex}"
        folder = Path(f"{self.path}{inside}")
        folder.mkdir(parents=True)
        try:
            boards.count_plugin(folder)
            (folder / "model.tflite").write_bytes(tflite)
            np.save(folder / "image.npy", to_int8(image))
            (folder / "invoke.py").write_text(_SCRIPT)
            counts, scores = [], ""
            for n in (1, 1 + INVOKES):
                done = self.run(
                    *EMULATOR, "-plugin", f"{inside}/qemu_count.so,out={inside}/counts",
                    EMULATED_PYTHON, f"{inside}/invoke.py", f"{inside}/model.tflite",
                    f"{inside}/image.npy", str(n),
                )  # fmt: skip
                found = re.search(r"^scores( -?\d+)+$", done.stdout, re.MULTILINE)
                if done.returncode or found is None:
                    said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
                    raise ToolError(f"LiteRT's aarch64 wheel fails under QEMU: {said[:200]}")
                scores = found[0]
                counts.append(int((folder / "counts").read_text().split()[-1]))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        each = (counts[1] - counts[0]) / INVOKES
        return each, tuple(int(s) for s in scores.split()[1:])


def find() -> Root:
    """The folder that :data:`VARIABLE` names.

    Raises
    ------
    ToolError
        There is none.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        raise ToolError(
            f"LiteRT's aarch64 wheel needs a user land to run in: make aarch64-root, then set "
            f"{VARIABLE} to the folder"
        )
    root = Root(Path(path).resolve())
    if not Path(f"{root.path}{PYTHON}").is_file():
        raise ToolError(f"{VARIABLE}: {path} is none that make aarch64-root made")
    return root
