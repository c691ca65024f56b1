"""Segments with a quality label, the currency between datasets, training and evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.segments import cut
from ecgqa_tflite.spec import FrontEnd, Quality

Tick = Callable[[int], None]
"""What a loader calls once a record, with how many there are: a command shows progress."""


@dataclass(frozen=True)
class LabelledSegments:
    """Segments of one source at one sampling rate.

    Attributes
    ----------
    samples
        int16, shape (n, segment_len); a segment that holds a gap or is flat is all zeros.
    fs_hz
        Sampling rate, Hz.
    quality
        uint8, shape (n,): :class:`~ecgqa_tflite.spec.Quality`.
    group
        str, shape (n,): patient or record. Splits and the bootstrap never cut through a group.
    ids
        str, shape (n,): where the segment is from, e.g. ``challenge-2011/1002867/II@0.00``
        (set, record, lead, start in s).
    source
        Name of the set.
    """

    samples: NDArray[np.int16]
    fs_hz: float
    quality: NDArray[np.uint8]
    group: NDArray[np.str_]
    ids: NDArray[np.str_]
    source: str

    def __post_init__(self) -> None:
        n = len(self.samples)
        if self.samples.dtype != np.int16 or self.samples.ndim != 2:
            raise DatasetError(f"{self.source}: samples must be int16 of shape (n, segment_len)")
        if not n == len(self.quality) == len(self.group) == len(self.ids):
            raise DatasetError(f"{self.source}: samples, quality, group and ids differ in length")

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, index: NDArray[Any]) -> LabelledSegments:
        """The segments at ``index`` (integers or a mask), in that order."""
        return LabelledSegments(
            self.samples[index],
            self.fs_hz,
            self.quality[index],
            self.group[index],
            self.ids[index],
            self.source,
        )

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Mask of the segments that hold a signal: what gaps and flat lines left is all zeros."""
        return np.asarray(self.samples.any(axis=1))

    def digest(self) -> str:
        """SHA-256 over the samples and the sampling rate: what an image cache depends on."""
        sha = hashlib.sha256(f"{self.fs_hz!r} {self.samples.shape}".encode())
        sha.update(np.ascontiguousarray(self.samples).data)
        return sha.hexdigest()


def set_digest(parts: Sequence[LabelledSegments]) -> str:
    """SHA-256 over samples, rates and labels, in their order: the same set, whatever its name."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part.digest().encode())
    for part in parts:
        sha.update(part.quality.tobytes())
    return sha.hexdigest()


def concatenate(parts: Sequence[LabelledSegments], source: str | None = None) -> LabelledSegments:
    """Join parts of one sampling rate.

    Raises
    ------
    DatasetError
        There is no part, or sampling rates differ.
    """
    if not parts:
        raise DatasetError("no segments: the folder holds no recording that could be used")
    if len({part.fs_hz for part in parts}) != 1:
        raise DatasetError("segments of different sampling rates can't be joined")
    return LabelledSegments(
        np.concatenate([part.samples for part in parts]),
        parts[0].fs_hz,
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.group for part in parts]),
        np.concatenate([part.ids for part in parts]),
        source or parts[0].source,
    )


def by_rate(parts: Sequence[LabelledSegments], source: str) -> list[LabelledSegments]:
    """Join what can be joined: one :class:`LabelledSegments` for each sampling rate.

    Raises
    ------
    DatasetError
        There is no segment at all.
    """
    rates: dict[float, list[LabelledSegments]] = {}
    for part in parts:
        if len(part):
            rates.setdefault(part.fs_hz, []).append(part)
    if not rates:
        raise DatasetError(f"{source}: no recording is as long as a segment; nothing to work on")
    return [concatenate(found, source) for found in rates.values()]


def first_of_identical(signals: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Mask of the signals that no earlier signal equals, sample for sample (NaN equals NaN)."""
    seen: set[bytes] = set()
    keep = np.zeros(len(signals), bool)
    for i, signal in enumerate(signals):
        key = hashlib.sha256(str(signal.shape).encode())
        key.update(np.ascontiguousarray(signal).data)
        keep[i] = key.digest() not in seen
        seen.add(key.digest())
    return keep


def label_lead(
    recording: Recording,
    lead: str | int | None,
    quality: Quality,
    spec: FrontEnd,
    group: str,
    source: str,
) -> LabelledSegments:
    """All whole segments of one lead, labelled alike."""
    segments = cut(recording.lead(lead), recording.fs_hz, spec)
    n = len(segments.samples)
    place = f"{source}/{recording.name}" + (f"/{lead}" if lead is not None else "")
    return LabelledSegments(
        segments.samples,
        segments.fs_hz,
        np.full(n, quality, np.uint8),
        np.full(n, group),
        np.array([f"{place}@{start:.2f}" for start in segments.start_s], dtype=np.str_),
        source,
    )
