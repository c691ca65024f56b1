"""The float model on labelled segments, to hold the int8 one against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.labelled import LabelledSegments
from ecgqa_tflite.frontend import reference
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.training.fit import logit_function

CHUNK = 512


def float_probabilities(
    model: ModelFolder,
    parts: Sequence[LabelledSegments],
    front_end: str = "integer",
    progress: Callable[[int, int], None] | None = None,
    threads: int = 1,
) -> NDArray[np.float64]:
    """P(high) by the float network, shape (n,); 0 for segments that hold no signal.

    Parameters
    ----------
    front_end
        ``integer``: the images that the int8 model gets. ``reference``: those of the float64
        reference, for a comparison of the whole float path with the whole integer one.
    progress
        Called with segments done and segments in all.
    threads
        Of the integer front end; TensorFlow takes what it finds.
    """
    from ecgqa_tflite.networks import load_model

    logits = logit_function(load_model(model.path), model.spec)
    out = np.zeros(sum(map(len, parts)))
    first = 0
    for part in parts:
        native = NativeFrontEnd(model.spec, part.fs_hz)
        for start in range(0, len(part), CHUNK):
            samples = part.samples[start : start + CHUNK]
            if front_end == "integer":
                maps = native.index_maps(samples, threads=threads)
            else:
                maps = np.stack(
                    [reference.index_map(x.astype(float), part.fs_hz, model.spec) for x in samples]
                )
            p = 1 / (1 + np.exp(-logits(maps)))
            out[first + start : first + start + len(samples)] = p
            if progress is not None:
                progress(first + start + len(samples), len(out))
        out[first : first + len(part)][~part.usable] = 0
        first += len(part)
    return out
