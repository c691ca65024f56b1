# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""From runs to one small JSON: mean and spread of every figure, differences with intervals."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ecgqa_tflite.evaluation.figures import CONFIDENCE, FIGURES

FORMAT = 1
GRADED = ("auc", "bacc", "se", "sp")
DIFFERENCES = ("bacc", "auc", "graded_auc", "graded_bacc", "graded_se", "graded_sp")
"""Figures whose differences between rows are taken."""

Run = Mapping[str, Any]


def merge(
    runs: Sequence[Run],
    *,
    order: Sequence[str],
    title: str,
    pairs: Sequence[tuple[str, str]],
    left_out: Mapping[str, str],
    against: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Everything that tables and plots are drawn from, as plain types; no per-segment scores.

    Parameters
    ----------
    runs
        As :func:`ecgqa_tflite.experiment.runs.read_runs` gives them; not empty.
    order
        Rows in the order of the table; those without a run are skipped.
    pairs
        Rows whose difference is taken seed by seed, second minus first.
    left_out
        Rows that were not run, and why.
    against
        By run: differences to the rival, as :mod:`ecgqa_tflite.experiment.rival` keeps them.
    """
    by_row: dict[str, list[Run]] = {}
    for run in runs:
        by_row.setdefault(run["row"], []).append(run)
    names = [name for name in order if name in by_row]
    names += [name for name in by_row if name not in names]
    first = runs[0]
    return {
        "format": FORMAT,
        "experiment": first["identity"]["experiment"],
        "title": title,
        "quick": first["identity"]["quick"],
        "test": {**first["test"], "digest": first["identity"]["test"]},
        "rows": [_row(name, by_row[name]) for name in names],
        "differences": _differences(by_row, pairs),
        "against": _against(names, list((against or {}).values())),
        "left_out": {k: v for k, v in left_out.items() if k not in by_row},
        "machines": sorted({run["machine"]["cpu"] for run in runs}),
        "versions": {k: v for run in runs for k, v in run["versions"].items()},
        "hours": round(sum(sum(run["seconds"].values()) for run in runs) / 3600, 2),
    }


def _differences(
    by_row: Mapping[str, Sequence[Run]], pairs: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    there = [(a, b) for a, b in pairs if a in by_row and b in by_row]
    found = [difference(by_row[a], by_row[b], form) for a, b in there for form in ("float", "int8")]
    return [one for one in found if one is not None]


def _row(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    first = runs[0]
    row = {
        "name": name,
        "label": first["label"],
        "kind": first["kind"],
        "seeds": [run["seed"] for run in runs],
        "forms": {
            form: _form([run["forms"][form] for run in runs if form in run["forms"]])
            for form in first["forms"]
        },
        "seconds_a_run": {
            what: spread(run["seconds"][what] for run in runs if what in run["seconds"])["median"]
            for what in first["seconds"]
        },
    }
    if first["kind"] == "network":
        return row | _network(runs)
    times = [run["costs"]["times_ms"]["path"]["median"] for run in runs]
    return row | {"method_ms": spread(times), "timed": first["costs"]["timed"]}


def _network(runs: Sequence[Run]) -> dict[str, Any]:
    """What a network's row has beyond a baseline's."""
    first = runs[0]
    change = (
        run["forms"][_int8_like_float(run)]["bacc"]["value"]
        - run["forms"]["float"]["bacc"]["value"]
        for run in runs
    )
    return {
        "spec": first["spec"],
        "recipe": {k: v for k, v in first["recipe"].items() if k != "seed"},
        "float_segments": first["float_segments"],
        "flips": {
            "share": spread(run["flips"]["share"] for run in runs),
            "bacc": spread(change),
        },
        "validation": {
            form: {
                figure: spread(run["validation"][form][figure]["value"] for run in runs)
                for figure in ("bacc", "auc")
            }
            for form in ("float", "int8")
        }
        | _trained_quantisation(runs),
        "costs": _costs(runs),
    }


def _trained_quantisation(runs: Sequence[Run]) -> dict[str, Any]:
    """Validation figures of quantisation-aware training, where every run has them."""
    if not all("qat" in run["validation"] for run in runs):
        return {}
    tables = [run["validation"]["qat"]["int8"] for run in runs]
    return {"int8_qat": {key: spread(t[key]["value"] for t in tables) for key in ("bacc", "auc")}}


def _against(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By row and figure: the mean difference, and the mean ends of its intervals."""
    merged = {}
    for name in names:
        mine = [difference["figures"] for difference in found if difference["row"] == name]
        if mine:
            merged[name] = {key: _figure([one[key] for one in mine]) for key in mine[0]}
    return merged


def _int8_like_float(run: Run) -> str:
    """The int8 figures on the segments that the float network was tested on."""
    return "int8_on_sample" if "int8_on_sample" in run["forms"] else "int8"


def _form(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {key: _figure([table[key] for table in tables]) for key in FIGURES}
    if all("graded" in table for table in tables):
        graded = [table["graded"] for table in tables]
        found |= {f"graded_{key}": _figure([table[key] for table in graded]) for key in GRADED}
        found["b_called_high"] = spread(table["b_called_high"] for table in graded)
        found["graded_n"] = graded[0]["n"]
    for stretch in ("five_seconds", "ten_seconds"):
        if all(stretch in table for table in tables):
            found[stretch] = {
                key: _figure([table[stretch][key] for table in tables]) for key in FIGURES
            }
    return found | {"n": tables[0]["n"]}


def _figure(figures: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    """Spread over runs, with the mean ends of their 95 % intervals over recordings."""
    return spread(f["value"] for f in figures) | {
        f"recordings_{end}": spread(f[end] for f in figures)["mean"] for end in ("low", "high")
    }


def _costs(runs: Sequence[Run]) -> dict[str, Any]:
    costs = [run["costs"] for run in runs]
    size = ("parameters", "macs", "tflite_bytes", "ram_bytes", "ram_kind")
    times = [c["times_ms"] for c in costs if c["times_ms"] is not None]
    return {key: costs[0][key] for key in size} | {
        "times_ms": {
            what: spread(t[what]["median"] for t in times) for what in ("cwt", "int8", "float")
        },
        "noise": sorted({phrase for t in times for phrase in t["noise"]}),
    }


def spread(values: Iterable[float | None]) -> dict[str, Any]:
    """Mean, median, standard deviation (n - 1), range and the values themselves, to 1e-6.

    None among the values is left out; what can't be told of the rest is None.
    """
    found = [float(v) for v in values if v is not None]
    figures = {
        "mean": statistics.fmean(found) if found else None,
        "median": statistics.median(found) if found else None,
        "sd": statistics.stdev(found) if len(found) > 1 else None,
        "low": min(found, default=None),
        "high": max(found, default=None),
    }
    rounded = {name: None if v is None else round(v, 6) for name, v in figures.items()}
    return {**rounded, "values": [round(v, 6) for v in found]}


def difference(before: Sequence[Run], after: Sequence[Run], form: str) -> dict[str, Any] | None:
    """Differences of two rows' figures seed by seed, with Student's t interval of their mean.

    The interval speaks of trainings: what another seed would change. That another test set would
    change all figures alike is not in it.

    Returns
    -------
    dict or None
        By figure of :data:`DIFFERENCES`: :func:`spread` of the differences with ``t_low`` and
        ``t_high`` (None with one seed). None where no seed is shared.
    """
    a = {run["seed"]: run["forms"].get(form) for run in before}
    b = {run["seed"]: run["forms"].get(form) for run in after}
    seeds = [seed for seed in a if seed in b and a[seed] is not None and b[seed] is not None]
    if not seeds:
        return None
    figures = {}
    for name in DIFFERENCES:
        pairs = [(_value(a[seed], name), _value(b[seed], name)) for seed in seeds]
        values = [y - x for x, y in pairs if x is not None and y is not None]
        if values:
            low, high = t_interval(values)
            figures[name] = {**spread(values), "t_low": low, "t_high": high}
    return {
        "before": before[0]["row"],
        "after": after[0]["row"],
        "form": form,
        "seeds": seeds,
        "figures": figures,
    }


def _value(table: Any, name: str) -> float | None:
    if name.startswith("graded_"):
        table, name = table.get("graded"), name.removeprefix("graded_")
    return None if table is None else table[name]["value"]


def t_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Student's t interval of the mean at :data:`~ecgqa_tflite.evaluation.figures.CONFIDENCE`."""
    if len(values) < 2:
        return None, None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return mean - half, mean + half
