# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Quantisation-aware training: a trained network goes on, with int8's rounding in every step.

The network is rebuilt with tensorflow-model-optimization's fake quantisation (Jacob et al., CVPR
2018): weights per output channel and activations are rounded to 256 levels in the forward pass, the
gradient goes through as if they weren't. Its own start, every range at +-6 with a moving average
over a thousand steps, would need thousands of steps before the ranges fit. Here they start where
calibration images put them, and a few hundred steps at a small rate suffice.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.quantize.converter import first_line, image_shape, int8_tflite
from ecgqa_tflite.quantize.ptq import checked_calibration
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training.fit import fit
from ecgqa_tflite.training.recipe import Recipe

EPOCHS = 1
RATE_SHARE = 0.1
"""Learning rate, as a share of the one that the network was trained with."""
WARMUP_STEPS = 50
BATCH = 16
"""Images that ranges are measured on at once."""

PREFIX = "quant_"
"""tfmot's, of a layer that it wraps."""
RANGES = ("output", "post_activation")
"""tfmot's names of the ranges that a layer's output has."""
KERNELS = ("kernel", "depthwise_kernel")
"""Weights that have ranges."""


def qat_recipe(recipe: Recipe) -> Recipe:
    """How a network trained by ``recipe`` goes on: the same order, augmentation and batch."""
    return replace(
        recipe,
        epochs=EPOCHS,
        learning_rate=RATE_SHARE * recipe.learning_rate,
        warmup_steps=WARMUP_STEPS,
        precision="float32",
    )


def quantise_qat(
    network: Any,
    index_maps: NDArray[np.uint8],
    quality: NDArray[np.uint8],
    calibration_images: NDArray[np.uint8],
    spec: FrontEnd,
    recipe: Recipe,
    work: Path,
    progress: Progress | None = None,
) -> bytes:
    """Train a copy of ``network`` with quantisation and convert it.

    What comes out holds to the same contract as :func:`~ecgqa_tflite.quantize.ptq.quantise_ptq`'s.

    Parameters
    ----------
    network
        Trained float tf_keras model, functional or sequential, that ends in a softmax; it stays as
        it is.
    index_maps, quality
        Training segments: uint8 (n, rows, cols) and the class of each.
    calibration_images
        uint8, (m, rows, cols, channels): where the ranges of activations start.
    recipe
        Of this training: see :func:`qat_recipe`.
    work
        Folder for a checkpoint per epoch; a run that finds one goes on after it.
    progress
        Called each step.

    Raises
    ------
    ConversionError
        A layer that can't be trained with quantisation, or what
        :func:`~ecgqa_tflite.quantize.ptq.quantise_ptq` refuses.
    DatasetError
        Fewer segments than a batch.
    """
    twin = fake_quantised(network, calibration_images)
    fit(twin, index_maps, quality, spec, recipe, work, progress)
    return qat_tflite(twin)


def fake_quantised(network: Any, images: NDArray[np.uint8]) -> Any:
    """A copy of a network that rounds as int8 does, its ranges measured on ``images``.

    Raises
    ------
    ConversionError
        See :func:`quantise_qat`.
    """
    plain = ending_in_logits(network)
    images = checked_calibration(images, image_shape(network))
    import tensorflow_model_optimization as tfmot

    try:
        twin = tfmot.quantization.keras.quantize_model(plain)
    except (ValueError, RuntimeError, TypeError) as error:  # what tfmot raises on layers it lacks
        said = re.sub(r":<class '[\w.]*?(\w+)'>", r" (\1)", first_line(error)).split(". ")[0]
        raise ConversionError(
            f"{network.name}: can't be trained with quantisation ({said}); use post-training "
            f"quantisation"
        ) from error
    _start_ranges(plain, twin, images)
    return twin


def qat_tflite(twin: Any) -> bytes:
    """The int8 ``.tflite`` of a network from :func:`fake_quantised`."""
    return int8_tflite(twin, lambda converter, tf: None)


def ending_in_logits(network: Any) -> Any:
    """The network with its softmax as a layer of its own: what a fit and tfmot need.

    Raises
    ------
    ConversionError
        It is not a graph of layers, or ends in something else.
    """
    from ecgqa_tflite.networks._keras import keras

    layers = keras.layers
    if not isinstance(network, keras.Sequential) and not network._is_graph_network:
        raise ConversionError(
            f"{network.name}: is neither a functional nor a sequential Keras model; use "
            f"post-training quantisation"
        )
    last = network.layers[-1]
    if isinstance(last, layers.Softmax):
        logits = last.input
    elif getattr(last, "activation", None) is keras.activations.softmax:
        logits = last.input
        if isinstance(last, layers.Dense):
            config = last.get_config() | {"activation": "linear"}
            dense = layers.Dense.from_config(config)
            logits = dense(logits)
            dense.set_weights(last.get_weights())
    else:
        raise ConversionError(
            f"{network.name}: ends in {last.name} ({type(last).__name__}); quantisation-aware "
            f"training needs a softmax at the end"
        )
    softmax = layers.Softmax(name="softmax")
    return keras.Model(network.input, softmax(logits), name=network.name)


def _start_ranges(plain: Any, twin: Any, images: NDArray[np.uint8]) -> None:
    """Set the twin's ranges: of activations to what the float network has, of weights to theirs."""
    floats = {layer.name: layer for layer in plain.layers}
    ranges: dict[str, dict[str, Any]] = {}
    for layer in twin.layers:
        name = layer.name.removeprefix(PREFIX)
        for weight in layer.weights:
            kind, _, end = weight.name.rpartition("/")[2].partition(":")[0].rpartition("_")
            if end not in ("min", "max"):
                continue
            if kind == layer.name:  # of the input, which is [0, 1] whatever the images are
                weight.assign({"min": 0.0, "max": 1.0}[end])
            elif name not in floats:
                raise ConversionError(
                    f"{plain.name}: {name} is half of a layer that was split for "
                    f"quantisation-aware training; use post-training quantisation"
                )
            elif kind in RANGES:
                ranges.setdefault(name, {})[end] = weight
            elif kind in KERNELS:
                kernel = np.abs(getattr(floats[name], kind).numpy())
                most = kernel.max(axis=(0, 1, 2)) if weight.shape.rank else kernel.max()
                weight.assign({"min": -most, "max": most}[end])
    low, high = _extremes(plain, list(ranges), images)
    for ends, least, most in zip(ranges.values(), low, high, strict=True):
        ends["min"].assign(min(0.0, float(least)))
        ends["max"].assign(max(0.0, float(most)))


def _extremes(
    network: Any, names: list[str], images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and greatest value of the named layers' outputs over the images."""
    from ecgqa_tflite.networks._keras import keras, tf

    outputs = keras.Model(network.input, [network.get_layer(name).output for name in names])

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def extremes(batch: Any) -> Any:
        found = tf.nest.flatten(outputs(tf.cast(batch, tf.float32) / 255.0, training=False))
        return (
            tf.stack([tf.reduce_min(y) for y in found]),
            tf.stack([tf.reduce_max(y) for y in found]),
        )

    each = [extremes(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    return (
        np.min([low.numpy() for low, _ in each], axis=0),
        np.max([high.numpy() for _, high in each], axis=0),
    )
