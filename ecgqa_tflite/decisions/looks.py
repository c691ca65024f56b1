# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
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

GAINS_MM_PER_MV = (20.0, 10.0, 5.0, 2.5, 1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.001, 0.0001)
"""What paper may show 1 mV as; the last are for leads whose unit nobody knows."""
SMALL_MV = 0.4
"""Beats that reach less far from their middle are shown with twice the usual gain."""

ROWS_S = ((7200.0, 3600.0), (1200.0, 600.0), (0.0, 60.0))
"""A whole recording in rows: longer than so many s, so many s a row."""


def gain_mm_per_mv(reach_mv: float, half_height_mm: float) -> float:
    """Largest usual gain, mm/mV, at which what reaches ``reach_mv`` from its middle fits."""
    usual = GAINS_MM_PER_MV[0 if reach_mv < SMALL_MV else 1 :]
    return next((g for g in usual if reach_mv * g <= half_height_mm), usual[-1])


def row_s(duration_s: float) -> float:
    """Length of a row, s, of a recording shown in rows."""
    return next(row for longer, row in ROWS_S if duration_s > longer)


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
        "held", "#d9d9d9", "#000000", "||", "About 1 s or more holds one value, or mains hum alone."
    ),
    (Quality.LOW, "clipped"): Look(
        "clipped", "#d9d9d9", "#000000", "xx",
        "A tenth of the samples or more lie on the segment's extremes.",
    ),
    (Quality.LOW, "smooth"): Look(
        "smooth", "#d9d9d9", "#000000", "oo",
        "Nothing is as steep as a QRS complex: a pulse wave, or breathing.",
    ),
}  # fmt: skip
