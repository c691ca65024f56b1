# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures from what runs have left on disk: nothing is trained or scored."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.experiment import merge, tables
from ecgqa_tflite.experiment.design import Experiment
from ecgqa_tflite.experiment.rival import read_differences
from ecgqa_tflite.experiment.runs import read_runs
from ecgqa_tflite.model_folder import json_text
from ecgqa_tflite.output import whole_file

DESIGN = "design.json"
"""What a report needs to know of an experiment beside its runs."""


def keep_design(experiment: Experiment, out: Path, left_out: Mapping[str, str]) -> None:
    """Note order, title and pairs in the experiment's folder."""
    rows = [row.name for row in experiment.rows] + [row.name for row in experiment.baselines]
    design = {
        "title": experiment.title,
        "order": rows,
        "pairs": [list(pair) for pair in experiment.pairs],
        "left_out": dict(left_out),
    }
    with whole_file(out / DESIGN, overwrite=True) as temporary:
        temporary.write_text(json_text(design), encoding="utf-8")


def write_report(out: Path) -> tuple[dict[str, Any], list[Path]]:
    """Merge the runs of an experiment's folder; write JSON, Markdown and pictures, anew.

    Pictures need matplotlib and are left out where it is missing.

    Returns
    -------
    tuple
        The merged result and the files written.

    Raises
    ------
    DatasetError
        There is no finished run, or a file is damaged.
    """
    runs = read_runs(out)
    design = _read_design(out)
    result = merge.merge(
        runs,
        order=design["order"],
        title=design["title"],
        pairs=[(a, b) for a, b in design["pairs"]],
        left_out=design["left_out"],
        against=read_differences(out).get("differences"),
    )
    stem = out / result["experiment"]
    texts = {".json": json_text(result), ".md": tables.markdown(result)}
    files = []
    for suffix, text in texts.items():
        with whole_file(stem.with_suffix(suffix), overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
        files.append(stem.with_suffix(suffix))
    if importlib.util.find_spec("matplotlib") is not None:
        from ecgqa_tflite.experiment import pictures

        files += pictures.save_all(result, out)
    return result, files


def _read_design(out: Path) -> dict[str, Any]:
    try:
        design: dict[str, Any] = json.loads((out / DESIGN).read_text(encoding="utf-8"))
        if not {"title", "order", "pairs", "left_out"} <= design.keys():
            raise ValueError("incomplete")
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{out / DESIGN}: can't be read ({error}); run the experiment's command again, "
            f"finished runs are kept"
        ) from error
    return design
