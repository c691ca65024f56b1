# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network of the user's was trained to take and to give, beside the front end.

Its ``spec.json`` may hold, beside the fields of a :class:`~ecgqa_tflite.spec.FrontEnd`::

    "network": {
        "classes": ["noise only", "clean", "some noise"],
        "high": "clean",
        "input_range": [-1, 1]
    }

Conversion uses it up: in the bundle the scores are in such an order that class 1 is high quality,
and the input has the codes of every image here. So it is no part of the front end or its hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgqa_tflite import strict_json
from ecgqa_tflite.errors import SpecError
from ecgqa_tflite.escape import is_printable
from ecgqa_tflite.spec import LABEL_CHARS, FrontEnd, Quality
from ecgqa_tflite.tflite.image_codes import RANGES

ENTRY = "network"
"""Name of the object in ``spec.json``."""
FIELDS = ("classes", "high", "input_range")
MOST_CLASSES = 64
"""Most classes that a spec may name."""


@dataclass(frozen=True)
class Ends:
    """What a network's input and its scores stand for.

    Attributes
    ----------
    classes
        Name of each score, in the network's order; empty: two, low and high quality.
    high
        Which of them is high quality.
    input_range
        What black and white of an image are to it: one of
        :data:`~ecgqa_tflite.tflite.image_codes.RANGES`; None: not said.
    """

    classes: tuple[str, ...] = ()
    high: int = int(Quality.HIGH)
    input_range: tuple[float, float] | None = None

    @property
    def n_classes(self) -> int:
        """Scores that the network must give."""
        return len(self.classes) or len(Quality)

    @property
    def scaled_to(self) -> tuple[float, float]:
        """``input_range``, [0, 1] where it is not said."""
        return (0.0, 1.0) if self.input_range is None else self.input_range

    @property
    def in_order(self) -> tuple[str, ...]:
        """``classes`` as a bundle has them: the one of high quality has changed places with 1."""
        names = list(self.classes)
        if names:
            names[self.high], names[Quality.HIGH] = names[Quality.HIGH], names[self.high]
        return tuple(names)

    @property
    def trainable(self) -> bool:
        """Whether labels of low and high, and images in [0, 1], are what it was trained on."""
        pair = self.n_classes == len(Quality) and self.high == Quality.HIGH
        return pair and self.scaled_to == (0.0, 1.0)

    @classmethod
    def from_dict(cls, said: Any, spec: FrontEnd) -> Ends:
        """Of the JSON object.

        ``high`` may be left out where a class has the name of the spec's high quality.

        Raises
        ------
        SpecError
            It is no such object.
        """
        if not isinstance(said, dict) or not said.keys() <= set(FIELDS):
            raise SpecError(f"spec: {ENTRY} is an object of {', '.join(FIELDS)}")
        classes = _names(said.get("classes", []))
        high = said.get("high", spec.labels[Quality.HIGH] if classes else None)
        if high is not None and high not in classes:
            raise SpecError(
                f"spec: {ENTRY}.high must be one of {ENTRY}.classes: say which is high quality"
            )
        at = int(Quality.HIGH) if high is None else classes.index(high)
        return cls(classes, at, _range(said.get("input_range")))


PLAIN = Ends()
"""Low and high quality of images in [0, 1]."""


def read_own_spec(path: Path) -> tuple[FrontEnd, Ends]:
    """A ``spec.json`` with what it says of the network.

    Raises
    ------
    SpecError
        It can't be read.
    """
    try:
        said = strict_json.loads(path.read_text(encoding="utf-8"))
        network = said.pop(ENTRY, {}) if isinstance(said, dict) else {}
        spec = FrontEnd.from_dict(said)
        return spec, Ends.from_dict(network, spec)
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: {error}") from error


def _names(said: Any) -> tuple[str, ...]:
    plain = isinstance(said, list) and all(
        isinstance(x, str) and is_printable(x, LABEL_CHARS) for x in said
    )
    if (
        not plain
        or len(set(said)) != len(said)
        or len(said) not in (0, *range(2, MOST_CLASSES + 1))
    ):
        raise SpecError(
            f"spec: {ENTRY}.classes must name 2 to {MOST_CLASSES} classes, no two alike, in "
            f"1 to {LABEL_CHARS} printable characters"
        )
    return tuple(said)


def _range(said: Any) -> tuple[float, float] | None:
    known = {ends: name for name, ends in RANGES.items()}
    if said is None:
        return None
    numbers = isinstance(said, list) and all(type(x) in (int, float) for x in said)
    if not numbers or tuple(said) not in known:
        raise SpecError(
            f"spec: {ENTRY}.input_range must be {', '.join(RANGES)}; put other scalings into the "
            f"network, as a layer"
        )
    return float(said[0]), float(said[1])
