# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What an experiment runs: rows, their seeds, and the differences that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.experiment.baselines import NEUROKIT_METHODS
from ecgqa_tflite.spec import FrontEnd, Scaling
from ecgqa_tflite.training.pretrain import origin
from ecgqa_tflite.training.recipe import Recipe

LIGHT_REPEATS, INCEPTION_REPEATS, ABLATION_REPEATS, FOREST_REPEATS = 10, 3, 3, 10
"""Trainings per row; the seed paper repeats each of its networks ten times."""

QUICK_REPEATS, QUICK_INCEPTION_REPEATS = 2, 1
QUICK_RECORDINGS = 300
"""Recordings of the external test that ``quick`` scores, beside those that were graded."""
QUICK_INCEPTION_PIXELS = 113
QUICK_NEUROKIT = ("zhao2018",)
BASE = "base"
"""Key of the recipe that rows have unless they have one of their own."""

Recipes = Mapping[str, Recipe]
"""Recipes by row; :data:`BASE` is always there."""


@dataclass(frozen=True)
class Row:
    """One network, trained once per seed.

    Attributes
    ----------
    name
        Lower-case letters, digits and underscores: names its files.
    label
        For a table.
    recipe
        Its ``seed`` is replaced by each of ``seeds``.
    """

    name: str
    label: str
    spec: FrontEnd
    recipe: Recipe
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class BaselineRow:
    """A method without a network: one of :data:`ecgqa_tflite.experiment.run.BASELINES`."""

    name: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Experiment:
    """Rows that are trained and tested alike.

    Attributes
    ----------
    name
        Names the files with its results.
    title
        Of its table.
    rows
        The first one's spec and training sets are what baselines work on.
    pairs
        Rows whose difference is taken seed by seed, second minus first.
    reference_front_end
        Rows whose float network is also tested on images of the float64 reference.
    trained_quantisation
        Rows whose weights are also trained on with quantisation, to compare with PTQ.
    quick
        A small version, to see that everything works: its figures mean little.
    left_out
        Rows that can't be run, and why.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    baselines: tuple[BaselineRow, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    reference_front_end: tuple[str, ...] = ()
    trained_quantisation: tuple[str, ...] = ()
    quick: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, names: Sequence[str]) -> tuple[tuple[Row, ...], tuple[BaselineRow, ...]]:
        """Rows and baselines of these names; all where no name is given.

        Raises
        ------
        ArgumentError
            A name that the experiment doesn't have, or can't run.
        """
        known = [row.name for row in self.rows] + [row.name for row in self.baselines]
        for name in names:
            if name in self.left_out:
                raise ArgumentError(f"row {name} can't be run: {self.left_out[name]}")
            if name not in known:
                raise ArgumentError(f"no row {name!r}; there are: {', '.join(known)}")
        return (
            tuple(row for row in self.rows if not names or row.name in names),
            tuple(row for row in self.baselines if not names or row.name in names),
        )


def table2(
    spec: FrontEnd,
    recipes: Recipes,
    *,
    seeds: Sequence[int] | None = None,
    repeats: int | None = None,
    pretrained_light: str | None = None,
    pretrained_inception: str | None = None,
    quick: bool = False,
) -> Experiment:
    """The seed paper's Table 2: Light-CNN from scratch and pre-trained, InceptionV1, baselines.

    Parameters
    ----------
    spec
        Front end of every row.
    recipes
        Of each row; architecture, start and seed are the row's own.
    seeds, repeats
        Seeds of every row, or how many (0, 1, ...); None: 10 for Light-CNN, 3 for InceptionV1.
    pretrained_light, pretrained_inception
        Pre-training that the row starts from. Without the first, Light-CNN pre-trained is left
        out; without the second, InceptionV1 starts from random weights, and its label says so.
    quick
        Fewer segments, epochs and repeats, and a smaller image for InceptionV1.
    """

    def seeds_of(default: int, quick_default: int = QUICK_REPEATS) -> tuple[int, ...]:
        return _seeds(seeds, repeats, quick_default if quick else default)

    def row(name: str, label: str, look: FrontEnd, own: tuple[int, ...], **changes: Any) -> Row:
        return _row(recipes, quick, name, label, look, own, **changes)

    light = partial(row, look=spec, own=seeds_of(LIGHT_REPEATS), architecture="light_cnn")
    rows = [light("light_scratch", "Light-CNN, from scratch", initial_weights=None)]
    left_out = {}
    if pretrained_light is None:
        left_out["light_pretrained"] = "no pre-training given (--pretrained-light)"
    else:
        label = f"Light-CNN, {_start(pretrained_light)}"
        rows.append(light("light_pretrained", label, initial_weights=pretrained_light))
    small = replace(spec, rows=QUICK_INCEPTION_PIXELS, cols=QUICK_INCEPTION_PIXELS)
    rows.append(
        row(
            "inception_v1",
            f"InceptionV1, {_start(pretrained_inception)}",
            small if quick else spec,
            seeds_of(INCEPTION_REPEATS, QUICK_INCEPTION_REPEATS),
            architecture="inception_v1",
            initial_weights=pretrained_inception,
        )
    )
    return Experiment(
        name="table2",
        title="Table 2 of the seed paper, on public data",
        rows=tuple(rows),
        baselines=(
            BaselineRow("random_forest", seeds_of(FOREST_REPEATS)),
            BaselineRow("random_forest_leads", seeds_of(FOREST_REPEATS)),
            *(
                BaselineRow(f"neurokit_{method.lower()}", (0,))
                for method in (QUICK_NEUROKIT if quick else NEUROKIT_METHODS)
            ),
        ),
        pairs=(("light_scratch", "light_pretrained"),),
        quick=quick,
        left_out=left_out,
    )


def _start(weights: str | None) -> str:
    """What a network starts from, for its label: a trained model is more than a pre-training."""
    if weights is None:
        return "from scratch"
    return f"going on from {Path(weights).name}" if origin(weights) is None else "pre-trained"


def ablations(
    spec: FrontEnd,
    recipes: Recipes,
    *,
    seeds: Sequence[int] | None = None,
    repeats: int | None = None,
    quick: bool = False,
) -> Experiment:
    """One change at a time to Light-CNN from scratch, and small networks on small images.

    Front end (colours, frequencies, scaling, image size), width, and both sizes at once for the
    curve of accuracy against cost. Seeds are shared, so differences are taken seed by seed.

    Parameters
    ----------
    spec
        Front end of the row ``base``.
    recipes, seeds, repeats, quick
        As in :func:`table2`; three repeats where nothing else is said.
    """
    own = _seeds(seeds, repeats, 1 if quick else ABLATION_REPEATS)

    def row(name: str, label: str, look: FrontEnd, alpha: float = 1.0) -> Row:
        changes = {"architecture": "light_cnn", "initial_weights": None, "alpha": alpha}
        return _row(recipes, quick, name, label, look, own, **changes)

    grey_small = replace(spec, colormap="grey", rows=113, cols=113)
    other_colours = "jet" if spec.colormap == "grey" else "grey"
    other_scaling: Scaling = "minmax" if spec.scaling == "qrs" else "qrs"
    seed_band = FrontEnd.preset("seed").f_max_hz
    other_band = FrontEnd.preset("wearable" if spec.f_max_hz == seed_band else "seed").f_max_hz
    rows = [
        row(
            "base",
            f"{spec.colormap}, up to {spec.f_max_hz:g} Hz, {spec.scaling}, {spec.rows} pixels",
            spec,
        ),
        row(other_colours, f"colours: {other_colours}", replace(spec, colormap=other_colours)),
        row("band", f"up to {other_band:g} Hz", replace(spec, f_max_hz=other_band)),
        row("scaling", f"scaling: {other_scaling}", replace(spec, scaling=other_scaling)),
        row("pixels_113", "113 pixels", replace(spec, rows=113, cols=113)),
        *(
            row(f"alpha_{alpha * 1000:.0f}", f"alpha {alpha:g}", spec, alpha)
            for alpha in (0.5, 0.25, 0.125)
        ),
        *(
            row(
                f"small_alpha_{alpha * 1000:.0f}",
                f"grey, 113 pixels, alpha {alpha:g}",
                grey_small,
                alpha,
            )
            for alpha in (1.0, 0.5, 0.25, 0.125)
        ),
    ]
    return Experiment(
        name="ablations",
        title="Ablations of Light-CNN from scratch",
        rows=tuple(rows),
        pairs=tuple(("base", other.name) for other in rows[1:]),
        reference_front_end=("base",),
        trained_quantisation=("base",),
        quick=quick,
    )


def _row(
    recipes: Recipes,
    quick: bool,
    name: str,
    label: str,
    spec: FrontEnd,
    seeds: tuple[int, ...],
    **changes: Any,
) -> Row:
    """A row by the recipe that is given for it, with what it is about."""
    recipe = replace(recipes.get(name, recipes[BASE]), **changes)
    return Row(name, label, spec, recipe.quick() if quick else recipe, seeds)


def _seeds(seeds: Sequence[int] | None, repeats: int | None, default: int) -> tuple[int, ...]:
    if seeds is not None:
        return tuple(dict.fromkeys(seeds))
    count = default if repeats is None else repeats
    if count < 1:
        raise ArgumentError(f"{count} repeats: at least 1")
    return tuple(range(count))
