# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``sbom.cdx.json``: what a bundle is made of, as a CycloneDX bill of materials.

Plain JSON: the library for it can't write the model card that the format has for a network. Nothing
of the day it was made on is in it, so the same bundle has the same bill.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from ecgqa_tflite.datasets.download import SETS
from ecgqa_tflite.evaluation.figures import HEADINGS, Figure
from ecgqa_tflite.model_folder import json_text

NAME = "sbom.cdx.json"
SPEC_VERSION = "1.6"
"""Of CycloneDX."""

OWN_LICENCE = "Apache-2.0"
"""Of the C library and of what this tool writes."""
SPDX_IDS = {
    *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "Unlicense"),
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "ODC-By-1.0", "ODbL-1.0"),
    *("GPL-2.0-only", "GPL-3.0-only", "LGPL-2.1-only", "LGPL-3.0-only", "AGPL-3.0-only"),
}
"""Licences that a bill names by their SPDX id; another one's text is its name."""

FIGURES = ("bacc", "auc", "se", "sp")
NOISE_RECORDS = re.compile(r"noise/(bw|em|ma)\b")
"""Ids of nstdb's recordings."""
LIMITS = (
    "Not a medical device: says whether a segment can be read, nothing of what it shows.",
    "Errors that were looked at one by one are in MODEL_CARD.md, known anomalies in SOUP.md.",
)


def sbom(manifest: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """The bill of materials.

    Parameters
    ----------
    manifest
        The bundle's, without its list of files.
    files
        SHA-256 of each file, by its path in the bundle.

    Raises
    ------
    ModelError
        A figure is NaN or infinite.
    """
    model = manifest["model"]
    data = list(_datasets(manifest))
    bundle = {
        "type": "firmware",
        "bom-ref": "bundle",
        "name": f"{model['name']}-{manifest['target']['name']}",
        "version": manifest["model_id"],
        "description": f"ECG quality of {manifest['spec']['segment_s']:g}-s segments sampled at "
        f"{manifest['fs_hz']:g} Hz",
    }
    tools = {"ecgqa-tflite": manifest["tool_version"], **manifest["versions"]}
    bill: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": name, "version": version}
                    for name, version in tools.items()
                ]
            },
            "component": bundle,
        },
        "components": [_network(manifest, files, data), _sources(manifest, files), *data],
        "dependencies": [
            {"ref": "bundle", "dependsOn": ["network", "sources"]},
            {"ref": "network", "dependsOn": [x["bom-ref"] for x in data]},
        ],
    }
    digest = hashlib.sha256(json_text(bill).encode()).hexdigest()
    return json_text(bill | {"serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}"})


def _network(
    manifest: Mapping[str, Any], files: Mapping[str, str], data: list[dict[str, Any]]
) -> dict[str, Any]:
    model = manifest["model"]
    return {
        "type": "machine-learning-model",
        "bom-ref": "network",
        "name": model["name"],
        "version": manifest["model_id"],
        "hashes": _sha256(files[model["tflite"]]),
        "licenses": _licences(model["licence"]),
        "externalReferences": [
            {
                "type": "model-card",
                "url": "MODEL_CARD.md",
                "hashes": _sha256(files["MODEL_CARD.md"]),
            }
        ],
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": f"{model['labels'][0]} or {model['labels'][1]} quality of an ECG segment",
                "architectureFamily": "convolutional neural network",
                "modelArchitecture": model["architecture"],
                "datasets": [{"ref": x["bom-ref"]} for x in data],
                "inputs": [{"format": _format(manifest["quantisation"]["input"])}],
                "outputs": [{"format": _format(manifest["quantisation"]["output"])}],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_performance(manifest["metrics"]))},
            "considerations": {"technicalLimitations": list(LIMITS)},
        },
    }


def _sources(manifest: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """The C library, what was generated, and all else that this tool wrote: file by file."""
    apart = {manifest["model"]["tflite"], "MODEL_CARD.md"}
    return {
        "type": "library",
        "bom-ref": "sources",
        "name": "ecgqa-firmware",
        "version": manifest["tool_version"],
        "licenses": _licences(OWN_LICENCE),
        "components": [
            {"type": "file", "name": name, "hashes": _sha256(sha)}
            for name, sha in files.items()
            if name not in apart
        ],
    }


def _datasets(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Sets by the ids of calibration segments, which are of the training's, and those tested on."""
    uses: dict[str, str] = {}
    for segment in manifest["calibration"]["ids"]:
        name = "nstdb" if NOISE_RECORDS.match(segment) else re.split(r"[/#@]", segment)[0]
        uses.setdefault(name, "calibration of int8; its recordings are of the training's")
    for name in manifest["metrics"].get("external", {}):
        uses.setdefault(name, "test")
    for name, use in sorted(uses.items()):
        known = SETS.get(name)
        yield {
            "type": "data",
            "bom-ref": f"data/{name}",
            "name": name,
            "description": f"{use}; not part of the bundle",
            **({"version": known.version} if known else {}),
            **(
                {"externalReferences": [{"type": "documentation", "url": known.page}]}
                if known
                else {}
            ),
        }


def _performance(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    sets = {
        "validation": metrics.get("validation", {}).get("int8"),
        **metrics.get("external", {}),
    }
    for name, table in sets.items():
        for key in FIGURES if table else ():
            figure = Figure.of(table.get(key))
            if figure.value is None:
                continue
            metric = {"type": HEADINGS[key], "value": f"{figure.value:.4f}", "slice": name}
            if figure.low is not None and figure.high is not None:
                bounds = {"lowerBound": f"{figure.low:.4f}", "upperBound": f"{figure.high:.4f}"}
                yield {**metric, "confidenceInterval": bounds}
            else:
                yield dict(metric)


def _format(end: Mapping[str, Any]) -> str:
    shape = " x ".join(map(str, end["shape"]))
    return f"{end['dtype']}, {shape}, scale {end['quant_scale']:g}, zero point {end['zero_point']}"


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _licences(name: str) -> list[dict[str, dict[str, str]]]:
    return [{"license": {"id" if name in SPDX_IDS else "name": name}}]
