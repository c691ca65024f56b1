# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What any ``.tflite`` is, as plain types."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.tflite.census import UNCOUNTED, layer_of
from ecgqa_tflite.tflite.identity import read_identity
from ecgqa_tflite.tflite.read import Tensor, network_digest, read_metadata, read_tflite
from ecgqa_tflite.tflite.scheme import described


def inspect_tflite(path: Path) -> dict[str, Any]:
    """Identity, ends, operators and sizes of a ``.tflite``, this toolkit's or not.

    Raises
    ------
    ModelError
        Unreadable, damaged, or another network than its identity says.
    """
    try:
        tflite = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror})") from error
    graph = read_tflite(tflite, str(path))
    layers = [
        {**asdict(layer), "shape": list(layer.shape), "dtype": graph.tensors[op.outputs[0]].dtype}
        for op in graph.operators
        for layer in [layer_of(graph, op)]
    ]
    floats = [i for i, layer in enumerate(layers) if str(layer["dtype"]).startswith("float")]
    if not floats:
        arithmetic = "integers only"
    elif len(floats) == len(layers):
        arithmetic = "float"
    else:
        listed = ", ".join(f"{i} ({layers[i]['operator']})" for i in floats[:4])
        arithmetic = f"mixed: {len(floats)} operators give float, first {listed}"
    uncounted = Counter(str(x["operator"]) for x in layers if x["operator"] in UNCOUNTED)
    return {
        "file_bytes": len(tflite),
        "sha256": hashlib.sha256(tflite).hexdigest(),
        "model_id": network_digest(graph)[:16],
        "identity": read_identity(tflite, str(path)),
        "inputs": [_end(graph.tensors[i]) for i in graph.inputs],
        "outputs": [_end(graph.tensors[i]) for i in graph.outputs],
        "macs": sum(int(layer["macs"]) for layer in layers),
        "macs_not_counted": dict(uncounted),
        "constant_bytes": sum(t.data.nbytes for t in graph.tensors if t.data is not None),
        "scheme": described(graph),
        "arithmetic": arithmetic,
        "keeps_state": any(t.variable for t in graph.tensors),
        "metadata": sorted(read_metadata(tflite, str(path))),
        "layers": layers,
    }


def _end(t: Tensor) -> dict[str, Any]:
    end: dict[str, Any] = {"name": t.name, "shape": list(t.shape), "dtype": t.dtype}
    if t.quant_scale.size == 1:
        end |= {"quant_scale": float(t.quant_scale[0]), "zero_point": int(t.zero_point[0])}
    return end | ({"dynamic": True} if t.dynamic else {})
