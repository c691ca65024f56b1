# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Clinical formats: DICOM waveforms, HL7 aECG, SCP-ECG, Philips and Mortara XML, GE MUSE XML.

Read through ``ecgdatakit`` (Apache-2.0), the one kept library that has them all; pydicom alone
reads DICOM alone. An extra, because its wheel is 49 MB and few need it.
"""

from __future__ import annotations

import datetime
import importlib.util
import re
import warnings
from pathlib import Path

import numpy as np

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording.file import ArrayFile, Reader, ReadOptions, RecordingFile, checked_rate

MAX_BYTES = 256 * 2**20
_ROOTS = {
    b"AnnotatedECG": "an HL7 aECG",
    b"restingecgdata": "a Philips XML ECG",
    b"RestingECG": "a GE MUSE XML ECG",
    b"CardiologyXML": "a GE CardioSoft XML ECG",
    b"ECG": "an XML ECG",
}


def _kind(head: bytes, path: Path) -> str | None:
    if head[128:132] == b"DICM":
        return "a DICOM file"
    if re.match(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!DOCTYPE|[A-Za-z:]+)", head):
        for root, name in _ROOTS.items():
            if re.search(rb"<(?:\w+:)?" + root + rb"\b", head[:4096]):
                return name
        return (
            None if re.search(rb"<!DOCTYPE html|<html|<svg", head[:4096], re.I) else "an XML file"
        )
    if head[2:6] == b"\0" * 4 or path.suffix.lower() == ".scp" or head[16:22] == b"SCPECG":
        return (
            "an SCP-ECG file" if path.suffix.lower() == ".scp" or head[16:22] == b"SCPECG" else None
        )
    return None


def _open(path: Path, options: ReadOptions) -> RecordingFile:
    with path.open("rb") as file:
        kind = _kind(file.read(65536), path)
    if importlib.util.find_spec("ecgdatakit") is None:
        raise RecordingError(f"{path} is {kind}: pip install 'ecgqa-tflite[clinical]' reads it")
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"{path} is over {MAX_BYTES} bytes: cut it")
    from ecgdatakit.parsing import FileParser

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = FileParser().parse(path)
            leads = [
                lead.to_physical() if lead.is_raw and lead.resolution_unit else lead
                for lead in record.leads
            ]
    except Exception as error:  # whatever the library's parsing met
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RecordingError(
            f"{path} is {kind} that can't be read ({reason}): export it with its waveform, or as "
            "EDF or CSV"
        ) from error
    held = [lead for lead in leads if np.size(lead.samples)]
    if not held:
        raise RecordingError(f"{path} is {kind} without a waveform: export it with its waveform")
    columns = [np.asarray(lead.samples, np.float64).ravel() for lead in held]
    signals = [
        (str(lead.label), str(lead.units or ""), checked_rate(path, float(lead.sampling_rate)))
        for lead in held
    ]
    start = getattr(record.recording, "date", None)
    start = start.replace(tzinfo=None) if isinstance(start, datetime.datetime) else None
    return ArrayFile(path, columns, signals, options, start)


READER = Reader(
    "DICOM waveform, HL7 aECG, SCP-ECG, Philips XML, GE MUSE XML",
    (".dcm", ".xml", ".scp"),
    "pip install 'ecgqa-tflite[clinical]'",
    lambda head, path: _kind(head, path) is not None,
    _open,
)
