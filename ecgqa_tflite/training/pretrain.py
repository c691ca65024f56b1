# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pre-training on photographs, as the seed paper does on 70 classes of ImageNet.

What comes out is a folder with the weights (``<name>.weights.h5``), ``pretraining.json`` (recipe,
classes, course, accuracy on held-out images) and ``SHA256SUMS``. A recipe's ``initial_weights``
names it; the two-class network takes its body and gets a new head.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ecgqa_tflite
from ecgqa_tflite.datasets.image_folders import ImageFiles, hold_out, list_images
from ecgqa_tflite.errors import ArgumentError, DatasetError, ModelError
from ecgqa_tflite.model_folder import json_text, read_json, seal, verify_sums
from ecgqa_tflite.output import refuse_existing, refuse_swallowing, refuse_unwritable, whole_folder
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.training.fit import fit_batches, take_body, work_folder
from ecgqa_tflite.training.recipe import Schedule

DESCRIPTION = "pretraining.json"
FORMAT = 1


@dataclass(frozen=True)
class Pretraining(Schedule):
    """How a network is pre-trained.

    Attributes
    ----------
    architecture
        Network to train.
    size
        Rows and columns of the images in pixels, whatever the files have.
    initial_weights
        Folder of an earlier pre-training to go on from, whose body has the same shapes: of images
        of the same size or, where the layers don't depend on it, of smaller ones.
    least_area
        A training image is a random crop of at least this share of the photograph, mirrored in
        half of the cases and scaled to ``size``.
    validation_share
        Share of each class's images held out, seen whole.
    """

    epochs: int = 15
    warmup_steps: int = 500
    label_smoothing: float = 0.1
    architecture: str = "light_cnn"
    size: int = 227
    initial_weights: str | None = None
    least_area: float = 0.35
    validation_share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.least_area <= 1 or not 0 < self.validation_share < 1:
            raise ArgumentError("least_area and validation_share are above 0 and at most 1")


def pretrain(
    images: Path,
    out: Path,
    recipe: Pretraining,
    cache: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a network to tell a folder's classes apart, and write the pre-training's folder.

    Parameters
    ----------
    images
        Folder of class folders with JPEG or PNG files.
    out
        Folder to write.
    cache
        Folder for the checkpoint of an unfinished run: the same call goes on where it was killed.

    Returns
    -------
    dict
        What ``pretraining.json`` holds.

    Raises
    ------
    OutputExistsError
        ``out`` exists and ``overwrite`` is false; nothing has been done.
    ArgumentError, ModelError
        ``out`` can't be written, the network can't be built for such an image, or its initial
        weights are not a pre-training or don't fit it; nothing has been done.
    DatasetError
        There are too few classes or images, or a file that is not an image.
    """
    if overwrite:
        refuse_swallowing(out, images, cache)
    refuse_existing(out, overwrite)
    refuse_unwritable(out)
    if recipe.initial_weights is not None and origin(recipe.initial_weights) is None:
        raise ModelError(
            f"{recipe.initial_weights}: is not a pre-training (no {DESCRIPTION}): name a folder "
            f"that ecgqa pretrain wrote"
        )
    files = list_images(images)
    training, validation = hold_out(files, recipe.validation_share, recipe.seed)

    from ecgqa_tflite.networks import build
    from ecgqa_tflite.networks._keras import keras

    keras.utils.set_random_seed(recipe.seed)
    arguments = {"input_shape": [recipe.size, recipe.size, 3], "classes": len(files.classes)}
    network = build(recipe.architecture, **arguments, name=out.name)
    if recipe.initial_weights is not None:
        take_body(network, load_body(recipe.initial_weights))
    work = work_folder(cache, network, asdict(recipe), files.digest())

    of_class = np.eye(len(files.classes), dtype=np.float32)

    def batches(epoch: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        return ((x, of_class[target]) for x, target in _batches(training, recipe, epoch))

    _check(files, progress)
    history = fit_batches(network, batches, len(training), recipe, work, progress)
    description = {
        "format": FORMAT,
        "architecture": recipe.architecture,
        "arguments": arguments,
        "recipe": asdict(recipe),
        "images": {
            "training": len(training),
            "validation": len(validation),
            "digest": files.digest(),
        },
        "classes": list(files.classes),
        "epochs": history,
        "validation": _accuracy(network, validation, recipe, progress),
        "tool_version": ecgqa_tflite.__version__,
    }
    with whole_folder(out, overwrite) as folder:
        network.save_weights(folder / f"{out.name}.weights.h5")
        (folder / DESCRIPTION).write_text(json_text(description), encoding="utf-8")
        seal(folder)
    shutil.rmtree(work, ignore_errors=True)
    return description


def load_body(name_or_path: str) -> Any:
    """Network of a pre-training's folder, or of a trained model, with its weights.

    Raises
    ------
    ModelError
        There is neither, or it is incomplete or corrupt.
    """
    from ecgqa_tflite.networks import build, load_model
    from ecgqa_tflite.networks.weights import load_weights

    path = Path(name_or_path)
    if not (path / DESCRIPTION).is_file():
        return load_model(name_or_path)
    description = _description(path)
    try:
        network = build(description["architecture"], **description["arguments"], name=path.name)
    except KeyError as error:
        raise ModelError(f"{path / DESCRIPTION}: has no {error}; get it again") from None
    return load_weights(network, next(path.glob("*.weights.h5"), path / "missing.weights.h5"))


def origin(name_or_path: str) -> dict[str, Any] | None:
    """What a pre-training was, for a model that starts from it; None where it is a trained model.

    Raises
    ------
    ModelError
        The folder is incomplete or corrupt.
    """
    path = Path(name_or_path)
    if not (path / DESCRIPTION).is_file():
        return None
    description = _description(path)
    return {
        "images": description["images"]["training"],
        "classes": len(description["classes"]),
        "size": description["recipe"]["size"],
        "epochs": description["recipe"]["epochs"],
        "validation": description["validation"],
    }


def _description(path: Path) -> dict[str, Any]:
    verify_sums(path)
    description: dict[str, Any] = read_json(path / DESCRIPTION)
    if description.get("format") != FORMAT:
        raise ModelError(f"{path / DESCRIPTION}: format {description.get('format')!r} is not known")
    return description


def _check(images: ImageFiles, progress: Progress | None) -> None:
    """Decode every file once: a broken one is named now, not hours later."""
    from ecgqa_tflite.networks._keras import tf

    def decodes(path: Any) -> Any:
        return tf.size(tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False)) > 0

    names = [str(path) for path in images.paths]
    good = tf.data.Dataset.from_tensor_slices(names).map(decodes, num_parallel_calls=2)
    done = 0
    try:
        for _ in good.as_numpy_iterator():
            done += 1
            if progress is not None:
                progress("reading images", done, len(images))
    except tf.errors.InvalidArgumentError:
        raise DatasetError(f"{names[done]}: is not an image, or is damaged; remove it") from None


def _batches(
    images: ImageFiles, recipe: Pretraining, epoch: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """One epoch in a seeded order, each image cropped and mirrored anew."""
    from ecgqa_tflite.networks._keras import tf

    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(images))
    seeds = rng.integers(2**31, size=(len(images), 2), dtype=np.int32)

    def crop(path: Any, target: Any, seed: Any) -> tuple[Any, Any]:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros((1, 0, 4)),
            seed,
            area_range=(recipe.least_area, 1.0),
            aspect_ratio_range=(3 / 4, 4 / 3),
            min_object_covered=0.0,
            use_image_if_no_bounding_boxes=True,
        )
        part = tf.image.stateless_random_flip_left_right(tf.slice(image, begin, size), seed)
        part.set_shape((None, None, 3))
        return _scaled(part, recipe.size), target

    yield from _decoded(images.take(order.tolist()), seeds, crop, recipe.batch, True)


def _scaled(image: Any, size: int) -> Any:
    """The image at ``size`` x ``size``, uint8, bilinear."""
    from ecgqa_tflite.networks._keras import tf

    scaled = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(scaled, 0.0, 255.0)), tf.uint8)


def _decoded(
    images: ImageFiles, seeds: NDArray[np.int32], make: Any, batch: int, whole_batches: bool
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    from ecgqa_tflite.networks._keras import tf

    names = [str(path) for path in images.paths]
    dataset = tf.data.Dataset.from_tensor_slices(
        (names, np.array(images.target, np.int32), seeds)
    ).map(make, num_parallel_calls=2, deterministic=True)
    try:
        yield from (
            dataset.batch(batch, drop_remainder=whole_batches).prefetch(2).as_numpy_iterator()
        )
    except tf.errors.InvalidArgumentError as error:
        raise DatasetError(f"a file is not an image: {str(error).splitlines()[0]}") from error


def _accuracy(
    network: Any, images: ImageFiles, recipe: Pretraining, progress: Progress | None
) -> dict[str, float]:
    """Top-1 and top-5 accuracy on whole images, and their number."""
    from ecgqa_tflite.networks._keras import tf

    def whole(path: Any, target: Any, seed: Any) -> tuple[Any, Any]:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        image.set_shape((None, None, 3))
        return _scaled(image, recipe.size), target

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def forward(x: Any) -> Any:
        return network(tf.cast(x, tf.float32) / 255.0, training=False)

    first = best5 = done = 0
    seeds = np.zeros((len(images), 2), np.int32)
    for x, target in _decoded(images, seeds, whole, recipe.batch, False):
        scores = forward(tf.constant(x)).numpy()
        # How many classes score at least as well as the right one: 1 is a hit.
        rank = (scores >= scores[np.arange(len(target)), target][:, None]).sum(axis=1)
        first, best5, done = (
            first + int((rank <= 1).sum()),
            best5 + int((rank <= 5).sum()),
            done + len(target),
        )
        if progress is not None:
            progress("validating", done, len(images))
    return {"top1": first / done, "top5": best5 / done, "n": done}
