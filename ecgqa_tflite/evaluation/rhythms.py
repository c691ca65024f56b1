# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A model on annotated records: what it calls high by rhythm, and of windows graded by eye.

Nobody says which of these segments are readable, so there is no Se and no Sp: a share called high,
with what the signal itself ruled out. Grades, where there are some, say what it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import Assessor, Kernels
from ecgqa_tflite.datasets.mitdb import SAME_PATIENT
from ecgqa_tflite.datasets.rhythms import (
    GradedWindow,
    RhythmSegments,
    annotated_folders,
    folder_of,
    graded_segments,
    read_graded_windows,
    rhythm_segments,
)
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.evaluation.breakdown import by_name, csv_text
from ecgqa_tflite.evaluation.card import add_rhythms, refuse_unrecordable
from ecgqa_tflite.evaluation.figures import score_table
from ecgqa_tflite.evaluation.seen import trained_groups
from ecgqa_tflite.model_folder import ModelFolder, json_text
from ecgqa_tflite.output import refuse_existing, whole_file
from ecgqa_tflite.progress import Progress, ticks
from ecgqa_tflite.segments import Segments
from ecgqa_tflite.spec import Quality

COLUMNS = ("id", "recording", "rhythm", "trained_on", "reason", "score", "p_high", "called")
PARTS = {"held_out": False, "trained_on": True}
"""Records that the model was not trained on, and those that it was: by name, and whether it was."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a model says of segments of records, n of them."""

    ids: NDArray[np.str_]
    group: NDArray[np.str_]
    rhythm: NDArray[np.str_]
    reason: NDArray[np.str_]
    score: NDArray[np.int8]
    called: NDArray[np.bool_]
    seen: NDArray[np.bool_]

    def rows(self) -> list[dict[str, Any]]:
        """By :data:`COLUMNS`."""
        return [
            dict(zip(COLUMNS, (
                str(self.ids[i]), str(self.group[i]), str(self.rhythm[i]),
                "yes" if self.seen[i] else "no", str(self.reason[i]), int(self.score[i]),
                probability(int(self.score[i])), "high" if self.called[i] else "low",
            ), strict=True))
            for i in range(len(self.ids))
        ]  # fmt: skip


@dataclass(frozen=True)
class RhythmJob:
    """A model against a folder of annotated records, or a folder of such folders.

    Attributes
    ----------
    grades
        Table of windows graded by eye (:func:`~ecgqa_tflite.datasets.rhythms.read_graded_windows`).
    decisions, json_file
        Files to write: a row per segment, and the figures.
    record
        Note the figures in the model's folder.
    """

    model: ModelFolder
    data: Path
    grades: Path | None = None
    kernels: Kernels = "fast"
    decisions: Path | None = None
    json_file: Path | None = None
    resamples: int = 2000
    threads: int = 1
    record: bool = False
    overwrite: bool = False

    def run(self, tell: Progress) -> dict[str, Any]:
        """Do it.

        Returns
        -------
        dict
            ``model``, ``kernels`` and ``sets``: by name, each with ``held_out`` and ``trained_on``
            (those that are there), which hold ``rhythms``
            (:func:`~ecgqa_tflite.evaluation.breakdown.by_name`, each with ``reasons``) and, where
            windows were graded, ``graded``.

        Raises
        ------
        DatasetError
            There is no annotated record, or the grades don't fit.
        ArgumentError, OutputExistsError
            The figures can't be recorded, or an output is there.
        """
        if self.record:
            refuse_unrecordable(self.model)
        for path in (self.decisions, self.json_file):
            if path is not None:
                refuse_existing(path, self.overwrite)
        windows = [] if self.grades is None else read_graded_windows(self.grades)
        judged = {folder.name: self._judge(folder, tell) for folder in annotated_folders(self.data)}
        graded = self._graded(windows)
        if not judged and not graded:
            raise DatasetError(f"{self.data} holds no annotated record (.atr)")
        sets = {
            name: self._figures(judged.get(name), graded.get(name))
            for name in dict.fromkeys((*judged, *graded))
        }
        found = {"model": self.model.name, "kernels": self.kernels, "sets": sets}
        if self.decisions is not None:
            rows = [row for part in judged.values() for row in part.rows()]
            self._write(self.decisions, csv_text(rows or [dict.fromkeys(COLUMNS, "")]))
        if self.json_file is not None:
            self._write(self.json_file, json_text(found))
        if self.record:
            add_rhythms(self.model, sets)
        return found

    def _judge(self, folder: Path, tell: Progress) -> Judged:
        parts = rhythm_segments(folder, self.model.spec, ticks(tell, f"reading {folder.name}"))
        return _together([self._scored(part, folder, tell) for part in parts])

    def _scored(self, part: RhythmSegments, folder: Path, tell: Progress) -> Judged:
        assessor = Assessor(
            self.model, part.segments.fs_hz, threads=self.threads, kernels=self.kernels
        )
        scores = assessor.scores(part.segments, progress=partial(tell, "int8"))
        called = part.segments.ok & (scores >= self.model.threshold_int8)
        return Judged(
            part.ids, part.group, part.rhythm, part.segments.status, scores, called,
            seen(self.model, folder, part.group),
        )  # fmt: skip

    def _graded(self, windows: list[GradedWindow]) -> dict[str, tuple[Judged, NDArray[np.str_]]]:
        """By set: graded windows as they are judged, and their grades."""
        found: dict[str, list[tuple[GradedWindow, Segments]]] = {}
        for window, segments in graded_segments(self.data, windows, self.model.spec):
            found.setdefault(window.set_name, []).append((window, segments))
        return {
            name: (
                _together([self._one(window, segments) for window, segments in pairs]),
                np.array([window.grade for window, _ in pairs]),
            )
            for name, pairs in found.items()
        }

    def _one(self, window: GradedWindow, segments: Segments) -> Judged:
        group = np.array([f"{window.set_name}/{window.record}"])
        ids = np.array([f"{group[0]}/{window.lead}@{window.start_s:.2f}"])
        part = RhythmSegments(segments, np.array([window.rhythm]), group, ids)
        folder = folder_of(self.data, window.set_name)
        return self._scored(part, folder, lambda *_: None)

    def _figures(
        self, judged: Judged | None, graded: tuple[Judged, NDArray[np.str_]] | None
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, trained in PARTS.items():
            part: dict[str, Any] = {}
            if judged is not None and (judged.seen == trained).any():
                part["rhythms"] = self._by_rhythm(judged, judged.seen == trained)
            if graded is not None and (graded[0].seen == trained).any():
                of_part = graded[0].seen == trained
                part["graded"] = self._by_grade(graded[0], graded[1], of_part)
            if part:
                found[name] = part
        return found

    def _by_rhythm(self, judged: Judged, at: NDArray[np.bool_]) -> dict[str, Any]:
        rhythm = judged.rhythm[at]
        table = by_name(rhythm, judged.called[at], judged.group[at], self.resamples)
        for name, row in table.items():
            reasons, counts = np.unique(judged.reason[at][rhythm == name], return_counts=True)
            row["reasons"] = dict(zip(reasons.tolist(), counts.tolist(), strict=True))
        return table

    def _by_grade(
        self, judged: Judged, grades: NDArray[np.str_], at: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """A called high, B called high, C called high; of A also by rhythm; A against C."""
        called, group, grade = judged.called[at], judged.group[at], grades[at]
        found: dict[str, Any] = {"grades": by_name(grade, called, group, self.resamples)}
        readable = grade == "A"
        found["readable"] = by_name(
            judged.rhythm[at][readable], called[readable], group[readable], self.resamples
        )
        sure = np.isin(grade, ["A", "C"])
        if len(np.unique(grade[sure])) == 2:
            truth = np.where(grade[sure] == "A", Quality.HIGH, Quality.LOW)
            found["table"] = score_table(
                truth, judged.score[at][sure], self.model.threshold_int8, group[sure],
                self.resamples,
            )  # fmt: skip
        return found

    def _write(self, path: Path, text: str) -> None:
        with whole_file(path, self.overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")


def seen(model: ModelFolder, folder: Path, group: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether each patient, ``set/patient``, of a folder trained the model; shape (n,)."""
    records = (path.stem for path in folder.glob("*.hea"))
    names = [f"{folder.name}/{SAME_PATIENT.get(name, name)}" for name in records]
    return np.isin(group, list(trained_groups(model, folder.name, names)))


def _together(parts: Sequence[Judged]) -> Judged:
    names = Judged.__dataclass_fields__
    return Judged(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})
