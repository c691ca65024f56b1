# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The fit itself: seeded, with a checkpoint each epoch from which a killed run goes on.

What is deterministic: the sets, the order of the segments, their augmentation and the initial
weights follow from the recipe's seed, and a run that was killed and started again takes the same
steps as one that wasn't. The weights that come out were the same, bit for bit, whenever that was
tried on one CPU with one TensorFlow and number of threads; TensorFlow promises it only with
``TF_DETERMINISTIC_OPS=1`` in the environment, which halves the speed. Another processor rounds sums
differently. InceptionV1's dropout draws are not part of a checkpoint.
``precision="bfloat16"`` gives other weights than float32, about as good, in a bit over half the
time where the processor multiplies bfloat16.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import DatasetError, ModelError
from ecgqa_tflite.evaluation.figures import score_table
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.resources import UNREADABLE
from ecgqa_tflite.spec import FrontEnd, Quality
from ecgqa_tflite.training.images import augmented
from ecgqa_tflite.training.recipe import Recipe, Schedule, digest_of

CHECKPOINT = "checkpoint.npz"

Judge = Callable[[], dict[str, float]]
"""Figures of the network as it is, after an epoch."""
Batches = Callable[[int], Iterator[tuple[Any, Any]]]
"""From the number of an epoch to its batches: images (uint8) and targets (float32)."""


def learning_rate(step: int, n_steps: int, schedule: Schedule) -> float:
    """Rate of a step: linear warm-up, then a cosine that reaches 0 after the last step."""
    warmup = min(schedule.warmup_steps, n_steps // 4)
    if step < warmup:
        return schedule.learning_rate * (step + 1) / warmup
    phase = (step - warmup) / max(1, n_steps - warmup)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * phase))


def new_network(recipe: Recipe, spec: FrontEnd, name: str) -> Any:
    """The recipe's network, with seeded random weights or the ones that it starts from."""
    from ecgqa_tflite.networks import build
    from ecgqa_tflite.networks._keras import keras
    from ecgqa_tflite.training.pretrain import load_body

    keras.utils.set_random_seed(recipe.seed)
    network = build(recipe.architecture, **recipe.network_arguments(spec), name=name)
    if recipe.initial_weights is not None:
        take_body(network, load_body(recipe.initial_weights))
    return network


def take_body(network: Any, trained: Any) -> None:
    """Copy the weights of every layer; the last, the head, stays new where its shapes differ.

    Where ``trained`` sees three colours and ``network`` one grey, the first kernels are summed over
    the colours: grey is three equal ones.

    Raises
    ------
    ModelError
        Another layer is missing or of other shapes: a body is taken whole or not at all.
    """
    given = {layer.name: layer.get_weights() for layer in trained.layers}
    *body, head = [layer for layer in network.layers if layer.weights]
    for layer in (*body, head):
        weights = given.get(layer.name, [])
        wanted = [w.shape for w in layer.get_weights()]
        if weights and weights[0].ndim == 4 and wanted[0][2] == 1:
            weights = [weights[0].sum(axis=2, keepdims=True), *weights[1:]]
        found = [w.shape for w in weights]
        if found == wanted:
            layer.set_weights(weights)
        elif layer is not head:
            theirs, ours = (" x ".join(map(str, s[0])) if s else "missing" for s in (found, wanted))
            raise ModelError(
                f"{trained.name} is not a body for this network: its {layer.name} is {theirs}, not "
                f"{ours}; give one of this architecture, width and image size (ecgqa pretrain)"
            )


def work_folder(cache: Path, network: Any, *parts: Any) -> Path:
    """Where a run keeps its checkpoint: another one for other weights to start from.

    Parameters
    ----------
    network
        As the run begins with it.
    parts
        What else the run depends on, plain types: its recipe, its data.
    """
    sha = hashlib.sha256()
    for array in network.get_weights():
        sha.update(np.ascontiguousarray(array).data)
    return cache / "runs" / digest_of(sha.hexdigest(), *parts)[:32]


def fit(
    network: Any,
    index_maps: NDArray[np.uint8],
    target: NDArray[Any],
    spec: FrontEnd,
    recipe: Recipe,
    work: Path,
    progress: Progress | None = None,
    judge: Judge | None = None,
) -> list[dict[str, Any]]:
    """Train ``network`` in place.

    Parameters
    ----------
    network
        tf_keras model that ends in a softmax over (low, high).
    index_maps
        uint8, (n, rows, cols).
    target
        P(high) that is wanted of each, shape (n,): its class, 0 or 1, or what a teacher made of it
        (:func:`~ecgqa_tflite.training.teach.taught`).
    work
        Folder for the checkpoint; a run that finds one goes on after it.
    progress
        Called each step.
    judge
        Asked after each epoch (:func:`validator`); it chooses nothing.

    Returns
    -------
    list of dict
        Per epoch: ``loss`` (with label smoothing), ``accuracy``, ``seconds`` and, where there is a
        judge, ``validation``.

    Raises
    ------
    DatasetError
        There are fewer segments than a batch holds.
    """
    of_both = np.stack([1.0 - target, target], axis=1).astype(np.float32)

    def batches(epoch: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        return _batches(index_maps, of_both, spec, recipe, epoch)

    return fit_batches(network, batches, len(index_maps), recipe, work, progress, judge)


def validator(
    network: Any, index_maps: NDArray[np.uint8], quality: NDArray[np.uint8], spec: FrontEnd
) -> Judge:
    """What :func:`fit` notes of validation after each epoch: ``loss``, ``accuracy``, ``auc``.

    Loss without label smoothing, and accuracy at P(high) 0.5: they go with the training's, and the
    model's own figures with its own threshold are worked out at the end.
    """
    from ecgqa_tflite.networks.logits import logit_function

    high, logits_of = quality == Quality.HIGH, logit_function(network, spec)

    def judge() -> dict[str, float]:
        logits = logits_of(index_maps)
        table = score_table(quality, logits, 0.0, np.arange(len(logits)), n_boot=0)
        found = {
            "loss": float(np.logaddexp(0, np.where(high, -logits, logits)).mean()),
            "accuracy": table["acc"]["value"],
            "auc": table["auc"]["value"],
        }
        return {name: round(value, 5) for name, value in found.items() if value is not None}

    return judge


def fit_batches(
    network: Any,
    batches: Batches,
    n: int,
    schedule: Schedule,
    work: Path,
    progress: Progress | None = None,
    judge: Judge | None = None,
) -> list[dict[str, Any]]:
    """Train ``network`` in place on the batches of each epoch; :func:`fit` says what comes back.

    Parameters
    ----------
    network
        tf_keras model that ends in a softmax over its classes.
    batches
        Gives at least ``n // schedule.batch`` batches of images, uint8 (batch, rows, cols,
        channels), and the target of every class, float32 (batch, classes).
    n
        Images per epoch.
    """
    from ecgqa_tflite.networks._keras import keras, tf

    steps_per_epoch = n // schedule.batch
    if not steps_per_epoch:
        raise DatasetError(f"{n} segments are fewer than a batch of {schedule.batch}")
    n_steps = steps_per_epoch * schedule.epochs
    tell = progress or (lambda *_: None)

    # The twin shares nothing with the network: its weights are copied after each epoch.
    twin = network if schedule.precision == "float32" else _in_precision(network, "mixed_bfloat16")
    optimiser = keras.optimizers.Adam(schedule.learning_rate)
    optimiser.build(twin.trainable_variables)
    n_classes = int(network.output_shape[-1])
    step = _step(twin, optimiser, n_classes, schedule.label_smoothing)
    batch_type = (
        tf.TensorSpec((schedule.batch, *network.input_shape[1:]), tf.uint8),
        tf.TensorSpec((schedule.batch, n_classes), tf.float32),
    )
    history = _restore(work, twin, optimiser)
    if 0 < len(history) < schedule.epochs:
        tell(f"going on from epoch {len(history) + 1} of {schedule.epochs}", 1, 1)
    for epoch in range(len(history), schedule.epochs):
        started, sums = time.monotonic(), np.zeros(2)
        dataset = tf.data.Dataset.from_generator(
            lambda epoch=epoch: batches(epoch), output_signature=batch_type
        )
        for done, (images, target) in enumerate(dataset.take(steps_per_epoch).prefetch(2)):
            at = epoch * steps_per_epoch + done
            optimiser.learning_rate.assign(learning_rate(at, n_steps, schedule))
            loss, accuracy = step(images, target)
            sums += float(loss), float(accuracy)
            tell(f"training, epoch {epoch + 1}, loss {sums[0] / (done + 1):.3f}", at + 1, n_steps)
        loss_mean, accuracy_mean = sums / steps_per_epoch
        noted: dict[str, Any] = {
            "loss": round(float(loss_mean), 5),
            "accuracy": round(float(accuracy_mean), 5),
            "seconds": round(time.monotonic() - started, 1),
        }
        if judge is not None:
            network.set_weights(twin.get_weights())
            noted["validation"] = judge()
        history.append(noted)
        _save(work, twin, optimiser, history)
    if twin is not network:
        network.set_weights(twin.get_weights())
    return history


def _step(network: Any, optimiser: Any, n_classes: int, smoothing: float) -> Any:
    """What takes one step on a batch; it gives the loss and the share told right."""
    from ecgqa_tflite.networks._keras import keras, tf

    logits_of = keras.Model(network.input, network.layers[-2].output)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(images: Any, target: Any) -> Any:
        x = tf.cast(images, tf.float32) / 255.0
        wanted = target * (1 - smoothing) + smoothing / n_classes
        with tf.GradientTape() as tape:
            logits = tf.cast(logits_of(x, training=True), tf.float32)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, logits))
        variables = network.trainable_variables
        optimiser.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        right = tf.argmax(logits, axis=1) == tf.argmax(target, axis=1)
        return loss, tf.reduce_mean(tf.cast(right, tf.float32))

    return step


def _in_precision(network: Any, policy: str) -> Any:
    """A copy of the network that computes by a Keras dtype policy; its weights stay float32."""
    from ecgqa_tflite.networks._keras import keras

    def copy(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "dtype": policy})

    twin = keras.models.clone_model(network, clone_function=copy)
    twin.set_weights(network.get_weights())
    return twin


def _batches(
    index_maps: NDArray[np.uint8],
    target: NDArray[np.float32],
    spec: FrontEnd,
    recipe: Recipe,
    epoch: int,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """One epoch in a seeded order; what doesn't fill a batch is left for another epoch."""
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(index_maps))
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = order[start : start + recipe.batch]
        images = augmented(index_maps, chosen, spec, recipe.augmentation, rng)
        yield images, target[chosen]


def _save(work: Path, network: Any, optimiser: Any, history: list[dict[str, Any]]) -> None:
    weights = {f"weight/{i}": w for i, w in enumerate(network.get_weights())}
    states = {f"optimiser/{i}": v.numpy() for i, v in enumerate(optimiser.variables)}
    with whole_file(work / CHECKPOINT, overwrite=True) as temporary:
        np.savez(temporary, history=json.dumps(history), **weights, **states)


def _restore(work: Path, network: Any, optimiser: Any) -> list[dict[str, Any]]:
    """Put a checkpoint back, if there is one that can be read, and return its history."""
    try:
        with np.load(work / CHECKPOINT) as saved:
            weights = [saved[f"weight/{i}"] for i in range(len(network.get_weights()))]
            states = [saved[f"optimiser/{i}"] for i in range(len(optimiser.variables))]
            history: list[dict[str, Any]] = json.loads(str(saved["history"]))
    except UNREADABLE:
        return []
    network.set_weights(weights)
    for variable, state in zip(optimiser.variables, states, strict=True):
        variable.assign(state)
    return history
