# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``MODEL_CARD.md``, generated from what a training and its tests wrote: no figure is typed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ecgqa_tflite.datasets import challenge2011, challenge2017, mitdb
from ecgqa_tflite.datasets.drawn import (
    FOUND_SNR_DB,
    FOUND_SPURIOUS,
    LOST_ERRORS,
    POOR_ERRORS,
    POOR_SNR_DB,
)
from ecgqa_tflite.datasets.folders import PUBLISHED
from ecgqa_tflite.datasets.labelled import LabelledSet
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.escape import markdown
from ecgqa_tflite.evaluation.failures import DIRECTIONS, GRADES, KINDS
from ecgqa_tflite.evaluation.figures import FIGURES, HEADINGS, Figure
from ecgqa_tflite.evaluation.footprint import footprint
from ecgqa_tflite.model_folder import ModelFolder, json_text, open_model, seal
from ecgqa_tflite.output import MANIFEST, whole_folder
from ecgqa_tflite.plots.calibration import calibration_svg
from ecgqa_tflite.spec import MAX_SEGMENT_LEN, FrontEnd

SOURCES = {
    "leads_good": "challenge-2011 leads labelled good",
    "leads_disturbed": "the same with one step, spike or wander",
    "clean": "mitdb, clean segments whose beats all show",
    "disturbed": "the same with one step, spike or wander",
    "mixtures_found": "clean ECG with noise, every beat still found",
    "rhythms": "mitdb, wide, slow or fast beats",
    "pauses": "mitdb with a pause of 1.3 to 4 s",
    "tachycardia": "monomorphic tachycardia made by rule",
    "rhythms_recorded": "vfdb, other rhythms than ventricular, QRS plain",
    "tachycardia_recorded": "vfdb, ventricular tachycardia and flutter that repeat themselves",
    "graded_high": "vfdb, cudb, challenge-2015: windows graded A, training's shifted too",
    "leads_bad": "challenge-2011 leads labelled bad",
    "mixtures_lost": "clean ECG with noise, beats lost",
    "mixtures_poor": "clean ECG with noise, poor signal-to-noise ratio, beats unclear",
    "mixtures_low_snr": "clean ECG with noise, poor signal-to-noise ratio",
    "hidden": "clean ECG, noise over 1.3 to 4 s of it",
    "noise": "noise alone (nstdb and synthetic)",
    "hum": "clean ECG that mains hum replaces for 1.5 s or more",
    "hum_alone": "mains hum alone",
    "waves": "waves that are no ECG",
    "bells": "pulse waves",
    "fibrillation": "fibrillation made by rule",
    "fibrillation_recorded": "vfdb, fibrillation without complexes",
    "graded_low": "vfdb, cudb, challenge-2015: windows graded C, training's shifted too",
    "clipped": "clean ECG cut off on the rails of an amplifier",
}
"""What a source of the balanced sets is, for a reader."""

TRAINING_SETS = (challenge2011.NAME, mitdb.NAME)
"""Public sets whose ECG the balanced sets are made of."""


def model_card(model: ModelFolder, picture: str | None = None) -> str:
    """The card's text, Markdown: it says what the JSON beside the model says, and no more.

    Parameters
    ----------
    model
        What it is about, with its metrics; what they lack is left out.
    picture
        File of the calibration curve, where there is one.
    """
    spec, metrics = model.spec, model.metrics
    training, validation = metrics.get("training", {}), metrics.get("validation", {})
    external = metrics.get("external", {})
    lines = [
        f"# {model.name}",
        "",
        f"Says of {spec.segment_s:g} s of single-lead ECG whether its quality is high (the R peaks",
        "can be identified) or low. Written by the run from the JSON files beside it.",
        "",
        *_glance(model),
        "",
        "## Intended use",
        "",
        "To tell, on a wearable or afterwards, which seconds of an ECG can be relied on for heart",
        "beats, so that heart rate, intervals or a rhythm algorithm use these and no others.",
        "",
        "**Out of scope.** It is no medical device and detects no disease. High quality means that",
        "beats can be found: P waves, ST levels and intervals within a beat may still be unfit to",
        "measure. It must not silence an alarm: a dangerous rhythm may well look like noise.",
        "",
        "## Data",
        "",
        *_trained_on(model, training, validation),
        *_quantised(model),
        *_tested_on(model, external),
        "",
    ]
    if tables := {kind: validation[kind] for kind in ("float", "int8") if kind in validation}:
        lines += ["## Validation (patients and recordings held out)", "", *_tables(tables), ""]
        if "flips" in validation:
            lines += [
                f"{_flips(validation['flips'])} The int8 threshold is",
                "where its decisions here agree best with the float ones.",
            ]
            lines += [""]
    for source, result in external.items():
        lines += [f"## External test: {source}", "", *_external(result, spec), ""]
    if curves := _curves(metrics):
        lines += ["## Calibration of P(high)", "", *_calibration(curves, picture), ""]
    for source, result in external.items():
        if "failures" in result:
            lines += [f"## Errors looked at: {source}", "", *_failures(result["failures"]), ""]
    lines += ["## Limits", "", *_limits(external), ""]
    return "\n".join(lines)


def _glance(model: ModelFolder) -> list[str]:
    """The model in a table."""
    spec, training = model.spec, model.metrics.get("training", {})
    alpha = model.arguments.get("alpha")
    rows = [
        ("network", f"`{model.architecture}`" + ("" if alpha is None else f", alpha {alpha:g}")),
        ("image", " x ".join(map(str, spec.image_shape)) + f", scaling `{spec.scaling}`, colours "
         f"`{spec.colormap}`, rows from {spec.f_max_hz:g} to {spec.f_min_hz:g} Hz"),
        ("front end", f"integer, the device's, in training, calibration and every test; spec "
         f"`{spec.short_hash}`; sampling rates from {spec.fs_min_hz:g} to "
         f"{MAX_SEGMENT_LEN / spec.segment_s:g} Hz that give a segment of 2^a 3^b 5^c samples"),
    ]  # fmt: skip
    if "parameters" in training:
        rows.append(("weights", f"{training['parameters']:,}"))
    if "tflite_bytes" in training:
        rows.append(("`.tflite`", f"{training['tflite_bytes']:,} bytes"))
    if device := model.metrics.get("device"):
        ram = device["ram_bytes"]
        rows += [
            ("multiply-accumulates", f"{device['macs']:,} a segment"),
            (
                "RAM",
                f"{'not known' if ram is None else f'{ram:,} bytes'}, {device['runtime']}, front "
                f"end included, stack not, at {device['fs_hz']:g} Hz (computed)",
            ),
            ("flash", f"{device['constant_bytes']:,} bytes of weights and tables; code on top"),
        ]
    rows += [
        (
            "called high",
            f"from int8 score {model.threshold_int8} (P(high) "
            f"{probability(model.threshold_int8):.3f}); float: from {model.threshold:.3f}",
        ),
        ("start", _start(model.recipe, training.get("pretraining"))),
        ("licence", markdown(model.licence)),
    ]
    return ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]


def _start(recipe: dict[str, Any], pretraining: dict[str, Any] | None) -> str:
    if "initial_weights" not in recipe:
        return "not known"
    name = recipe["initial_weights"]
    start = "random weights" if name is None else f"weights of `{name}`"
    if pretraining is not None:
        right = pretraining["validation"]
        start = (
            f"pre-trained on {pretraining['images']:,} photographs of {pretraining['classes']} "
            f"classes at {pretraining['size']} pixels, {_epochs(pretraining)} "
            f"({right['top1']:.1%} of {right['n']:,} held-out ones told right)"
        )
    return (
        f"{start}; then {_epochs(recipe)}, batch {recipe['batch']}, Adam "
        f"{recipe['learning_rate']:g}, seed {recipe['seed']}"
    )


def _epochs(schedule: Mapping[str, Any]) -> str:
    n = schedule["epochs"]
    return "1 epoch" if n == 1 else f"{n} epochs"


def _trained_on(
    model: ModelFolder, training: dict[str, Any], validation: dict[str, Any]
) -> list[str]:
    if not training.get("segments") or "composition" not in model.recipe:
        return []
    composition = model.recipe["composition"]
    return [
        "| trained on | class | segments | recordings or patients | validated on | of |",
        "|---|---|---|---|---|---|",
        *_source_rows(composition, training["segments"], validation.get("segments", {})),
        "",
        *_labels(composition),
        "",
    ]


def _quantised(model: ModelFolder) -> list[str]:
    """How the weights became what the device computes with."""
    if _is_float(model.metrics):
        return ["Not quantised: the network computes in float32."]
    if not model.calibration_ids:
        return []
    whose = "the user's" if "calibration" in model.metrics else "the training"
    method = model.metrics.get("quantisation", {}).get("method")
    how = ", and its weights trained on with quantisation" if method == "qat" else ""
    return [
        f"The int8 network's ranges were calibrated on {len(model.calibration_ids):,} of {whose}",
        f"segments (`calibration.json`){how}.",
    ]


def _tested_on(model: ModelFolder, external: dict[str, Any]) -> list[str]:
    if not external:
        return ["No external test has been run: `ecgqa evaluate MODEL DATA --record` does it."]
    return [
        f"Tested on {source}: {result['n']['high'] + result['n']['low']:,} segments of "
        f"{result['groups']:,} recordings. "
        + (
            "Nothing of it trained, calibrated or stopped anything."
            if source == challenge2017.NAME and _from_recipe(model)
            else "Whether the model had seen any of it is not known here."
        )
        for source, result in external.items()
    ]


def _from_recipe(model: ModelFolder) -> bool:
    """Whether the model was trained on the balanced sets: what it has seen is known."""
    return "composition" in model.recipe


def _source_rows(
    composition: dict[str, Any], train: dict[str, Any], validation: dict[str, Any]
) -> list[str]:
    rows = []
    for quality in ("high", "low"):
        for source, _ in composition[quality]:
            if source in train:
                used, held = train[source], validation.get(source, {"segments": 0, "groups": 0})
                rows.append(
                    f"| {SOURCES.get(source, source)} | {quality} | {used['segments']:,} "
                    f"| {used['groups']:,} | {held['segments']:,} | {held['groups']:,} |"
                )
    return rows


def _labels(composition: dict[str, Any]) -> list[str]:
    """How segments got their labels, as the composition says."""
    return [
        *(_by_detectors(composition["mixture"]) if "mixture" in composition else _by_beats()),
        "No patient, recording or stretch of noise is in both sets; identical recordings were",
        "counted once."
        + (
            f" Held out by name: {', '.join(composition['held_out'])}."
            if composition.get("held_out")
            else ""
        ),
    ]


def _by_beats() -> list[str]:
    """The label of what is mixed, today."""
    return [
        "Labels of mixtures follow from where the beats are known to be, in the conditioned",
        f"segment's QRS band: high where none is lost, at most {FOUND_SPURIOUS} more peak would be "
        f"taken for one and",
        f"the signal-to-noise ratio (5-25 Hz) exceeds {FOUND_SNR_DB:g} dB; low from {LOST_ERRORS} "
        f"errors on, or from {POOR_ERRORS} below",
        f"{POOR_SNR_DB:g} dB; the rest is left out.",
    ]


def _by_detectors(rule: dict[str, Any]) -> list[str]:
    """The label of what was mixed before version 0.2, whose recipes name a rule for it."""
    return [
        "Labels of mixtures follow from what the noise does to the beats: low where two detectors",
        "(XQRS, GQRS) both err on two or more (lost), "
        f"or the signal-to-noise ratio (5-25 Hz) is below {rule['low_snr_db']:g} dB;",
        f"high where both find every beat and it exceeds {rule['high_snr_db']:g} dB; the rest is "
        "left out.",
    ]


def _tables(tables: dict[str, dict[str, Any]]) -> list[str]:
    """A row for each table: figures with their 95 % intervals over recordings."""
    heads = [HEADINGS[name] for name in FIGURES]
    lines = [
        "| model | " + " | ".join(heads) + " | high | low |",
        "|---" * (len(heads) + 3) + "|",
    ]
    for model, table in tables.items():
        cells = [f"{Figure.of(table[name]):.3f}" for name in FIGURES]
        n = table["n"]
        lines.append(f"| {model} | " + " | ".join(cells) + f" | {n['high']:,} | {n['low']:,} |")
    return lines


def _flips(flips: dict[str, Any]) -> str:
    return f"int8 and float decide differently on {flips['flipped']:,} ({flips['share']:.2%})."


def _external(result: dict[str, Any], spec: FrontEnd) -> list[str]:
    models = {"int8": result} | ({"float": result["float"]} if "float" in result else {})
    tables = {f"{name}, inherited labels": table for name, table in models.items()}
    tables |= {
        f"{k}, graded by eye (A, C)": t["graded"] for k, t in models.items() if "graded" in t
    }
    lines = _tables(tables)
    ties = result["tie_share"]
    notes = [] if ties is None else [f"Ties: {ties:.2%} of (high, low) pairs score alike in int8."]
    if "flips" in result:
        notes.append(_flips(result["flips"]))
    lines += ["", " ".join(notes)]
    if "graded" in result:
        called = result["graded"]["b_called_high"]
        lines += [
            "",
            "Segments inherit the label of their whole recording, which is often wrong for "
            f"{spec.segment_s:g} s of",
            "it. Graded by eye: segments that were read one by one, A (every R peak is sure) as",
            "high, C (no R peaks for more than 1 s) as low, where all readings agree."
            + ("" if called is None else f" B, in between, is called high in {called:.1%}."),
        ]
    return lines


def _curves(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Reliability of the int8 network by set, where both classes were there."""
    sets = {"validation": metrics.get("validation", {}).get("int8", {})}
    sets |= metrics.get("external", {})
    return {
        name: result["reliability"]
        for name, result in sets.items()
        if result.get("reliability", {}).get("ece_balanced") is not None
    }


def _calibration(curves: dict[str, dict[str, Any]], picture: str | None) -> list[str]:
    lines = [] if picture is None else [f"![Calibration curve]({picture})", ""]
    lines += [
        "| P(high), int8 | " + " | ".join(f"{name}: high of all" for name in curves) + " |",
        "|---" * (1 + len(curves)) + "|",
    ]
    for bins in zip(*(curve["bins"] for curve in curves.values()), strict=True):
        cells = [_share(b["high"], b["high"] + b["low"]) for b in bins]
        lines.append(f"| {bins[0]['from']:.1f}-{bins[0]['to']:.1f} | " + " | ".join(cells) + " |")
    for label, key in (("error", "ece"), ("error, classes alike", "ece_balanced")):
        cells = [f"{curve[key]:.3f}" for curve in curves.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        "Error: expected calibration error over the ten bins. P(high) is meant for as many high as",
        "low segments, which is what training and validation hold; on a set of another mix it is",
        "off by that alone, so the picture and the last row weight both classes alike.",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else "-"


def _failures(failures: dict[str, Any]) -> list[str]:
    if not failures["dates"]:
        return ["There were none: the model contradicts no label of a segment with a signal."]
    first, last = failures["dates"]
    when = first if first == last else f"{first} to {last}"
    lines = [
        f"Errors drawn at random (seed {failures['seed']}), looked at one by one, {when}. Read by: "
        f"{'; '.join(failures['readers'])}.",
        "",
        "| error | in all | read | " + " | ".join(GRADES) + " | reads as the model said |",
        "|---" * (4 + len(GRADES)) + "|",
    ]
    for key, (_, words) in DIRECTIONS.items():
        table = failures[key]
        grades = " | ".join(str(table["grades"][grade]) for grade in GRADES)
        lines.append(
            f"| {words} | {table['errors']:,} | {table['read']} | {grades} "
            f"| {Figure.of(table['label_wrong']):.2f} |"
        )
    lines += ["", " ".join(f"{grade}: {words}." for grade, words in GRADES.items())]
    lines += ["The last column is how often the label, not the model, is clearly wrong.", ""]
    lines += ["| what meets the eye | " + " | ".join(w for _, w in DIRECTIONS.values()) + " |"]
    lines += ["|---" * (1 + len(DIRECTIONS)) + "|"]
    for kind, words in KINDS.items():
        counts = [failures[key]["kinds"].get(kind, 0) for key in DIRECTIONS]
        if any(counts):
            lines.append(f"| {words} | " + " | ".join(map(str, counts)) + " |")
    return lines


def _limits(external: dict[str, Any]) -> list[str]:
    return [
        "- Not tested: children, pacemakers, ventricular arrhythmia as groups; rest and effort",
        "  apart; chest patches, textile or in-ear electrodes, 12-lead electrodes other than those",
        "  of the sets above; a vest in motion; signals clipped by a real amplifier; mains hum or",
        "  rates below those of the sets; skin tones, ages or sexes apart.",
        "- Labels that segments inherit understate a model that reads segments better, and a model",
        "  that agrees with them more is not for that the better one.",
        "- A segment is judged alone: neither its neighbours nor its amplitude in mV count.",
        "- Flat or missing signal is called low before the network is asked.",
    ]


CURVE = "calibration.svg"
"""The calibration curve beside a card."""


def _is_float(metrics: Mapping[str, Any]) -> bool:
    return bool(metrics.get("quantisation", {}).get("method") == "none")


def refuse_unrecordable(model: ModelFolder) -> None:
    """Raise :class:`ArgumentError` where a model's card can't be written anew, before any work."""
    path = model.path.resolve()
    if (path / MANIFEST).is_file():
        raise ArgumentError(
            f"{model.path}: is an exported bundle, which stays as it was converted: record in the "
            f"folder of its model"
        )
    for place in (path, path.parent):
        if not os.access(place, os.W_OK | os.X_OK):
            raise ArgumentError(
                f"{model.path}: can't be written anew, for {place} can't be written: record in a "
                f"copy of the model"
            )


def refuse_seen(model: ModelFolder, source: str, segments: LabelledSet) -> None:
    """Raise :class:`ArgumentError` where figures on a public set are no test of the model.

    What it has seen of a folder of the user's can't be known, and its card says so.

    Parameters
    ----------
    source, segments
        Name (:func:`~ecgqa_tflite.datasets.folders.set_name`) of the set, and the set.
    """
    places = (name.partition("@")[0].split("/") for name in model.calibration_ids)
    calibrated = {word for place in places for word in place} & segments.records
    trained = _from_recipe(model) and source in TRAINING_SETS
    if trained or (source in PUBLISHED and calibrated):
        raise ArgumentError(
            f"{model.path}: was made with recordings of {source}, so figures on them are no test "
            f"to record: leave --record out or give another set"
        )


def write_card(
    model: ModelFolder,
    metrics: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
) -> ModelFolder:
    """Write metrics, card, calibration curve and sums of a model folder anew; it stays whole.

    What the model takes on a device is worked out and noted in the metrics, under ``device``.

    Parameters
    ----------
    model
        A model folder (not an exported bundle).
    metrics
        New metrics; None keeps those there are.
    files
        Further texts to put beside the card, by name.
    """
    noted = json.loads(json.dumps(model.metrics if metrics is None else metrics))
    if model.tflite_name is not None and not _is_float(noted):
        noted["device"] = footprint(model)
    path, described = model.path.resolve(), replace(model, metrics=noted)
    curves = _curves(noted)
    texts = {"metrics.json": json_text(noted), **(files or {})}
    texts["MODEL_CARD.md"] = model_card(described, CURVE if curves else None)
    if curves:
        texts[CURVE] = calibration_svg(curves)
    with whole_folder(path, overwrite=True, carried=True) as folder:
        shutil.copytree(path, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        seal(folder)
        open_model(folder)
    return replace(open_model(path), path=model.path)


def add_external(
    model: ModelFolder,
    source: str,
    result: dict[str, Any],
    files: Mapping[str, str] | None = None,
) -> ModelFolder:
    """Note an external test in ``metrics.json`` and write the card anew; the folder stays whole.

    Parameters
    ----------
    model
        A model folder (not an exported bundle).
    source
        Name of the set. Of a result of that name what the new one lacks is kept where both are
        of the same segments: a retrained model's folder starts without, so it is the same model's.
    result
        What :func:`ecgqa_tflite.evaluation.models.evaluate` returned, with the set's ``digest``
        (:attr:`ecgqa_tflite.datasets.labelled.LabelledSet.digest`).
    files
        Further texts to put beside the card, by name.
    """
    external = dict(model.metrics.get("external", {}))
    external[source] = _joined(external.get(source, {}), result)
    return write_card(model, {**model.metrics, "external": external}, files)


def _joined(before: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """``result`` with what only ``before`` holds, if they are of the same segments."""
    told = {"digest": result.get("digest")} | before  # the first results have none: counts tell
    if any(told.get(key) != result.get(key) for key in ("digest", "n", "groups")):
        return result
    joined = before | result
    floats = [r["float"] for r in (before, result) if "float" in r]
    if len({table.get("front_end") for table in floats}) == 1:  # its graded ones are kept too
        joined["float"] = {key: value for table in floats for key, value in table.items()}
    return joined
