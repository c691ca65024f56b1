"""How things are shown, on paper and on a screen: ECG paper, and a look for each quality."""

from __future__ import annotations

from dataclasses import dataclass

from ecgqa_tflite.decisions import Reason
from ecgqa_tflite.spec import Quality

MM_PER_S = 25.0
PAPER, SMALL_BOX, BIG_BOX, INK = "#fffaf7", "#f6d5cf", "#e79a8f", "#111111"
MUTED = "#555555"
TRACE = "#3d4a5c"
"""Of an envelope, where single waves can't be seen."""


@dataclass(frozen=True)
class Look:
    """Colours that colour-blind people tell apart, and never colour alone.

    Attributes
    ----------
    word
        What is written on it.
    face, ink
        Colours behind and of the word: Okabe and Ito's blue and orange, and greys.
    hatch
        Matplotlib's letters for the pattern over ``face``.
    meaning
        The reason, in a sentence.
    """

    word: str
    face: str
    ink: str
    hatch: str
    meaning: str


LOOKS: dict[tuple[Quality, Reason], Look] = {
    (Quality.HIGH, "ok"): Look(
        "high", "#0072b2", "#ffffff", "", "The network finds that every R peak can be told."
    ),
    (Quality.LOW, "ok"): Look(
        "low", "#f0a020", "#000000", "////", "The network finds R peaks that can't be told."
    ),
    (Quality.LOW, "gap"): Look("gap", "#ffffff", "#000000", "....", "Samples are missing."),
    (Quality.LOW, "flat"): Look(
        "flat", "#bdbdbd", "#000000", "----", "Constant, or nothing but a baseline."
    ),
    (Quality.LOW, "held"): Look(
        "held", "#d9d9d9", "#000000", "||", "About 1 s or more holds one value."
    ),
    (Quality.LOW, "clipped"): Look(
        "clipped", "#d9d9d9", "#000000", "xx",
        "A tenth of the samples or more lie on the segment's extremes.",
    ),
}  # fmt: skip
