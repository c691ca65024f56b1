# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A labelled folder in one of PhysioNet's layouts, for ``ecgqa evaluate``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets import challenge2011, challenge2017, mitdb
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.datasets.rhythms import annotated_folders
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.spec import FrontEnd

MARKERS = {
    "REFERENCE.csv": "challenge-2017: record,label with label one of N A O ~",
    "LEADS.csv": "challenge-2011 by lead: record,lead,quality with quality good or bad",
    "RECORDS-acceptable": "challenge-2011 by record, with RECORDS-unacceptable beside it",
}
"""File that tells a layout, in the order of preference, and what it holds."""

Labels = Literal["inherited", "by lead"]
"""``inherited``: a segment has the label of its whole recording; ``by lead``: of its lead."""

PUBLISHED = {
    challenge2017.NAME: (r"A0\d{4}", 300.0),
    challenge2011.NAME: (challenge2011.RECORD_NAME, challenge2011.FS_HZ),
    mitdb.NAME: (r"[12]\d\d", 360.0),
}
"""Names of a public set's recordings and their sampling rate, Hz."""

_TAKEN = {*PUBLISHED, "validation", "gate"}
"""Names under which metrics keep what is not a folder of the user's."""


def load_folder(folder: Path, spec: FrontEnd, tick: Tick | None = None) -> LabelledSet:
    """All labelled segments of a folder (or of the one folder inside it that is labelled).

    Raises
    ------
    DatasetError
        As :func:`labelled_base`, or its labels are not what they should be.
    RecordingError
        A recording that the labels name is missing or corrupt.
    """
    base = labelled_base(folder)
    if _layout(base) == "REFERENCE.csv":
        return challenge2017.segments(base, spec, tick)
    if _layout(base) == "LEADS.csv":
        return challenge2011.lead_segments(challenge2011.labelled_recordings(base, tick), spec)
    return challenge2011.record_segments(base, spec, tick)


def labelled_base(folder: Path) -> Path:
    """The folder itself, or the one inside it, that holds labels and recordings.

    Raises
    ------
    DatasetError
        The folder is missing, has none of the layouts or several labelled folders.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the folder of a labelled set")
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    found = [folder] if _layout(folder) else [path for path in inside if _layout(path)]
    if not found:
        known = "; ".join(f"{name} ({what})" for name, what in MARKERS.items())
        raise DatasetError(f"{folder} holds no labels that are understood; one of: {known}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DatasetError(f"{folder} holds several labelled folders: {names}; give one of them")
    return found[0]


def is_annotated(folder: Path) -> bool:
    """Whether a folder holds annotated records, or folders of such, and no labels."""
    try:
        labelled_base(folder)
    except DatasetError:
        return bool(annotated_folders(folder))
    return False


def classes(folder: Path, segments: LabelledSet) -> NDArray[np.str_] | None:
    """The class that the set gives each segment's recording, where it tells more than two.

    Returns
    -------
    str, shape (n,)
        challenge-2017's N, A, O or ~; None of sets that only tell high from low.
    """
    base = labelled_base(folder)
    if _layout(base) != "REFERENCE.csv":
        return None
    labels = challenge2017.read_reference(base)
    return np.array([labels[str(name).rpartition("/")[2]] for name in segments.group])


def _layout(folder: Path) -> str | None:
    """The marker of the layout that is read in a folder; None where it has no labels."""
    return next((marker for marker in MARKERS if (folder / marker).exists()), None)


def labels_of(folder: Path) -> Labels:
    """How the segments of a folder get their labels."""
    return "by lead" if _layout(labelled_base(folder)) == "LEADS.csv" else "inherited"


def set_name(folder: Path, segments: LabelledSet) -> str:
    """What to call the set in a folder: users lay theirs out as public sets are, so not by layout.

    Returns
    -------
    str
        A public set's name where every recording is named and sampled as its are, else the
        folder's: never a public set's.
    """
    names, rates = segments.records, {part.fs_hz for part in segments.parts}
    for public, (pattern, fs_hz) in PUBLISHED.items():
        if rates == {fs_hz} and all(re.fullmatch(pattern, name) for name in names):
            return public
    own = re.sub(r"[^\w.-]+", "-", Path(folder).resolve().name)
    return f"own-{own}" if own in _TAKEN else own
