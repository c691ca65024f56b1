# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are made to harm whoever reads them, and readers that let some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.wfdb_writer import write_wfdb

POISONED = "ended the process that read it, 3 times of 3"

_READER = """
import ctypes, os, signal
from ecgqa_tflite.recording.file import Reader

def _open(path, options):
    kind = path.read_text().split()[1]
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "abort":
        os.abort()
    if kind == "exit":
        os._exit(0)
    if kind == "bug":
        raise KeyError("a fault of the reader")
    held = []
    while True:
        held.append(bytearray(64 * 2**20))

READER = Reader("poison", (".poison",), "", lambda head, path: head[:7] == b"POISON ", _open)
"""
_SITE = """
import os, ecgqa_tflite.recording.formats as formats
formats.__path__.append({folder!r})
"""

READERS = ("kill", "segfault", "abort", "exit", "memory", "memory again", "bug")
"""What planted readers do with a file."""

KILLERS = 4
"""Those among them that end the process."""

_HEADERS = {
    "escape": "escape 1 300 3000\n../../../etc/passwd 16 200/mV 16 0 0 0 0 I\n",
    "signals": "signals 1000000000 300 3000\nsignals.dat 16 200/mV 16 0 0 0 0 I\n",
    "rate": "rate 1 1e400 3000\nrate.dat 16 200/mV 16 0 0 0 0 I\n",
    "zero": "zero 1 0 3000\nzero.dat 16 200/mV 16 0 0 0 0 I\n",
    "claims": "claims 1 300 999999999999\nclaims.dat 16 200/mV 16 0 0 0 0 I\n",
    "itself": "itself/2 1 300 6000\nitself 3000\nitself 3000\n",
    "gap": "gap/2 1 300 4000003000\n~ 4000000000\ngap_s 3000\n",
    "control": "control 1 300 3000\n\x00\x0b\x1c\n",
}


def write_poison(folder: Path) -> list[Path]:
    """Twenty files, none of which can be assessed; the paths that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _HEADERS.items():
        (folder / f"{name}.hea").write_text(text)
        if name not in ("claims", "gap"):
            (folder / f"{name}.dat").write_bytes(bytes(6000))
    (folder / "claims.dat").write_bytes(b"")
    for kind in READERS:
        (folder / f"{kind.replace(' ', '_')}.poison").write_text(f"POISON {kind}\n")
    short = Recording("short", np.zeros((900, 1), np.float32), 300.0, ("I",))
    write_wfdb(short, folder, overwrite=True)
    (folder / "empty.hea").write_text("")
    (folder / "cut.hea").write_text("cut 1 300 30")
    (folder / "lonely.hea").write_text("lonely 1 300 3000\nlonely.dat 16 200/mV 16 0 0 0 0 I\n")
    whole = np.zeros(3000)
    np.save(folder / "whole.npy", whole)
    (folder / "half.npy").write_bytes((folder / "whole.npy").read_bytes()[:1000])
    (folder / "whole.npy").unlink()
    return sorted(p for p in folder.iterdir() if p.suffix != ".dat")


def plant_readers(folder: Path) -> str:
    """A folder for PYTHONPATH: every Python started with it has the readers of ``*.poison``."""
    readers = folder / "readers"
    readers.mkdir(parents=True, exist_ok=True)
    (readers / "poison.py").write_text(_READER)
    (folder / "sitecustomize.py").write_text(_SITE.format(folder=str(readers)))
    return str(folder)
