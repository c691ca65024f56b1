# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A model without a share of its channels, those woken least, and what is left trained on.

A channel goes by being silenced: its filter, bias and normalisation become 0. Behind a ReLU such a
channel gives 0 and has no gradient, so training leaves it silent; what is quantised then has
channels that never wake, and :mod:`~ecgqa_tflite.tflite.prune` takes these out, bit for bit.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.convert.prune import Evidence, parts_of, taken_out
from ecgqa_tflite.convert.qat import ending_in_logits, qat_recipe
from ecgqa_tflite.convert.retrain import TrainingData, recipe_of, train_int8, training_data
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.evaluation.card import write_card
from ecgqa_tflite.model_folder import ModelFolder, Trained, write_model
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.training.fit import fit, work_folder
from ecgqa_tflite.training.recipe import Recipe
from ecgqa_tflite.training.run import judged

BATCH = 16
"""Images that activity is measured on at once."""


@dataclass(frozen=True)
class _Stage:
    """A convolution whose channels can go, its normalisation, and the layer that gives them."""

    convolution: Any
    normalisation: Any | None
    output: Any


def thinned(
    model: ModelFolder,
    out: str | Path,
    share: float,
    data: Path,
    quantize: str,
    cache: Path,
    progress: Progress | None = None,
) -> ModelFolder:
    """Silence channels, train on, quantise, take them out; write a model folder.

    Validation holds the int8 network against the whole float one, so what the gate reads is what
    both cost, pruning and quantisation. The folder's float weights are those that were trained on.

    Parameters
    ----------
    share
        Of each layer's channels, 0 < share < 1; one at least is left.
    data
        What to train on: see :func:`~ecgqa_tflite.convert.retrain.training_data`.
    quantize
        ``ptq``: float training, then quantised. ``qat``: trained with quantisation.
    cache
        Folder for sets, index maps and the checkpoint of an unfinished run.

    Raises
    ------
    ModelError
        The model has no float weights.
    ConversionError
        No layer's channels can go, or what quantising raises.
    DatasetError
        See :func:`~ecgqa_tflite.convert.retrain.training_data`.
    """
    _ = model.weights_path  # said before any work
    from ecgqa_tflite.networks import load_model
    from ecgqa_tflite.networks.logits import logit_function

    whole, recipe = ending_in_logits(load_model(model.path)), recipe_of(model)
    if not any(stages(whole)):
        raise ConversionError(f"{model.name}: has no convolution behind which channels can go")
    seen = model.calibration_ids
    sets = training_data(data, model.spec, recipe, cache, 1, progress, seen=seen)
    logits = logit_function(whole, model.spec)(sets.validation_maps)
    network = silenced(whole, share, sets.calibration_images)
    if quantize == "qat":
        tflite = train_int8(network, sets, recipe, cache, progress)
    else:
        _train_on(network, sets, recipe, cache, progress)
        tflite = quantise_ptq(network, sets.calibration_images)
    parts = list(parts_of(model.spec, Evidence(cache, data=data), sets))
    result = taken_out(tflite, parts, model.name, progress)
    threshold_int8, validation = judged(
        result.tflite, logits, model.threshold, sets.validation, sets.validation_maps,
        model.spec, progress,
    )  # fmt: skip
    training = model.metrics.get("training", {}) | {"tflite_bytes": len(result.tflite)}
    training.pop("parameters", None)  # the whole network's
    further = {
        "recipe": qat_recipe(recipe).to_dict(),
        "data": {"set": sets.name, "segments": sets.train.census()},
    }
    metrics = {
        "training": training,
        "validation": validation,
        "external": {},
        **({"quantisation": {"method": "qat", **further}} if quantize == "qat" else {}),
        "pruning": {
            "method": "share",
            "share": share,
            "of": model.name,
            "segments": {part.what: part.n for part in parts},
            "layers": [change.to_dict() for change in result.changes],
            **further,
        },
    }
    described = Trained(**{f.name: getattr(model, f.name) for f in fields(Trained)})
    described = replace(
        described,
        threshold_int8=threshold_int8,
        metrics=metrics,
        calibration_ids=tuple(sets.calibration_ids),
    )
    written = write_model(out, described, result.tflite, save_weights=network.save_weights)
    return write_card(written)


def _train_on(
    network: Any, sets: TrainingData, recipe: Recipe, cache: Path, progress: Progress | None
) -> None:
    """In place, as a training with quantisation goes on, without quantisation."""
    recipe = qat_recipe(recipe)
    work = work_folder(cache, network, "thin", recipe.to_dict(), sets.digest())
    fit(network, sets.maps, sets.train.quality, sets.spec, recipe, work, progress)
    shutil.rmtree(work, ignore_errors=True)


def silenced(network: Any, share: float, images: NDArray[np.uint8]) -> Any:
    """A copy of a network without a share of each layer's channels.

    Of a layer those go whose mean over the images is least.

    Parameters
    ----------
    images
        uint8, (n, rows, cols, channels).
    """
    from ecgqa_tflite.networks._keras import keras

    twin = keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    found = list(stages(twin))
    for stage, woken in zip(found, _activity(twin, found, images), strict=True):
        gone = np.argsort(woken, kind="stable")[: min(int(share * len(woken)), len(woken) - 1)]
        for layer in (stage.convolution, stage.normalisation):
            if layer is not None:
                layer.set_weights([_without(w, gone) for w in layer.get_weights()])
    return twin


def _without(weights: NDArray[np.float32], gone: NDArray[np.intp]) -> NDArray[np.float32]:
    weights = weights.copy()
    weights[..., gone] = 0
    return weights


def _activity(
    network: Any, found: list[_Stage], images: NDArray[np.uint8]
) -> list[NDArray[np.float64]]:
    """Mean of each channel of each stage over images and pixels, (channels,)."""
    from ecgqa_tflite.networks import preprocess
    from ecgqa_tflite.networks._keras import keras

    outputs = keras.Model(network.input, [stage.output.output for stage in found])
    sums = [np.zeros(stage.output.output.shape[-1]) for stage in found]
    for first in range(0, len(images), BATCH):
        given = outputs(preprocess(images[first : first + BATCH]), training=False)
        for total, y in zip(sums, given if len(found) > 1 else [given], strict=True):
            total += np.asarray(y, np.float64).mean(axis=(1, 2)).sum(axis=0)
    return [total / len(images) for total in sums]


# ---- which layers' channels can go -----------------------------------------------------------


def stages(network: Any) -> Iterator[_Stage]:
    """Convolutions with a ReLU behind them, of whose channels each reader takes a sum."""
    from ecgqa_tflite.networks._keras import keras

    layers, relu = keras.layers, keras.activations.relu
    for layer in network.layers:
        if type(layer) is not layers.Conv2D:
            continue
        normalisation, output = None, layer
        after = _readers(layer)
        if len(after) == 1 and isinstance(after[0], layers.BatchNormalization):
            (normalisation,) = after
            output, after = normalisation, _readers(normalisation)
        if layer.activation is not relu:
            if len(after) != 1 or not _is_relu(after[0]):
                continue
            (output,) = after
        if _summed(output):
            yield _Stage(layer, normalisation, output)


def _readers(layer: Any) -> list[Any]:
    return [node.outbound_layer for node in layer.outbound_nodes]


def _is_relu(layer: Any) -> bool:
    """Whether it gives 0 for 0, and has no gradient there."""
    from ecgqa_tflite.networks._keras import keras

    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope and not layer.threshold
    return getattr(layer, "activation", None) is keras.activations.relu and not layer.weights


def _summed(layer: Any) -> bool:
    """Whether every layer that takes the channels, pooled or not, sums over all of them."""
    from ecgqa_tflite.networks._keras import keras

    layers = keras.layers
    by_channel = (
        layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D,
        layers.Flatten, layers.Dropout,
    )  # fmt: skip
    after = _readers(layer)
    return bool(after) and all(
        type(reader) in (layers.Conv2D, layers.Dense)
        or (isinstance(reader, by_channel) and _summed(reader))
        for reader in after
    )
