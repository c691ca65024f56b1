# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The operators that the engine runs: one file each, and this folder is their list."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from ecgqa_tflite.engine.layers import EngineOperator, LayerOperator


def _found() -> list[EngineOperator]:
    """``OPERATOR`` of each file: those that become layers in the order of C, then the others."""
    found: list[EngineOperator] = [
        import_module(f"{__name__}.{module.name}").OPERATOR
        for module in pkgutil.iter_modules(__path__)
    ]
    layers = [operator for operator in found if isinstance(operator, LayerOperator)]
    others = [operator for operator in found if not isinstance(operator, LayerOperator)]
    return [*sorted(layers, key=lambda o: o.number), *sorted(others, key=lambda o: o.name)]


OPERATORS: dict[str, EngineOperator] = {operator.name: operator for operator in _found()}
"""By the schema's name."""
