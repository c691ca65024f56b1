"""Networks against the baseline that costs least to run: paired differences, with intervals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.evaluation.figures import FIGURES, score_difference
from ecgqa_tflite.experiment.external import ExternalTest
from ecgqa_tflite.experiment.runs import read_run, read_runs, read_scores, run_name
from ecgqa_tflite.model_folder import json_text
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.spec import Quality

RIVAL = "random_forest"
FILE = "against.json"
RESAMPLES = 500

Scores = tuple[NDArray[Any], float]
"""Of a run, and its threshold."""


def keep_differences(folder: Path, test: ExternalTest, tell: Progress) -> None:
    """Work out, for each int8 run, its figures less those of the rival with the same seed.

    What is there stays while the scores it was made of do; nothing happens without runs of both.
    """
    runs = read_runs(folder) if (folder / "runs").is_dir() else []
    rivals = {run["seed"] for run in runs if run["row"] == RIVAL}
    jobs = [run for run in runs if "int8" in run["forms"] and run["seed"] in rivals]
    kept = read_differences(folder)
    if "differences" not in kept or kept["graded"] != test.graded_digest:
        kept = {"graded": test.graded_digest, "differences": {}}
    found: dict[str, Any] = kept["differences"]
    stale: dict[str, tuple[str, str, Scores, Scores]] = {}
    for run in jobs:
        name = run_name(run["row"], run["seed"])
        mine = _scores(folder, run["row"], run["seed"], "int8")
        other = _scores(folder, RIVAL, run["seed"], "float")
        if mine is None or other is None or not len(mine[0]) == len(other[0]) == len(test):
            continue
        digest = _digest(mine, other)
        if found.get(name, {}).get("scores") != digest:
            stale[name] = run["row"], digest, mine, other
    for i, (name, (row, digest, mine, other)) in enumerate(stale.items()):
        figures = _difference(mine, other, test)
        found[name] = {"row": row, "scores": digest, "figures": figures}
        tell(f"against {RIVAL}", i + 1, len(stale))
    if stale:
        with whole_file(folder / FILE, overwrite=True) as temporary:
            temporary.write_text(json_text(kept), encoding="utf-8")


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


def _digest(*runs: Scores) -> str:
    """Tells whether a difference is still that of these scores."""
    sha = hashlib.sha256()
    for scores, threshold in runs:
        sha.update(np.ascontiguousarray(scores).tobytes())
        sha.update(repr(float(threshold)).encode())
    return sha.hexdigest()[:16]


def _difference(mine: Scores, other: Scores, test: ExternalTest) -> dict[str, Any]:
    def on(truth: NDArray[Any], at: NDArray[np.intp]) -> dict[str, Any]:
        return score_difference(
            truth, mine[0][at], mine[1], other[0][at], other[1], test.group[at], RESAMPLES
        )

    everything = on(test.quality, np.arange(len(test)))
    if test.graded is None:
        return everything
    place = {str(name): i for i, name in enumerate(test.ids)}
    grade = test.graded.agreed
    judged = np.isin(grade, ["A", "C"])
    at = np.array([place[str(name)] for name in test.graded.ids[judged]], int)
    truth = np.where(grade[judged] == "A", Quality.HIGH, Quality.LOW)
    graded = on(truth, at)
    return everything | {f"graded_{name}": graded[name] for name in FIGURES}


def _scores(folder: Path, row: str, seed: int, name: str) -> Scores | None:
    path = folder / "runs" / f"{run_name(row, seed)}.json"
    run = read_run(path)
    scores = read_scores(path.with_suffix(".npz"), run["identity"])
    return None if scores is None else (scores[name], run["forms"][name]["threshold"])
