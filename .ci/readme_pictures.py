# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the README's pictures: simulated recordings, assessed by the shipped light_cnn."""

from __future__ import annotations

import datetime
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ecgqa_tflite.assess import assess
from ecgqa_tflite.cli import main
from ecgqa_tflite.decisions.page import write_page
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.recording.disturbances import (
    Clipping,
    Disturbance,
    ElectrodeMotion,
    Gap,
    LeadOff,
    MuscleNoise,
)
from ecgqa_tflite.recording.simulator import Heart, simulate, write_demo

REPO = Path(__file__).resolve().parents[1]
DOCS = REPO / "ecgqa_tflite" / "docs"
EVENING = datetime.datetime(2026, 3, 1, 21, 40)


def write_night(page: Path, model: ModelFolder) -> None:
    """The page of five simulated hours, disturbed here and there."""
    rng = np.random.default_rng(3)
    kinds = (
        lambda at, s: MuscleNoise(at, s, 0.8),
        lambda at, s: ElectrodeMotion(at, s, 6.0),
        lambda at, s: LeadOff(at, s),
        lambda at, s: Clipping(at, s, 0.05),
        lambda at, s: Gap(at, s),
    )
    disturbances: list[Disturbance] = [MuscleNoise(60, 20, 0.8), LeadOff(9000, 400)]
    for at in np.sort(rng.uniform(300, 17800, 45)):
        kind = kinds[rng.choice(len(kinds), p=(0.5, 0.3, 0.1, 0.05, 0.05))]
        disturbances.append(kind(float(at), float(rng.exponential(25) + 5)))
    night = simulate(18000, 250, Heart(rate_bpm=64), seed=5, disturbances=disturbances)
    night = replace(night, name="night", start=EVENING)
    write_page(page, night, [("ECG", assess(night, model))], model)


def draw_page(page: Path, picture: Path) -> None:
    """The page in a window, as a headless Chromium shows it."""
    sys.path.append(str(REPO / "tests"))
    from chromium import chromium

    with chromium("chromium") as new_tab:
        tab = new_tab()
        tab.size(1200, 1250)
        tab.open(page, "document.body?.dataset.ready !== undefined")
        for _ in range(3):
            tab.key("n")
        tab.picture(picture)


def fewer_colours(picture: Path) -> None:
    """A palette takes a third of the bytes."""
    Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        picture, optimize=True
    )


if __name__ == "__main__":
    model = sys.argv[1] if len(sys.argv) > 1 else "light_cnn"
    with tempfile.TemporaryDirectory() as folder:
        write_demo(folder)
        demo, page = f"{folder}/demo", Path(folder, "night.html")
        for arguments in (
            ["assess", demo, "--model", model, "--from", "20", "--to", "50",
             "--picture", str(DOCS / "strip.png")],
            ["scalogram", demo, "--at", "35", "--front-end", model,
             "-o", str(DOCS / "scalogram.png")],
        ):  # fmt: skip
            main([*arguments, "--overwrite"], standalone_mode=False)
        write_night(page, open_model(model))
        draw_page(page, DOCS / "page.png")
    fewer_colours(DOCS / "strip.png")
    fewer_colours(DOCS / "page.png")
