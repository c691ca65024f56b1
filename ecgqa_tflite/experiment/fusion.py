"""Fusion: does a network's score gain from classical features beside it?

Three kinds of evidence on the same segments: the int8 network, classical features alone (logistic
regressions and a random forest, learnt from the training segments), and logistic regressions that
weigh both. A network's scores on what it was trained on are too good, so whatever weighs them
learns from validation segments: from half of the patients, judged on the other half, both ways
round and over several halvings. A fusion *gains* if its paired difference to the network alone
leaves out zero on validation, for AUC and for balanced accuracy; the external test is scored
afterwards, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets.balanced import BalancedSets, Progress
from ecgqa_tflite.datasets.labelled import LabelledSegments
from ecgqa_tflite.datasets.splits import held_out_groups
from ecgqa_tflite.evaluation import (
    choose_threshold,
    int8_scores,
    score_difference,
    score_table,
)
from ecgqa_tflite.experiment.baselines import LEAF, TREES, Matrix, feature_matrix
from ecgqa_tflite.experiment.external import ExternalTest
from ecgqa_tflite.experiment.figures import figures_of
from ecgqa_tflite.features import NAMES
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.spec import Quality

CHEAP = (
    "kurtosis",
    "qrs_autocorrelation",
    "power_0.5_1",
    "power_5_15",
    "power_25_40",
    "spectral_flatness",
    "clipped",
)
"""A handful that a device could compute from integers beside its front end."""
LOGARITHMS = ("skewness", "kurtosis", "qrs_kurtosis", "range_outliers", "clipped")
"""Features with long tails: a linear model takes log(x + .001)."""
HALVINGS = 10
"""Splits of the validation patients in two."""


@dataclass(frozen=True)
class Evidence:
    """What there is to weigh, a row a segment.

    Attributes
    ----------
    network
        int8 scores of class 1, shape (n,).
    features
        Classical features, float64, shape (n, 24).
    quality, group, usable
        As in :class:`~ecgqa_tflite.datasets.labelled.LabelledSegments`, shape (n,).
    """

    network: NDArray[np.int8]
    features: NDArray[np.float64]
    quality: NDArray[np.uint8]
    group: NDArray[np.str_]
    usable: NDArray[np.bool_]


class Learner(Protocol):
    """What scikit-learn's classifiers share."""

    def predict_proba(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(class) of each row."""
        ...


def gather(
    model: ModelFolder,
    parts: Sequence[LabelledSegments],
    *,
    workers: int = 1,
    progress: Progress | None = None,
    matrix: Matrix = feature_matrix,
) -> Evidence:
    """Score segments with a network and compute their features.

    Parameters
    ----------
    matrix
        Gives the features of some parts; one that keeps them saves time.
    """

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(f"scoring int8, {model.name}", done, total)

    return Evidence(
        int8_scores(model, parts, threads=workers, progress=tell),
        matrix(parts, workers, progress),
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.group for part in parts]),
        np.concatenate([part.usable for part in parts]),
    )


def fusion(
    model: ModelFolder,
    sets: BalancedSets,
    test: ExternalTest | None = None,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    matrix: Matrix = feature_matrix,
    n_boot: int = 2000,
) -> dict[str, Any]:
    """The whole study of one model, as plain types for JSON.

    Parameters
    ----------
    model
        Its recipe must have held out the patients that ``sets.validation`` is made of: the same
        composition and seed.
    sets
        Features learn from ``train``; weights, thresholds and the verdict come from ``validation``.
    test
        External test; None leaves it unopened.
    seed
        Of the forest and of the halvings.

    Returns
    -------
    dict
        ``features`` (names of the cheap ones), ``validation`` and, where there is a test,
        ``external``: tables by way (:func:`study`).
    """
    learn_from = matrix(sets.train, workers, progress)
    learnt = np.concatenate([part.quality for part in sets.train])

    def evidence(parts: Sequence[LabelledSegments]) -> Evidence:
        return gather(model, parts, workers=workers, progress=progress, matrix=matrix)

    return {
        "model": model.name,
        "seed": seed,
        "halvings": HALVINGS,
        "features": list(CHEAP),
        **study(
            learn_from,
            learnt,
            evidence(sets.validation),
            test,
            None if test is None else evidence(test.parts),
            seed=seed,
            workers=workers,
            n_boot=n_boot,
        ),
    }


def study(
    train: NDArray[np.float64],
    train_quality: NDArray[np.uint8],
    validation: Evidence,
    test: ExternalTest | None = None,
    external: Evidence | None = None,
    *,
    seed: int = 0,
    workers: int = 1,
    n_boot: int = 2000,
) -> dict[str, Any]:
    """The study on evidence that has been gathered.

    Returns
    -------
    dict
        ``validation``: by way, ``table`` (:func:`~ecgqa_tflite.evaluation.score_table` of margins,
        scores less thresholds, each by models that saw no segment of that patient), and for all
        but the network itself ``gain`` over it (paired) and ``gains`` (true or false).
        ``external``: by way, :func:`~ecgqa_tflite.experiment.figures.figures_of`, ``gain``, and
        ``graded_gain`` where segments were graded; absent without a test.
    """
    learners = _learn(train, train_quality, seed, workers)
    ways = _ways(validation, learners)
    margins = _held_out_margins(ways, validation, seed)
    result: dict[str, Any] = {"validation": {}}
    for name, margin in margins.items():
        usable = (validation.quality, margin, 0.0)
        row: dict[str, Any] = {"table": score_table(*usable, validation.group, n_boot)}
        if name != "network":
            gain = score_difference(*usable, margins["network"], 0.0, validation.group, n_boot)
            row |= {"gain": gain, "gains": all(_above_zero(gain[k]) for k in ("auc", "bacc"))}
        result["validation"][name] = row
    if test is None or external is None:
        return result
    margins = _test_margins(ways, validation, _ways(external, learners), external)
    result["external"] = {
        name: figures_of(test, margin, 0.0)
        | (_gain(test, margin, margins["network"], n_boot) if name != "network" else {})
        for name, margin in margins.items()
    }
    return result


def _learn(
    train: NDArray[np.float64], quality: NDArray[np.uint8], seed: int, workers: int
) -> dict[str, Learner]:
    """Scores of features alone; training segments are as good as any for these."""
    from sklearn.ensemble import RandomForestClassifier

    return {
        "cheap": _regression().fit(_columns(train, CHEAP), quality),
        "24": _regression().fit(_columns(train, NAMES), quality),
        "forest": RandomForestClassifier(
            TREES, min_samples_leaf=LEAF, random_state=seed, n_jobs=workers
        ).fit(train, quality),
    }


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))


def _columns(features: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """What linear models take: long tails as logarithms."""
    columns = [features[:, NAMES.index(name)] for name in names]
    return np.stack(
        [
            np.log(column + 1e-3) if name in LOGARITHMS else column
            for name, column in zip(names, columns, strict=True)
        ],
        axis=1,
    )


def _ways(evidence: Evidence, learners: dict[str, Learner]) -> dict[str, NDArray[np.float64]]:
    """Inputs of each way's regression, float64 (n, inputs); a single input is a score as it is."""
    network = _log_odds((evidence.network.astype(float) + 128.5) / 256)
    alone = {
        name: _log_odds(
            learner.predict_proba(
                evidence.features if name == "forest" else _columns(evidence.features, names)
            )[:, Quality.HIGH]
        )
        for (name, learner), names in zip(learners.items(), (CHEAP, NAMES, NAMES), strict=True)
    }
    return {
        "network": network[:, None],
        "features_cheap": alone["cheap"][:, None],
        "features_24": alone["24"][:, None],
        "forest": alone["forest"][:, None],
        "fusion_cheap_direct": np.column_stack([network, _columns(evidence.features, CHEAP)]),
        "fusion_cheap": np.column_stack([network, alone["cheap"]]),
        "fusion_24": np.column_stack([network, alone["24"]]),
        "fusion_forest": np.column_stack([network, alone["forest"]]),
    }


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of probabilities that may be 0 or 1: a forest of hundreds of trees says so often."""
    p = np.clip(p, 1 / 512, 1 - 1 / 512)
    return np.asarray(np.log(p / (1 - p)))


def _margin(
    known: NDArray[np.float64], quality: NDArray[np.uint8], asked: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scores of ``asked`` less the threshold, by a regression and a threshold on ``known``."""
    if known.shape[1] == 1:
        return np.asarray(asked[:, 0] - choose_threshold(quality, known[:, 0]))
    regression = _regression().fit(known, quality)
    threshold = choose_threshold(quality, regression.decision_function(known))
    return np.asarray(regression.decision_function(asked) - threshold)


def _held_out_margins(
    ways: dict[str, NDArray[np.float64]], validation: Evidence, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Mean margin of each segment over all halvings, from the half that its patient is not in."""
    total = {name: np.zeros(len(validation.quality)) for name in ways}
    for halving in range(HALVINGS):
        chosen = held_out_groups(validation.group.tolist(), 0.5, seed + halving)
        first = np.isin(validation.group, sorted(chosen))
        for here in (first, ~first):
            known = here & validation.usable
            for name, inputs in ways.items():
                total[name][~here] += _margin(
                    inputs[known], validation.quality[known], inputs[~here]
                )
    return {
        name: _lowest_where_unusable(margin / HALVINGS, validation)
        for name, margin in total.items()
    }


def _test_margins(
    ways: dict[str, NDArray[np.float64]],
    validation: Evidence,
    asked: dict[str, NDArray[np.float64]],
    external: Evidence,
) -> dict[str, NDArray[np.float64]]:
    """Margins on the external test, from all of validation."""
    known = validation.usable
    return {
        name: _lowest_where_unusable(
            _margin(inputs[known], validation.quality[known], asked[name]), external
        )
        for name, inputs in ways.items()
    }


def _lowest_where_unusable(margin: NDArray[np.float64], evidence: Evidence) -> NDArray[np.float64]:
    return np.where(evidence.usable, margin, margin.min() - 1)


def _above_zero(figure: dict[str, float | None]) -> bool:
    return figure["low"] is not None and figure["low"] > 0


def _gain(
    test: ExternalTest,
    margin: NDArray[np.float64],
    network: NDArray[np.float64],
    n_boot: int,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "gain": score_difference(test.quality, margin, 0.0, network, 0.0, test.group, n_boot)
    }
    if test.graded is not None:
        judged = np.isin(test.graded.agreed, ["A", "C"])
        place = {str(name): i for i, name in enumerate(test.ids)}
        at = np.array([place[str(name)] for name in test.graded.ids[judged]], int)
        truth = np.where(test.graded.agreed[judged] == "A", Quality.HIGH, Quality.LOW)
        found["graded_gain"] = score_difference(
            truth, margin[at], 0.0, network[at], 0.0, test.group[at], n_boot
        )
    return found


def markdown(result: dict[str, Any]) -> str:
    """The tables of a study, differences to the network with 95 % intervals by patient."""
    tables = {"validation": {k: row["table"] for k, row in result["validation"].items()}}
    if "external" in result:
        tables["external"] = result["external"]
    if any("graded" in row for row in tables.get("external", {}).values()):
        tables["external, graded A against C"] = {
            name: row["graded"] for name, row in result["external"].items()
        }
    lines = [f"# Fusion with {result['model']}", ""]
    for title, rows in tables.items():
        counts = rows["network"]["n"]
        lines += [
            f"{title}: {counts['high']} high, {counts['low']} low",
            "",
            "| | AUC | BAcc | Se | Sp | AUC gained | BAcc gained |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, row in rows.items():
            kind = "graded_gain" if "graded" in title else "gain"
            gain = result["external" if title != "validation" else title][name].get(kind)
            cells = [_interval(row[key]) for key in ("auc", "bacc", "se", "sp")]
            cells += [_interval(gain[key], "+") if gain else "" for key in ("auc", "bacc")]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    gained = [name for name, row in result["validation"].items() if row.get("gains")]
    lines.append(f"Gains on validation, AUC and BAcc both: {', '.join(gained) or 'none'}.")
    return "\n".join(lines)


def _interval(figure: dict[str, float | None], sign: str = "") -> str:
    if figure["value"] is None:
        return ""
    value, low, high = (
        format(figure[key] or 0.0, f"{sign}.4f") for key in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
