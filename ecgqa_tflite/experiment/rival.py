# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks against the baseline that costs least to run: paired differences, with intervals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.evaluation.figures import FIGURES, score_difference
from ecgqa_tflite.experiment.external import ExternalTest
from ecgqa_tflite.experiment.runs import RUNS, read_run, read_runs, read_scores, run_name
from ecgqa_tflite.model_folder import json_text
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress

RIVAL = "random_forest"
FILE = "against.json"
RESAMPLES = 500

Scores = tuple[NDArray[Any], float]
"""Of a run, and its threshold."""


def keep_differences(folder: Path, test: ExternalTest, tell: Progress) -> None:
    """Work out, for each int8 run, its figures less those of the rival with the same seed.

    What is there stays while the scores it was made of do; nothing happens without runs of both.
    """
    kept = read_differences(folder)
    if "differences" not in kept or kept["graded"] != test.graded_digest:
        kept = {"graded": test.graded_digest, "differences": {}}
    found: dict[str, Any] = kept["differences"]
    stale = [
        pair
        for pair in _pairs(folder, len(test))
        if found.get(pair.name, {}).get("scores") != pair.digest
    ]
    for i, pair in enumerate(stale):
        figures = _difference(pair.mine, pair.other, test)
        found[pair.name] = {"row": pair.row, "scores": pair.digest, "figures": figures}
        tell(f"against {RIVAL}", i + 1, len(stale))
    if stale:
        with whole_file(folder / FILE, overwrite=True) as temporary:
            temporary.write_text(json_text(kept), encoding="utf-8")


@dataclass(frozen=True, eq=False)
class _Pair:
    """An int8 run, and the rival's with the same seed."""

    name: str
    row: str
    mine: Scores
    other: Scores

    @property
    def digest(self) -> str:
        """Tells whether a difference is still that of these scores."""
        sha = hashlib.sha256()
        for scores, threshold in (self.mine, self.other):
            sha.update(np.ascontiguousarray(scores).tobytes())
            sha.update(repr(float(threshold)).encode())
        return sha.hexdigest()[:16]


def _pairs(folder: Path, n: int) -> Iterator[_Pair]:
    """Pairs whose scores are there, of a test of ``n`` segments."""
    runs = read_runs(folder) if (folder / RUNS).is_dir() else []
    rivals = {run["seed"] for run in runs if run["row"] == RIVAL}
    for run in runs:
        row, seed = run["row"], run["seed"]
        if "int8" not in run["forms"] or seed not in rivals:
            continue
        mine, other = _scores(folder, row, seed, "int8"), _scores(folder, RIVAL, seed, "float")
        if mine is not None and other is not None and len(mine[0]) == len(other[0]) == n:
            yield _Pair(run_name(row, seed), row, mine, other)


def read_differences(folder: Path) -> dict[str, Any]:
    """What :func:`keep_differences` has kept; empty where that is missing or broken."""
    try:
        kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = (
        isinstance(kept, dict) and "graded" in kept and isinstance(kept.get("differences"), dict)
    )
    return kept if whole else {}


def _difference(mine: Scores, other: Scores, test: ExternalTest) -> dict[str, Any]:
    def on(truth: NDArray[Any], at: NDArray[np.intp]) -> dict[str, Any]:
        ours, theirs = ((scores[at], threshold) for scores, threshold in (mine, other))
        return score_difference(truth, ours, theirs, test.group[at], RESAMPLES)

    everything = on(test.quality, np.arange(len(test)))
    if test.graded is None:
        return everything
    truth = test.graded.truth(test)
    graded = on(truth.quality, truth.at)
    return everything | {f"graded_{name}": graded[name] for name in FIGURES}


def _scores(folder: Path, row: str, seed: int, name: str) -> Scores | None:
    path = folder / RUNS / f"{run_name(row, seed)}.json"
    run = read_run(path)
    scores = read_scores(path.with_suffix(".npz"), run["identity"])
    return None if scores is None else (scores[name], run["forms"][name]["threshold"])
