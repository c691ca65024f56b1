# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole of ``ecgqa threshold``: operating points on a labelled folder, a model sealed at one.

A threshold that was chosen on a set has seen it: the set is named in the model's metrics, and
figures of it are no test of that model any more
(:func:`~ecgqa_tflite.evaluation.card.refuse_seen`).
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import Kernels
from ecgqa_tflite.datasets.challenge2017 import Graded
from ecgqa_tflite.datasets.folders import labels_of, load_folder, set_name
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.evaluation.breakdown import csv_text
from ecgqa_tflite.evaluation.card import made_with, write_card
from ecgqa_tflite.evaluation.figures import score_table
from ecgqa_tflite.evaluation.models import int8_scores
from ecgqa_tflite.evaluation.operating import (
    OperatingPoint,
    Rule,
    choose,
    float_threshold,
    operating_points,
)
from ecgqa_tflite.model_folder import MODEL_NAME, ModelFolder, json_text, write_model
from ecgqa_tflite.output import (
    MANIFEST,
    refuse_existing,
    refuse_swallowing,
    refuse_unwritable,
    whole_file,
)
from ecgqa_tflite.plots.operating import operating_svg
from ecgqa_tflite.progress import Progress, ticks

SHOWN = (0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99)
"""Of the table: the points that first reach each of these Sp."""


@dataclass(frozen=True)
class Job:
    """A model's operating points on a labelled folder, and the one it is to have.

    Attributes
    ----------
    model, data
        See there, and :func:`~ecgqa_tflite.datasets.folders.load_folder`.
    rule
        Chooses the point; None: none is chosen.
    out
        Model folder to write, sealed at the chosen point; None: none is written.
    graded
        Segments of the set graded by eye: they are the truth then, A against C.
    table, curve, json_file
        Files to write: every point as CSV, the curve as SVG, what :meth:`run` returns.
    """

    model: ModelFolder
    data: Path
    rule: Rule | None = None
    out: Path | None = None
    graded: Graded | None = None
    kernels: Kernels = "fast"
    table: Path | None = None
    curve: Path | None = None
    json_file: Path | None = None
    resamples: int = 2000
    threads: int = 1
    overwrite: bool = False

    def run(self, tell: Progress) -> dict[str, Any]:
        """Do it.

        Returns
        -------
        dict
            ``set``, ``digest``, ``kernels``, ``seen`` (recordings of it trained the
            model), ``labels`` (``inherited``, ``by lead`` or ``graded``),
            ``points``: those worth showing, each with ``threshold_int8``, ``p_high``, ``why`` and
            :func:`~ecgqa_tflite.evaluation.figures.score_table`; ``now`` and, with a rule,
            ``chosen`` are among them, by their index.

        Raises
        ------
        ArgumentError
            No threshold does what the rule asks for, or the output names no model.
        OutputExistsError
            An output is there and ``overwrite`` is false.
        DatasetError, ModelError
            The set or the grades don't fit, or the model lacks a network.
        """
        self._refuse()
        segments = load_folder(self.data, self.model.spec, ticks(tell, "reading recordings"))
        scores = int8_scores(
            self.model, segments, kernels=self.kernels, threads=self.threads,
            progress=partial(tell, "int8"),
        )  # fmt: skip
        at, truth = np.arange(len(segments)), segments.quality
        if self.graded is not None:
            judged = self.graded.truth(segments)
            at, truth = judged.at, judged.quality
        points = operating_points(truth, scores[at])
        chosen = None if self.rule is None else choose(points, self.rule, self._now(points))
        shown = self._shown(points, chosen)
        rows = self._rows(shown, segments, at, truth, scores)
        found: dict[str, Any] = {
            "model": self.model.name,
            "set": set_name(self.data, segments),
            "digest": segments.digest,
            "kernels": self.kernels,
            "seen": made_with(self.model, set_name(self.data, segments), segments),
            "labels": labels_of(self.data) if self.graded is None else "graded",
            "points": rows,
            "now": shown.index(self._now(points)),
        }
        if chosen is not None:
            found |= {"rule": str(self.rule), "chosen": shown.index(chosen)}
        self._write(points, shown, found)
        if chosen is not None and self.out is not None:
            seal_at(self.model, self.out, found, self.overwrite)
        return found

    def _refuse(self) -> None:
        """What can't be done is said before any work."""
        for path in (self.table, self.curve, self.json_file):
            if path is not None:
                refuse_existing(path, self.overwrite)
        if self.out is None:
            return
        if self.rule is None:
            raise ArgumentError(f"{self.out}: by what is the threshold chosen? give a rule too")
        if (self.model.path / MANIFEST).is_file():
            raise ArgumentError(
                f"{self.model.path}: is an exported bundle; name the folder of its model"
            )
        refuse_existing(self.out, self.overwrite)
        refuse_unwritable(self.out)
        refuse_swallowing(self.out, self.data)
        if not MODEL_NAME.fullmatch(self.out.name):
            raise ArgumentError(
                f"{self.out}: its last part names the model and must match "
                f"{MODEL_NAME.pattern}: name another output"
            )

    def _now(self, points: Sequence[OperatingPoint]) -> OperatingPoint:
        """The point of the model's own threshold."""
        level = max(self.model.threshold_int8, points[0].threshold_int8)
        return next(p for p in points if p.threshold_int8 == level)

    def _shown(
        self, points: Sequence[OperatingPoint], chosen: OperatingPoint | None
    ) -> list[OperatingPoint]:
        reached = (next((p for p in points if p.sp >= bound), None) for bound in SHOWN)
        some = {p for p in (*reached, chosen, self._now(points)) if p is not None}
        return sorted(some, key=lambda p: p.threshold_int8)

    def _rows(
        self,
        shown: Sequence[OperatingPoint],
        segments: LabelledSet,
        at: NDArray[np.intp],
        truth: NDArray[Any],
        scores: NDArray[np.int8],
    ) -> list[dict[str, Any]]:
        return [
            point.row()
            | score_table(
                truth, scores[at], point.threshold_int8, segments.group[at], self.resamples
            )
            for point in shown
        ]

    def _write(
        self,
        points: Sequence[OperatingPoint],
        shown: Sequence[OperatingPoint],
        found: dict[str, Any],
    ) -> None:
        if self.table is not None:
            self._text(self.table, csv_text([point.row() for point in points]))
        if self.curve is not None:
            name = f"{self.model.name} on {found['set']}"
            marks = [("now", shown[found["now"]])]
            if "chosen" in found:
                marks.insert(0, ("chosen", shown[found["chosen"]]))
            titled = [
                (f"{title}, int8 {point.threshold_int8}", (point.se, point.sp))
                for title, point in marks
            ]
            curve = operating_svg({name: [(p.se, p.sp) for p in points]}, {name: titled})
            self._text(self.curve, curve)
        if self.json_file is not None:
            self._text(self.json_file, json_text(found))

    def _text(self, path: Path, text: str) -> None:
        with whole_file(path, self.overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")


def seal_at(
    model: ModelFolder, out: Path, found: dict[str, Any], overwrite: bool = False
) -> ModelFolder:
    """Write a model again with the threshold that was chosen; weights, recipe and licence stay.

    Its figures stay too, each with the threshold that it was taken at; the card says so where that
    is another one. The float threshold follows (:func:`~.operating.float_threshold`).

    Parameters
    ----------
    found
        What :meth:`Job.run` returns, with a point chosen.
    """
    point = found["points"][found["chosen"]]
    metrics = copy.deepcopy(model.metrics)
    validation, external = metrics.get("validation", {}), metrics.get("external", {})
    for table, threshold in (
        (validation.get("float"), model.threshold),
        (validation.get("int8"), model.threshold_int8),
        *((table, model.threshold_int8) for table in external.values()),
    ):
        if table is not None:
            table.setdefault("threshold", threshold)
    metrics["threshold"] = {
        "set": found["set"],
        "digest": found["digest"],
        "seen": found["seen"],
        "labels": found["labels"],
        "kernels": found["kernels"],
        "rule": found["rule"],
        "before": model.threshold_int8,
        **{key: point[key] for key in ("threshold_int8", "se", "sp", "n", "groups")},
    }
    sealed = replace(
        model,
        name=out.name,
        threshold=float_threshold(point["threshold_int8"]),
        threshold_int8=point["threshold_int8"],
        metrics=metrics,
    )
    weights = None if model.weights_name is None else model.weights_path
    written = write_model(
        out,
        sealed,
        model.tflite_path.read_bytes(),
        save_weights=None if weights is None else lambda path: shutil.copyfile(weights, path),
        overwrite=overwrite,
    )
    kept = {p.name: p.read_text(encoding="utf-8") for p in model.path.glob("*-failures.csv")}
    return write_card(written, files=kept)
