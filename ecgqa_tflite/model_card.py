"""``MODEL_CARD.md``, generated from what a training and its tests wrote: no figure is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecgqa_tflite.evaluation import FIGURES
from ecgqa_tflite.model_folder import ModelFolder, json_text, open_model, seal
from ecgqa_tflite.output import whole_folder
from ecgqa_tflite.spec import FrontEnd

SOURCES = {
    "leads_good": "challenge-2011 leads labelled good",
    "clean": "mitdb, clean segments whose beats all show",
    "mixtures_found": "clean ECG with noise, every beat still found",
    "leads_bad": "challenge-2011 leads labelled bad",
    "mixtures_lost": "clean ECG with noise, beats lost",
    "mixtures_unclear": "clean ECG with noise, beats unclear",
    "mixtures_low_snr": "clean ECG with noise, poor signal-to-noise ratio",
    "noise": "noise alone (nstdb and synthetic)",
}
"""What a source of the balanced sets is, for a reader."""

HEADINGS = {"se": "Se", "sp": "Sp", "acc": "Acc", "bacc": "BAcc", "auc": "AUC"}


def model_card(name: str, spec: FrontEnd, recipe: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The card's text, Markdown.

    Parameters
    ----------
    name
        The model's name.
    spec
        Its front end.
    recipe, metrics
        The JSON objects beside the model; the card says what they say.
    """
    training, validation = metrics["training"], metrics["validation"]
    seconds = f"{spec.segment_s:g} s"
    lines = [
        f"# {name}",
        "",
        f"Says of {seconds} of single-lead ECG whether its quality is high (the R peaks can be",
        "identified) or low. Class 1 is high. Generated from `metrics.json` and `recipe.json`.",
        "",
        f"- Network: `{recipe['architecture']}`"
        + (f", alpha {recipe['alpha']:g}" if recipe["architecture"] == "light_cnn" else "")
        + f", {training['parameters']:,} parameters, image "
        + " x ".join(map(str, spec.image_shape))
        + f"; int8 `.tflite` of {training['tflite_bytes']:,} bytes.",
        f"- Front end: rows from {spec.f_max_hz:g} to {spec.f_min_hz:g} Hz, scaling "
        f"`{spec.scaling}`, colours `{spec.colormap}`; spec `{spec.short_hash}`. Training, "
        "calibration and every figure below used the integer front end that firmware runs.",
        f"- Start: {_start(recipe)}; {recipe['epochs']} epochs, batch {recipe['batch']}, Adam "
        f"{recipe['learning_rate']:g}, seed {recipe['seed']}.",
        "",
        "## Intended use",
        "",
        "To tell, on a wearable or afterwards, which seconds of an ECG can be relied on for heart",
        "beats. It is no medical device, detects no disease, and a segment that it calls high may",
        "still be unfit for measuring ST levels or P waves.",
        "",
        "## Trained on",
        "",
        "| source | class | segments | recordings or patients | held out for validation |",
        "|---|---|---|---|---|",
        *_source_rows(recipe, training["segments"], validation["segments"]),
        "",
        *_labels(recipe["composition"]),
        "",
        "## Validation (patients and recordings held out)",
        "",
        *_tables({"float": validation["float"], "int8": validation["int8"]}),
        "",
        f"{_flips(validation['flips'])} Thresholds were chosen here, on nothing else.",
        "",
    ]
    for source, result in metrics["external"].items():
        lines += [f"## External test: {source}", "", *_external(result), ""]
    lines += [
        "## Limits",
        "",
        *(
            []
            if metrics["external"]
            else ["- No external test has been run: `ecgqa evaluate MODEL DATA --record` does it."]
        ),
        "- Not tested on: children, paced rhythms as a group, exercise, in-ear, chest-patch or",
        "  textile electrodes.",
        "- Labels of recordings that segments inherit are often wrong for a single segment;",
        "  agreement with such labels understates a model that reads segments better.",
        "- Flat or missing signal is called low before the network is asked.",
        "",
    ]
    return "\n".join(lines)


def _start(recipe: dict[str, Any]) -> str:
    name = recipe["initial_weights"]
    return "random weights" if name is None else f"weights of `{name}`"


def _source_rows(
    recipe: dict[str, Any], train: dict[str, Any], validation: dict[str, Any]
) -> list[str]:
    rows = []
    for quality in ("high", "low"):
        for source, _ in recipe["composition"][quality]:
            if source in train:
                held = validation.get(source, {"segments": 0})["segments"]
                rows.append(
                    f"| {SOURCES[source]} | {quality} | {train[source]['segments']:,} "
                    f"| {train[source]['groups']:,} | {held:,} |"
                )
    return rows


def _labels(composition: dict[str, Any]) -> list[str]:
    """How segments got their labels, as the composition says."""
    rule = composition["mixture"]
    unclear = "mixtures_unclear" in dict(composition["low"])
    lines = [
        "Labels of mixtures follow from what the noise does to the beats: low where two detectors",
        "(XQRS, GQRS) both err on two or more (lost), "
        + (f"where one errs at all below {rule['high_snr_db']:g} dB (unclear), " if unclear else "")
        + f"or the signal-to-noise ratio (5-25 Hz) is below {rule['low_snr_db']:g} dB;",
        f"high where both find every beat and it exceeds {rule['high_snr_db']:g} dB; the rest is "
        "left out.",
    ]
    if rule["see_through"]:
        lines.append(f"Noise of kind {', '.join(rule['see_through'])} makes no segment low.")
    if composition["agreed_leads"]:
        lines.append("Leads entered only where the detectors' agreement bears out their label.")
    if composition["jump_share"]:
        lines.append(f"{composition['jump_share']:.0%} of all segments got a baseline jump on top.")
    return [
        *lines,
        "No patient, recording or stretch of noise is in both sets; identical recordings were",
        "counted once.",
    ]


def _tables(tables: dict[str, dict[str, Any]]) -> list[str]:
    """A row for each table: figures with their 95 % intervals over recordings."""
    heads = [HEADINGS[name] for name in FIGURES]
    lines = [
        "| model | " + " | ".join(heads) + " | high | low |",
        "|---" * (len(heads) + 3) + "|",
    ]
    for model, table in tables.items():
        cells = [_figure(table[name]) for name in FIGURES]
        n = table["n"]
        lines.append(f"| {model} | " + " | ".join(cells) + f" | {n['high']:,} | {n['low']:,} |")
    return lines


def _figure(figure: dict[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text if low is None or high is None else f"{text} ({low:.3f}-{high:.3f})"


def _flips(flips: dict[str, Any]) -> str:
    return f"int8 and float decide differently on {flips['flipped']:,} ({flips['share']:.2%})."


def _external(result: dict[str, Any]) -> list[str]:
    models = {"int8": result} | ({"float": result["float"]} if "float" in result else {})
    tables = dict(models)
    for name, table in models.items():
        if "graded" in table:
            tables[f"{name}, graded by eye (A against C)"] = table["graded"]
    lines = _tables(tables)
    ties = result["tie_share"]
    notes = [] if ties is None else [f"Ties: {ties:.2%} of (high, low) pairs score alike in int8."]
    if "flips" in result:
        notes.append(_flips(result["flips"]))
    if "graded" in result and result["graded"]["b_called_high"] is not None:
        notes.append(f"Graded B and called high: {result['graded']['b_called_high']:.1%}.")
    return [*lines, "", " ".join(notes)]


def add_external(model: ModelFolder, source: str, result: dict[str, Any]) -> ModelFolder:
    """Note an external test in ``metrics.json`` and write the card anew; the folder stays whole.

    Parameters
    ----------
    model
        A model folder (not an exported bundle).
    source
        Name of the set; a result of that name is replaced.
    result
        What :func:`ecgqa_tflite.evaluation.evaluate` returned.
    """
    metrics = json.loads(json.dumps(model.metrics))
    metrics["external"][source] = result
    with whole_folder(model.path, overwrite=True) as folder:
        _copy(model.path, folder)
        (folder / "metrics.json").write_text(json_text(metrics), encoding="utf-8")
        card = model_card(model.name, model.spec, model.recipe, metrics)
        (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        seal(folder)
        open_model(folder)
    return open_model(model.path)


def _copy(source: Path, destination: Path) -> None:
    for path in source.iterdir():
        (destination / path.name).write_bytes(path.read_bytes())
