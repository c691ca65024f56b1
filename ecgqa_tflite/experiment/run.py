# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Running an experiment: train, score, note; what is done is never done again."""

from __future__ import annotations

import hashlib
import inspect
import math
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ecgqa_tflite
from ecgqa_tflite.benchmark.protocol import describe_machine
from ecgqa_tflite.datasets.balanced import LEADS, BalancedSets, build
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.errors import ArgumentError, EcgqaError
from ecgqa_tflite.evaluation.figures import choose_threshold, compare_decisions
from ecgqa_tflite.experiment import cost, features
from ecgqa_tflite.experiment.baselines import (
    NEUROKIT_METHODS,
    NeuroKit,
    feature_matrix,
    neurokit_scores,
    random_forest_scores,
)
from ecgqa_tflite.experiment.design import BaselineRow, Experiment, Row
from ecgqa_tflite.experiment.external import ExternalTest, float_logits, int8_scores, reference_maps
from ecgqa_tflite.experiment.figures import figures_of, pairs_of
from ecgqa_tflite.experiment.report import keep_design
from ecgqa_tflite.experiment.rival import keep_differences
from ecgqa_tflite.experiment.runs import (
    RUNS,
    check_identity,
    identity,
    read_run,
    read_runs,
    read_scores,
    run_name,
    run_paths,
    write_run,
    write_scores,
)
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.training.images import index_maps
from ecgqa_tflite.training.recipe import Recipe
from ecgqa_tflite.training.run import THRESHOLD, train

REFERENCE_SAMPLE = 3_000
"""Segments whose images the float64 reference makes; it takes some fifty times the C front end's
time."""
TIMED_RUNS = 3
"""Runs of a row that are timed: the first; a network's time doesn't depend on its seed."""
PACKAGES = ("tensorflow", "tf_keras", "scikit-learn", "neurokit2")

BaselineScores = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Scores of validation and of the external test."""


@dataclass(frozen=True)
class Session:
    """What all runs of an experiment share.

    Attributes
    ----------
    data
        Folder that holds challenge-2011, mitdb and nstdb.
    out
        Folder of the experiment.
    float_sample
        Segments of the external test on which float networks are tested; None: all. int8 networks
        are always tested on all.
    workers, threads
        Processes that make segments and baselines; threads that score.
    """

    experiment: Experiment
    data: Path
    test: ExternalTest
    out: Path
    cache: Path
    float_sample: int | None = None
    workers: int = 1
    threads: int = 1
    progress: Progress | None = None

    @cached_property
    def sets(self) -> BalancedSets:
        """Training and validation segments of the first row: what baselines learn from."""
        first = self.experiment.rows[0]
        return build(self.data, first.spec, first.recipe.composition, self.cache, self.progress)

    def path_of(self, row: str, seed: int) -> Path:
        """JSON of a run; its scores and its model lie beside it."""
        return self.out / RUNS / f"{run_name(row, seed)}.json"

    def tell(self, what: str, done: int, total: int) -> None:
        """Pass progress on."""
        if self.progress is not None:
            self.progress(what, done, total)


def run(session: Session, only: Sequence[str] = ()) -> dict[str, str]:
    """Do every run that is not done yet.

    Parameters
    ----------
    only
        Rows to run; none: all.

    Returns
    -------
    Rows that were left out, and why.

    Raises
    ------
    ArgumentError
        The folder holds runs of another recipe, front end, test set or experiment, or there is no
        such row; nothing has been done.
    DatasetError
        A run's JSON is damaged, or a set is missing.
    """
    rows, baselines = session.experiment.chosen(only)
    left_out = {} if only else dict(session.experiment.left_out)
    every: tuple[Row | BaselineRow, ...] = (*rows, *baselines)
    chosen = {row.name for row in every}
    whole: tuple[Row | BaselineRow, ...] = (
        *session.experiment.rows,
        *session.experiment.baselines,
    )
    identities = {row.name: _identity_of(session, row) for row in whole}
    _check_all(session, identities, chosen)
    _keep_test(session)
    keep_design(session.experiment, session.out, left_out)
    jobs = [(row, seed) for row in every for seed in row.seeds]
    for done, (row, seed) in enumerate(jobs):
        session.tell(f"runs, {run_name(row.name, seed)}", done, len(jobs))
        if row.name in left_out:
            continue
        try:
            _one(session, row, seed, identities[row.name])
        except (ModuleNotFoundError, EcgqaError) as error:
            if isinstance(row, Row):
                raise
            left_out[row.name] = str(error)
    session.tell("runs", len(jobs), len(jobs))
    keep_differences(session.out, session.test, session.tell)
    keep_design(session.experiment, session.out, left_out)
    return left_out


def _identity_of(session: Session, row: Row | BaselineRow) -> dict[str, Any]:
    shared = (session.experiment.name, session.experiment.quick, session.test.digest)
    if isinstance(row, Row):
        return identity(*shared, session.float_sample, row.spec, row.recipe)
    # A baseline depends on the sets that the first row is trained on, not on its network.
    first = session.experiment.rows[0].recipe
    plain = {"composition": first.to_dict()["composition"]}
    return {**identity(*shared), "recipe": plain}


def _check_all(
    session: Session, identities: Mapping[str, Mapping[str, Any]], chosen: Set[str]
) -> None:
    """Refuse the folder before any work if a run in it is not of this experiment.

    Rows that are not to be run now may have another start, which this call need not name.
    """
    for path in run_paths(session.out):
        found = read_run(path)
        wanted = dict(identities.get(found["row"], next(iter(identities.values()))))
        if found["row"] not in identities:
            wanted = {key: wanted[key] for key in ("experiment", "quick", "test")}
        elif found["row"] not in chosen:
            del wanted["start"]
        check_identity(path, found["identity"], wanted)


def _keep_test(session: Session) -> None:
    """Names and labels of the segments, once for the scores of all runs."""
    path, test = session.out / "segments.npz", session.test
    try:
        with np.load(path) as kept:
            if str(kept["digest"]) == test.digest:
                return
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    with whole_file(path, overwrite=True) as temporary:
        np.savez_compressed(temporary, ids=test.ids, quality=test.quality, digest=test.digest)


@dataclass(frozen=True)
class _Run:
    """One run that is being done.

    Attributes
    ----------
    wanted
        Its identity.
    done
        What an earlier call left, whose grades were others; None: nothing.
    seconds
        Time by kind of work; filled in as it goes.
    """

    session: Session
    row: Row | BaselineRow
    seed: int
    wanted: dict[str, Any]
    done: dict[str, Any] | None
    seconds: dict[str, float]

    @property
    def path(self) -> Path:
        return self.session.path_of(self.row.name, self.seed)

    def kept_scores(self) -> dict[str, NDArray[Any]] | None:
        return read_scores(self.path.with_suffix(".npz"), self.wanted)

    def keep_scores(self, scores: Mapping[str, Any]) -> None:
        write_scores(self.path.with_suffix(".npz"), self.wanted, scores)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.monotonic() - started

    @contextmanager
    def told(self, what: str, model: str) -> Iterator[None]:
        self.session.tell(f"{what}, {model}", 0, 1)
        yield
        self.session.tell(f"{what}, {model}", 1, 1)


def _one(session: Session, row: Row | BaselineRow, seed: int, wanted: Mapping[str, Any]) -> None:
    path, test = session.path_of(row.name, seed), session.test
    done = read_run(path) if path.exists() else None
    if done is not None and done.get("graded") == test.graded_digest:
        return
    one = _Run(session, row, seed, dict(wanted), done, dict(done["seconds"]) if done else {})
    new = _network(one, row) if isinstance(row, Row) else _baseline(one)
    write_run(
        path,
        {
            "row": row.name,
            "seed": seed,
            "identity": one.wanted,
            "graded": test.graded_digest,
            "test": {"set": test.source, "segments": len(test)},
            **new,
            "seconds": {name: round(value, 1) for name, value in one.seconds.items()},
            "machine": describe_machine() if done is None else done["machine"],
            "versions": _versions(),
        },
    )


def _versions() -> dict[str, str]:
    found = {"ecgqa-tflite": ecgqa_tflite.__version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


# ---- networks -----------------------------------------------------------------------------------


def _network(one: _Run, row: Row) -> dict[str, Any]:
    recipe = replace(row.recipe, seed=one.seed)
    model = _trained(one, row, recipe)
    # Of the epochs themselves: a run that was killed and went on counts whole.
    epochs = model.metrics["training"]["epochs"]
    one.seconds["training"] = sum(epoch["seconds"] for epoch in epochs)
    chosen = one.session.test.sample(one.session.float_sample)
    scores = one.kept_scores()
    if scores is None or np.isnan(scores["float_logit"][chosen]).any():  # others are graded now
        with one.timed("scoring"):
            scores = _scores(one.session, row, model, chosen)
        one.keep_scores(scores)
    chosen = np.flatnonzero(~np.isnan(scores["float_logit"]))
    quantisation = _quantisation(one, row, model, scores)
    with one.timed("figures"), one.told("working out figures", model.name):
        forms, flips = _figures(one.session.test, model, scores, chosen)
        if quantisation is not None:
            threshold = quantisation["int8"]["threshold"]
            forms["int8_qat"] = figures_of(one.session.test, scores["int8_qat"], threshold)
    plain = recipe.to_dict()
    if plain["initial_weights"] is not None:
        plain["initial_weights"] = Path(plain["initial_weights"]).name
    return {
        "label": row.label,
        "kind": "network",
        "spec": row.spec.to_dict(),
        "recipe": plain,
        "forms": forms,
        "float_segments": len(chosen),
        "flips": flips,
        "validation": model.metrics["validation"] | ({"qat": quantisation} if quantisation else {}),
        "training": model.metrics["training"],
        "costs": _costs(one, model) if one.done is None else one.done["costs"],
    }


def _trained(one: _Run, row: Row, recipe: Recipe) -> ModelFolder:
    """The run's model: the one that is there, or a new one."""
    session, folder = one.session, one.path.with_suffix("")
    if not folder.exists():
        return train(
            session.data,
            folder,
            row.spec,
            recipe,
            session.cache,
            workers=session.workers,
            progress=session.progress,
        )
    model = open_model(folder)
    if model.spec != row.spec or Recipe.from_dict(model.recipe) != recipe:
        raise ArgumentError(
            f"{folder}: was trained with another recipe or front end; name another folder with -o"
        )
    return model


def _figures(
    test: ExternalTest,
    model: ModelFolder,
    scores: Mapping[str, NDArray[Any]],
    chosen: NDArray[np.intp],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures by form of the network, and how many decisions flip from float to int8."""
    logit, threshold, int8 = _logit(model.threshold), model.threshold_int8, scores["int8"]
    forms = {
        "float": figures_of(test, scores["float_logit"], logit, chosen),
        "int8": figures_of(test, int8, threshold) | pairs_of(test, int8, threshold),
    }
    if len(chosen) < len(test):
        forms["int8_on_sample"] = figures_of(test, int8, threshold, chosen)
    high = scores["float_logit"][chosen] >= logit
    flips = compare_decisions(high, int8[chosen] >= threshold)
    if "reference_logit" in scores:
        at = np.flatnonzero(~np.isnan(scores["reference_logit"]))
        forms["float_reference"] = figures_of(test, scores["reference_logit"], logit, at)
        forms["int8_on_reference_sample"] = figures_of(test, int8, threshold, at)
    return forms, flips


def _costs(one: _Run, model: ModelFolder) -> dict[str, Any]:
    with one.timed("costs"), one.told("timing", model.name):
        times = None
        if one.seed in one.row.seeds[:TIMED_RUNS]:
            times = cost.times_ms(model, one.session.experiment.quick)
        return {
            "parameters": model.metrics["training"]["parameters"],
            **cost.size(model),
            "times_ms": times,
        }


def _quantisation(
    one: _Run, row: Row, model: ModelFolder, scores: dict[str, NDArray[Any]]
) -> dict[str, Any] | None:
    """Train the same weights on with quantisation and score them; their validation figures.

    ``scores`` gets ``int8_qat``. None where the experiment doesn't ask for it.
    """
    session = one.session
    if row.name not in session.experiment.trained_quantisation:
        return None
    from ecgqa_tflite.convert.retrain import requantise_qat

    folder = model.path.with_name(f"{model.path.name}_qat")
    if folder.exists():
        retrained = open_model(folder)
    else:
        with one.timed("quantisation-aware training"):
            retrained = requantise_qat(
                model, session.data, folder, session.cache, session.workers, session.progress
            )
    if "int8_qat" not in scores:
        maps = index_maps(session.test, row.spec, session.cache, session.threads, session.progress)
        with one.timed("scoring"):
            scores["int8_qat"] = int8_scores(
                retrained, maps, session.test.usable, session.threads, session.progress
            )
        one.keep_scores(scores)
    found: dict[str, Any] = retrained.metrics["validation"]
    found["int8"]["threshold"] = retrained.threshold_int8
    return found


def _logit(p: float) -> float:
    """Log odds; finite for a threshold that saturates."""
    p = min(max(p, 1e-15), 1 - 1e-15)
    return math.log(p / (1 - p))


def _scores(
    session: Session, row: Row, model: ModelFolder, chosen: NDArray[np.intp]
) -> dict[str, NDArray[Any]]:
    test = session.test
    maps = index_maps(test, row.spec, session.cache, session.threads, session.progress)
    found: dict[str, NDArray[Any]] = {
        "int8": int8_scores(model, maps, test.usable, session.threads, session.progress),
        "float_logit": float_logits(model, maps, chosen, test.usable, session.progress),
    }
    if row.name in session.experiment.reference_front_end:
        at = test.sample(REFERENCE_SAMPLE)
        made = reference_maps(test, at, row.spec, session.cache, session.workers, session.progress)
        few = float_logits(model, made, np.arange(len(at)), test.usable[at], session.progress)
        found["reference_logit"] = np.full(len(test), np.nan, np.float32)
        found["reference_logit"][at] = few
    return found


# ---- baselines ----------------------------------------------------------------------------------


def _forest(session: Session, seed: int, leads_alone: bool = False) -> BaselineScores:
    sets = session.sets
    train = sets.train
    if leads_alone:
        train = LabelledSet(tuple(part for part in train.parts if part.source in LEADS))
    return random_forest_scores(
        train,
        sets.validation,
        session.test,
        seed,
        session.workers,
        session.progress,
        matrix=partial(_kept_features, session.cache),
    )


def _kept_features(
    cache: Path,
    segments: LabelledSet,
    workers: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Features from the cache: repeats differ in the forest alone."""
    sha = hashlib.sha256(inspect.getsource(features).encode())
    for part in segments.parts:
        sha.update(part.digest().encode())
    path = cache / "features" / f"{sha.hexdigest()[:32]}.npy"
    if not path.exists():
        matrix = feature_matrix(segments, workers, progress)
        with whole_file(path) as temporary:
            np.save(temporary, matrix)
    found: NDArray[np.float64] = np.load(path)
    return found


def _neurokit(method: str, session: Session, seed: int) -> BaselineScores:
    scores = partial(
        neurokit_scores,
        workers=session.workers,
        progress=session.progress,
        method=method,  # type: ignore[arg-type]
    )
    return scores(session.sets.validation), scores(session.test)


@dataclass(frozen=True)
class Baseline:
    """A method without a network.

    Attributes
    ----------
    timed
        What is timed, a segment at a time, and ``timed_what`` in words.
    threshold
        It calls high from this score on; None: from where validation says.
    """

    label: str
    scores: Callable[[Session, int], BaselineScores]
    timed: Callable[[NDArray[np.int16], float], object]
    timed_what: str
    threshold: float | None = None


BASELINES: dict[str, Baseline] = {
    "random_forest": Baseline(
        "Random forest, 24 features",
        _forest,
        features.features,
        "the features alone, in NumPy",
        THRESHOLD,  # it gives P(high), so the networks' rule is its rule
    ),
    "random_forest_leads": Baseline(
        "Random forest, 24 features, challenge-2011 alone",
        partial(_forest, leads_alone=True),
        features.features,
        "the features alone, in NumPy",
        THRESHOLD,
    ),
    **{
        f"neurokit_{method.lower()}": Baseline(
            f"NeuroKit2, {method}", partial(_neurokit, method), NeuroKit(method), "the whole"
        )
        for method in NEUROKIT_METHODS
    },
}
"""By the name of their row."""


def _baseline(one: _Run) -> dict[str, Any]:
    session, method = one.session, BASELINES[one.row.name]
    scores = one.kept_scores()
    if scores is None:
        with one.timed("scoring"):
            validation, test = method.scores(session, one.seed)
        threshold = method.threshold
        if threshold is None:
            threshold = choose_threshold(session.sets.validation.quality, validation)
        scores = {"float": test, "threshold": np.array(threshold)}
        one.keep_scores(scores)
    with one.timed("figures"):
        forms = {"float": figures_of(session.test, scores["float"], float(scores["threshold"]))}
    if one.done is None:
        spec, quick = session.experiment.rows[0].spec, session.experiment.quick
        times = cost.method_ms(method.timed, spec, quick)
        costs = {"times_ms": times, "timed": method.timed_what}
    else:
        costs = one.done["costs"]
    return {"label": method.label, "kind": "baseline", "forms": forms, "costs": costs}


# ---- times ------------------------------------------------------------------------------------


def retime(folder: Path, progress: Progress | None = None) -> None:
    """Take the times of networks anew, on a machine that is quieter than it was.

    Up to :data:`TIMED_RUNS` runs of each row are timed, whose models are still there; the times of
    its other runs are dropped.

    Raises
    ------
    DatasetError
        There is no finished run, or one is damaged.
    """
    by_row: dict[str, list[dict[str, Any]]] = {}
    for found in read_runs(folder):
        model = folder / RUNS / run_name(found["row"], found["seed"])
        if found["kind"] == "network" and model.is_dir():
            by_row.setdefault(found["row"], []).append(found)
    jobs = [(found, i < TIMED_RUNS) for row in by_row.values() for i, found in enumerate(row)]
    for done, (found, wanted) in enumerate(jobs):
        path = folder / RUNS / f"{run_name(found['row'], found['seed'])}.json"
        times = None
        if wanted:
            times = cost.times_ms(open_model(path.with_suffix("")), found["identity"]["quick"])
        write_run(path, {**found, "costs": {**found["costs"], "times_ms": times}})
        if progress is not None:
            progress("timing", done + 1, len(jobs))
