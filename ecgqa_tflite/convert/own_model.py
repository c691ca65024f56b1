"""A user's own network, trained elsewhere, with the spec of the front end that it takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ecgqa_tflite.convert.float_export import float_network
from ecgqa_tflite.convert.requantise import (
    calibration_from_folder,
    calibration_metrics,
    int8_threshold,
)
from ecgqa_tflite.errors import ArgumentError, ConversionError, ModelError, SpecMismatchError
from ecgqa_tflite.model_folder import ModelFolder, write_model
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.quantize.converter import first_line, image_shape
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT, FrontEnd, read_spec
from ecgqa_tflite.tflite.identity import read_identity
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.training.run import THRESHOLD

ARCHITECTURE = "own"
"""What ``model.json`` says of a network that this package has no builder for."""
LICENCE = "not stated"


def own_model(
    path: str | Path,
    spec_file: Path,
    out: Path,
    calibrate: Path | None = None,
    threshold: float | None = None,
    *,
    quantize: str = "ptq",
    data: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> ModelFolder:
    """Make a model folder of an int8 ``.tflite``, a Keras ``.h5`` or a SavedModel.

    Parameters
    ----------
    path
        The network: the spec's image, divided by 255, in; a softmax over low and high quality out.
    spec_file
        JSON form of its :class:`~ecgqa_tflite.spec.FrontEnd`.
    out
        Folder in which the model folder is made, named after the file.
    calibrate
        WFDB recordings to quantise on, with ``ptq``.
    threshold
        P(high) from which a segment is of high quality; None: 0.5, or what a ``.tflite`` that
        this package has sealed says.
    quantize
        Of a Keras network: ``ptq``, ``qat``
        (:func:`~ecgqa_tflite.convert.retrain.requantise_qat`) or ``none``
        (:func:`~ecgqa_tflite.convert.float_export.float_network`).
    data, cache
        With ``qat``: see :func:`~ecgqa_tflite.convert.retrain.training_data`.

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
    threshold_int8 = int8_threshold(p_high)
    licence = LICENCE
    metrics: dict[str, Any] = {"validation": {}, "external": {}}
    ids: tuple[str, ...] = ()
    if path.suffix == ".tflite":
        if calibrate is not None or quantize != "ptq":
            raise ArgumentError(
                f"{path}: is quantised already; leave --calibrate and --quantize out"
            )
        try:
            tflite = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: can't be read ({error.strerror})") from error
        _fits(Int8Network(path), spec, path)
        sealed = read_identity(tflite, str(path))
        if sealed is not None:
            if sealed["spec_hash"] != spec.hash:
                raise SpecMismatchError(
                    f"{path}: was made for spec {sealed['spec_hash'][:16]}, and {spec_file} is "
                    f"{spec.short_hash}; give the spec.json that it came with"
                )
            licence = sealed["licence"]
            if threshold is None:
                threshold_int8 = sealed["threshold_int8"]
    elif quantize == "ptq":
        if calibrate is None:
            raise ArgumentError(f"{path}: is not int8; give recordings with --calibrate FOLDER")
        network = load_keras(path)
        calibration = calibration_from_folder(calibrate, spec)
        tflite = quantise_ptq(network, calibration.images)
        int8 = Int8Network(tflite)
        _fits(int8, spec, path)
        ids = calibration.ids
        metrics["calibration"] = calibration_metrics(
            network, int8, tflite, calibration, p_high, threshold_int8
        )
    elif quantize == "qat":
        if data is None or cache is None:
            raise ArgumentError(f"{path}: quantisation-aware training needs --data FOLDER")
        from ecgqa_tflite.convert.retrain import retrained

        network = load_keras(path)
        _takes(network, spec, path)
        made = retrained(network, spec, p_high, None, data, cache, progress=progress)
        tflite, threshold_int8, ids = made.tflite, made.threshold_int8, made.calibration_ids
        metrics |= made.metrics
    else:
        tflite = float_network(load_keras(path))
        _fits(Int8Network(tflite), spec, path)
        metrics["quantisation"] = {"method": "none"}
    name = re.sub(r"\W+", "_", path.stem.lower(), flags=re.ASCII).strip("_")[:64]
    name = name if re.match(r"[a-z]", name) else f"own_{name}".rstrip("_")
    return write_model(
        out / name,
        name=name,
        architecture=ARCHITECTURE,
        arguments={"classes": 2, "input_shape": list(spec.image_shape)},
        spec=spec,
        threshold=p_high,
        threshold_int8=threshold_int8,
        save_weights=None,
        tflite=tflite,
        recipe={},
        metrics=metrics,
        calibration_ids=ids,
        model_card=f"# {name}\n\nTrained elsewhere: what it was tested on is not known here.\n",
        licence=licence,
    )


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


def load_keras(path: Path) -> Any:
    """The network of a Keras ``.h5`` or SavedModel.

    Raises
    ------
    ModelError
        There is none.
    ConversionError
        Keras can't load it.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if not (path.suffix == ".h5" or (path / "saved_model.pb").is_file()):
        raise ModelError(f"{path}: is no .tflite, Keras .h5 or SavedModel")
    from ecgqa_tflite.networks._keras import keras

    try:
        network = keras.models.load_model(str(path), compile=False)
    except Exception as error:  # h5py, protobuf and Keras raise many kinds
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error
    if not isinstance(network, keras.Model):
        raise ConversionError(f"{path}: is a SavedModel without a Keras model; save it with Keras")
    return network
