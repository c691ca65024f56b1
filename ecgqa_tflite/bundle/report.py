# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle's report: one HTML file that opens offline, on a phone, and on paper.

Made of the manifest and the golden vectors alone: the same bundle, the same report.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.bundle.gate import WORDS, flips_of
from ecgqa_tflite.bundle.proof import arithmetic
from ecgqa_tflite.bundle.render import render
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.evaluation.figures import HEADINGS, Figure, by_labels
from ecgqa_tflite.evaluation.operating import taken_before
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.quantize.flips import samples_of
from ecgqa_tflite.quantize.snr import worst_layers
from ecgqa_tflite.segments import BY_REASON, SegmentStatus
from ecgqa_tflite.spec import FrontEnd, Quality

STRIP_WIDTH, STRIP_HEIGHT = 500, 80
"""Of a segment's strip, in its own units: 100 per second."""
FIGURES = {name: HEADINGS[name] for name in ("bacc", "auc", "se", "sp", "acc")}


def report_html(manifest: Mapping[str, Any], golden: Golden, memory_map: str | None) -> str:
    """The report.

    Parameters
    ----------
    manifest
        The bundle's, with or without its list of files.
    golden
        Its golden vectors: strips and scalograms are drawn of them.
    memory_map
        SVG of the memory plan; None where the target has none.
    """
    spec = FrontEnd.from_dict(manifest["spec"])
    layers = manifest["census"]["layers"]
    most = max(layer["macs"] for layer in layers) or 1
    return render(
        "report.html",
        m=manifest,
        model=manifest["model"],
        arithmetic=arithmetic(manifest),
        spec=spec,
        target=manifest["target"],
        accuracy=_accuracy(manifest["metrics"]),
        figures=FIGURES,
        gate=_gate(manifest["gate"]),
        flips=_flips(manifest, spec),
        layers=[{**layer, "bar": round(100 * layer["macs"] / most, 1)} for layer in layers],
        noise=_noise(manifest["metrics"].get("calibration", {}).get("layers")),
        segments=_segments(golden, spec, manifest["model"]["threshold_int8"]),
        p_threshold=probability(manifest["model"]["threshold_int8"]),
        memory_map=memory_map,
        versions=manifest["versions"] | manifest["target"].get("versions", {}),
    )


def _accuracy(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a set, its labels and network: figures with 95 % intervals, as text."""
    sets: dict[str, dict[str, Any]] = {
        f"{name}, {words}": kinds
        for name, result in metrics.get("external", {}).items()
        for words, kinds in by_labels(result).items()
    }
    sets["validation"] = metrics.get("validation", {})
    if gate := metrics.get("gate"):
        sets[f"{gate.get('set', 'gate')} (for the gate)"] = {
            "float": gate.get("float"),
            "int8": gate,
        }
    rows = []
    for name, tables in sets.items():
        for kind in ("float", "int8"):
            if table := tables.get(kind):
                found = {key: Figure.of(table.get(key)) for key in FIGURES}
                cells = {
                    key: {"value": f"{Figure(f.value):.3f}", "interval": f.interval(".3f")}
                    for key, f in found.items()
                }
                if taken_before(table, metrics):
                    kind = f"{kind}, at the threshold before it was moved"
                rows.append({"set": name, "kind": kind, "cells": cells, "n": table.get("n")})
    return rows


def _gate(gate: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for name, value in gate["figures"].items():
        limit = gate["limits"][name]
        rows.append(
            {
                "what": WORDS[name],
                "value": "not measured" if value is None else _number(value),
                "limit": "none" if limit is None else _number(limit),
            }
        )
    return rows


def _flips(manifest: Mapping[str, Any], spec: FrontEnd) -> dict[str, Any] | None:
    """Segments that float and int8 decide differently, drawn from their samples."""
    found = flips_of(manifest["metrics"])
    if found is None:
        return None
    model = manifest["model"]
    drawn = []
    for segment in found.segments or ():
        samples = samples_of(segment)
        index_map = NativeFrontEnd(spec, segment["fs_hz"]).index_map(samples)
        label = segment["label"]
        drawn.append(
            {
                "id": segment["id"],
                "label": None if label is None else spec.labels[label],
                "p_float": f"{segment['p_high']:.3f}",
                "p_int8": f"{probability(segment['score']):.3f}",
                "float": spec.labels[segment["p_high"] >= model["threshold"]],
                "int8": spec.labels[segment["score"] >= model["threshold_int8"]],
                "strip": _strip(samples),
                "scalogram": _png(image(index_map, spec.colormap)),
            }
        )
    return {
        "flipped": found.flipped,
        "of": found.of,
        "kept": found.segments is not None,
        "segments": drawn,
    }


def _noise(layers: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    if not layers:
        return None
    worst = ", ".join(f"{x['operator']} {x['snr_db']:.1f} dB" for x in worst_layers(layers))
    return {"layers": layers, "worst": worst}


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _segments(golden: Golden, spec: FrontEnd, threshold: int) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(golden.names):
        samples, score = golden.samples[i], int(golden.scores[i, Quality.HIGH])
        reason = str(BY_REASON[golden.reasons[i]])
        asked = reason == SegmentStatus.OK
        high = asked and score >= threshold
        rows.append(
            {
                "name": name.replace("_", " "),
                "quality": spec.labels[high],
                "high": high,
                "score": f"P({spec.labels[1]}) {probability(score):.3f}" if asked else reason,
                "strip": _strip(samples),
                "scalogram": _png(image(golden.index_maps[i], spec.colormap)),
            }
        )
    return rows


def _strip(samples: NDArray[np.int16]) -> str:
    """Points of the segment's polyline: scaled to its own range."""
    low, high = int(samples.min()), int(samples.max())
    x = np.linspace(0, STRIP_WIDTH, len(samples))
    y = np.full(len(samples), STRIP_HEIGHT / 2.0)
    if high > low:
        margin = 4
        y = margin + (high - samples.astype(float)) / (high - low) * (STRIP_HEIGHT - 2 * margin)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _png(picture: NDArray[np.uint8]) -> str:
    """A data URI of an image (rows, cols, 1 or 3)."""
    rows, cols, channels = picture.shape
    raw = b"".join(b"\0" + row.tobytes() for row in picture)

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", cols, rows, 8, 0 if channels == 1 else 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    png += chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()
