"""The devices that a bundle can be made for: one module a kind, listed by name."""

from __future__ import annotations

from ecgqa_tflite.devices import cortex_m, ethos_u, linux, tflm
from ecgqa_tflite.devices.base import Parts, Prepared, Target
from ecgqa_tflite.errors import ArgumentError, ConversionError

MEMORY_MAP = cortex_m.MEMORY_MAP
DEFAULT = cortex_m.TARGET.name

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        cortex_m.TARGET,
        tflm.TARGET,
        linux.RASPBERRY_PI,
        linux.CORAL,
        *ethos_u.TARGETS,
    )
}


def find_target(name: str) -> Target:
    """The target of that name; :class:`ArgumentError` names those there are."""
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
        able = ", ".join(target.name for target in TARGETS.values() if target.runs_float)
        raise ConversionError(
            f"{name} runs int8 networks only; a float one runs on: {able} (or --quantize ptq, qat)"
        )


__all__ = [
    "DEFAULT",
    "MEMORY_MAP",
    "TARGETS",
    "Parts",
    "Prepared",
    "Target",
    "find_target",
    "require_float",
]
