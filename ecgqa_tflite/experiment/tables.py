# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A merged experiment as Markdown: no figure is typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ecgqa_tflite.evaluation.figures import FIGURES, HEADINGS, Figure

Result = Mapping[str, Any]

PUBLISHED = (
    ("Light-CNN, from scratch", 0.776, 0.934, 0.780, 0.855, 0.65),
    ("Light-CNN, pre-trained on ImageNet 70", 0.836, 0.884, 0.836, 0.860, 0.64),
    ("GoogLeNet, pre-trained on ImageNet", 0.887, 0.841, 0.886, 0.864, 7.94),
)
"""Se, Sp, Acc, BAcc and ms of Table 2 of the seed paper (Huerta, Martinez-Rodrigo, Rieta and
Alcaraz, Computing in Cardiology 2023): trained on a vest's recordings, on another machine."""

QUICK = "**Quick version**: few segments, epochs and repeats; it shows that everything works."
HEAD = ("network", "form", "runs", *HEADINGS.values())
HEAD_GRADED = ("A/C AUC", "A/C BAcc", "A/C Se", "A/C Sp", "B high")
HEAD_COST = ("CNN ms", "CWT + CNN ms", "parameters", "MACs", "int8 bytes", "device RAM")
GRADED = ("graded_auc", "graded_bacc", "graded_se", "graded_sp", "b_called_high")
NAMES = {
    "bacc": "BAcc",
    "auc": "AUC",
    "graded_auc": "AUC, A against C",
    "graded_bacc": "BAcc, A against C",
    "graded_se": "Se, A against C",
    "graded_sp": "Sp, A against C",
}
FORMS = {"float": "float", "int8_on_sample": "int8, float's segments", "int8": "int8"}
"""Forms of a network in the table, and their words."""


def markdown(result: Result) -> str:
    """The whole report of an experiment."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    yield f"# {result['title']}"
    yield ""
    if result["quick"]:
        yield QUICK
        yield ""
    yield from main_table(result)
    yield ""
    yield from (f"- {note}" for note in notes(result))
    paper = result["experiment"] == "table2"
    sections = (
        published() if paper else by_validation(result),
        () if paper else savings(result),
        differences(result),
        against_rival(result),
        quantisation(result),
        stretches(result),
        reference(result),
    )
    for section in sections:
        lines = list(section)
        if lines:
            yield ""
            yield from lines


def is_graded(result: Result) -> bool:
    """Whether every row was tested on graded segments too, and the result says on how many.

    What doesn't say so was scored when 240 segments were graded: too few for a table.
    """
    return all("graded_n" in form for row in result["rows"] for form in row["forms"].values())


def _graded_words(result: Result) -> str:
    """What the A/C columns are."""
    n = result["rows"][0]["forms"]["float"]["graded_n"]
    return (
        f"A/C: segments graded one by one, R peaks sure (A, {n['high']:,}) against not to be found "
        f"(C, {n['low']:,})"
    )


def main_table(result: Result) -> Iterator[str]:
    """A line for each row and form: mean and standard deviation over runs, and costs."""
    graded = HEAD_GRADED if is_graded(result) else ()
    yield from _table_head((*HEAD, *graded, *HEAD_COST))
    for row in result["rows"]:
        for form, words in FORMS.items():
            if form not in row["forms"]:
                continue
            figures = row["forms"][form]
            cells = [row["label"], words if "costs" in row else "-", str(len(row["seeds"]))]
            cells += [_mean(figures[key]) for key in FIGURES]
            cells += [_mean(figures[key]) for key in GRADED if graded]
            yield _line([*cells, *_costs(row, form.removesuffix("_on_sample"))])


def _costs(row: Mapping[str, Any], form: str) -> list[str]:
    costs = row.get("costs")
    if costs is None:
        return ["-", f"{row['method_ms']['median']:.2f}", *["-"] * (len(HEAD_COST) - 2)]
    network, cwt = costs["times_ms"][form]["median"], costs["times_ms"]["cwt"]["median"]
    cells = ["-", "-"]
    if network is not None:
        cells = [f"{network:.2f}", f"{network + cwt:.2f}"]
    cells += [f"{costs['parameters']:,}", _millions(costs["macs"])]
    if form == "float":
        return [*cells, "-", "-"]
    ram = costs["ram_bytes"]
    return [*cells, f"{costs['tflite_bytes']:,}", "-" if ram is None else f"{ram:,}"]


def notes(result: Result) -> Iterator[str]:
    """What a reader needs to know of the table."""
    first = result["rows"][0]
    n, test = first["forms"]["float"]["n"], result["test"]
    yield (
        f"External test: {test['set']}, {test['segments']:,} segments of "
        f"{first['spec']['segment_s']:g} s "
        f"that inherit their recording's label ({n['low']:,} low of those tested); nothing was "
        f"trained, calibrated or stopped on it. Mean ± standard deviation over runs (seeds). "
        f"Networks and forests decide at P(high) 0.5, NeuroKit2 where validation says."
    )
    if is_graded(result):
        yield f"{_graded_words(result)}; B high: share of the grade between that is called high."
    networks = list(_networks(result))
    epochs = [f"{row['label']} {row['recipe']['epochs']}" for row in networks]
    yield f"Epochs: {', '.join(epochs)}."
    for row in result["rows"]:
        if row.get("float_segments", 1e9) < result["test"]["segments"]:
            yield (
                f"{row['label']}, float: tested on {row['float_segments']:,} segments, all of low "
                f"quality and all graded ones among them."
            )
    yield from _notes_on_costs(result, networks)
    for row in networks:
        flips, bacc = row["flips"], row["flips"]["bacc"]
        yield (
            f"{row['label']}: int8 decides otherwise than float on "
            f"{Figure(flips['share']['mean']):.2%} of segments; BAcc int8 minus float "
            f"{Figure(bacc['mean']):+.4f} (per run "
            f"{Figure(None, bacc['low'], bacc['high']).interval('+.4f to')})."
        )
    for name, reason in result["left_out"].items():
        yield f"Not run: {name}: {reason}."


def _notes_on_costs(result: Result, networks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for row in networks:
        kinds.setdefault(row["costs"]["ram_kind"], []).append(row["label"])
    for kind, mine in kinds.items():
        whose = f" ({', '.join(mine)})" if len(mine) < len(networks) else ""
        yield f"Device RAM{whose}: {kind}, bytes."
    yield (
        f"Times: LiteRT with XNNPACK, one thread, {', '.join(result['machines'])}, median over "
        f"runs."
    )
    methods = [f"{row['label']}: {row['timed']}" for row in result["rows"] if "timed" in row]
    if methods:
        yield f"Of methods without a network, CWT + CNN ms is the time of: {'; '.join(methods)}."
    noisy = [row["label"] for row in networks if row["costs"]["noise"]]
    if noisy:
        yield f"Times taken while other programs ran: some of {', '.join(noisy)}."


def _networks(result: Result) -> Iterator[Mapping[str, Any]]:
    return (row for row in result["rows"] if "costs" in row)


def published() -> Iterator[str]:
    """The seed paper's own figures."""
    yield "The seed paper's Table 2 (trained on a vest's recordings, on its own machine):"
    yield ""
    yield from _table_head(("network", "Se", "Sp", "Acc", "BAcc", "CNN ms"))
    for label, *figures, ms in PUBLISHED:
        yield _line([label, *(f"{value:.3f}" for value in figures), f"{ms:.2f}"])


def by_validation(result: Result) -> Iterator[str]:
    """Validation figures: what a choice between rows may be made by."""
    yield "Validation, int8 (a choice is made by these, not by the external test):"
    yield ""
    yield from _table_head(("network", "BAcc", "AUC"))
    for row in _networks(result):
        figures = row["validation"]["int8"]
        yield _line([row["label"], _mean(figures["bacc"]), _mean(figures["auc"])])


def savings(result: Result) -> Iterator[str]:
    """What each network saves against the first row, and what that costs in accuracy."""
    first, *others = _networks(result)
    changes = {
        found["after"]: found["figures"]
        for found in result["differences"]
        if (found["form"], found["before"]) == ("int8", first["name"])
    }
    names = [name for name in ("bacc", "graded_bacc") if all(name in c for c in changes.values())]
    if not others or not changes:
        return
    yield f"Against `{first['name']}`, int8: how many times fewer, and the change in accuracy."
    yield ""
    words = (NAMES[name] for name in names)
    yield from _table_head(("network", "MACs", "parameters", "device RAM", *words))
    for row in others:
        if row["name"] in changes:
            figures = changes[row["name"]]
            less = (
                _times_fewer(first["costs"][key], row["costs"][key])
                for key in ("macs", "parameters", "ram_bytes")
            )
            yield _line([row["label"], *less, *(interval(figures[name]) for name in names)])


def _times_fewer(before: int | None, after: int | None) -> str:
    return f"{before / after:.1f} x" if before and after else "-"


def differences(result: Result) -> Iterator[str]:
    """Differences with their intervals and the value of each seed."""
    labels = {row["name"]: row["label"] for row in result["rows"]}
    if not result["differences"]:
        return
    yield "Differences seed by seed: mean (95 % t interval), and each seed's."
    yield ""
    yield from _table_head(("difference", "form", "figure", "mean (interval)", "each seed"))
    for found in result["differences"]:
        for name, figure in found["figures"].items():
            yield _line(
                [
                    f"{labels[found['after']]} minus {labels[found['before']]}",
                    found["form"],
                    NAMES[name],
                    interval(figure),
                    " ".join(f"{value:+.4f}" for value in figure["values"]),
                ]
            )


def interval(figure: Mapping[str, Any], ends: str = "t") -> str:
    """Mean difference with its interval, by Student's t or over ``recordings``."""
    return f"{Figure(figure['mean'], figure[f'{ends}_low'], figure[f'{ends}_high']):+.4f to}"


def stretches(result: Result) -> Iterator[str]:
    """Decisions on ten seconds beside those on five."""
    rows = [row for row in _networks(result) if "ten_seconds" in row["forms"]["int8"]]
    if not rows:
        return
    yield "Ten seconds by the mean of two scores, against five, int8, the same stretches:"
    yield ""
    yield from _table_head(("network", "decision", *(h for h in HEAD[3:])))
    for row in rows:
        for stretch, words in (("five_seconds", "5 s"), ("ten_seconds", "10 s")):
            figures = row["forms"]["int8"][stretch]
            yield _line([row["label"], words, *(_mean(figures[key]) for key in FIGURES)])


def against_rival(result: Result) -> Iterator[str]:
    """Networks less the random forest."""
    if not result["against"]:
        return
    yield "int8 networks minus the random forest, the same seeds and segments: mean over seeds"
    yield "(mean ends of the 95 % intervals of a paired bootstrap over recordings):"
    yield ""
    names = list(next(iter(result["against"].values())))
    names = [name for name in NAMES if name in names]
    yield from _table_head(("network", *(NAMES[name] for name in names)))
    for row in result["rows"]:
        figures = result["against"].get(row["name"])
        if figures is not None:
            cells = (interval(figures[name], "recordings") for name in names)
            yield _line([row["label"], *cells])


def quantisation(result: Result) -> Iterator[str]:
    """Post-training quantisation beside quantisation-aware training of the same weights."""
    rows = [row for row in _networks(result) if "int8_qat" in row["forms"]]
    if not rows:
        return
    yield "PTQ against QAT of the same weights (a choice is made by validation):"
    yield ""
    head = ("network", "quantised", "validation BAcc", "validation AUC", "BAcc", "AUC")
    yield from _table_head(head)
    for row in rows:
        for form, words in (("float", "not"), ("int8", "PTQ"), ("int8_qat", "QAT")):
            tables = (row["validation"][form], row["forms"][form])
            cells = [_mean(table[key]) for table in tables for key in ("bacc", "auc")]
            yield _line([row["label"], words, *cells])


def reference(result: Result) -> Iterator[str]:
    """The float64 front end beside the integer one."""
    rows = [row for row in _networks(result) if "float_reference" in row["forms"]]
    if not rows:
        return
    yield "Images of the float64 reference against the integer front end's, the same networks:"
    yield ""
    yield from _table_head(("network", "path", "segments", *(h for h in HEAD[3:])))
    for row in rows:
        for form, words in (
            ("float_reference", "float64 front end, float network"),
            ("int8_on_reference_sample", "integer front end, int8 network"),
        ):
            figures = row["forms"][form]
            n = figures["n"]["high"] + figures["n"]["low"]
            cells = (_mean(figures[key]) for key in FIGURES)
            yield _line([row["label"], words, f"{n:,}", *cells])


def readme(result: Result) -> str:
    """The README's section: int8 networks and baselines, fewer columns; a line per paragraph."""
    paper = result["experiment"] == "table2"
    return "\n".join((_readme_table2 if paper else _readme_ablations)(result)) + "\n"


def _readme_table2(result: Result) -> Iterator[str]:
    yield "### The seed paper's experiment on public data"
    yield ""
    yield (
        "The networks trained on the same segments (`ecgqa train` says of what) and tested as int8 "
        "on challenge-2017, with baselines in the same run: mean ± standard deviation over "
        "trainings (`ecgqa experiment table2`)."
    )
    yield ""
    head = ("network", "runs", "epochs", "Se", "Sp", "BAcc", "AUC")
    graded = ("A/C AUC", "A/C BAcc") if is_graded(result) else ()
    cost = ("CNN ms", "CWT + CNN ms", "MACs", "int8 bytes", "device RAM")
    yield from _table_head((*head, *graded, *cost))
    for row in result["rows"]:
        form = "int8" if "int8" in row["forms"] else "float"
        figures = row["forms"][form]
        epochs = row["recipe"]["epochs"] if "recipe" in row else "-"
        cells = [row["label"], str(len(row["seeds"])), str(epochs)]
        cells += [_mean(figures[key]) for key in ("se", "sp", "bacc", "auc")]
        cells += [_mean(figures[f"graded_{key}"]) for key in ("auc", "bacc") if graded]
        costs = _costs(row, form)
        yield _line([*cells, *costs[:2], *costs[3:]])
    yield ""
    yield " ".join(_readme_words(result))
    if result["quick"]:
        yield from ("", QUICK)


def _readme_words(result: Result) -> Iterator[str]:
    """Sentences below the README's table."""
    if is_graded(result):
        yield f"{_graded_words(result)}."
    yield "Times: LiteRT with XNNPACK on one thread; device RAM in bytes."
    labels = {row["name"]: row["label"] for row in result["rows"]}
    for found in result["differences"]:
        if found["form"] == "int8":
            figures = found["figures"]
            changes = ", ".join(
                f"{NAMES[name]} {interval(figures[name])}"
                for name in ("bacc", "graded_auc")
                if name in figures
            )
            yield (
                f"{labels[found['after']]} less {labels[found['before']]}: {changes} (95 % t "
                f"interval, {len(found['seeds'])} seeds)."
            )
    longer = ", ".join(
        f"{row['label']} {row['forms']['int8']['ten_seconds']['bacc']['mean']:.3f}"
        for row in _networks(result)
        if "ten_seconds" in row["forms"]["int8"]
    )
    if longer:
        yield f"Over ten seconds, by the mean of two scores, BAcc is: {longer}."


def _readme_ablations(result: Result) -> Iterator[str]:
    yield "### What may be left out"
    yield ""
    yield (
        "Light-CNN from scratch with one thing changed, or several for a small device, trained "
        "and tested alike (`ecgqa experiment ablations`)."
    )
    yield ""
    graded = ("A/C AUC", "A/C BAcc") if is_graded(result) else ()
    cost = ("MACs", "int8 bytes", "device RAM")
    yield from _table_head(("network", "runs", "BAcc", "AUC", *graded, *cost))
    for row in _networks(result):
        figures = row["forms"]["int8"]
        cells = [
            row["label"],
            str(len(row["seeds"])),
            _mean(figures["bacc"]),
            _mean(figures["auc"]),
        ]
        cells += [_mean(figures[f"graded_{key}"]) for key in ("auc", "bacc") if graded]
        yield _line([*cells, *_costs(row, "int8")[3:]])
    for row in _networks(result):
        if "int8_qat" in row["forms"]:
            yield ""
            by = {
                words: row["validation"][form]["auc"]["mean"]
                for form, words in (("float", "float"), ("int8", "PTQ"), ("int8_qat", "QAT"))
            }
            figures = ", ".join(f"{words} {value:.4f}" for words, value in by.items())
            yield f"{row['label']}, AUC on validation: {figures}."
    if result["quick"]:
        yield from ("", QUICK)


def _table_head(names: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    yield "|---" * len(names) + "|"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mean(figure: Mapping[str, Any]) -> str:
    if figure["mean"] is None:
        return "-"
    text = f"{figure['mean']:.3f}"
    return text if figure["sd"] is None else f"{text} ± {figure['sd']:.3f}"


def _millions(n: int) -> str:
    return f"{n / 1e6:,.1f} M" if n >= 1e5 else f"{n:,}"
