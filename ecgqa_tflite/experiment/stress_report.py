# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole of ``ecgqa experiment noise-stress``: indices on windows under noise, table, plot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets import mitdb
from ecgqa_tflite.errors import ArgumentError, ToolError
from ecgqa_tflite.evaluation.figures import Figure
from ecgqa_tflite.evaluation.seen import trained_groups
from ecgqa_tflite.experiment.indices import Index
from ecgqa_tflite.experiment.noise_stress import (
    DETECTORS,
    KINDS,
    SNRS_DB,
    TOLERANCE_S,
    Stress,
    beat_figures,
    curve,
    kept_figures,
    lead,
    stress_windows,
)
from ecgqa_tflite.model_folder import ModelFolder, json_text
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.plots.square import Square, document, legend
from ecgqa_tflite.progress import Progress, ticks

FILE, TABLE, PLOT = "noise_stress.json", "noise_stress.md", "noise_stress.svg"
SHARES = tuple(round(k / 20, 2) for k in range(1, 21))
RANDOM = "random dropping"


@dataclass(frozen=True)
class StressJob:
    """Models and peers under the noise stress test.

    Attributes
    ----------
    models
        The first is the one whose lead is told.
    data
        Folder that holds ``mitdb`` and ``nstdb``.
    out
        Folder for the table, the plot, the JSON, and what a killed run goes on from.
    indices
        Those of the models and of the peers, in the order of the table.
    missing
        Peers that aren't there, and why.
    windows
        Drawn at random; 0: all.
    """

    models: Sequence[ModelFolder]
    data: Path
    out: Path
    indices: Sequence[Index]
    missing: dict[str, str] = field(default_factory=dict)
    windows: int = 2000
    seed: int = 0
    resamples: int = 1000

    def run(self, tell: Progress) -> dict[str, Any]:
        """Do it, and write table, plot and JSON.

        Raises
        ------
        ArgumentError
            No recording was held out of all models' trainings.
        DatasetError
            A set is missing.
        """
        spec = self.models[0].spec
        records = held_out_records(self.models, mitdb.record_names(self.data))
        stress = stress_windows(
            self.data, records, spec.segment_s, self.out / "windows", self.windows, self.seed, tell
        )
        scores, missing = {}, dict(self.missing)
        for index in self.indices:
            try:
                scores[index] = self._scores(index, stress, tell)
            except ToolError as error:
                missing[index.name] = str(error)
        result = self._figures(stress, scores, records) | {"missing": missing}
        write(result, self.out)
        return result

    def _scores(self, index: Index, stress: Stress, tell: Progress) -> NDArray[np.float64]:
        """Of one index, kept in the folder."""
        sha = hashlib.sha256(index.name.encode() + stress.signal_mv.tobytes())
        for model in self.models:
            if index.ours and model.name == index.name:
                sha.update(model.tflite_path.read_bytes() + model.spec.hash.encode())
        path = self.out / "scores" / f"{sha.hexdigest()[:24]}.npy"
        if not path.exists():
            tick = ticks(tell, f"scoring by {index.name}")
            made = index.score(stress.signal_mv.astype(np.float64), stress.fs_hz, tick)
            with whole_file(path) as temporary:
                np.save(temporary, made)
        kept: NDArray[np.float64] = np.load(path)
        return kept

    def _figures(
        self, stress: Stress, scores: dict[Index, NDArray[np.float64]], records: Sequence[str]
    ) -> dict[str, Any]:
        first = next(index for index in scores if index.ours)
        own = float((scores[first] >= (first.keeps_from or 0)).mean())
        everything = kept_figures(stress, np.ones(len(stress), bool))
        rows = []
        for index, score in scores.items():
            row: dict[str, Any] = {"name": index.name, "ours": index.ours}
            row["curve"] = curve(stress, score, SHARES)
            row["at_equal_share"] = curve(stress, score, [own])[0]
            if index.keeps_from is not None:
                row["kept"] = kept_figures(stress, score >= index.keeps_from)
            if index is not first:
                row["lead"] = lead(stress, scores[first], score, own, self.resamples, self.seed)
            rows.append(row)
        # whatever is dropped at random, as much stays lost of the rest
        flat = beat_figures(stress, np.ones((1, len(stress))))["f1"][0]
        same = np.zeros(len(stress))
        rows.append({
            "name": RANDOM, "ours": False, "curve": [float(flat)] * len(SHARES),
            "at_equal_share": float(flat),
            "lead": lead(stress, scores[first], same, own, self.resamples, self.seed),
        })  # fmt: skip
        return {
            "windows": len(stress),
            "beats": int(stress.beats.sum()),
            "records": list(records),
            "kinds": list(KINDS),
            "snrs_db": list(SNRS_DB),
            "segment_s": self.models[0].spec.segment_s,
            "tolerance_s": TOLERANCE_S,
            "seed": self.seed,
            "first": first.name,
            "equal_share": own,
            "everything": everything,
            "shares": list(SHARES),
            "rows": rows,
            "by_snr": _by_snr(stress, scores[first] >= (first.keeps_from or 0)),
        }


def _by_snr(stress: Stress, kept: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    """What the first model keeps at each ratio; F1 of all windows there and of those kept."""
    found = {}
    for snr in SNRS_DB:
        at = stress.snr_db == snr
        if not at.any():
            continue
        weights = np.stack([at, at & kept]).astype(float)
        f1 = beat_figures(stress, weights)["f1"]
        found[f"{snr}"] = {
            "windows": int(at.sum()),
            "share": float(kept[at].mean()),
            "f1_all": float(f1[0]),
            "f1_kept": float(f1[1]) if np.isfinite(f1[1]) else None,
        }
    return found


def held_out_records(models: Sequence[ModelFolder], names: Sequence[str]) -> list[str]:
    """Mitdb's recordings of patients that were held out of every model's training.

    Of a model whose recipe doesn't say what it was trained on, nothing is known, and it bars none.

    Raises
    ------
    ArgumentError
        There is none.
    """
    patient = {name: f"{mitdb.NAME}/{mitdb.SAME_PATIENT.get(name, name)}" for name in names}
    left = set(patient.values())
    for model in models:
        left -= trained_groups(model, mitdb.NAME, patient.values())
    if not left:
        raise ArgumentError(
            "no recording of mitdb was held out of the training of every model: name fewer models"
        )
    return [name for name in names if patient[name] in left]


# ---- table and plot -------------------------------------------------------------------------


def write(result: dict[str, Any], out: Path) -> list[Path]:
    """Write JSON, table and plot; the files."""
    texts = {FILE: json_text(result), TABLE: markdown(result), PLOT: plot(result)}
    for name, text in texts.items():
        with whole_file(out / name, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [out / name for name in texts]


def markdown(result: dict[str, Any]) -> str:
    """The table, with what it is of."""
    share = result["equal_share"]
    lines = [
        f"{result['windows']:,} windows of {result['segment_s']:g} s ({result['beats']:,} beats) "
        f"of {len(result['records'])} recordings of mitdb that trained no model, under nstdb's "
        f"{', '.join(result['kinds'])} at {', '.join(map(str, result['snrs_db']))} dB. Beats by "
        f"{' and '.join(DETECTORS)}, within {1000 * result['tolerance_s']:g} ms.",
        "",
        "| index | keeps | beats lost with the rest | "
        + " | ".join(f"{d} Se | {d} +P | {d} F1" for d in DETECTORS)
        + f" | F1 at {share:.0%} kept | {result['first']} leads by |",
        "|---" * (5 + 3 * len(DETECTORS)) + "|",
        _row("everything", result["everything"], None, None),
    ]
    lines += [
        _row(row["name"], row.get("kept"), row["at_equal_share"], row.get("lead"))
        for row in result["rows"]
    ]
    lines += [
        "",
        "Keeps, beats lost and the detectors' figures are by an index's own rule, where it has one "
        "for a window; F1 at equal share counts both detectors. In brackets the 95 % interval of a "
        "bootstrap over recordings.",
        "",
        f"| SNR, dB | windows | {result['first']} keeps | F1 of all | F1 of what it keeps |",
        "|---|---|---|---|---|",
        *(
            f"| {snr} | {row['windows']} | {row['share']:.1%} | {row['f1_all']:.3f} "
            f"| {Figure(row['f1_kept']):.3f} |"
            for snr, row in result["by_snr"].items()
        ),
    ]
    lines += [""] if result["missing"] else []
    lines += [f"Not run: {name}: {reason}" for name, reason in result["missing"].items()]
    return "\n".join(lines) + "\n"


def readme(result: dict[str, Any]) -> str:
    """The section that is put into models/README.md, from what is drawn from :data:`FILE`."""
    lines = [
        "### Noise that nobody graded",
        "",
        "A quality index is worth what it keeps a beat detector from: `ecgqa experiment "
        "noise-stress`, every index on the same windows.",
        "",
        markdown(result),
        f"![F1 of beats over the share of windows that each index keeps](experiments/{PLOT})",
    ]
    return "\n".join(lines) + "\n"


def _row(
    name: str, kept: dict[str, Any] | None, equal: float | None, gap: dict[str, Any] | None
) -> str:
    if kept is None:
        cells = ["-"] * (2 + 3 * len(DETECTORS))
    else:
        cells = [f"{kept['share']:.1%}", f"{kept['beats_lost']:.1%}"]
        cells += [f"{Figure(kept[d][k]):.3f}" for d in DETECTORS for k in ("se", "ppv", "f1")]
    cells += [f"{Figure(equal):.3f}", f"{Figure.of(gap):+.3f to}" if gap else "-"]
    return f"| {name} | " + " | ".join(cells) + " |"


def plot(result: dict[str, Any]) -> str:
    """F1 of beats over the share of windows kept, a line per index."""
    values = [f1 for row in result["rows"] for f1 in row["curve"] if np.isfinite(f1)]
    low = np.floor(10 * min(values)) / 10 if values else 0.0
    axes = Square("share of windows kept", "F1 of beats in them", y=(min(float(low), 0.9), 1.0))
    lines = axes.frame()
    for i, row in enumerate(result["rows"]):
        points = [
            (s, f1) for s, f1 in zip(result["shares"], row["curve"], strict=True) if np.isfinite(f1)
        ]
        lines.append(axes.line(points, i, dashed=not row["ours"]))
        if "kept" in row and row["kept"]["share"] > 0:
            at = row["kept"]["share"]
            f1 = float(np.interp(at, result["shares"], row["curve"]))
            lines.append(axes.mark(at, f1, i, hollow=not row["ours"], title=f"{row['name']}: own"))
    return document([*lines, *legend(row["name"] for row in result["rows"])], len(result["rows"]))
