# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""tf_keras and TensorFlow, imported the one way that works with tfmot.

tensorflow-model-optimization rejects Keras 3 models, so networks are tf_keras models, and
``tf.keras`` has to mean tf_keras as well. TensorFlow reads ``TF_USE_LEGACY_KERAS`` once, when it is
first imported.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ecgqa_tflite.errors import ModelError

_SWITCH = "TF_USE_LEGACY_KERAS"
_ON = ("1", "true", "True")


def _import_keras_and_tensorflow() -> tuple[Any, Any]:
    """Import both with the switch set; fail where it can't take effect any more."""
    if os.environ.get(_SWITCH) not in _ON:
        if "tensorflow" in sys.modules:
            raise ModelError(
                f"TensorFlow was imported before ecgqa_tflite.networks without {_SWITCH}=1: import "
                f"ecgqa_tflite.networks first, or set {_SWITCH}=1 in the environment"
            )
        os.environ[_SWITCH] = "1"
    # TensorFlow's start-up notes on CPU features tell a user of this package nothing.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow
        import tf_keras
    except ImportError as error:
        raise ModelError(
            f"Keras networks need TensorFlow ({error}): pip install '.[train]'"
        ) from None
    return tf_keras, tensorflow


keras, tf = _import_keras_and_tensorflow()
