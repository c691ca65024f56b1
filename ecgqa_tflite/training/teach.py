# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What teachers make of labels: targets between low and high where a label may be wrong.

A segment that was drawn with its defect is what it is. A reader's label of a whole lead, or what
two detectors made of a mixture, is wrong now and then, and says nothing of how clear the case is;
other networks' doubt does (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural
network", 2015).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.drawn import CERTAIN
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.evaluation.models import int8_scores, probabilities
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.resources import UNREADABLE

SHARE = 0.5
"""Of a target, what is the teachers' mean P(high); the rest is the label."""


def teachers_of(names: Sequence[str]) -> list[ModelFolder]:
    """The models of these names or folders.

    Raises
    ------
    ModelError
        One is missing or corrupt, or has no int8 network to ask.
    """
    teachers = [open_model(name) for name in names]
    for teacher in teachers:
        _ = teacher.tflite_path
    return teachers


def taught(
    segments: LabelledSet,
    teachers: Sequence[ModelFolder],
    cache: Path,
    threads: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """P(high) that a network should give each segment.

    Parameters
    ----------
    teachers
        Models whose int8 networks are asked, each with its own front end; none: the labels.
    cache
        Folder where their scores are kept.

    Returns
    -------
    float64, shape (n,), 0..1.
    """
    target = segments.quality.astype(np.float64)
    if not teachers:
        return target
    asked = [_asked(segments, teacher, cache, threads, progress) for teacher in teachers]
    mean = np.mean([probabilities(scores) for scores in asked], axis=0)
    doubted = np.ones(len(segments), bool)
    for source, mask in segments.by_source.items():
        doubted[mask] = source not in CERTAIN
    return np.where(doubted, (1 - SHARE) * target + SHARE * mean, target)


def _asked(
    segments: LabelledSet,
    teacher: ModelFolder,
    cache: Path,
    threads: int,
    progress: Progress | None,
) -> NDArray[np.int8]:
    """int8 scores of a teacher, kept by its network, its front end and the segments."""
    sha = hashlib.sha256(teacher.spec.hash.encode() + segments.digest.encode())
    sha.update(teacher.tflite_path.read_bytes())
    path = cache / "taught" / f"{sha.hexdigest()[:32]}.npy"
    try:
        scores: NDArray[np.int8] = np.load(path)
        if scores.dtype == np.int8 and scores.shape == (len(segments),):
            return scores
    except UNREADABLE:
        pass
    tell = None if progress is None else partial(progress, f"asking {teacher.name}")
    scores = int8_scores(teacher, segments, threads=threads, progress=tell)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, overwrite=True) as temporary, temporary.open("wb") as file:
        np.save(file, scores)
    return scores
