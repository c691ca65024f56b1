# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Photographs in a folder of class folders, as ImageNet's copies have them; no TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgqa_tflite.errors import DatasetError

SUFFIXES = ("", ".jpeg", ".jpg", ".png")
"""Some copies of ImageNet name their files without one."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files and the class of each.

    Attributes
    ----------
    classes
        Names of the class folders, sorted.
    paths
        One an image.
    target
        Index into ``classes`` of each image.
    """

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    target: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def digest(self) -> str:
        """SHA-256 over classes, names and sizes: tells one set from another."""
        sha = hashlib.sha256()
        for path, target in zip(self.paths, self.target, strict=True):
            line = f"{self.classes[target]}/{path.name} {path.stat().st_size}\n"
            sha.update(line.encode())
        return sha.hexdigest()

    def take(self, chosen: Sequence[int]) -> ImageFiles:
        """The chosen images; the classes stay."""
        return ImageFiles(
            self.classes,
            tuple(self.paths[i] for i in chosen),
            tuple(self.target[i] for i in chosen),
        )


def list_images(folder: Path) -> ImageFiles:
    """Every image of a folder of class folders, in the order of their names.

    Raises
    ------
    DatasetError
        There are fewer than two class folders with images.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            found.setdefault(path.parent.name, []).append(path)
    if len(found) < 2:
        raise DatasetError(
            f"{folder}: needs two or more class folders with images (JPEG or PNG), has {len(found)}"
        )
    pairs = [(path, target) for target, name in enumerate(found) for path in found[name]]
    return ImageFiles(tuple(found), tuple(p for p, _ in pairs), tuple(t for _, t in pairs))


def hold_out(images: ImageFiles, share: float, seed: int) -> tuple[ImageFiles, ImageFiles]:
    """(training, validation): the same share of every class is held out, at least one image.

    Raises
    ------
    DatasetError
        A class has a single image.
    """
    rng = np.random.default_rng(seed)
    target = np.array(images.target)
    held_out: set[int] = set()
    for number, name in enumerate(images.classes):
        members = np.flatnonzero(target == number)
        if len(members) < 2:
            raise DatasetError(f"class {name} has a single image: one to train and one to validate")
        n = min(max(1, round(share * len(members))), len(members) - 1)
        held_out.update(int(i) for i in rng.choice(members, n, replace=False))
    inside = [i for i in range(len(images)) if i not in held_out]
    return images.take(inside), images.take(sorted(held_out))
