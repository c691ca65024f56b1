# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole of ``ecgqa evaluate``: what is refused before the work, the work, what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ecgqa_tflite.datasets.challenge2017 import Graded
from ecgqa_tflite.datasets.folders import load_folder, set_name
from ecgqa_tflite.evaluation import failures
from ecgqa_tflite.evaluation.card import add_external, refuse_seen, refuse_unrecordable
from ecgqa_tflite.evaluation.failures import Reading
from ecgqa_tflite.evaluation.models import (
    FloatFrontEnd,
    compare,
    evaluate,
    float_scores,
    int8_scores,
)
from ecgqa_tflite.model_folder import ModelFolder, json_text
from ecgqa_tflite.output import refuse_existing, whole_file
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
    json_file, gallery, sheet
        Files to write: the figures, pictures of errors, the errors drawn as CSV.
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
    json_file: Path | None = None
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
            ``set``, its ``digest`` and, as asked for, ``failures``
            (:func:`~ecgqa_tflite.evaluation.failures.tally`) and ``difference``
            (:func:`~ecgqa_tflite.evaluation.models.compare`), which isn't recorded.

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
        score = partial(int8_scores, segments=segments, threads=self.threads)
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
        figures |= {"set": source, "digest": segments.digest}
        if p_high is not None:
            figures["float"]["front_end"] = self.float_front_end
        if self.rival is not None:
            theirs = score(self.rival, progress=partial(tell, f"int8 {self.rival.name}"))
            compared["difference"] = compare(
                self.model, scores, self.rival, theirs, segments, self.graded, self.resamples
            )
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
        for path in (self.json_file, self.gallery, self.sheet):
            if path is not None:
                refuse_existing(path, self.overwrite)

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
