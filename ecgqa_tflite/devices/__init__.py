# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The devices: one file per device, with its bundle and its rows in bench. The folder is the list.

A file whose name does not begin with an underscore holds ``DEVICES``, one :class:`Device` or more.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from ecgqa_tflite.benchmark.job import Bench
from ecgqa_tflite.devices._device import BundleKind, Device, Parts, Prepared
from ecgqa_tflite.errors import ArgumentError, ConversionError


def _devices() -> Iterator[Device]:
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            yield from importlib.import_module(f"{__name__}.{module.name}").DEVICES


DEVICES: Mapping[str, Device] = {device.name: device for device in _devices()}
TARGETS: Mapping[str, BundleKind] = dict(
    sorted(
        ((name, device.bundle) for name, device in DEVICES.items() if device.bundle is not None),
        key=lambda named: named[1].place,
    )
)
"""What a bundle can be made for, in the order of listings."""
BENCHES: Mapping[str, Bench] = dict(
    sorted(
        ((name, device.bench) for name, device in DEVICES.items() if device.bench is not None),
        key=lambda named: named[1].place,
    )
)
"""What bench can tell of, in the order of a report."""


def find_target(name: str) -> BundleKind:
    """The bundle of that device; :class:`ArgumentError` names those there are."""
    if name not in TARGETS:
        raise ArgumentError(f"no target {name!r}; there are: {', '.join(TARGETS)}")
    return TARGETS[name]


def require_float(name: str) -> None:
    """Refuse a target that runs int8 networks only.

    Raises
    ------
    ConversionError
        It does; the message names those that run float.
    """
    if not find_target(name).runs_float:
        able = ", ".join(other for other, target in TARGETS.items() if target.runs_float)
        raise ConversionError(
            f"{name} runs int8 networks only; a float one runs on: {able} (or --quantize ptq, qat)"
        )


__all__ = [
    "BENCHES",
    "DEVICES",
    "TARGETS",
    "Bench",
    "BundleKind",
    "Device",
    "Parts",
    "Prepared",
    "find_target",
    "require_float",
]
