# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Hundreds of ``.tflite`` of another structure: no crash, traceback, hang or much memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mutated_tflite
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.thorough]
FILES = 300


def test_changed_files_are_read_or_refused() -> None:
    """In a process of its own: LiteRT ends one that believes the wrong number."""
    script = Path(mutated_tflite.__file__)
    # through a shell: a process's peak memory counts what it was forked from
    apart = ("sh", "-c", '"$0" "$@"; exit $?', sys.executable, str(script), str(FILES))
    done = subprocess.run(apart, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    ends, memory = done.stdout.strip().splitlines()
    assert "'runs': " in ends and "'damaged': " in ends, ends  # or nothing was tried
    assert int(memory.split()[0]) < 1024, memory
