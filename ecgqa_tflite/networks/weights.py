# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Trained weights into a network that has been built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.model_folder import open_model


def load_weights(model: Any, weights: str | Path | None) -> Any:
    """Load ``weights`` into ``model`` and return it.

    Parameters
    ----------
    model
        A tf_keras model.
    weights
        None (``model`` stays as it is), a ``.weights.h5`` file, or the name or folder of a
        trained model (:func:`ecgqa_tflite.model_folder.open_model`).

    Raises
    ------
    ModelError
        The weights are missing, corrupt or of another network.
    """
    if weights is None:
        return model
    path = Path(weights)
    if not path.name.endswith(".weights.h5"):
        path = open_model(weights).weights_path
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file")
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds on a wrong or corrupt file
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path}: not weights of {model.name} as built here ({first_line})"
        ) from error
    return model
