# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments that float and int8 decide differently, kept so that a report can draw them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgqa_tflite.spec import SCORE_SCALE

MOST = 12
"""Segments that are kept: a bundle's manifest holds their samples."""


def flipped_segments(
    ids: Sequence[str],
    samples: Sequence[NDArray[np.int16]],
    fs_hz: Sequence[float],
    p_high: ArrayLike,
    scores: ArrayLike,
    thresholds: tuple[float, int],
    quality: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """Those that one network calls high and the other low, the farthest apart first.

    Parameters
    ----------
    samples
        int16, (segment_len,) each; of ``fs_hz`` each.
    p_high, scores
        P(high) by the float network; int8 score of class 1 by the int8 one.
    thresholds
        From which each calls a segment high.
    quality
        Labels; None where there are none.

    Returns
    -------
    list of dict
        At most :data:`MOST`, plain types: ``id``, ``fs_hz``, ``label`` (0 low, 1 high, or None),
        ``p_high``, ``score`` and ``samples_s16`` (base64 of little-endian int16).
    """
    p, s = np.asarray(p_high, float), np.asarray(scores, int)
    apart = np.abs(p - thresholds[0]) + np.abs(s - thresholds[1]) * SCORE_SCALE
    flipped = np.flatnonzero((p >= thresholds[0]) != (s >= thresholds[1]))
    order = sorted(flipped.tolist(), key=lambda i: (-apart[i], str(ids[i])))
    return [
        {
            "id": str(ids[i]),
            "fs_hz": float(fs_hz[i]),
            "label": None if quality is None else int(np.asarray(quality)[i]),
            "p_high": round(float(p[i]), 4),
            "score": int(s[i]),
            "samples_s16": base64.b64encode(samples[i].astype("<i2").tobytes()).decode(),
        }
        for i in order[:MOST]
    ]


def samples_of(segment: dict[str, Any]) -> NDArray[np.int16]:
    """Samples of an entry of :func:`flipped_segments`, int16, (segment_len,)."""
    raw = base64.b64decode(segment["samples_s16"])
    return np.frombuffer(raw, "<i2").astype(np.int16)
