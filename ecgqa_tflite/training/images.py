# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Index maps of many segments, made once by the C front end and kept on disk."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.frontend.colormap import lut
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.resources import UNREADABLE
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training.recipe import Augmentation

CHUNK = 256
"""Segments between two notes of how far the making has come."""

FINGERPRINTED = 16
"""Segments of a part that tell one front end from another; a flat one doesn't."""
NOT_RESERVED = (errno.EINVAL, errno.EOPNOTSUPP)
"""Errors of file systems that reserve no room."""


def index_maps(
    segments: LabelledSet,
    spec: FrontEnd,
    cache: Path,
    threads: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Index maps of a set, in its order, as a read-only memory map.

    The file is named by the spec (less its colours, which come later), the segments and what the
    front end makes of some of them, so that another front end gets another file. A making
    that was interrupted goes on where it was; of two runs that want the same maps at once, the
    second waits for the first.

    Returns
    -------
    uint8, shape (n, rows, cols).
    """
    front_ends = {part.fs_hz: NativeFrontEnd(spec, part.fs_hz) for part in segments.parts}
    sha = hashlib.sha256(replace(spec, colormap="grey").hash.encode())
    for part in segments.parts:
        sha.update(part.digest().encode())
        spread = np.linspace(0, len(part) - 1, min(FINGERPRINTED, len(part))).astype(int)
        sha.update(front_ends[part.fs_hz].index_maps(part.samples[spread]).data)
    folder = cache / "index_maps"
    path = folder / f"{sha.hexdigest()[:32]}.npy"
    shape = (len(segments), spec.rows, spec.cols)
    maps = _whole(path, shape)
    if maps is None:
        folder.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock")
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _whole(path, shape) is None:
                _make(segments, front_ends, spec, path, threads, progress or (lambda *_: None))
        lock.unlink(missing_ok=True)
        maps = np.load(path, mmap_mode="r")
    return maps


def _whole(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The maps in a file; None where it is missing, cut short or another array."""
    try:
        maps: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except UNREADABLE:
        return None
    return maps if maps.dtype == np.uint8 and maps.shape == shape else None


def _make(
    segments: LabelledSet,
    front_ends: Mapping[float, NativeFrontEnd],
    spec: FrontEnd,
    path: Path,
    threads: int,
    tell: Progress,
) -> None:
    partial, note = path.with_suffix(".partial"), path.with_suffix(".done.json")
    total = len(segments)
    shape = (total, spec.rows, spec.cols)
    done = 0 if _whole(partial, shape) is None else _noted(note)
    mode = "r+" if done else "w+"
    maps = np.lib.format.open_memmap(partial, mode=mode, dtype=np.uint8, shape=shape)
    _reserve(partial)
    for part, place in segments.placed():
        for start in range(0, len(part), CHUNK):
            at, n = place.start + start, min(CHUNK, len(part) - start)
            if at + n <= done:
                continue
            front_ends[part.fs_hz].index_maps(
                part.samples[start : start + n], threads=threads, out=maps[at : at + n]
            )
            maps.flush()
            with whole_file(note, overwrite=True) as temporary:
                temporary.write_text(json.dumps(at + n))
            tell("making scalograms", at + n, total)
    del maps
    partial.rename(path)
    note.unlink(missing_ok=True)


def _noted(note: Path) -> int:
    """Segments done; none where the note is missing or says nothing."""
    try:
        return int(note.read_text())
    except (OSError, ValueError):
        return 0


def _reserve(path: Path) -> None:
    """Have the disk hold room for the whole file: a mapped page that finds none is a SIGBUS."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno not in NOT_RESERVED:
            path.unlink()  # it may hold what room there was
            raise


def augmented(
    index_maps: NDArray[np.uint8],
    chosen: NDArray[np.intp],
    spec: FrontEnd,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Images of the chosen index maps, augmented and coloured.

    Parameters
    ----------
    index_maps
        uint8, (n, rows, cols).
    chosen
        Indices into them, shape (m,).
    rng
        Draws for every map in the same order whatever the augmentation says.

    Returns
    -------
    uint8, (m, rows, cols, channels).
    """
    m, (rows, cols) = len(chosen), index_maps.shape[1:]
    roll, flip = rng.integers(cols, size=m), rng.random(m) < 0.5
    shift = rng.integers(-augmentation.shift_rows, augmentation.shift_rows + 1, size=m)
    gain = rng.uniform(*augmentation.gain, size=m)
    masked = _masked(m, rows, augmentation.mask_rows, rng)
    colours, index = lut(spec.colormap), np.arange(256)
    out = np.empty((m, rows, cols, spec.channels), np.uint8)
    for i, number in enumerate(chosen):
        column = np.arange(cols)
        if augmentation.roll:
            column = (column + roll[i]) % cols
        if augmentation.flip and flip[i]:
            column = column[::-1]
        row = np.clip(np.arange(rows) + shift[i], 0, rows - 1)
        table = colours[np.minimum(np.rint(index * gain[i]), 255).astype(np.uint8)]
        moved = np.asarray(index_maps[number])[row][:, column]
        moved[masked[i]] = 0
        np.take(table, moved, axis=0, out=out[i])
    return out


def _masked(n: int, rows: int, most: int, rng: np.random.Generator) -> list[slice]:
    """A band of up to ``most`` rows in half of ``n`` images; none where ``most`` is 0."""
    if not most:
        return [slice(0, 0)] * n
    height = rng.integers(1, min(most, rows) + 1, size=n) * (rng.random(n) < 0.5)
    first = rng.integers(0, rows - height + 1)
    return [slice(a, a + h) for a, h in zip(first, height, strict=True)]
