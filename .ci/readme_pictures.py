# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the README's pictures: the demo recording, assessed by the shipped light_cnn."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from ecgqa_tflite.cli import main
from ecgqa_tflite.recording.simulator import write_demo

DOCS = Path(__file__).resolve().parents[1] / "ecgqa_tflite" / "docs"

if __name__ == "__main__":
    model = sys.argv[1] if len(sys.argv) > 1 else "light_cnn"
    with tempfile.TemporaryDirectory() as folder:
        write_demo(folder)
        demo = f"{folder}/demo"
        for arguments in (
            ["assess", demo, "--model", model, "--from", "20", "--to", "50",
             "--picture", str(DOCS / "strip.png")],
            ["scalogram", demo, "--at", "35", "--front-end", model,
             "-o", str(DOCS / "scalogram.png")],
        ):  # fmt: skip
            main([*arguments, "--overwrite"], standalone_mode=False)
    strip = DOCS / "strip.png"  # few colours: a palette takes a third of the bytes
    Image.open(strip).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        strip, optimize=True
    )
