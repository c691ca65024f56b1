# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks, one architecture per file, with keras.applications' signature.

Importing this package imports TensorFlow (with tf_keras as its Keras); import it before anything
else does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import EcgqaError, ModelError
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.networks.inception_v1 import InceptionV1
from ecgqa_tflite.networks.light_cnn import LightCNN
from ecgqa_tflite.networks.preprocess import preprocess
from ecgqa_tflite.networks.weights import load_weights

__all__ = ["ARCHITECTURES", "InceptionV1", "LightCNN", "build", "load_model", "preprocess"]

ARCHITECTURES: dict[str, Callable[..., Any]] = {"light_cnn": LightCNN, "inception_v1": InceptionV1}
"""What ``architecture`` in a recipe or in ``model.json`` may say."""


def build(architecture: str, **arguments: Any) -> Any:
    """Build a network by name, with the arguments that ``model.json`` or a recipe holds.

    Raises
    ------
    ModelError
        No such architecture, or arguments that it doesn't take.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError(f"no architecture {architecture!r}; there are: {known}")
    if "input_shape" in arguments:
        arguments["input_shape"] = tuple(arguments["input_shape"])
    try:
        return ARCHITECTURES[architecture](**arguments)
    except EcgqaError:
        raise
    except (TypeError, ValueError) as error:
        raise ModelError(f"{architecture} does not take {arguments}: {error}") from error


def load_model(name_or_path: str | Path) -> Any:
    """Build a trained model's network and load its weights.

    Parameters
    ----------
    name_or_path
        A shipped model's name (``"light_cnn"``) or a model folder.

    Raises
    ------
    ModelError
        No such model, or its folder is incomplete, corrupt or of another version.
    """
    folder = open_model(name_or_path)
    model = build(folder.architecture, **folder.arguments, name=folder.name)
    return load_weights(model, folder.weights_path)
