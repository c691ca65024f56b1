# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a model is wrong: its errors drawn for eyes to look at, and what a reader saw in them.

A label that a whole recording got is often wrong for one of its segments, so an error may be the
label's. Only looking tells. The errors to look at are drawn from each direction at random, by a
number that hangs on the seed and the segment's id alone: two models that err on the same segment
get it both or neither, so what has been read once serves for the next model too.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.evaluation.figures import Figure
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.plots import Picture, save_gallery
from ecgqa_tflite.spec import Quality

DIRECTIONS = {
    "low_called_high": (Quality.LOW, "labelled low, called high"),
    "high_called_low": (Quality.HIGH, "labelled high, called low"),
}
"""The two ways to be wrong: label of the segments, words."""

GRADES = {
    "A": "the R peak of every beat is sure",
    "B": "in between",
    "C": "R peaks can't be identified for more than about 1 s, or it is no ECG",
}
"""How well a segment reads, on the scale of the adjudicated segments."""

KINDS = {
    "jump": "a baseline jump or spike that owns the range",
    "wander": "slow baseline wander as large as the beats or larger",
    "burst": "noise in a part of the segment",
    "noise": "noise throughout",
    "shape": "broad beats, or beats no sharper than the T waves",
    "rhythm": "AF, ectopy or pauses, otherwise clean",
    "plain": "nothing of note: an ordinary ECG",
    "none": "no ECG to be seen",
}
"""What first meets the eye in a segment; one for each."""

WORST = 12
"""Failures of each direction that a gallery shows as the worst."""


@dataclass(frozen=True, eq=False)
class Failure:
    """A segment that a model got wrong, by its label.

    Attributes
    ----------
    id, group
        Segment and recording.
    label
        What the set says.
    score
        int8 score of class 1.
    samples
        int16, shape (segment_len,).
    fs_hz
        Their sampling rate, Hz.
    """

    id: str
    group: str
    label: Quality
    score: int
    samples: NDArray[np.int16]
    fs_hz: float

    @property
    def direction(self) -> str:
        """Key of :data:`DIRECTIONS`."""
        return "low_called_high" if self.label == Quality.LOW else "high_called_low"


@dataclass(frozen=True)
class Reading:
    """What a reader says of a segment: keys of :data:`GRADES` and :data:`KINDS`, who and when."""

    grade: str
    kind: str
    reader: str
    date: str


def find_failures(
    segments: LabelledSet, scores: NDArray[np.int8], threshold_int8: int
) -> list[Failure]:
    """Segments whose label the model contradicts, in the order of the set.

    Segments without a signal are left out: nothing is there to look at.

    Parameters
    ----------
    scores
        int8 score of class 1 of every segment, shape (n,).
    threshold_int8
        Called high from this score on.
    """
    found = []
    for part, place in segments.placed():
        mine = scores[place]
        wrong = (mine >= threshold_int8) != (part.quality == Quality.HIGH)
        found += [
            Failure(
                str(part.ids[i]),
                str(part.group[i]),
                Quality(part.quality[i]),
                int(mine[i]),
                part.samples[i],
                part.fs_hz,
            )
            for i in np.flatnonzero(wrong & part.usable)
        ]
    return found


def draw_sample(found: Sequence[Failure], n: int, seed: int) -> list[Failure]:
    """``n`` failures, half of each direction or all there are, by the order of their numbers."""
    ordered = sorted(found, key=lambda f: _number(f, seed))
    return [
        f
        for direction in DIRECTIONS
        for f in [x for x in ordered if x.direction == direction][: n // 2]
    ]


def worst(found: Sequence[Failure], n: int, seed: int) -> list[Failure]:
    """The ``n`` failures of each direction with the greatest confidence, one a recording.

    Of equal scores the order is that of :func:`draw_sample`.
    """
    chosen = []
    for direction in DIRECTIONS:
        sign = -1 if direction == "low_called_high" else 1
        mine = [f for f in found if f.direction == direction]
        mine.sort(key=lambda f: (sign * f.score, _number(f, seed)))
        first_of = {f.group: f for f in reversed(mine)}
        chosen += [f for f in mine if first_of[f.group] is f][:n]
    return chosen


def _number(failure: Failure, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{failure.id}".encode()).hexdigest()


def draw_gallery(
    path: Path,
    model: ModelFolder,
    found: Sequence[Failure],
    sample: Sequence[Failure],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw the worst failures of each direction, then those of the sample, numbered as its sheet.

    Parameters
    ----------
    path
        Ends in ``.png`` or ``.html``.
    found, sample, seed
        All failures of ``model``; what :func:`draw_sample` drew of them, with this seed.
    progress
        Called with pictures drawn and pictures in all.
    """
    front_ends = {f.fs_hz: NativeFrontEnd(model.spec, f.fs_hz) for f in found}
    numbers = {f.id: f"{i}: " for i, f in enumerate(sample, start=1)}
    sections = []
    for what, chosen in (("most confident", worst(found, WORST, seed)), ("at random", sample)):
        for direction, (_, words) in DIRECTIONS.items():
            pictures = [
                Picture(
                    f"{numbers.get(f.id, '')}{f.id}  {words}, P(high) {probability(f.score):.3f}",
                    f.samples,
                    front_ends[f.fs_hz].index_maps(f.samples[None])[0],
                )
                for f in chosen
                if f.direction == direction
            ]
            sections.append((f"{words}: {what}, {len(pictures)}", pictures))
    total = {direction: sum(f.direction == direction for f in found) for direction in DIRECTIONS}
    errors = "; ".join(f"{n:,} {DIRECTIONS[direction][1]}" for direction, n in total.items())
    save_gallery(path, f"{model.name}: {errors}", sections, model.spec, progress)


# ---- the sheet --------------------------------------------------------------------------------

_READ = tuple(f.name for f in fields(Reading))
COLUMNS = ("id", "label", "score", *_READ)


def sheet(sample: Sequence[Failure], readings: Mapping[str, Reading]) -> str:
    """CSV of the failures to be read, with what ``readings`` says already filled in."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for f in sample:
        read = asdict(readings[f.id]) if f.id in readings else {}
        writer.writerow({"id": f.id, "label": f.label.name.lower(), "score": f.score, **read})
    return text.getvalue()


def read_sheet(path: Path) -> dict[str, Reading]:
    """What a sheet says, by segment id; rows without a grade and kind are left out.

    Raises
    ------
    DatasetError
        The file can't be read, lacks a column, or holds an unknown grade or kind.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path}: can't be read ({error})") from error
    if not {"id", *_READ} <= set(columns):
        raise DatasetError(f"{path}: needs columns {','.join(COLUMNS)}")
    readings = {}
    for row in rows:
        reading = Reading(*((row[name] or "").strip() for name in _READ))
        if not reading.grade and not reading.kind:
            continue
        if reading.grade not in GRADES or reading.kind not in KINDS:
            raise DatasetError(
                f"{path}: {row['id']}: grade {reading.grade!r} must be one of "
                f"{' '.join(GRADES)} and kind {reading.kind!r} one of {' '.join(KINDS)}"
            )
        readings[str(row["id"])] = reading
    return readings


def tally(
    found: Sequence[Failure], sample: Sequence[Failure], readings: Mapping[str, Reading], seed: int
) -> dict[str, Any]:
    """Counts of what was read, for ``metrics.json``.

    Parameters
    ----------
    found
        All failures.
    sample
        Those that :func:`draw_sample` drew of them; each must have been read.

    Returns
    -------
    dict
        ``seed``, ``readers``, ``dates`` (first and last) and for each direction ``errors`` in all,
        ``read``, ``grades`` and ``kinds`` (counts; kinds that were seen), ``label_wrong`` (share
        that reads as the model said, clearly: A called high, C called low; with its interval,
        Wilson 1927).

    Raises
    ------
    DatasetError
        A failure of the sample was not read.
    """
    missing = [f.id for f in sample if f.id not in readings]
    if missing:
        raise DatasetError(
            f"{len(missing)} of the {len(sample)} errors drawn have no grade and kind, e.g. "
            f"{missing[0]}: write the sheet with --errors and fill it in"
        )
    used = [readings[f.id] for f in sample]
    dates = sorted({r.date for r in used})
    errors = Counter(f.direction for f in found)
    return {
        "seed": seed,
        "readers": sorted({r.reader for r in used}),
        "dates": [dates[0], dates[-1]] if dates else [],
    } | {
        direction: {
            "errors": errors[direction],
            **_read([readings[f.id] for f in sample if f.direction == direction], direction),
        }
        for direction in DIRECTIONS
    }


def _read(mine: Sequence[Reading], direction: str) -> dict[str, Any]:
    """What was read of the errors of one direction."""
    grades, kinds = Counter(r.grade for r in mine), Counter(r.kind for r in mine)
    return {
        "read": len(mine),
        "grades": {grade: grades[grade] for grade in GRADES},
        "kinds": {kind: kinds[kind] for kind in KINDS if kind in kinds},
        "label_wrong": _share(grades[_AS_CALLED[direction]], len(mine)),
    }


_AS_CALLED = {"low_called_high": "A", "high_called_low": "C"}
_Z = 1.959964
"""Of a 95 % interval."""


def _share(k: int, n: int) -> dict[str, float | None]:
    """Share k of n with Wilson's interval; None where n is 0."""
    if not n:
        return asdict(Figure(None))
    p, z2 = k / n, _Z * _Z / n
    middle = (p + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(p * (1 - p) / n + z2 / (4 * n))
    return asdict(Figure(p, max(0.0, middle - half), min(1.0, middle + half)))
