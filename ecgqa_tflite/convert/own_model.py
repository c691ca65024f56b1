# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A user's own network, trained elsewhere, with the spec of the front end that it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ecgqa_tflite.convert.ends import ENTRY, Ends, read_own_spec
from ecgqa_tflite.convert.float_export import float_network, with_int8_ends
from ecgqa_tflite.convert.keras_file import load_keras, quantised
from ecgqa_tflite.convert.qat import qat_tflite
from ecgqa_tflite.convert.quantisation import Made, Quantisation
from ecgqa_tflite.convert.requantise import (
    Calibration,
    calibration_from_folder,
    held_together,
    int8_threshold,
)
from ecgqa_tflite.errors import ArgumentError, EcgqaError, ModelError, SpecMismatchError
from ecgqa_tflite.model_folder import CLASS_NAMES, ModelFolder, Trained, write_model
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.quantize.converter import float_tflite, image_shape
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.resources import default_cache
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT, FrontEnd
from ecgqa_tflite.tflite.adapt import adapt, ending_in_probabilities, gives, with_class_1
from ecgqa_tflite.tflite.census import census
from ecgqa_tflite.tflite.identity import read_identity
from ecgqa_tflite.tflite.image_codes import RANGES, stands_for
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network, refuse_state
from ecgqa_tflite.tflite.scheme import FULL_INT8, scheme
from ecgqa_tflite.training.recipe import Recipe

ARCHITECTURE = "own"
"""What ``model.json`` says of a network that this package has no builder for."""
LICENCE = "not stated"
THRESHOLD = 0.5
"""P(high) from which a segment is of high quality, where nobody says."""
AS_IT_IS = Quantisation()


def own_model(
    path: str | Path,
    spec_file: Path,
    out: Path,
    threshold: float | None = None,
    *,
    quantisation: Quantisation = AS_IT_IS,
    progress: Progress | None = None,
    trust: bool = False,
) -> tuple[ModelFolder, Calibration | None]:
    """Make a model folder of a ``.tflite``, a Keras ``.keras`` or ``.h5``, or a SavedModel.

    What had to be changed for it to hold to the contract of the networks here is in its
    ``metrics``, ``changes``; the second value is what it was quantised on, if it was.

    Parameters
    ----------
    path
        The network: the spec's image, divided by 255, in; a softmax over low and high quality out,
        the logits of one, or one sigmoid of high. A ``.tflite`` may also take it as [-1, 1] or
        [0, 255], have float32 or uint8 ends and an open batch.
    spec_file
        JSON form of its :class:`~ecgqa_tflite.spec.FrontEnd`; other ends than the above are named
        in its ``network``: :mod:`~ecgqa_tflite.convert.ends`.
    out
        Folder in which the model folder is made, named after the file.
    threshold
        P(high) from which a segment is of high quality; None: 0.5, or what a ``.tflite`` that
        this package has sealed says.
    quantisation
        Of a Keras network.
    trust
        Let the model's own code run: see :func:`~ecgqa_tflite.convert.keras_file.load_keras`.

    Raises
    ------
    ArgumentError
        A Keras network without recordings, or an int8 one with some.
    ModelError
        The file is missing, damaged, doesn't fit the spec or doesn't end in probabilities.
    SpecMismatchError
        The ``.tflite`` is sealed with another spec.
    ConversionError, DatasetError, SpecError
        It can't be made int8; no recordings; no spec.
    """
    path = Path(path)
    spec, ends = read_own_spec(spec_file)
    p_high = THRESHOLD if threshold is None else threshold
    calibration = None
    if path.suffix.lower() == ".tflite":
        made = _tflite_file(path, spec, ends, spec_file, threshold, quantisation)
    else:
        made, calibration = _keras_file(path, spec, ends, p_high, quantisation, trust, progress)
    made = _in_order(made, ends, path)
    name = re.sub(r"\W+", "_", path.stem.lower(), flags=re.ASCII).strip("_")[:64]
    name = name if re.match(r"[a-z]", name) else f"own_{name}".rstrip("_")
    described = Trained(
        name=name,
        architecture=ARCHITECTURE,
        arguments={
            "classes": ends.n_classes,
            "input_shape": list(spec.image_shape),
            **({CLASS_NAMES: list(ends.in_order)} if ends.classes else {}),
        },
        spec=spec,
        threshold=p_high,
        threshold_int8=made.threshold_int8,
        licence=LICENCE if made.licence is None else made.licence,
        recipe={},
        metrics={"validation": {}, "external": {}} | made.metrics,
        calibration_ids=made.calibration_ids,
    )
    card = f"# {name}\n\nTrained elsewhere: what it was tested on is not known here.\n"
    return write_model(out / name, described, made.tflite, model_card=card), calibration


def _in_order(made: Made, ends: Ends, path: Path) -> Made:
    """With class 1 as that of high quality."""
    ordered = with_class_1(made.tflite, ends.high, str(path))
    changes = [*made.metrics.get("changes", ()), *ordered.changes]
    told = {"changes": changes} if changes else {}
    return replace(made, tflite=ordered.tflite, metrics=made.metrics | told)


def _tflite_file(
    path: Path,
    spec: FrontEnd,
    ends: Ends,
    spec_file: Path,
    threshold: float | None,
    quantisation: Quantisation,
) -> Made:
    """A ``.tflite``, adapted; threshold and licence its own where this package has sealed it."""
    where = str(path)
    try:
        tflite = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror})") from error
    kind = scheme(read_tflite(tflite, where))
    as_float = quantisation == Quantisation("none") and kind != FULL_INT8
    if not as_float and quantisation != AS_IT_IS:
        told = "is quantised already" if kind == FULL_INT8 else f"is a .tflite ({kind})"
        raise ArgumentError(
            f"{path}: {told}; leave --calibrate and --quantize out, or give its Keras model"
        )
    adapted = with_int8_ends(tflite, where, ends.scaled_to) if as_float else adapt(tflite, where)
    _fits(adapted.tflite, spec, ends, path)
    threshold_int8 = int8_threshold(THRESHOLD if threshold is None else threshold)
    sealed = read_identity(tflite, where)
    if sealed is not None:
        if sealed["spec_hash"] != spec.hash:
            raise SpecMismatchError(
                f"{path}: was made for spec {sealed['spec_hash'][:16]}, and {spec_file} is "
                f"{spec.short_hash}; give the spec.json that it came with"
            )
        if threshold is None:
            threshold_int8 = sealed["threshold_int8"]
    return Made(
        adapted.tflite,
        threshold_int8,
        {"changes": list(adapted.changes)} if adapted.changes else {},
        licence=None if sealed is None else sealed["licence"],
    )


def _keras_file(
    path: Path,
    spec: FrontEnd,
    ends: Ends,
    threshold: float,
    quantisation: Quantisation,
    trust: bool,
    progress: Progress | None,
) -> tuple[Made, Calibration | None]:
    """A Keras network: what can be seen of it is said before it is calibrated or trained."""
    network = load_keras(path, trust)
    brings_ranges = quantised(network)
    if quantisation == AS_IT_IS and not brings_ranges:
        raise ArgumentError(f"{path}: is not int8; give recordings with --calibrate FOLDER")
    if brings_ranges and quantisation.method != "ptq":
        raise ArgumentError(f"{path}: was trained with quantisation already; leave --quantize out")
    if quantisation.method == "qat" and not ends.trainable:
        raise ArgumentError(
            f"{path}: --quantize qat trains low against high quality on images in [0, 1], and its "
            f"spec names another network; leave --quantize out"
        )
    with naming(network, path):
        changes, probabilities = _takes(network, spec, ends, path)
        calibration = None
        if quantisation.data is not None:
            made = _trained_on(network, spec, threshold, quantisation.data, progress)
        elif quantisation.method == "none":
            tflite = float_network(network, ends.scaled_to)
            made = Made(tflite, int8_threshold(threshold), {"quantisation": {"method": "none"}})
        else:
            if quantisation.calibrate is not None:
                calibration = calibration_from_folder(quantisation.calibrate, spec)
            if brings_ranges:
                tflite = qat_tflite(network)
            else:
                images = cast(Calibration, calibration).images
                tflite = quantise_ptq(network, images, ends.scaled_to)
            _fits(tflite, spec, ends, path)
            made = Made(tflite, int8_threshold(threshold), {})
            if calibration is not None:
                made = held_together(network, tflite, calibration, threshold, probabilities, ends)
    _fits(made.tflite, spec, ends, path)
    if changes:
        made = replace(made, metrics=made.metrics | {"changes": list(changes)})
    return made, calibration


def _trained_on(
    network: Any, spec: FrontEnd, threshold: float, data: Path, progress: Progress | None
) -> Made:
    """A Keras network trained on with quantisation, by the default recipe: its own isn't known."""
    from ecgqa_tflite.convert.qat import ending_in_logits
    from ecgqa_tflite.convert.retrain import retrained, training_data

    recipe, cache = Recipe(), default_cache()
    ending_in_logits(network)  # said before any work
    sets = training_data(data, spec, recipe, cache, progress=progress)
    return retrained(network, sets, recipe, threshold, cache, progress)


def _fits(tflite: bytes, spec: FrontEnd, ends: Ends, path: Path) -> None:
    """Refuse what the spec doesn't make an image for, or what a bundle can't hold."""
    census(tflite, str(path), may_be_float=True)
    network = Int8Network(tflite, source=str(path))
    _require_fit(network.input_shape, network.classes, spec, ends, path)
    takes = stands_for(network.graph.tensors[network.graph.inputs[0]])
    if ends.input_range is not None and RANGES.get(str(takes)) != ends.input_range:
        raise ModelError(
            f"{path}: its input's codes stand for {takes}, and its spec says "
            f"{[f'{x:g}' for x in ends.input_range]}: name what it was trained with"
        )
    found = (network.output_scale, network.output_zero_point)
    if found != (SCORE_SCALE, SCORE_ZERO_POINT):  # the threshold is a probability in such steps
        raise ModelError(
            f"{path}: its scores are not probabilities (scale {found[0]:.3g}, zero point "
            f"{found[1]}; a softmax has 1/{1 / SCORE_SCALE:g} and {SCORE_ZERO_POINT}): end it in "
            f"a softmax"
        )


def _takes(
    network: Any, spec: FrontEnd, ends: Ends, path: Path
) -> tuple[tuple[str, ...], Callable[..., NDArray[np.float64]]]:
    """Refuse a Keras network that won't fit, before an hour's work; its head, and P by it."""
    shape, scores = image_shape(network), network.output_shape[-1]
    _require_fit(shape, 2 if scores == 1 else scores, spec, ends, path)
    plain = float_tflite(network)
    refuse_state(read_tflite(plain, network.name), network.name)
    changes = () if quantised(network) else ending_in_probabilities(plain, str(path)).changes
    return changes, probabilities_of(network, plain)


def probabilities_of(network: Any, plain: bytes) -> Callable[..., NDArray[np.float64]]:
    """The function from images as the network takes them to P of each class, (n, 2 or more).

    Parameters
    ----------
    plain
        The float ``.tflite`` of ``network``, whose last operator says what its scores are.
    """
    are_logits = gives(read_tflite(plain, network.name)) == "logits"

    def probabilities(images: NDArray[np.float32], training: bool = False) -> NDArray[np.float64]:
        scores = np.asarray(network(images, training=training), np.float64)
        if are_logits:
            if scores.shape[1] == 1:
                scores = np.hstack([np.zeros_like(scores), scores])
            return np.asarray(softmax(scores, axis=1))
        return np.hstack([1 - scores, scores]) if scores.shape[1] == 1 else scores

    return probabilities


@contextmanager
def naming(network: Any, path: Path) -> Iterator[None]:
    """Let an error about a network name the user's file instead of what Keras calls it."""
    try:
        yield
    except EcgqaError as error:
        said, name = str(error), f"{network.name}: "
        if said.startswith(name):
            raise type(error)(f"{path}: {said.removeprefix(name)}") from error
        raise


def _require_fit(
    shape: tuple[int, ...], classes: int, spec: FrontEnd, ends: Ends, path: Path
) -> None:
    if shape == spec.image_shape and classes == ends.n_classes:
        return
    expects = f"its spec makes images of {spec.image_shape}"
    if ends.classes:
        expects += f" and names {ends.n_classes} classes"
    elif classes != ends.n_classes:
        expects += (
            f", and a decision is between {ends.n_classes}: let the spec name them, as in "
            f'"{ENTRY}": {{"classes": ["low", "medium", "high"], "high": "high"}}'
        )
    raise ModelError(f"{path}: maps {shape} to {classes} scores; {expects}")
