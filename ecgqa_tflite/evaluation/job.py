# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole of ``ecgqa evaluate``: what is refused before the work, the work, what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import Kernels
from ecgqa_tflite.datasets.challenge2017 import Graded
from ecgqa_tflite.datasets.folders import classes, labelled_base, labels_of, load_folder, set_name
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.evaluation import failures
from ecgqa_tflite.evaluation.breakdown import (
    by_name,
    by_recording,
    by_stretch,
    confusion,
    csv_text,
    decision_rows,
)
from ecgqa_tflite.evaluation.card import add_external, refuse_seen, refuse_unrecordable
from ecgqa_tflite.evaluation.failures import Reading
from ecgqa_tflite.evaluation.models import (
    FloatFrontEnd,
    compare,
    evaluate,
    float_scores,
    int8_scores,
    probabilities,
)
from ecgqa_tflite.evaluation.operating import operating_points
from ecgqa_tflite.evaluation.robustness import draw_windows, robustness
from ecgqa_tflite.model_folder import ModelFolder, json_text
from ecgqa_tflite.output import refuse_existing, whole_file
from ecgqa_tflite.plots.operating import operating_svg
from ecgqa_tflite.progress import Progress, ticks


@dataclass(frozen=True)
class Job:
    """A model against a labelled folder.

    Attributes
    ----------
    model, data
        See there, and :func:`~ecgqa_tflite.datasets.folders.load_folder`.
    rival
        Scored on the same segments, and the difference told; None: no other model.
    float_front_end
        Images for the float model; None: it isn't scored.
    graded
        Segments of the set graded by eye.
    readings
        What a reader saw in the errors drawn, by segment id. Without ``sheet`` they are counted.
    kernels
        Of LiteRT, for the int8 scores.
    robust
        Windows of the set that are judged again with something changed
        (:mod:`~ecgqa_tflite.evaluation.robustness`); 0: none.
    json_file, gallery, sheet
        Files to write: the figures, pictures of errors, the errors drawn as CSV.
    decisions, recordings, roc
        Files to write: a row per segment and a row per recording (CSV); Se over 1 - Sp (SVG).
    sample, seed
        Errors drawn at random, and the seed of the draw.
    record
        Note the figures in the model's folder.
    """

    model: ModelFolder
    data: Path
    rival: ModelFolder | None = None
    float_front_end: FloatFrontEnd | None = None
    graded: Graded | None = None
    readings: Mapping[str, Reading] | None = None
    kernels: Kernels = "fast"
    robust: int = 0
    json_file: Path | None = None
    decisions: Path | None = None
    recordings: Path | None = None
    roc: Path | None = None
    gallery: Path | None = None
    sheet: Path | None = None
    sample: int = 48
    seed: int = 0
    resamples: int = 2000
    threads: int = 1
    record: bool = False
    overwrite: bool = False

    def run(self, tell: Progress) -> dict[str, Any]:
        """Do it.

        Returns
        -------
        dict
            :func:`~ecgqa_tflite.evaluation.models.evaluate`, with ``model``, ``spec_hash``,
            ``set``, its ``digest`` and ``labels``
            (:func:`~ecgqa_tflite.datasets.folders.labels_of`), ``kernels``, ``confusion``,
            ``classes`` (where the set has some) and ``stretches``
            (:mod:`~ecgqa_tflite.evaluation.breakdown`) and, as asked for,
            ``robustness``, ``failures`` (:func:`~ecgqa_tflite.evaluation.failures.tally`) and
            ``difference`` (:func:`~ecgqa_tflite.evaluation.models.compare`), which isn't recorded.

        Raises
        ------
        ArgumentError
            The figures can't be recorded in this model, or are not a test of it.
        OutputExistsError
            A file is there and ``overwrite`` is false.
        DatasetError, ModelError
            The set, the grades or the readings don't fit, or the model lacks a network.
        """
        self._refuse()
        segments = load_folder(self.data, self.model.spec, ticks(tell, "reading recordings"))
        source = set_name(self.data, segments)
        if self.record:
            refuse_seen(self.model, source, segments)
        score = partial(int8_scores, segments=segments, kernels=self.kernels, threads=self.threads)
        scores = score(self.model, progress=partial(tell, "int8"))
        p_high, compared = None, {}
        if self.float_front_end is not None:
            p_high = float_scores(
                self.model,
                segments,
                self.float_front_end,
                threads=self.threads,
                progress=partial(tell, "float"),
            )
        figures = evaluate(self.model, segments, scores, p_high, self.graded, self.resamples)
        figures |= {"model": self.model.name, "spec_hash": self.model.spec.hash}
        figures |= {"set": source, "digest": segments.digest, "kernels": self.kernels}
        figures["labels"] = labels_of(self.data)
        figures |= self._broken_down(segments, scores)
        if self.robust:
            figures["robustness"] = self._robustness(segments, tell)
        if p_high is not None:
            figures["float"]["front_end"] = self.float_front_end
        if self.rival is not None:
            theirs = score(self.rival, progress=partial(tell, f"int8 {self.rival.name}"))
            compared["difference"] = compare(
                self.model, scores, self.rival, theirs, segments, self.graded, self.resamples
            )
        self._tabulate(segments, scores)
        found = failures.find_failures(segments, scores, self.model.threshold_int8)
        filled = self._look(found, figures, tell)
        if self.json_file is not None:
            self._write(self.json_file, json_text(figures | compared))
        if self.record:
            files = {f"{source}-failures.csv": filled} if "failures" in figures else {}
            add_external(self.model, source, figures, files)
        return figures | compared

    def _refuse(self) -> None:
        """What can't be done is said before any work."""
        if self.record:
            refuse_unrecordable(self.model)
        outputs = (
            self.json_file, self.gallery, self.sheet, self.decisions, self.recordings, self.roc
        )  # fmt: skip
        for path in outputs:
            if path is not None:
                refuse_existing(path, self.overwrite)

    def _broken_down(self, segments: LabelledSet, scores: NDArray[np.int8]) -> dict[str, Any]:
        """``confusion``, ``classes`` where the set has some, and ``stretches``."""
        called = scores >= self.model.threshold_int8
        found: dict[str, Any] = {"confusion": confusion(segments.quality, called)}
        if (names := classes(self.data, segments)) is not None:
            found["classes"] = by_name(names, called, segments.group, self.resamples)
        segment_s = self.model.spec.segment_s
        found["stretches"] = by_stretch(
            segments, scores, self.model.threshold_int8, segment_s, self.resamples
        )
        return found

    def _robustness(self, segments: LabelledSet, tell: Progress) -> dict[str, Any]:
        usable = np.flatnonzero(segments.usable)
        windows = draw_windows(
            labelled_base(self.data), segments.ids[usable], segments.group[usable],
            self.model.spec, self.robust, self.seed, ticks(tell, "reading windows"),
        )  # fmt: skip
        tick = ticks(tell, "changing them")
        return robustness(self.model, windows, self.seed, self.resamples, tick)

    def _tabulate(self, segments: LabelledSet, scores: NDArray[np.int8]) -> None:
        """Write the tables and the curve that are asked for."""
        level = self.model.threshold_int8
        if self.decisions is not None:
            more = {}
            if (names := classes(self.data, segments)) is not None:
                more["class"] = names
            if self.graded is not None:
                grades = dict(zip(self.graded.ids, self.graded.agreed, strict=True))
                more["grade"] = np.array([grades.get(name, "") for name in segments.ids])
            rows = decision_rows(segments, scores, probabilities(scores), level, more)
            self._write(self.decisions, csv_text(rows))
        if self.recordings is not None:
            rows = by_recording(segments, scores >= level)
            self._write(self.recordings, csv_text(rows))
        if self.roc is not None:
            points = operating_points(segments.quality, scores)
            now = next(p for p in points if p.threshold_int8 >= level)
            name = f"{self.model.name} on {set_name(self.data, segments)}"
            curve = operating_svg(
                {name: [(p.se, p.sp) for p in points]},
                {name: [(f"int8 {now.threshold_int8}", (now.se, now.sp))]},
            )
            self._write(self.roc, curve)

    def _look(self, found: list[failures.Failure], figures: dict[str, Any], tell: Progress) -> str:
        """Draw the errors, count what was read of them into ``figures``; the sheet's text."""
        drawn, readings = failures.draw_sample(found, self.sample, self.seed), self.readings or {}
        if self.readings is not None and self.sheet is None:
            figures["failures"] = failures.tally(found, drawn, readings, self.seed)
        filled = failures.sheet(drawn, readings)
        if self.sheet is not None:
            self._write(self.sheet, filled)
        if self.gallery is not None:
            with whole_file(self.gallery, self.overwrite) as temporary:
                failures.draw_gallery(
                    temporary, self.model, found, drawn, self.seed, partial(tell, "drawing")
                )
        return filled

    def _write(self, path: Path, text: str) -> None:
        with whole_file(path, self.overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")
