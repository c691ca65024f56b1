# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""ECG quality assessment for wearables: training and device share one integer front end.

What most programs need is here, and nothing is imported before it is asked for:

- :func:`~ecgqa_tflite.recording.read_recording`: a file of any format to leads in mV
- :func:`~ecgqa_tflite.model_folder.open_model`: a shipped model's name, or a folder, to a model
- :func:`~ecgqa_tflite.assess.assess`: a recording and a model to a decision per segment
- :class:`~ecgqa_tflite.assess.Assessor`: the same for samples as they come in
- :func:`~ecgqa_tflite.bundle.request.convert`: a model to a proven bundle for a device

Examples
--------
>>> import ecgqa_tflite as eq
>>> from ecgqa_tflite.recording.simulator import simulate
>>> recording = simulate(20, 250, seed=1)
>>> decisions = eq.assess(recording, eq.open_model("light_cnn"))
>>> [decision.quality.name for decision in decisions]
['HIGH', 'HIGH', 'HIGH', 'HIGH']
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgqa_tflite.assess import Assessor, assess
    from ecgqa_tflite.bundle.request import convert
    from ecgqa_tflite.model_folder import open_model
    from ecgqa_tflite.recording import read_recording

__version__ = "0.1.0"
"""The tool version: models, manifests and generated C carry it; pyproject.toml reads it here."""

__all__ = ["Assessor", "__version__", "assess", "convert", "open_model", "read_recording"]

_HOME = {
    "Assessor": "assess",
    "assess": "assess",
    "convert": "bundle.request",
    "open_model": "model_folder",
    "read_recording": "recording",
}
"""Where each name of the face lives."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps ``assess`` and ``convert`` functions: importing the submodules of those names would
    otherwise put the modules there. ``from ecgqa_tflite.assess import ...`` finds the module all
    the same, by its name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
