# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The external test: its segments and images once for all runs, and what a model says of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.challenge2017 import Graded
from ecgqa_tflite.datasets.folders import load_folder
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.frontend import reference
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress, ticks
from ecgqa_tflite.spec import FrontEnd, Quality
from ecgqa_tflite.tflite.run import high_scores

FLOAT_BATCH = 512
SAMPLE_SEED = 0
"""Of the draw of segments that a float model is tested on where not on all."""


@dataclass(frozen=True, eq=False)
class ExternalTest(LabelledSet):
    """Labelled segments that nothing is trained, calibrated or chosen on.

    Attributes
    ----------
    graded
        Segments of it that were graded one by one, or None.
    """

    graded: Graded | None = None

    @property
    def source(self) -> str:
        """Name of the set."""
        return self.parts[0].source

    @property
    def graded_digest(self) -> str | None:
        """SHA-256 over the grades; None without them."""
        return None if self.graded is None else self.graded.digest()

    def sample(self, n: int | None) -> NDArray[np.intp]:
        """Indices of the segments that float models are tested on; the same for all.

        Everything of low quality and everything graded, the rest drawn from high quality; all
        where ``n`` is None or no fewer than there are.
        """
        if n is None or n >= len(self):
            return np.arange(len(self))
        keep = self.quality == Quality.LOW
        if self.graded is not None:
            keep |= np.isin(self.ids, self.graded.ids)
        rest = np.flatnonzero(~keep)
        rng = np.random.default_rng(SAMPLE_SEED)
        drawn = rng.choice(rest, max(0, n - int(keep.sum())), replace=False)
        return np.sort(np.concatenate([np.flatnonzero(keep), drawn]))

    def part_of(self, n_recordings: int) -> ExternalTest:
        """A small test: so many recordings, a third of them low if there are, and all graded.

        Recordings are taken evenly from the sorted names, not at random.
        """
        names, first = np.unique(self.group, return_index=True)
        low = self.quality[first] == Quality.LOW
        n_low = min(int(low.sum()), n_recordings // 3)
        chosen = {*_evenly(names[low], n_low), *_evenly(names[~low], n_recordings - n_low)}
        if self.graded is not None:
            chosen |= {str(name).split("@")[0] for name in self.graded.ids}
        return self.take(np.isin(self.group, sorted(chosen)))


def _evenly(names: NDArray[np.str_], n: int) -> list[str]:
    at = np.unique(np.linspace(0, len(names) - 1, min(n, len(names))).round().astype(int))
    return [str(name) for name in names[at]] if len(names) else []


def read_test(
    folder: Path, spec: FrontEnd, graded: Graded | None, progress: Progress | None = None
) -> ExternalTest:
    """Read a labelled folder; see :func:`ecgqa_tflite.datasets.folders.load_folder`."""
    tick = ticks(progress, "reading the external test")
    return ExternalTest(load_folder(folder, spec, tick).parts, graded)


def int8_scores(
    model: ModelFolder,
    maps: NDArray[np.uint8],
    usable: NDArray[np.bool_],
    threads: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.int8]:
    """int8 score of class 1 from index maps: as :func:`ecgqa_tflite.evaluation.models.int8_scores`.

    Parameters
    ----------
    maps
        uint8, (n, rows, cols).
    usable
        Segments that hold a signal, shape (n,); the others score -128.
    """
    return high_scores(
        model.tflite_path,
        lambda at: image_s8(np.asarray(maps[at]), model.spec.colormap),
        len(maps),
        np.flatnonzero(usable),
        threads=threads,
        progress=progress and partial(progress, f"scoring int8, {model.name}"),
    )


def float_logits(
    model: ModelFolder,
    maps: NDArray[np.uint8],
    chosen: NDArray[np.intp],
    usable: NDArray[np.bool_],
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Log odds of high by the float network; -inf where no signal is, NaN where not asked.

    Parameters
    ----------
    chosen
        Indices of the maps that are asked for.
    """
    from ecgqa_tflite.networks import load_model
    from ecgqa_tflite.networks.logits import logit_function

    logits = logit_function(load_model(model.path), model.spec)
    out = np.full(len(maps), np.nan, np.float32)
    out[chosen] = -np.inf
    asked = chosen[usable[chosen]]
    done = 0
    for at in _batches(asked, FLOAT_BATCH):
        out[at] = logits(np.asarray(maps[at]))
        done += len(at)
        if progress is not None:
            progress(f"scoring float, {model.name}", done, len(asked))
    return out


def _batches(indices: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def reference_maps(
    test: ExternalTest,
    chosen: NDArray[np.intp],
    spec: FrontEnd,
    cache: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Index maps of some segments by the float64 reference, kept in ``cache``.

    Returns
    -------
    uint8, shape (len(chosen), rows, cols).
    """
    sha = hashlib.sha256(spec.hash.encode() + test.digest.encode() + chosen.tobytes())
    path = cache / "index_maps" / f"reference-{sha.hexdigest()[:32]}.npy"
    if not path.exists():
        from joblib import Parallel, delayed

        few = test.take(chosen).parts
        jobs = [(samples, part.fs_hz, spec) for part in few for samples in part.samples]
        maps = np.empty((len(jobs), spec.rows, spec.cols), np.uint8)
        made = Parallel(n_jobs=workers, return_as="generator")(
            delayed(_reference_map)(*job) for job in jobs
        )
        for i, index_map in enumerate(made):
            maps[i] = index_map
            if progress is not None:
                progress("making scalograms, float64 reference", i + 1, len(jobs))
        with whole_file(path) as temporary:
            np.save(temporary, maps)
    kept: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return kept


def _reference_map(samples: NDArray[np.int16], fs_hz: float, spec: FrontEnd) -> NDArray[np.uint8]:
    return reference.index_map(samples.astype(float), fs_hz, spec)
