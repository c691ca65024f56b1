# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Every number of a training, saved beside the model that it made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ecgqa_tflite.datasets.balanced import Composition
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.spec import FrontEnd

RECIPE_FORMAT = 1
QUICK_SEGMENTS, QUICK_EPOCHS = 2_000, 2
KEPT = ("n_train", "n_validation", "validation_share", "seed")
"""What is taken of a composition of before version 0.2, which names a rule for mixtures: it holds
out the same patients and records, but its sources are gone, and today's stand in for them."""

Precision = Literal["float32", "bfloat16"]
"""What a training multiplies in; weights are float32 in either."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to an index map before its colours, anew in each epoch.

    Attributes
    ----------
    roll
        Rotate in time by a random number of columns.
    flip
        Reverse time in half of the maps.
    shift_rows
        Move up or down by up to so many rows, the edge row repeated.
    gain
        Range of a factor on the indices, clipped at 255.
    mask_rows
        Blank a band of up to so many rows in half of the maps (Park et al., "SpecAugment", 2019):
        no band of frequencies decides alone.
    """

    roll: bool = True
    flip: bool = True
    shift_rows: int = 6
    gain: tuple[float, float] = (0.8, 1.2)
    mask_rows: int = 0

    def __post_init__(self) -> None:
        if self.mask_rows < 0:
            raise ArgumentError("mask_rows must be 0 or more")


@dataclass(frozen=True)
class Schedule:
    """How a fit goes, whatever it learns.

    Attributes
    ----------
    epochs, batch
        Passes over the training set; images per step.
    learning_rate, warmup_steps
        Adam's rate rises linearly over the first steps to this, then falls as a cosine to 0.
    label_smoothing
        Share of the target that goes to all classes alike: keeps the softmax from saturating, so
        that int8 scores keep their resolution.
    precision
        ``bfloat16`` takes a bit over half the time on processors that multiply it (AVX512-BF16,
        AMX), and more than float32 on others.
    seed
        Of weights, order, augmentation and whatever else is drawn.
    """

    epochs: int = 4
    batch: int = 32
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    label_smoothing: float = 0.05
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not self.learning_rate > 0:
            raise ArgumentError("training needs epochs and batch of 1 or more and a positive rate")
        if not 0 <= self.label_smoothing < 1 or self.warmup_steps < 0:
            raise ArgumentError("label_smoothing must be 0..1, warmup_steps 0 or more")
        if self.precision not in get_args(Precision):
            raise ArgumentError(f"precision is one of {', '.join(get_args(Precision))}")


@dataclass(frozen=True)
class Recipe(Schedule):
    """How a network is trained and quantised.

    Attributes
    ----------
    architecture, alpha
        Network and, for Light-CNN, its width multiplier.
    initial_weights
        Name or folder of the model, or of the pre-training, whose body training starts from (and
        a model's head too: it has the same classes); None: random. In a recipe that was saved it
        tells where the weights were then, and says nothing of what lies there now.
    averaged
        Trainings from the same initial weights, their seeds counted on from ``seed``, whose
        weights are averaged: one network, of one network's cost, that depends less on a seed
        (the uniform soup of Wortsman et al., "Model soups", ICML 2022). Random weights have no
        such mean.
    teachers
        Names or folders of models whose mean P(high) is half of the target of segments whose
        label may err (:mod:`~ecgqa_tflite.training.teach`). They cost their scoring once, and
        nothing on the device.
    augmentation, composition
        See there.
    n_calibration
        Training segments that calibrate the int8 model, as many of each source as its share.
    """

    architecture: str = "light_cnn"
    alpha: float = 1.0
    initial_weights: str | None = None
    averaged: int = 1
    teachers: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)
    composition: Composition = field(default_factory=Composition)
    n_calibration: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_calibration < 1 or self.averaged < 1:
            raise ArgumentError("n_calibration and averaged must be 1 or more")
        if self.averaged > 1 and self.initial_weights is None:
            raise ArgumentError(
                "trainings from random weights can't be averaged: give weights with --from"
            )

    def members(self) -> tuple[Recipe, ...]:
        """The trainings that are averaged, each as one alone; itself where there is one."""
        return tuple(replace(self, seed=self.seed + i, averaged=1) for i in range(self.averaged))

    def network_arguments(self, spec: FrontEnd) -> dict[str, Any]:
        """Arguments for :func:`ecgqa_tflite.networks.build`."""
        arguments: dict[str, Any] = {"input_shape": list(spec.image_shape), "classes": 2}
        if self.architecture == "light_cnn":
            arguments["alpha"] = self.alpha
        return arguments

    def to_dict(self) -> dict[str, Any]:
        """Plain types, with the format number first."""
        return {"format": RECIPE_FORMAT, **json.loads(json.dumps(asdict(self)))}

    @classmethod
    def from_dict(cls, data: Any) -> Recipe:
        """Inverse of :meth:`to_dict`; further keys at the top, which a training notes, are ignored.

        A field that is missing has its default, which is what recipes did before there was one.

        Raises
        ------
        ArgumentError
            Another format, a field that is unknown, or a value of another type.
        """
        if not isinstance(data, dict) or data.get("format") != RECIPE_FORMAT:
            raise ArgumentError(f"a recipe is a JSON object of format {RECIPE_FORMAT}")
        known = {f.name for f in dataclasses.fields(cls)}
        plain = {k: v for k, v in data.items() if k in known}
        if "mixture" in (composition := plain.get("composition") or {}):
            plain["composition"] = {k: composition[k] for k in KEPT if k in composition}
        recipe: Recipe = _from_plain(cls, plain, "recipe")
        return recipe

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """A ``recipe.json``.

        Raises
        ------
        ArgumentError
            It can't be read, or as :meth:`from_dict`.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArgumentError(f"{path}: no recipe can be read from it ({error})") from error
        return cls.from_dict(data)

    @classmethod
    def again(
        cls, path: Path, start: str | None, from_scratch: bool, teachers: tuple[str, ...] = ()
    ) -> Recipe:
        """A ``recipe.json`` to train by once more, from the weights ``start``.

        Raises
        ------
        ArgumentError
            It can't be read, or has weights to start from or teachers that this call doesn't name
            anew.
        """
        recipe = cls.read(path)
        if recipe.teachers and not teachers:
            raise ArgumentError(
                f"{path}: was taught by {', '.join(recipe.teachers)}, whose names say nothing "
                f"here: give them with --teacher MODEL"
            )
        if recipe.initial_weights is not None and start is None and not from_scratch:
            raise ArgumentError(
                f"{path}: starts from the weights {recipe.initial_weights!r}, whose name says "
                f"nothing here: give them with --from FOLDER, or --from-scratch"
            )
        averaged = 1 if from_scratch else recipe.averaged
        return replace(recipe, initial_weights=start, averaged=averaged, teachers=teachers)

    def of_size(self, n_train: int) -> Recipe:
        """The same with so many training segments; a fifth as many validate."""
        n_validation = max(2, n_train // 5)
        composition = replace(self.composition, n_train=n_train, n_validation=n_validation)
        return replace(self, composition=composition)

    def quick(self) -> Recipe:
        """The same in some minutes: few segments and epochs, to see that everything is there."""
        return replace(
            self.of_size(QUICK_SEGMENTS),
            epochs=QUICK_EPOCHS,
            warmup_steps=20,
            n_calibration=50,
            averaged=1,
        )


def digest_of(*parts: Any) -> str:
    """SHA-256 over the JSON of ``parts``."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _from_plain(kind: Any, value: Any, where: str) -> Any:
    """JSON value to ``kind``: dataclasses, tuples, unions with None and plain types."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise ArgumentError(f"{where}: {value!r} is none of {', '.join(arguments)}")
        return value
    if origin is types.UnionType:
        inner = next(a for a in arguments if a is not type(None))
        return None if value is None else _from_plain(inner, value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ArgumentError(f"{where}: {value!r} is not of type {kind.__name__}")
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(value, dict) or not value.keys() <= hints.keys():
        raise ArgumentError(f"{where}: may have {', '.join(hints)}, and nothing else")
    return kind(**{k: _from_plain(hints[k], v, f"{where}.{k}") for k, v in value.items()})


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ArgumentError(f"{where}: must be a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ArgumentError(f"{where}: must hold {len(kinds)} values")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_from_plain(kind, one, f"{where}[{i}]") for i, (kind, one) in pairs)
