# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``MODEL_CARD.md``, generated from what a training and its tests wrote: no figure is typed."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
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
from ecgqa_tflite.datasets.rhythms import VENTRICULAR, WORDS
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.escape import markdown
from ecgqa_tflite.evaluation.failures import DIRECTIONS, GRADES, KINDS
from ecgqa_tflite.evaluation.figures import FIGURES, HEADINGS, Figure, by_labels
from ecgqa_tflite.evaluation.footprint import footprint
from ecgqa_tflite.evaluation.operating import taken_before
from ecgqa_tflite.model_folder import ModelFolder, json_text, open_model, seal
from ecgqa_tflite.output import MANIFEST, whole_folder
from ecgqa_tflite.plots.calibration import calibration_svg
from ecgqa_tflite.spec import MAX_SEGMENT_LEN, FrontEnd

SOURCES = {
    "leads_good": "challenge-2011 leads labelled good",
    "leads_disturbed": "the same with one step, spike or wander",
    "clean": "mitdb, clean segments whose beats all show",
    "disturbed": "the same with steps, spikes or wander",
    "mixtures_found": "clean ECG with noise, every beat still found",
    "rhythms": "mitdb, wide, slow or fast beats",
    "pauses": "mitdb with a pause of 1.3 to 4 s",
    "tachycardia": "monomorphic tachycardia made by rule",
    "rhythms_recorded": "vfdb, other rhythms than ventricular, QRS plain",
    "tachycardia_recorded": "vfdb, ventricular tachycardia and flutter that repeat themselves",
    "graded_high": "vfdb, cudb, challenge-2015: windows graded A, training's shifted too",
    "leads_bad": "challenge-2011 leads labelled bad",
    "leads_hidden": "challenge-2011 leads labelled bad, less what two detectors agree on",
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
        *_pruned(model.metrics.get("pruning")),
        *_tested_on(model, external),
        "",
    ]
    if "threshold" in metrics:
        lines += ["## Threshold", "", *_threshold(metrics["threshold"]), ""]
    if any("validation" in epoch for epoch in training.get("epochs", [])):
        lines += ["## Epochs", "", *_by_epoch(training["epochs"]), ""]
    if tables := {kind: validation[kind] for kind in ("float", "int8") if kind in validation}:
        lines += ["## Validation (patients and recordings held out)", "", *_tables(tables), ""]
        lines += _moved(validation.get("int8", {}), model)
        if "flips" in validation:
            lines += [_flips(validation["flips"])]
            if "threshold" not in metrics:
                lines += ["The int8 threshold is where its decisions here agree best with the "
                          "float ones."]  # fmt: skip
            lines += [""]
    for source, result in external.items():
        lines += [f"## External test: {source}", "", *_external(result, spec), ""]
        lines += _moved(result, model)
    if curves := _curves(metrics):
        lines += ["## Calibration of P(high)", "", *_calibration(curves, picture), ""]
    for source, result in external.items():
        if "failures" in result:
            lines += [f"## Errors looked at: {source}", "", *_failures(result["failures"]), ""]
    lines += _rhythms(metrics.get("rhythms", {}))
    lines += ["## Limits", "", *_limits(metrics), ""]
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
        if "through" in pretraining:
            start += f", then trained as an earlier `{pretraining['through']}`"
    seed, n = recipe["seed"], recipe.get("averaged", 1)
    return (
        f"{start}; then {_epochs(recipe)}, batch {recipe['batch']}, Adam "
        f"{recipe['learning_rate']:g}, "
        + (
            f"seed {seed}"
            if n == 1
            else f"the mean of {n} trainings, seeds {seed} to {seed + n - 1}"
        )
        + _taught(recipe.get("teachers", ()))
    )


def _taught(teachers: Sequence[str]) -> str:
    if not teachers:
        return ""
    names = " and ".join(f"`{name}`" for name in teachers)
    return f"; where a label may err, half of the target is P(high) of {names}"


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
        *_source_rows(composition, training, validation.get("segments", {})),
        "",
        *_lead_labels(training),
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


def _pruned(found: Mapping[str, Any] | None) -> list[str]:
    """What was left out, of what, and by which segments."""
    if found is None:
        return []
    looked = " and ".join(f"{n:,} ({markdown(what)})" for what, n in found["segments"].items())
    gone = [layer for layer in found["layers"] if layer["channels"][0] != layer["channels"][1]]
    layers = "; ".join(f"{had} to {has}" for had, has in (layer["channels"] for layer in gone))
    before, after = (sum(layer["macs"][i] for layer in found["layers"]) for i in (0, 1))
    if found["method"] == "share":
        return [
            "",
            f"Pruned: `{found['of']}` without the {found['share']:.0%} of each layer's channels",
            "that its calibration segments woke least, and what was left trained on with",
            f"{markdown(found['data']['set'])}: {layers or 'none'} channels; {before:,} to",
            f"{after:,} multiply-accumulates. Validation's float figures are the whole network's.",
            "",
        ]
    return [
        "",
        f"Pruned: `{found['of']}` without the channels that hold one value on all of {looked}",
        f"segments: {layers or 'none'} channels; {before:,} to {after:,} multiply-accumulates.",
        "On a segment that wakes no removed channel the score is that network's, bit for bit; on",
        "others it may differ.",
        "",
    ]


def _tested_on(model: ModelFolder, external: dict[str, Any]) -> list[str]:
    if not external:
        return ["No external test has been run: `ecgqa evaluate MODEL DATA --record` does it."]
    return [
        f"Tested on {source}: {result['n']['high'] + result['n']['low']:,} segments of "
        f"{result['groups']:,} recordings. " + _seen(model, source)
        for source, result in external.items()
    ]


def _seen(model: ModelFolder, source: str) -> str:
    if model.metrics.get("threshold", {}).get("set") == source:
        return "The threshold was chosen on it afterwards."
    if source == challenge2017.NAME and _from_recipe(model):
        return "Nothing of it trained, calibrated or stopped anything."
    return "Whether the model had seen any of it is not known here."


def _threshold(chosen: dict[str, Any]) -> list[str]:
    """What the threshold was chosen on, where it was chosen after the training."""
    labels = "segments graded by eye" if chosen["labels"] == "graded" else "segments"
    n = chosen["n"]
    return [
        f"High from int8 score {chosen['threshold_int8']} on (P(high) "
        f"{probability(chosen['threshold_int8']):.3f}; it was {chosen['before']}), chosen on",
        f"{markdown(chosen['set'])} ({n['high']:,} high and {n['low']:,} low {labels} of "
        f"{chosen['groups']:,} recordings) by: {chosen['rule']}.",
        f"There Se is {Figure.of(chosen['se']):.3f} and Sp {Figure.of(chosen['sp']):.3f}, which "
        "is no test: it was chosen so."
        + (" Recordings of it trained the model, which flatters both." if chosen["seen"] else ""),
    ]


def _moved(result: dict[str, Any], model: ModelFolder) -> list[str]:
    """That figures were taken at another threshold than the model's, where they were."""
    if not taken_before(result, model.metrics):
        return []
    return [
        f"Taken at int8 score {result['threshold']}, before the threshold was moved to "
        f"{model.threshold_int8}: AUC and",
        "calibration hold for both, Se, Sp, Acc and BAcc for that one.",
        "",
    ]


def _from_recipe(model: ModelFolder) -> bool:
    """Whether the model was trained on the balanced sets: what it has seen is known."""
    return "composition" in model.recipe


def _by_epoch(history: list[dict[str, Any]]) -> list[str]:
    """A row per epoch; validation beside it, which stopped and chose nothing.

    Where trainings are averaged, the epochs of each are counted from 1, with its seed.
    """
    rows, counts = [], Counter[int]()
    for epoch in history:
        seed = epoch.get("seed", 0)
        counts[seed] += 1
        held = epoch.get("validation", {})
        cells = [f"{Figure(held.get(name)):.4f}" for name in ("loss", "accuracy", "auc")]
        which = f"{counts[seed]}, seed {seed}" if "seed" in epoch else str(counts[seed])
        rows.append(
            f"| {which} | {epoch['loss']:.4f} | {epoch['accuracy']:.4f} | "
            + " | ".join(cells)
            + " |"
        )
    return [
        "| epoch | loss | accuracy | validation: loss | accuracy | AUC |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "The training's loss has smoothed labels and augmented images, validation's neither; it",
        "stopped and chose nothing.",
    ]


def _lead_labels(training: dict[str, Any]) -> list[str]:
    """Where the labels of leads are from, where that was noted."""
    if "leads" not in training:
        return []
    whose = markdown(training["leads"])
    if training["lead_labels"] == "by recording":
        return [f"Each lead of {whose} has the label of its recording.", ""]
    if training["leads"] != challenge2011.NAME:
        return [f"The leads of {whose} are labelled one by one, by their owner.", ""]
    return [
        "Labels of challenge-2011's leads are the ECGAssess project's (Kramer et al. 2022), not",
        "PhysioNet's.",
        "",
    ]


def _source_rows(
    composition: dict[str, Any], training: dict[str, Any], validation: dict[str, Any]
) -> list[str]:
    rows, train = [], training["segments"]
    leads = markdown(training.get("leads", challenge2011.NAME))
    for quality in ("high", "low"):
        for source, _ in composition[quality]:
            if source in train:
                used, held = train[source], validation.get(source, {"segments": 0, "groups": 0})
                what = SOURCES.get(source, source).replace(challenge2011.NAME, leads)
                rows.append(
                    f"| {what} | {quality} | {used['segments']:,} "
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
    tables = {
        f"{name}, {words}": table
        for words, kinds in reversed(by_labels(result).items())
        for name, table in kinds.items()
    }
    lines = _tables(tables)
    ties = result["tie_share"]
    notes = [] if ties is None else [f"Ties: {ties:.2%} of (high, low) pairs score alike in int8."]
    if "flips" in result:
        notes.append(_flips(result["flips"]))
    lines += ["", " ".join(notes)]
    lines += _classes(result.get("classes"))
    lines += _stretches(result.get("stretches", {}))
    lines += _robustness(result.get("robustness", {}))
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


def _classes(classes: dict[str, dict[str, Any]] | None) -> list[str]:
    """By the set's own classes, where it has some."""
    if not classes:
        return []
    rows = [
        f"| {name} | {row['n']:,} | {row['groups']:,} | {Figure.of(row['called_high']):.3f} |"
        for name, row in classes.items()
    ]
    head = ["", "| class of the recording | segments | recordings | called high |"]
    return [*head, "|---|---|---|---|", *rows]


def _stretches(stretches: dict[str, dict[str, Any]]) -> list[str]:
    """Decisions on several segments, where recordings are long enough."""
    if len(stretches) < 2:
        return []
    rows = [
        f"| {length} s | {table['n']['high']:,} | {table['n']['low']:,} "
        f"| {Figure.of(table['bacc']):.3f} | {Figure.of(table['one']):.3f} "
        f"| {Figure.of(table['auc']):.3f} |"
        for length, table in stretches.items()
    ]
    return [
        "",
        "| decided on, by the mean score | high | low | BAcc | segments one by one | AUC |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _robustness(changes: dict[str, dict[str, Any]]) -> list[str]:
    """Decisions that one change changes."""
    if not changes:
        return []
    rows = [
        f"| {name} | {row['changed']} of {row['n']} | {Figure.of(row['share']):.1%} "
        f"| {row['to_high']} | {row['to_low']} |"
        for name, row in changes.items()
    ]
    head = ["", "| changed in the signal | decisions changed | share | to high | to low |"]
    return [*head, "|---|---|---|---|---|", *rows]


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


def _rhythms(sets: dict[str, dict[str, Any]]) -> list[str]:
    """What is called high by rhythm, set by set; records that trained apart."""
    lines: list[str] = []
    for name, parts in sets.items():
        for part, words in PART_WORDS.items():
            if part not in parts:
                continue
            lines += [f"### {markdown(name)}, {words}", ""]
            if "graded" in parts[part]:
                lines += [*_graded_by_rhythm(parts[part]["graded"]), ""]
            if "rhythms" in parts[part]:
                lines += [*_by_rhythm(parts[part]["rhythms"]), ""]
    if not lines:
        return []
    return [
        "## By rhythm",
        "",
        "Segments wholly in one annotated rhythm. Nobody says which of them can be read: high is",
        "right where beats can be told, low where they can't (fibrillation, noise). Segments whose",
        "signal itself shows that it holds no beats (flat, held, clipped, smooth) count as called",
        "low. Records that trained nothing include those of validation, which chose epoch and",
        "threshold.",
        "",
        *lines,
    ]


PART_WORDS = {
    "held_out": "records that trained nothing",
    "trained_on": "records that trained the model",
}


def _by_rhythm(rhythms: dict[str, dict[str, Any]]) -> list[str]:
    rows = [
        f"| {markdown(f'{WORDS.get(name, name)} ({name})')} | {row['n']:,} | {row['groups']} "
        f"| {Figure.of(row['called_high']):.3f} | {row['n'] - row['reasons'].get('ok', 0):,} |"
        for name, row in sorted(rhythms.items(), key=lambda pair: -pair[1]["n"])
    ]
    return [
        "| rhythm | segments | patients | called high | lost signal |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _graded_by_rhythm(graded: dict[str, Any]) -> list[str]:
    rows = [
        f"| {grade}: {GRADES[grade]} | {row['n']} | {row['groups']} "
        f"| {Figure.of(row['called_high']):.3f} |"
        for grade, row in graded["grades"].items()
    ] + [
        f"| A, {markdown(WORDS.get(name, name))} | {row['n']} | {row['groups']} "
        f"| {Figure.of(row['called_high']):.3f} |"
        for name, row in graded["readable"].items()
    ]
    lines = ["| graded by eye | windows | patients | called high |", "|---|---|---|---|", *rows]
    if "table" in graded:
        lines += ["", f"A against C: AUC {Figure.of(graded['table']['auc']):.3f}."]
    return lines


def _limits(metrics: dict[str, Any]) -> list[str]:
    rhythms = {
        name
        for parts in metrics.get("rhythms", {}).values()
        for part in parts.values()
        for name in part.get("rhythms", {})
    }
    tested = rhythms >= VENTRICULAR
    return [
        "- Not tested: children, "
        + ("" if rhythms & {"P", "PM"} else "pacemakers, ")
        + ("" if tested else "ventricular arrhythmia as groups, ")
        + "rest and effort",
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


def made_with(model: ModelFolder, source: str, segments: LabelledSet) -> bool:
    """Whether recordings of a public set trained or calibrated the model; see :func:`refuse_seen`.

    Of a folder of the user's it can't be known, and the answer is no.
    """
    places = (name.partition("@")[0].split("/") for name in model.calibration_ids)
    calibrated = {word for place in places for word in place} & segments.records
    leads = model.metrics.get("training", {}).get("leads", challenge2011.NAME)
    trained = _from_recipe(model) and source in (leads, mitdb.NAME)
    return trained or (source in PUBLISHED and bool(calibrated))


def refuse_seen(model: ModelFolder, source: str, segments: LabelledSet) -> None:
    """Raise :class:`ArgumentError` where figures on a public set are no test of the model.

    What it has seen of a folder of the user's can't be known, and its card says so.

    Parameters
    ----------
    source, segments
        Name (:func:`~ecgqa_tflite.datasets.folders.set_name`) of the set, and the set.
    """
    chosen = model.metrics.get("threshold", {})
    if chosen.get("digest") == segments.digest or (
        source in PUBLISHED and chosen.get("set") == source
    ):
        raise ArgumentError(
            f"{model.path}: its threshold was chosen on {source}, so figures on it are no test to "
            f"record: leave --record out or give another set"
        )
    if made_with(model, source, segments):
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


def add_rhythms(model: ModelFolder, sets: Mapping[str, Any]) -> ModelFolder:
    """Note figures by rhythm, by set, in ``metrics.json`` and write the card anew.

    Parameters
    ----------
    sets
        ``sets`` of :meth:`ecgqa_tflite.evaluation.rhythms.RhythmJob.run`.
    """
    rhythms = {**model.metrics.get("rhythms", {}), **sets}
    return write_card(model, {**model.metrics, "rhythms": rhythms})


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
