# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A user's own network, trained elsewhere, with the spec of the front end that it takes."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ecgqa_tflite import strict_json
from ecgqa_tflite.convert.float_export import float_network
from ecgqa_tflite.convert.quantisation import Made, Quantisation
from ecgqa_tflite.convert.requantise import calibration_from_folder, held_together, int8_threshold
from ecgqa_tflite.errors import ArgumentError, ConversionError, ModelError, SpecMismatchError
from ecgqa_tflite.model_folder import ModelFolder, Trained, write_model
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.quantize.converter import first_line, image_shape
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.resources import default_cache
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT, FrontEnd, read_spec
from ecgqa_tflite.tflite.identity import read_identity
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.training.recipe import Recipe
from ecgqa_tflite.training.run import THRESHOLD

ARCHITECTURE = "own"
"""What ``model.json`` says of a network that this package has no builder for."""
LICENCE = "not stated"
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
) -> ModelFolder:
    """Make a model folder of an int8 ``.tflite``, a Keras ``.keras`` or ``.h5``, or a SavedModel.

    Parameters
    ----------
    path
        The network: the spec's image, divided by 255, in; a softmax over low and high quality out.
    spec_file
        JSON form of its :class:`~ecgqa_tflite.spec.FrontEnd`.
    out
        Folder in which the model folder is made, named after the file.
    threshold
        P(high) from which a segment is of high quality; None: 0.5, or what a ``.tflite`` that
        this package has sealed says.
    quantisation
        Of a Keras network.
    trust
        Let the model's own code run: see :func:`load_keras`.

    Raises
    ------
    ArgumentError
        A Keras network without recordings, or a ``.tflite`` with some.
    ModelError
        The file is missing, damaged, doesn't fit the spec or doesn't end in probabilities.
    SpecMismatchError
        The ``.tflite`` is sealed with another spec.
    ConversionError, DatasetError, SpecError
        It can't be made int8; no recordings; no spec.
    """
    path = Path(path)
    spec = read_spec(spec_file)
    p_high = THRESHOLD if threshold is None else threshold
    if path.suffix == ".tflite":
        if quantisation != AS_IT_IS:
            raise ArgumentError(
                f"{path}: is quantised already; leave --calibrate and --quantize out"
            )
        made = _int8_file(path, spec, spec_file, threshold)
    elif quantisation.method == "ptq":
        if quantisation.calibrate is None:
            raise ArgumentError(f"{path}: is not int8; give recordings with --calibrate FOLDER")
        made = _calibrated(load_keras(path, trust), path, spec, p_high, quantisation.calibrate)
    elif quantisation.data is not None:
        made = _trained_on(load_keras(path, trust), path, spec, p_high, quantisation.data, progress)
    else:
        tflite = float_network(load_keras(path, trust))
        _fits(Int8Network(tflite), spec, path)
        made = Made(tflite, int8_threshold(p_high), {"quantisation": {"method": "none"}})
    name = re.sub(r"\W+", "_", path.stem.lower(), flags=re.ASCII).strip("_")[:64]
    name = name if re.match(r"[a-z]", name) else f"own_{name}".rstrip("_")
    described = Trained(
        name=name,
        architecture=ARCHITECTURE,
        arguments={"classes": 2, "input_shape": list(spec.image_shape)},
        spec=spec,
        threshold=p_high,
        threshold_int8=made.threshold_int8,
        licence=LICENCE if made.licence is None else made.licence,
        recipe={},
        metrics={"validation": {}, "external": {}} | made.metrics,
        calibration_ids=made.calibration_ids,
    )
    card = f"# {name}\n\nTrained elsewhere: what it was tested on is not known here.\n"
    return write_model(out / name, described, made.tflite, model_card=card)


def _int8_file(path: Path, spec: FrontEnd, spec_file: Path, threshold: float | None) -> Made:
    """A ``.tflite`` as it is; threshold and licence its own where this package has sealed it."""
    try:
        tflite = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror})") from error
    _fits(Int8Network(path), spec, path)
    threshold_int8 = int8_threshold(THRESHOLD if threshold is None else threshold)
    sealed = read_identity(tflite, str(path))
    if sealed is None:
        return Made(tflite, threshold_int8, {})
    if sealed["spec_hash"] != spec.hash:
        raise SpecMismatchError(
            f"{path}: was made for spec {sealed['spec_hash'][:16]}, and {spec_file} is "
            f"{spec.short_hash}; give the spec.json that it came with"
        )
    if threshold is None:
        threshold_int8 = sealed["threshold_int8"]
    return Made(tflite, threshold_int8, {}, licence=sealed["licence"])


def _calibrated(
    network: Any, path: Path, spec: FrontEnd, threshold: float, recordings: Path
) -> Made:
    """A Keras network quantised after training."""
    calibration = calibration_from_folder(recordings, spec)
    tflite = quantise_ptq(network, calibration.images)
    _fits(Int8Network(tflite), spec, path)
    return held_together(network, tflite, calibration, threshold)


def _trained_on(
    network: Any,
    path: Path,
    spec: FrontEnd,
    threshold: float,
    data: Path,
    progress: Progress | None,
) -> Made:
    """A Keras network trained on with quantisation, by the default recipe: its own isn't known."""
    from ecgqa_tflite.convert.qat import ending_in_logits
    from ecgqa_tflite.convert.retrain import retrained, training_data

    recipe, cache = Recipe(), default_cache()
    _takes(network, spec, path)
    ending_in_logits(network)  # said before any work
    sets = training_data(data, spec, recipe, cache, progress=progress)
    return retrained(network, sets, recipe, threshold, cache, progress)


def _fits(network: Int8Network, spec: FrontEnd, path: Path) -> None:
    _require_fit(network.input_shape, network.classes, spec, path)
    found = (network.output_scale, network.output_zero_point)
    if found != (SCORE_SCALE, SCORE_ZERO_POINT):  # the threshold is a probability in such steps
        raise ModelError(
            f"{path}: its scores are not probabilities (scale {found[0]:.3g}, zero point "
            f"{found[1]}; a softmax has 1/{1 / SCORE_SCALE:g} and {SCORE_ZERO_POINT}): end it in "
            f"a softmax"
        )


def _takes(network: Any, spec: FrontEnd, path: Path) -> None:
    """:func:`_fits` of a Keras network, before a training."""
    _require_fit(image_shape(network), network.output_shape[-1], spec, path)


def _require_fit(shape: tuple[int, ...], classes: int, spec: FrontEnd, path: Path) -> None:
    if shape != spec.image_shape or classes != 2:
        raise ModelError(
            f"{path}: maps {shape} to {classes} scores; its spec makes images of "
            f"{spec.image_shape}, and a decision is between 2"
        )


def load_keras(path: Path, trust: bool = False) -> Any:
    """The network of a Keras ``.keras``, ``.h5`` or SavedModel.

    Parameters
    ----------
    trust
        Load what can run code of its author's: a SavedModel, whose graph may write files, and a
        file with a Lambda layer, an operation by name or a class outside Keras.

    Raises
    ------
    ModelError
        There is none, or it can run code and is not trusted.
    ConversionError
        Keras can't load it.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if not (path.suffix in FILES or (path / "saved_model.pb").is_file()):
        raise ModelError(f"{path}: is not a .tflite, Keras .keras, .h5 or SavedModel")
    if not trust:
        _refuse_code(path)
    if path.suffix == ".keras":
        _refuse_keras_3(path)
    from ecgqa_tflite.networks._keras import keras

    try:
        network = keras.models.load_model(str(path), compile=False, safe_mode=not trust)
    except Exception as error:  # h5py, protobuf and Keras raise many kinds
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error
    if not isinstance(network, keras.Model):
        raise ConversionError(f"{path}: is a SavedModel without a Keras model; save it with Keras")
    return network


FILES = (".h5", ".keras")
"""Suffixes of Keras's files; a SavedModel is a folder."""

CODE = {
    *("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod"),
    *("InstanceMethod", "TFOp", "SlicingOp", "__lambda__", "function"),
}
"""Classes of a Keras configuration that hold code, or name a function to call."""
KERAS_MODULES = ("keras", "tf_keras", "builtins")
"""Modules of which a configuration may name a class; others would be imported."""


def _refuse_code(path: Path) -> None:
    """Raise :class:`ModelError` where loading could run code that the file brings or names."""
    told = "; pass --trust if you know where it comes from"
    if path.is_dir():
        raise ModelError(f"{path}: a SavedModel is a program, which may read and write files{told}")
    try:
        config = _h5_config(path) if path.suffix == ".h5" else _member(path, "config.json")
        found = next(_code_in(config), None)
    except RecursionError as error:
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error
    if found is not None:
        raise ModelError(f"{path}: holds {found}, which can run its author's code{told}")


def _h5_config(path: Path) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return json.loads(file.attrs.get("model_config", "{}"))
    except (OSError, ValueError, RecursionError, TypeError) as error:
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error


def _member(path: Path, name: str) -> Any:
    """A JSON file of a ``.keras`` file, which is a zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > strict_json.MOST_CHARS:
                raise ValueError(f"{name} is longer than {strict_json.MOST_CHARS:,} characters")
            return strict_json.loads(archive.read(name).decode())
    except (OSError, KeyError, ValueError, RuntimeError, NotImplementedError,
            zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error


def _refuse_keras_3(path: Path) -> None:
    """Raise :class:`ConversionError` where Keras 3 wrote the file: Keras 2 can't read it."""
    told = _member(path, "metadata.json")
    version = str(told.get("keras_version", "")) if isinstance(told, dict) else ""
    if not version.startswith("2."):
        raise ConversionError(
            f"{path}: was saved by Keras {version or 'of no version'}, which tf_keras can't read; "
            f"make its int8 .tflite there and give that, or save it with tf_keras"
        )


def _code_in(config: Any) -> Iterator[str]:
    """What in a Keras configuration is code or names some."""
    if isinstance(config, list):
        for value in config:
            yield from _code_in(value)
    if not isinstance(config, dict):
        return
    kind, module = config.get("class_name"), config.get("module")
    if kind in CODE or (isinstance(kind, str) and ">" in kind):
        yield f"a layer of class {kind}"
    if isinstance(module, str) and module.split(".")[0] not in KERAS_MODULES:
        yield f"a class of module {module}"
    if config.get("registered_name") and ">" in str(config["registered_name"]):
        yield f"the class {config['registered_name']}"
    for value in config.values():
        yield from _code_in(value)
