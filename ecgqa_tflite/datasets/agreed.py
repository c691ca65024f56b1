# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments whose beats two detectors of different kinds agree on, whatever their lead's label."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.beats import detect_beats, found_alike
from ecgqa_tflite.datasets.challenge2011 import NAME
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.recording import Recording

AROUND_S = 5.0
"""Detectors adapt, and GQRS finds no beat in a signal's last second: they see so much before and
after a segment, mirrored where the recording ends."""


def beats_agreed(
    recordings: Iterable[Recording],
    segments: LabelledSet,
    segment_s: float,
    tick: Tick | None = None,
) -> NDArray[np.bool_]:
    """In which segments XQRS and GQRS find the same plausible beats.

    The first adapts thresholds to a band-passed and integrated signal, the second matches the
    slopes of a template (``wfdb.processing``); see
    :func:`~ecgqa_tflite.datasets.beats.found_alike`.

    Parameters
    ----------
    recordings
        Those that the segments are of.
    segments
        As :func:`~ecgqa_tflite.datasets.challenge2011.lead_segments` gives them.
    segment_s
        Length of a segment, s.

    Returns
    -------
    Mask, shape (n,).
    """
    known = {f"{NAME}/{recording.name}": recording for recording in recordings}

    @cache  # of a recording of two segments both look at the whole
    def found(record: str, lead: str, first: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        signal, fs_hz = known[record].lead(lead)[first:stop].astype(float), known[record].fs_hz
        if not np.isfinite(signal).all():
            return np.zeros(0), np.zeros(0)
        around = round(AROUND_S * fs_hz)
        one, other = detect_beats(np.pad(signal, around, mode="symmetric"), fs_hz)
        return one - around / fs_hz, other - around / fs_hz

    agreed = np.zeros(len(segments), bool)
    for i, name in enumerate(segments.ids):
        place, _, start = str(name).rpartition("@")
        record, _, lead = place.rpartition("/")
        fs_hz, start_s = known[record].fs_hz, float(start)
        first = max(round((start_s - AROUND_S) * fs_hz), 0)
        stop = min(round((start_s + segment_s + AROUND_S) * fs_hz), len(known[record].signal_mv))
        at = start_s - first / fs_hz
        agreed[i] = found_alike(*found(record, lead, first, stop), at, at + segment_s)
        if tick:
            tick(len(segments))
    return agreed
