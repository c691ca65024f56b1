# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Write the 95 % intervals of a model's calibration curve on validation, which older trainings
did not note: metrics.json, card and picture anew, every other figure as it was.

python .ci/calibration_intervals.py MODEL DATA    DATA as `ecgqa train --data` took it, or the set
itself (sets/*.npz of a cache), where it was drawn by the code of the training's own commit
"""

from __future__ import annotations

import copy
import sys
from functools import partial
from pathlib import Path
from typing import Any

from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.datasets.balanced import build, read_sets
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.evaluation.card import write_card
from ecgqa_tflite.evaluation.figures import reliability
from ecgqa_tflite.evaluation.models import int8_scores, probabilities
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.resources import default_cache
from ecgqa_tflite.training.recipe import Recipe


def main(folder: Path, data: Path) -> None:
    """Score validation again; the counts in each bin must be those that the training noted."""
    model = open_model(folder)
    recipe = Recipe.from_dict(model.recipe)
    with progress() as tell:
        if data.suffix == ".npz":
            sets = read_sets(data)
        else:
            sets = build(data, model.spec, recipe.composition, default_cache(), tell)
        segments = sets.validation
        scores = int8_scores(model, segments, progress=partial(tell, "int8"))
    anew = reliability(segments.quality, probabilities(scores), segments.group)
    metrics = copy.deepcopy(model.metrics)
    if _counts(anew) != _counts(metrics["validation"]["int8"]["reliability"]):
        raise DatasetError(f"{data}: gives other segments or scores than the training's validation")
    metrics["validation"]["int8"]["reliability"] = anew
    write_card(model, metrics)


def _counts(curve: dict[str, Any]) -> list[tuple[int, int]]:
    return [(row["high"], row["low"]) for row in curve["bins"]]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
