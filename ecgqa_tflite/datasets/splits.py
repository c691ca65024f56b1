# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Train and validation by patient or record, never by segment."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def held_out_groups(groups: Iterable[str], fraction: float, seed: int) -> frozenset[str]:
    """Groups (patients or records) that are kept from training.

    The draw depends on the set of names, the fraction and the seed, on nothing else.

    Parameters
    ----------
    groups
        Group names, in any order, repeated or not.
    fraction
        Share of the groups to hold out, 0..1, rounded to the nearest whole number of groups.
    seed
        Seed of the draw.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction {fraction}: must be 0..1")
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    return frozenset(names[i] for i in order[: round(fraction * len(names))])
