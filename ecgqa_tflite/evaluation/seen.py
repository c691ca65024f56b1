# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which patients of a public set trained a model: what its recipe's split says."""

from __future__ import annotations

from collections.abc import Iterable

from ecgqa_tflite.datasets import mitdb
from ecgqa_tflite.datasets.splits import held_out_groups
from ecgqa_tflite.model_folder import ModelFolder

GRADED = ("graded_high", "graded_low")
RECORDED = {
    "vfdb": ("rhythms_recorded", "tachycardia_recorded", "fibrillation_recorded", *GRADED),
    "cudb": GRADED,
    "challenge-2015-vt": GRADED,
}
"""Sources of the balanced sets that hold recordings of a set, where one of them was there."""
DRAWN = (mitdb.NAME, "challenge-2015-vt")
"""Sets whose patients were drawn; of the others those held out are named."""


def trained_groups(model: ModelFolder, set_name: str, names: Iterable[str]) -> frozenset[str]:
    """The patients of a set, ``set/patient``, that trained a model.

    Parameters
    ----------
    names
        All of the set's patients: the draw hangs on all their names.

    Returns
    -------
    frozenset of str
        Empty of a model whose recipe doesn't say what it was trained on: nothing is known of it.
    """
    composition = model.recipe.get("composition")
    everyone = frozenset(names)
    if composition is None or not _took(model, set_name):
        return frozenset()
    if set_name in DRAWN:
        share, seed = composition["validation_share"], composition["seed"]
        return everyone - held_out_groups(everyone, share, seed)
    return everyone - frozenset(composition.get("held_out", ()))


def _took(model: ModelFolder, set_name: str) -> bool:
    """Whether the training's sets held recordings of a set."""
    if set_name == mitdb.NAME:
        return True
    segments = model.metrics.get("training", {}).get("segments", {})
    return any(source in segments for source in RECORDED.get(set_name, ()))
