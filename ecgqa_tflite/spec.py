# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The front-end spec: every number that turns 5 s of ECG into an image, once.

Tables, C headers, ``.tflite`` metadata, the manifest and the model card are generated from a
:class:`FrontEnd`; firmware, model and Python refuse each other when the hashes differ.

The spec is written in hertz and seconds and holds no sampling rate: a 250 Hz vest and a 500 Hz
recorder have different integer tables (``frontend.tables``) and the same image, so one model, one
spec and one hash serve both. The sampling rate is an argument wherever tables are made.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite import strict_json
from ecgqa_tflite.errors import SamplingRateError, SpecError
from ecgqa_tflite.escape import is_printable

Scaling = Literal["minmax", "qrs"]
Conditioning = Literal["none", "baseline"]

SPEC_FORMAT = 1
"""Format number of the JSON form; it enters the hash."""

NYQUIST_MARGIN = 2.3
"""Lowest sampling rate over the highest centre frequency. The Morse wavelet (beta = 20) still has
6 % of its peak 30 % above its centre; 2.3 is the ratio of 250 Hz to the 108.5 Hz limit that the
seed's toolbox sets for it."""

RANGE_FLOOR = 2.0**-10
"""``minmax`` takes a smallest ``|W|`` of this much of the largest, or less, for zero: a quarter of
a grey level at most. Nearly every segment's is, and a device that has met one looks no further."""

FFT_RADICES = (2, 3, 5)
"""Prime factors that the fixed-point forward transform handles."""

REALS = ("segment_s", "f_max_hz", "f_min_hz", "gamma", "time_bandwidth")
"""Fields of a :class:`FrontEnd` that hold a real number."""

MAX_SEGMENT_LEN = 5120
"""Samples that it takes at most, ``ECGQA_CWT_MAX_SEGMENT_LEN``; a test holds it to the header."""


class Quality(enum.IntEnum):
    """What a decision says of a segment; the value is the class index of the network."""

    LOW = 0
    HIGH = 1


def _jet() -> NDArray[np.uint8]:
    """MATLAB's formula for 256 entries, red, green, blue.

    Trapezia of slope 4 / 256, centred on 3/4, 1/2 and 1/4: MATLAB counts entries from 1, and entry
    i has blue min(1, (i + 32) / 64) and so on.
    """
    i, centre = np.arange(256)[:, None] + 1.0, np.array([192.0, 128.0, 64.0])
    level = np.clip((96.0 - np.abs(i - centre)) / 64.0, 0.0, 1.0)
    return _colours(np.floor(level * 255.0 + 0.5))


def _colours(levels: NDArray[Any]) -> NDArray[np.uint8]:
    table: NDArray[np.uint8] = levels.astype(np.uint8)
    table.setflags(write=False)
    return table


COLORMAPS: dict[str, NDArray[np.uint8]] = {
    "jet": _jet(),
    "grey": _colours(np.arange(256)[:, None]),
}
"""Colour of each index, uint8, shape (256, channels), by name: an entry is all of a colour map."""

BOUNDS = {
    "segment_s": (0.1, 60.0),
    "f_max_hz": (0.1, 2500.0),
    "f_min_hz": (0.01, 2500.0),
    "gamma": (1.0, 12.0),
    "time_bandwidth": (3.0, 240.0),
}
"""Least and most of each number, far beyond what an ECG needs: what the tables can be made for."""

LABEL_CHARS = 64
"""Longest name of a class."""

SCORE_SCALE = 1 / 256
"""quant_scale of a score: softmax of class 1, 0..1, as int8."""
SCORE_ZERO_POINT = -128
"""Its zero point; what a segment without a signal scores."""


@dataclass(frozen=True)
class FrontEnd:
    """How a segment becomes an ``index_map`` and an ``image``.

    Attributes
    ----------
    segment_s
        Length of a segment, s.
    f_max_hz, f_min_hz
        Centre frequency of the first and of the last row, Hz; rows are log-spaced between them.
    rows, cols
        Size of the image, pixels.
    gamma, time_bandwidth
        Generalised Morse wavelet (Olhede & Walden 2002; Lilly & Olhede 2012);
        beta = time_bandwidth / gamma.
    scaling
        ``minmax``: the segment's smallest ``|W|`` (see :data:`RANGE_FLOOR`) becomes 0 and its
        largest 255 (the seed's).
        ``qrs``: 0 stays 0, the largest ``|W|`` among rows whose centre lies in ``qrs_band_hz``
        becomes 255 and what exceeds it is clipped: baseline wander and noise outside the band
        can't own the range. A step can, here as with ``minmax``: it is as large in every row.
    qrs_band_hz
        (low, high), Hz, inclusive; used by ``scaling="qrs"`` only.
    conditioning
        ``none``: the transform takes the samples as they are (the seed's). ``baseline``: the
        segment's baseline is taken off by two running medians (0.22 s, 0.62 s) and what exceeds 1.5
        times the beats is clipped, so that no step, spike or wander owns the range
        (``firmware_bridge/src/condition.c``). Specs of before 0.2 don't name it: ``none``.
    colormap
        One of :data:`COLORMAPS`: ``jet`` (3 channels) or ``grey`` (the index itself, 1 channel).
    labels
        Names of class 0 and class 1.
    """

    segment_s: float = 5.0
    f_max_hz: float = 40.0
    f_min_hz: float = 0.66
    rows: int = 227
    cols: int = 227
    gamma: float = 3.0
    time_bandwidth: float = 60.0
    scaling: Scaling = "qrs"
    qrs_band_hz: tuple[float, float] = (5.0, 25.0)
    conditioning: Conditioning = "none"
    colormap: str = "jet"
    labels: tuple[str, str] = ("low", "high")

    def __post_init__(self) -> None:
        for name in REALS:
            object.__setattr__(self, name, float(getattr(self, name)))  # 30 and 30.0: one hash
        object.__setattr__(self, "qrs_band_hz", tuple(map(float, self.qrs_band_hz)))
        numbers = [getattr(self, name) for name in REALS]
        if not all(math.isfinite(x) and x > 0 for x in (*numbers, *self.qrs_band_hz)):
            raise SpecError("every length, frequency and wavelet parameter must be finite and > 0")
        for name, (low, high) in BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise SpecError(f"{name} {getattr(self, name):g}: must be {low:g} to {high:g}")
        if not self.f_min_hz < self.f_max_hz:
            raise SpecError(f"f_min_hz {self.f_min_hz} must be below f_max_hz {self.f_max_hz}")
        if not (8 <= self.rows <= 512 and 8 <= self.cols <= 512):
            raise SpecError(f"image of {self.rows} x {self.cols}: rows and cols must be 8..512")
        if self.scaling not in get_args(Scaling):
            raise SpecError(f"scaling {self.scaling!r}: must be {_either(get_args(Scaling))}")
        if self.conditioning not in get_args(Conditioning):
            raise SpecError(
                f"conditioning {self.conditioning!r}: must be {_either(get_args(Conditioning))}"
            )
        if self.colormap not in tuple(COLORMAPS):
            raise SpecError(f"colormap {self.colormap!r}: must be {_either(COLORMAPS)}")
        if len(self.labels) != 2 or not all(is_printable(x, LABEL_CHARS) for x in self.labels):
            raise SpecError(
                f"labels must name class 0 and class 1 in 1 to {LABEL_CHARS} printable characters"
            )
        if self.scaling == "qrs" and not self.qrs_rows.size:
            raise SpecError(f"no row has its centre frequency in qrs_band_hz {self.qrs_band_hz}")

    # ---- what follows from the numbers ------------------------------------------------------

    @property
    def channels(self) -> int:
        """Channels of the image: those of its colour map."""
        return len(COLORMAPS[self.colormap][0])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(rows, cols, channels) of the network's input."""
        return self.rows, self.cols, self.channels

    @property
    def bin_hz(self) -> float:
        """Spacing of the spectrum's bins: 1 / (2 * segment_s), whatever the sampling rate."""
        return 1.0 / (2.0 * self.segment_s)

    @property
    def centre_frequencies_hz(self) -> np.ndarray:
        """Centre frequency of each row, Hz, highest first; float64, shape (rows,)."""
        return np.geomspace(self.f_max_hz, self.f_min_hz, self.rows)

    @property
    def column_times_s(self) -> np.ndarray:
        """Time of each column's centre from the start of the segment, s; float64, shape (cols,)."""
        return (np.arange(self.cols) + 0.5) * (self.segment_s / self.cols)

    @property
    def qrs_rows(self) -> np.ndarray:
        """Indices of the rows whose centre frequency lies in ``qrs_band_hz``."""
        f = self.centre_frequencies_hz
        return np.flatnonzero((f >= self.qrs_band_hz[0]) & (f <= self.qrs_band_hz[1]))

    @property
    def fs_min_hz(self) -> float:
        """Lowest sampling rate that carries the highest row, Hz."""
        return NYQUIST_MARGIN * self.f_max_hz

    def segment_len(self, fs_hz: float) -> int:
        """Samples in a segment at ``fs_hz``.

        Raises
        ------
        SamplingRateError
            The rate is not a positive number, is too low for the spec's highest row, or gives a
            segment of more than 5,120 samples, of no whole number of them or of a number with a
            prime factor above 5.
        """
        if not (math.isfinite(fs_hz) and fs_hz > 0):
            raise SamplingRateError(f"sampling rate {fs_hz} Hz: must be a positive number")
        if fs_hz < self.fs_min_hz:
            raise SamplingRateError(
                f"sampling rate {fs_hz:g} Hz is too low: rows up to {self.f_max_hz:g} Hz need at "
                f"least {self.fs_min_hz:g} Hz; use a spec with a lower f_max_hz"
            )
        exact = fs_hz * self.segment_s
        if exact > MAX_SEGMENT_LEN:
            raise SamplingRateError(
                f"sampling rate {fs_hz:g} Hz is too high: {self.segment_s:g} s are {exact:g} "
                f"samples, and the fixed-point transform takes {MAX_SEGMENT_LEN:,}; resample the "
                f"recording to {MAX_SEGMENT_LEN / self.segment_s:g} Hz or less"
            )
        length = round(exact)
        rest = length
        for p in FFT_RADICES:
            while rest % p == 0:
                rest //= p
        if abs(exact - length) > 1e-9 * exact or rest != 1:
            raise SamplingRateError(
                f"sampling rate {fs_hz:g} Hz: {self.segment_s:g} s are {exact:g} samples, and the "
                f"fixed-point transform needs a whole number with no prime factor above 5 "
                f"(125, 128, 250, 256, 300, 360, 500, 512, 1000 Hz do); resample the recording"
            )
        return length

    # ---- JSON and identity ------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain types, in the order of the fields, with the format number first.

        ``conditioning`` is left out where there is none: such specs keep the hash that they had
        before the field was there.
        """
        plain = {"format": SPEC_FORMAT, **json.loads(json.dumps(asdict(self)))}
        if self.conditioning == "none":
            del plain["conditioning"]
        return plain

    def to_json(self) -> str:
        """The JSON form, indented, ending in a newline."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, data: Any) -> FrontEnd:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        SpecError
            Not a spec, another format number, an unknown or missing field, a value out of range.
        """
        if not isinstance(data, dict):
            raise SpecError("a spec is a JSON object")
        data = {"conditioning": "none", **data}
        if data.pop("format", None) != SPEC_FORMAT:
            raise SpecError(f"spec format is not {SPEC_FORMAT}: made by another version")
        known = {f.name: f for f in fields(cls)}
        unknown, missing = data.keys() - known.keys(), known.keys() - data.keys()
        if unknown or missing:
            raise SpecError(f"spec: unknown fields {sorted(unknown)}, missing {sorted(missing)}")
        for name in REALS:
            _require(data, name, _is_real, "a number")
        for name in ("rows", "cols"):
            _require(data, name, lambda x: _is_real(x) and isinstance(x, int), "an integer")
        _require(data, "qrs_band_hz", lambda x: _is_pair(x, (int, float)), "a pair of numbers")
        _require(data, "labels", lambda x: _is_pair(x, str), "a pair of names")
        return cls(**data | {name: tuple(data[name]) for name in ("qrs_band_hz", "labels")})

    @classmethod
    def from_json(cls, text: str) -> FrontEnd:
        """Inverse of :meth:`to_json`; raises :class:`SpecError` as :meth:`from_dict` does."""
        try:
            data = strict_json.loads(text)
        except ValueError as error:
            raise SpecError(f"spec is not JSON: {error}") from error
        return cls.from_dict(data)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON form, 64 hex digits."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def short_hash(self) -> str:
        """First 16 hex digits of :attr:`hash`: what C headers carry as a ``uint64_t``."""
        return self.hash[:16]

    @classmethod
    def preset(cls, name: str, **changes: Any) -> FrontEnd:
        """A named spec, with ``changes`` applied.

        ``seed`` has the seed paper's frequencies, min-max and jet; ``wearable`` stops at 40 Hz, so
        that any device from 100 Hz up can make the image, takes the baseline off, clips what stands
        out of the beats and is scaled by the QRS band, so that no single artefact hides them.
        """
        try:
            return replace(PRESETS[name], **changes)
        except KeyError:
            raise SpecError(f"no preset {name!r}; there are: {', '.join(PRESETS)}") from None


def _is_real(x: object) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def _is_pair(x: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(x, (list, tuple)) and len(x) == 2 and all(isinstance(y, kind) for y in x)


def _require(data: dict[str, Any], name: str, holds: Callable[[object], bool], what: str) -> None:
    if not holds(data[name]):
        raise SpecError(f"spec: {name} must be {what}")


def _either(names: Iterable[str]) -> str:
    return " or ".join(map(repr, names))


def read_spec(path: Path) -> FrontEnd:
    """A ``spec.json``; :class:`SpecError` where it can't be read."""
    try:
        return FrontEnd.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: {error}") from error


PRESETS: dict[str, FrontEnd] = {
    "wearable": FrontEnd(conditioning="baseline"),
    "seed": FrontEnd(f_max_hz=108.5, scaling="minmax"),
}
