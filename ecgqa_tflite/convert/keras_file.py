# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks as Keras 2 and 3 save them: what a file is, what in it is code, and loading it.

tf_keras, which trains here, is Keras 2 and reads its own files alone. Keras 3 comes with
TensorFlow since 2.16 and reads its own; its networks are quantised after training.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ecgqa_tflite import strict_json
from ecgqa_tflite.errors import ConversionError, ModelError
from ecgqa_tflite.quantize.converter import first_line

HDF5 = (".h5", ".hdf5")
FILES = (*HDF5, ".keras")
"""Suffixes of Keras's files; a SavedModel is a folder."""
OTHERS = {
    ".onnx": "an ONNX model",
    ".pt": "a PyTorch model",
    ".pth": "a PyTorch model",
    ".pb": "TensorFlow 1's frozen graph",
    ".ckpt": "a checkpoint: weights alone",
    ".index": "a checkpoint: weights alone",
}
"""What people have besides, by suffix."""

CODE = {
    *("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod"),
    *("InstanceMethod", "TFOp", "SlicingOp", "__lambda__", "function"),
}
"""Classes of a Keras configuration that hold code, or name a function to call."""
KERAS_MODULES = ("keras", "tf_keras", "builtins")
"""Modules of which a configuration may name a class; others would be imported."""
QAT_MODULE = "tensorflow_model_optimization.python.core.quantization.keras."
"""And tensorflow-model-optimization's, of a network that was trained with quantisation."""
TOLD = "; pass --trust if you know where it comes from"
QAT_CLASSES = {"QuantizeLayer", "QuantizeWrapper", "QuantizeWrapperV2"}
"""Layers that such a network has."""


def load_keras(path: Path, trust: bool = False) -> Any:
    """The network of a Keras ``.keras``, ``.h5`` or SavedModel, of Keras 2 or 3.

    Parameters
    ----------
    trust
        Load what can run code of its author's: a SavedModel, whose graph may write files, and a
        file with a Lambda layer, an operation by name or a class outside Keras.

    Returns
    -------
    A tf_keras model, a Keras 3 one, or an :class:`Exported`.

    Raises
    ------
    ModelError
        There is none, it holds weights alone, or it can run code and is not trusted.
    ConversionError
        Keras can't load it.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if (path / "saved_model.pb").is_file():
        if not trust:
            raise ModelError(
                f"{path}: a SavedModel is a program, which may read and write files{TOLD}"
            )
        return _saved_model(path)
    if path.is_dir() or path.suffix.lower() not in FILES:
        is_not = f"is not a .tflite, Keras {', '.join(FILES)} or SavedModel"
        kind = OTHERS.get(path.suffix.lower())
        raise ModelError(f"{path}: {is_not}{f', but {kind}' if kind else ''}")
    try:
        config, version = _h5(path) if path.suffix.lower() in HDF5 else _zipped(path)
        found = next(_code_in(config), None)
    except RecursionError as error:
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error
    if found is not None and not trust:
        raise ModelError(f"{path}: holds {found}, which can run its author's code{TOLD}")
    if not version.startswith(("2.", "3.")):
        raise ConversionError(
            f"{path}: was saved by Keras {version or 'of no version'}; save it with Keras 2 or 3"
        )
    if version.startswith("3."):
        return _loaded(_keras_3(path, version), path, trust)
    from ecgqa_tflite.networks._keras import keras

    if QAT_CLASSES.isdisjoint(_classes(config)):
        return _loaded(keras, path, trust)
    import tensorflow_model_optimization as tfmot

    with tfmot.quantization.keras.quantize_scope():
        return _loaded(keras, path, trust)


def _loaded(keras: Any, path: Path, trust: bool) -> Any:
    try:
        return keras.models.load_model(str(path), compile=False, safe_mode=not trust)
    except Exception as error:  # h5py, protobuf and Keras raise many kinds
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error


def _keras_3(path: Path, version: str) -> Any:
    """Keras 3, over TensorFlow, beside tf_keras."""
    import ecgqa_tflite.networks._keras  # noqa: F401  TensorFlow, the one way that works with tfmot

    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    backend = keras.config.backend() if keras.__version__.startswith("3.") else None
    if backend != "tensorflow":
        here = f"Keras {keras.__version__}" if backend is None else f"Keras over {backend}"
        raise ConversionError(
            f"{path}: was saved by Keras {version}, and here is {here}: pip install 'keras>=3' and "
            f"KERAS_BACKEND=tensorflow"
        )
    return keras


# ---- a SavedModel ----------------------------------------------------------------------------


class Exported:
    """A SavedModel's ``serving_default``, which any tool writes, with a Keras model's face."""

    def __init__(self, loaded: Any, path: Path) -> None:
        self.loaded = loaded
        self.name = path.name
        try:
            self._call = loaded.signatures["serving_default"]
        except (AttributeError, KeyError):
            raise ConversionError(
                f"{path}: is a SavedModel without a serving_default signature; save it with "
                f"model.export or model.save"
            ) from None
        takes = self._call.structured_input_signature[1]
        gives = self._call.structured_outputs
        if len(takes) != 1 or len(gives) != 1:
            raise ConversionError(
                f"{path}: has {len(takes)} inputs and {len(gives)} outputs; needs one of each"
            )
        ((self._key, image),) = takes.items()
        ((self._gives, scores),) = gives.items()
        self.input_shape, self.output_shape = _shape(image), _shape(scores)

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Scores of images, as the signature has them."""
        from ecgqa_tflite.networks._keras import tf

        return self._call(**{self._key: tf.convert_to_tensor(images)})[self._gives]


def _shape(spec: Any) -> tuple[int | None, ...]:
    return () if spec.shape.rank is None else tuple(spec.shape.as_list())


def _saved_model(path: Path) -> Any:
    """Keras 2's as the model that it is, with layers; another by its signature."""
    from ecgqa_tflite.networks._keras import keras, tf

    if (path / "keras_metadata.pb").is_file():
        network = _loaded(keras, path, trust=True)
        if isinstance(network, keras.Model) and hasattr(network, "output_shape"):
            try:
                _ = network.input_shape, network.output_shape
                return network
            except AttributeError:  # subclassed: its shapes are the signature's
                pass
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # protobuf and TensorFlow raise many kinds
        raise ConversionError(f"{path}: TensorFlow can't load it ({first_line(error)})") from error
    return Exported(loaded, path)


# ---- what a file says before it is loaded ----------------------------------------------------


def _h5(path: Path) -> tuple[Any, str]:
    """The configuration of an HDF5 file, and the version of Keras that wrote it."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "2.")
    except (OSError, ValueError, RecursionError, TypeError) as error:
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error
    if config is None:
        raise ModelError(
            f"{path}: holds weights alone, no network: build it in Keras, load_weights, and give "
            f"what model.save writes"
        )
    try:
        return json.loads(config), _text(version)
    except (ValueError, TypeError) as error:
        raise ConversionError(f"{path}: Keras can't load it ({first_line(error)})") from error


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _zipped(path: Path) -> tuple[Any, str]:
    """As :func:`_h5`, of a ``.keras`` file."""
    config, told = _member(path, "config.json"), _member(path, "metadata.json")
    version = str(told.get("keras_version", "")) if isinstance(told, dict) else ""
    return config, version


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


def _code_in(config: Any) -> Iterator[str]:
    """What in a Keras configuration is code or names some."""
    if isinstance(config, list):
        for value in config:
            yield from _code_in(value)
    if not isinstance(config, dict):
        return
    kind, module = config.get("class_name"), config.get("module")
    name = config.get("registered_name")
    if isinstance(module, str) and module.startswith(QAT_MODULE) and kind not in CODE:
        name = None  # as its own classes are registered, Vendor>Class
    elif isinstance(module, str) and module.split(".")[0] not in KERAS_MODULES:
        yield f"a class of module {module}"
    if kind in CODE or (isinstance(kind, str) and ">" in kind):
        yield f"a layer of class {kind}"
    if name and ">" in str(name):
        yield f"the class {name}"
    for value in config.values():
        yield from _code_in(value)


def _classes(config: Any) -> Iterator[str]:
    """Names of the classes in a configuration."""
    for value in config if isinstance(config, list) else ():
        yield from _classes(value)
    if isinstance(config, dict):
        yield str(config.get("class_name"))
        for value in config.values():
            yield from _classes(value)


def quantised(network: Any) -> bool:
    """Whether a network was trained with quantisation, and so brings its ranges."""
    layers = getattr(network, "layers", ())
    return not QAT_CLASSES.isdisjoint(type(layer).__name__ for layer in layers)
