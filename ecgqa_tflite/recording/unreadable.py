# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that people try and that can't be read: what each is, and what to do instead."""

from __future__ import annotations

from pathlib import Path

_UNPACK = "unpack it and name the recording in it"
_PICTURE = "a picture is no recording: export the samples (CSV, EDF or DICOM)"
_ARRAY = "save the ECG as .npy, .csv or a WFDB record"
_CONVERT = "export it as EDF or CSV from the maker's program"

_BY_HEAD: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "is a PDF document", _PICTURE),
    (b"PK\x03\x04", "is a ZIP archive", _UNPACK),
    (b"\x1f\x8b", "is gzip-compressed", _UNPACK),
    (b"BZh", "is bzip2-compressed", _UNPACK),
    (b"\xfd7zXZ", "is xz-compressed", _UNPACK),
    (b"7z\xbc\xaf", "is a 7-Zip archive", _UNPACK),
    (b"Rar!", "is a RAR archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "is zstd-compressed", _UNPACK),
    (b"\x89HDF", "is an HDF5 file", _ARRAY),
    (b"PAR1", "is a Parquet file", _ARRAY),
    (b"ARROW1", "is an Arrow (Feather) file", _ARRAY),
    (b"\x80\x04", "is a Python pickle, which could run anything", _ARRAY),
    (b"SQLite format 3", "is an SQLite database", _ARRAY),
    (b"\x89PNG", "is a PNG picture", _PICTURE),
    (b"\xff\xd8\xff", "is a JPEG picture", _PICTURE),
    (b"GIF8", "is a GIF picture", _PICTURE),
    (b"II*\0", "is a TIFF picture", _PICTURE),
    (b"MM\0*", "is a TIFF picture", _PICTURE),
    (b"<svg", "is an SVG picture", _PICTURE),
    (b"\xd0\xcf\x11\xe0", "is an old Excel or Word document", "save the sheet as CSV"),
    (b"GDF ", "is a GDF file", "convert it to EDF (biosig's save2gdf -f=EDF)"),
    (b"CFWB", "is a LabChart binary file", _CONVERT),
    (b"XDF:", "is an XDF file", _ARRAY),
    (b"RIFF", "is a RIFF (WAV) file", _ARRAY),
    (b"fLaC", "is a FLAC file", "name the header (.hea) of its WFDB record"),
    (b"Brain Vision", "is a BrainVision header", "convert it to EDF"),
    (b"BRainVision", "is a BrainVision header", "convert it to EDF"),
    (b"\x7fELF", "is a program", "name a recording"),
    (b"MZ", "is a program", "name a recording"),
)
_SHEET = ("is a workbook", "save the sheet as CSV")
_BY_SUFFIX = {
    ".xlsx": _SHEET,
    ".xlsm": _SHEET,
    ".ods": _SHEET,
    ".npz": ("is an archive of NumPy arrays", "save the ECG alone with numpy.save"),
    ".mwf": ("is an MFER file", _CONVERT),
    ".html": ("is a web page", "export the samples (CSV, EDF or DICOM)"),
    ".htm": ("is a web page", "export the samples (CSV, EDF or DICOM)"),
    ".set": ("is an EEGLAB data set", "export it as EDF"),
    ".acq": ("is a BIOPAC AcqKnowledge file", _CONVERT),
    ".adicht": ("is a LabChart file", _CONVERT),
    ".smr": ("is a Spike2 file", _CONVERT),
    ".smrx": ("is a Spike2 file", _CONVERT),
    ".fit": ("is a FIT activity, which holds no ECG samples", "export the ECG itself"),
    ".cwa": ("is an Axivity file", _CONVERT),
    ".atr": ("holds annotations, no signal", "name the record's header (.hea)"),
    ".qrs": ("holds annotations, no signal", "name the record's header (.hea)"),
}


def why_not(head: bytes, path: Path) -> str | None:
    """What a file is that is known and not read, with the remedy; None for any other."""
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if head and path.suffix.lower() in _BY_SUFFIX:
        what, remedy = _BY_SUFFIX[path.suffix.lower()]
        return f"{what}: {remedy}"
    if head[257:262] == b"ustar":
        return f"is a tar archive: {_UNPACK}"
    for mark, what, remedy in _BY_HEAD:
        if head.startswith(mark) or begin.startswith(mark):
            return f"{what}: {remedy}"
    if not head:
        return "is empty: fetch or export it again"
    if begin[:1] in (b"{", b"["):
        return f"is JSON that holds no ECG of a kind that is known: {_ARRAY}"
    return None
