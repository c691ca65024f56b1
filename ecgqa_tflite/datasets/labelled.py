# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Segments with a quality label, the currency between datasets, training and evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import DatasetError, SamplingRateError
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.segments import cut
from ecgqa_tflite.spec import FrontEnd, Quality


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
        return replace(
            self,
            samples=self.samples[index],
            quality=self.quality[index],
            group=self.group[index],
            ids=self.ids[index],
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


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Segments of any number of sources and sampling rates: part after part, in one order.

    Arrays of the set and scores of its segments are in that order.

    Attributes
    ----------
    parts
        Each of one source and one sampling rate.
    """

    parts: tuple[LabelledSegments, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def placed(self) -> Iterator[tuple[LabelledSegments, slice]]:
        """The parts, each with where it stands in arrays of the set."""
        first = 0
        for part in self.parts:
            yield part, slice(first, first + len(part))
            first += len(part)

    @cached_property
    def quality(self) -> NDArray[np.uint8]:
        """:class:`~ecgqa_tflite.spec.Quality` of each segment, shape (n,)."""
        return np.concatenate([np.zeros(0, np.uint8), *(part.quality for part in self.parts)])

    @cached_property
    def group(self) -> NDArray[np.str_]:
        """Patient or recording of each, shape (n,)."""
        return np.concatenate([np.zeros(0, np.str_), *(part.group for part in self.parts)])

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Where each is from, shape (n,)."""
        return np.concatenate([np.zeros(0, np.str_), *(part.ids for part in self.parts)])

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Mask of the segments that hold a signal, shape (n,); the others no network is asked."""
        return np.concatenate([np.zeros(0, np.bool_), *(part.usable for part in self.parts)])

    @cached_property
    def by_source(self) -> dict[str, NDArray[np.bool_]]:
        """Mask, shape (n,), of the segments of each source."""
        source = np.repeat([part.source for part in self.parts], [len(p) for p in self.parts])
        return {str(name): source == name for name in dict.fromkeys(source)}

    @property
    def records(self) -> set[str]:
        """Names of the recordings, less what stands before them in :attr:`group`."""
        return {str(name).rpartition("/")[2] for name in np.unique(self.group)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over samples, rates and labels: the same set, whatever its name."""
        sha = hashlib.sha256()
        for part in self.parts:
            sha.update(part.digest().encode())
        for part in self.parts:
            sha.update(part.quality.tobytes())
        return sha.hexdigest()

    def take(self, index: NDArray[Any]) -> Self:
        """The segments at ``index``: a mask, or integers that rise. No part is empty."""
        at = np.arange(len(self))[index]
        inside = [
            (part, at[(at >= place.start) & (at < place.stop)] - place.start)
            for part, place in self.placed()
        ]
        return replace(self, parts=tuple(part.take(mine) for part, mine in inside if len(mine)))

    def census(self) -> dict[str, dict[str, int]]:
        """Segments and groups by source, as ``metrics.json`` notes them."""
        return {
            source: {"segments": int(mask.sum()), "groups": len(np.unique(self.group[mask]))}
            for source, mask in self.by_source.items()
        }


def _join(parts: Sequence[LabelledSegments], source: str) -> LabelledSegments:
    """Parts of one sampling rate as one."""
    return LabelledSegments(
        np.concatenate([part.samples for part in parts]),
        parts[0].fs_hz,
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.group for part in parts]),
        np.concatenate([part.ids for part in parts]),
        source,
    )


def by_rate(parts: Iterable[LabelledSegments], source: str) -> LabelledSet:
    """Join what can be joined: a set of one source, with one part for each sampling rate.

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
    return LabelledSet(tuple(_join(found, source) for found in rates.values()))


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
    """All whole segments of one lead, labelled alike.

    Raises
    ------
    SamplingRateError
        As :func:`~ecgqa_tflite.segments.cut`; it names the recording.
    """
    place = f"{source}/{recording.name}" + (f"/{lead}" if lead is not None else "")
    try:
        segments = cut(recording.lead(lead), recording.fs_hz, spec)
    except SamplingRateError as error:
        raise SamplingRateError(f"{recording.name}: {error}") from error
    n = len(segments.samples)
    return LabelledSegments(
        segments.samples,
        segments.fs_hz,
        np.full(n, quality, np.uint8),
        np.full(n, group),
        np.array([f"{place}@{start:.2f}" for start in segments.start_s], dtype=np.str_),
        source,
    )
