# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""One run of an experiment on disk: its JSON, its scores, and what it may be mixed with."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.model_folder import json_text, open_model
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training.recipe import Recipe

FORMAT = 1
RUNS = "runs"
"""Folder of an experiment that holds its runs."""
WORDS = {
    "experiment": "for another experiment",
    "quick": "with other --quick",
    "spec": "with another front end",
    "recipe": "with another recipe",
    "start": "from other initial weights",
    "test": "on another external test",
    "float_sample": "with another --float-sample",
}
"""What of a run's identity may differ, and how a message says it."""


def run_name(row: str, seed: int) -> str:
    """What a run's files and its model are called."""
    return f"{row}_seed{seed}"


def identity(
    experiment: str,
    quick: bool,
    test: str,
    float_sample: int | None = None,
    spec: FrontEnd | None = None,
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """What two runs of one row must share, seed aside, as plain types.

    Parameters
    ----------
    test
        :attr:`~ecgqa_tflite.experiment.external.ExternalTest.digest`.
    """
    plain = {} if recipe is None else recipe.to_dict()
    plain.pop("seed", None)
    start = plain.pop("initial_weights", None)
    return {
        "experiment": experiment,
        "quick": quick,
        "spec": None if spec is None else spec.hash,
        "recipe": plain,
        "start": None if start is None else weights_digest(start),
        "test": test,
        "float_sample": float_sample,
    }


def weights_digest(name_or_path: str) -> str:
    """SHA-256 of the weights that a training starts from.

    Raises
    ------
    ModelError
        No such model, or it has no weights.
    """
    found = sorted(Path(name_or_path).glob("*.weights.h5"))
    path = found[0] if found else open_model(name_or_path).weights_path
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_identity(path: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    """Refuse a run that is not of this experiment.

    Raises
    ------
    ArgumentError
        It differs; the message says in what.
    """
    found = found if isinstance(found, dict) else {}
    for key, value in wanted.items():
        if found.get(key) != value:
            what = WORDS[key]
            if key == "recipe" and isinstance(found.get(key), dict):
                what += f" ({_difference(found[key], value)})"
            raise ArgumentError(
                f"{path}: was made {what}; runs of one table must be alike: name another "
                f"folder with -o"
            )


def _difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    names = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    return ", ".join(
        f"{name}.{_difference(a[name], b[name])}"
        if isinstance(a.get(name), dict) and isinstance(b.get(name), dict)
        else name
        for name in names
    )


def read_run(path: Path) -> dict[str, Any]:
    """Read a run's JSON.

    Raises
    ------
    DatasetError
        It is damaged or of another format.
    """
    again = "remove it and run the same command again"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: can't be read ({error}); {again}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DatasetError(f"{path}: is not a run of format {FORMAT}; {again}")
    missing = [key for key in ("row", "label", "seed", "identity", "forms") if key not in data]
    if missing or not isinstance(data["forms"], dict):
        raise DatasetError(f"{path}: is damaged (no {', '.join(missing) or 'forms'}); {again}")
    return data


def run_paths(folder: Path) -> list[Path]:
    """The JSON of every run in an experiment's folder; hidden ones are of a killed writer."""
    return sorted((folder / RUNS).glob("[!.]*.json"))


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """Every finished run of an experiment's folder, by row and seed.

    Raises
    ------
    DatasetError
        There is none, or one is damaged.
    """
    found = [read_run(path) for path in run_paths(folder)]
    if not found:
        raise DatasetError(f"{folder}: holds no finished run of an experiment")
    return sorted(found, key=lambda run: (run["row"], run["seed"]))


def write_run(path: Path, run: Mapping[str, Any]) -> None:
    """Write a run's JSON, whole; one that is there is replaced."""
    with whole_file(path, overwrite=True) as temporary:
        temporary.write_text(json_text({"format": FORMAT, **run}), encoding="utf-8")


def write_scores(path: Path, wanted: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """Keep scores of all segments beside a run's JSON, compressed."""
    with whole_file(path, overwrite=True) as temporary:
        np.savez_compressed(temporary, identity=json.dumps(wanted), **scores)


def read_scores(path: Path, wanted: Mapping[str, Any]) -> dict[str, NDArray[Any]] | None:
    """Scores that a run has left; None where there are none of this identity."""
    try:
        with np.load(path) as saved:
            if json.loads(str(saved["identity"])) != wanted:
                return None
            return {name: saved[name] for name in saved.files if name != "identity"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
