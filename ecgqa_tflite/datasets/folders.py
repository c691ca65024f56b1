"""A labelled folder in one of PhysioNet's layouts, for ``ecgqa evaluate``."""

from __future__ import annotations

from pathlib import Path

from ecgqa_tflite.datasets import challenge2011, challenge2017
from ecgqa_tflite.datasets.labelled import LabelledSegments, Tick
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.spec import FrontEnd

MARKERS = {
    "REFERENCE.csv": "challenge-2017: record,label with label one of N A O ~",
    "LEADS.csv": "challenge-2011 by lead: record,lead,quality with quality good or bad",
    "RECORDS-acceptable": "challenge-2011 by record, with RECORDS-unacceptable beside it",
}
"""File that tells a layout, in the order of preference, and what it holds."""


def load_folder(folder: Path, spec: FrontEnd, tick: Tick | None = None) -> list[LabelledSegments]:
    """All labelled segments of a folder (or of the one folder inside it that is labelled).

    Returns
    -------
    list of LabelledSegments
        One for each sampling rate.

    Raises
    ------
    DatasetError
        The folder is missing, has none of the layouts, or its labels are not what they should be.
    RecordingError
        A recording that the labels name is missing or corrupt.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; give the folder of a labelled set")
    for base in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if (base / "REFERENCE.csv").exists():
            return challenge2017.segments(base, spec, tick)
        if (base / "LEADS.csv").exists():
            return challenge2011.lead_segments(challenge2011.labelled_recordings(base, tick), spec)
        if (base / "RECORDS-acceptable").exists():
            return challenge2011.record_segments(base, spec, tick)
    known = "; ".join(f"{name} ({what})" for name, what in MARKERS.items())
    raise DatasetError(f"{folder} holds no labels that are understood; one of: {known}")
