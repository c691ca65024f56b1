# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow's C++ writes stays off the screen; what is said on purpose does not."""

from __future__ import annotations

import subprocess
import sys

TRIES = """
import os, subprocess, sys
import click
from ecgqa_tflite.cli.quiet import without_notes
NOTES = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795873580.292831   14008 port.cc:153] oneDNN custom operations are on.",
    "E0000 00:00:1795873594.502043   14008 cuda_platform.cc:52] failed call to cuInit",
    "2026-11-28 10:00:00.000000: I tensorflow/core/platform/cpu_feature_guard.cc:210] AVX2",
    "fully_quantize: 0, inference_type: 6, input_inference_type: INT8",
]
TOLD = ["F0000 00:00:1 1 check.cc:1] Check failed: x", "terminate called", "Invalid: 7"]
with without_notes():
    assert sys.stderr.fileno() != 2
    with without_notes():  # ecgqa, and its command within
        os.write(2, "\\n".join([*NOTES, *TOLD, ""]).encode())
        subprocess.run(["sh", "-c", f"echo '{NOTES[1]}' >&2; echo child >&2"], check=True)
    click.echo("Error: one line", err=True)
    print("é", file=sys.stderr)
os.write(2, b"I0000 after it, nothing is dropped\\n")
assert sys.stderr.fileno() == 2
"""


def test_notes_are_dropped_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", TRIES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert sorted(lines[:-1]) == sorted(
        ["F0000 00:00:1 1 check.cc:1] Check failed: x", "terminate called", "Invalid: 7",
         "child", "Error: one line", "é"]
    )  # fmt: skip
    assert lines[-1] == "I0000 after it, nothing is dropped"


def test_without_a_stderr() -> None:
    code = (
        "import sys\nsys.stderr = None\nfrom ecgqa_tflite.cli.quiet import without_notes\n"
        "with without_notes():\n    print('ran')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ran\n"


def test_help_waits_for_nothing_that_is_slow() -> None:
    """Of ecgqa-convert: half a second is gone once numpy and scipy are imported."""
    code = (
        "import sys\nfrom ecgqa_tflite.cli.convert import command\n"
        "command(['--help'], standalone_mode=False)\n"
        "heavy = {'numpy', 'scipy', 'rich', 'jinja2', 'ai_edge_litert'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    from ecgqa_tflite.bundle.defaults import TARGET
    from ecgqa_tflite.devices import TARGETS

    assert next(iter(TARGETS)) == TARGET and f"[default: {TARGET}]" in done.stdout
