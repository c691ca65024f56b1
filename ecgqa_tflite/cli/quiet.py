# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's log lines kept off the screen: its C++ writes them past every setting of Python."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NOTES = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} |E\d{4} .*cuda"
    rb"|\d{4}-\d\d-\d\d .*: [IW] |E .*cuda|fully_quantize: |INFO: Created TensorFlow Lite "
)
"""Starts of lines that tell a user of this package nothing; errors that are no GPU's stay."""
LAST_LINES_S = 2.0
"""How long to wait at the end for what a child may still write."""


@contextmanager
def without_notes() -> Iterator[None]:
    """Drop such lines from what is written to file descriptor 2; let all others through.

    Python's own ``sys.stderr`` goes past the filter, so that a terminal is still seen as one.
    Nothing is done where it isn't descriptor 2: within this very block, or under a test.
    """
    try:
        usual = sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # none, closed, or a buffer in memory
        usual = False
    if not usual:
        yield
        return
    stderr, screen = sys.stderr, os.dup(2)
    source, sink = os.pipe()
    os.dup2(sink, 2)
    os.close(sink)
    reader = threading.Thread(target=_let_through, args=(source, screen), daemon=True)
    reader.start()
    try:
        with open(os.dup(screen), "w", encoding=stderr.encoding, errors="backslashreplace",
                  buffering=1) as direct:  # fmt: skip
            sys.stderr = direct
            yield
    finally:
        sys.stderr = stderr
        os.dup2(screen, 2)
        reader.join(LAST_LINES_S)
        if not reader.is_alive():
            os.close(screen)


def _let_through(source: int, screen: int) -> None:
    with open(source, "rb") as lines:
        for line in lines:
            if not NOTES.match(line):
                os.write(screen, line)
