# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Who a ``.tflite`` is, inside the file itself: an entry of its metadata, JSON."""

from __future__ import annotations

import json
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ecgqa_tflite import __version__
from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.tflite.flatbuffer import add_buffer, pack, set_buffer, unpack
from ecgqa_tflite.tflite.read import Graph, Tensor, network_digest, read_metadata, read_tflite

ENTRY = "ECGQA_IDENTITY"
"""Name of the metadata entry."""
IDENTITY_FORMAT = 1
KINDS: dict[str, type] = {
    "name": str,
    "model_id": str,
    "spec_hash": str,
    "labels": list,
    "threshold_int8": int,
    "input": dict,
    "licence": str,
    "tool_version": str,
}
"""What a reader may count on."""


def identity_of(model: ModelFolder, graph: Graph) -> dict[str, Any]:
    """What is written into the file: name, id, spec, labels, input and output contract, licence."""
    spec = model.spec
    image, scores = (graph.tensors[ends[0]] for ends in (graph.inputs, graph.outputs))
    return {
        "format": IDENTITY_FORMAT,
        "name": model.name,
        "model_id": network_digest(graph)[:16],
        "spec_hash": spec.hash,
        "labels": list(model.labels),
        "threshold_int8": model.threshold_int8,
        "input": {
            **_contract(image),
            "what": f"scalogram of {spec.segment_s:g} s of one ECG lead, rows from "
            f"{spec.f_max_hz:g} Hz down to {spec.f_min_hz:g} Hz, colour map {spec.colormap}",
            "from_image": "int8 = uint8 - 128",
        },
        "output": {**_contract(scores), **_scores(model)},
        "licence": model.licence,
        "tool_version": __version__,
    }


def _scores(model: ModelFolder) -> dict[str, Any]:
    if not model.class_names:
        return {"what": "softmax over labels"}
    return {"what": "softmax over classes", "classes": list(model.class_names)}


def _contract(t: Tensor) -> dict[str, Any]:
    return {
        "name": t.name,
        "shape": list(t.shape),
        "dtype": t.dtype,
        "quant_scale": float(t.quant_scale[0]),
        "zero_point": int(t.zero_point[0]),
    }


def with_identity(tflite: bytes, identity: dict[str, Any]) -> bytes:
    """The file with ``identity`` in its metadata, in place of one that is there.

    Nothing that is computed changes. The same file and identity give the same bytes.
    """
    text = json.dumps(identity, separators=(",", ":"), ensure_ascii=False).encode()
    if read_metadata(tflite).get(ENTRY) == text:
        return tflite
    model = unpack(tflite)
    model.metadata = model.metadata or []
    for entry in model.metadata:
        if entry.name in (ENTRY, ENTRY.encode()):
            set_buffer(model, entry.buffer, text)
            break
    else:
        entry = schema.MetadataT()
        entry.name = ENTRY
        entry.buffer = add_buffer(model, text)
        model.metadata.append(entry)
    return pack(model)


def read_identity(tflite: bytes, source: str = "model") -> dict[str, Any] | None:
    """The identity that a file carries; None where it carries none (another tool's file).

    A compiler for an accelerator keeps the metadata of what it compiled: an identity of another
    network, in a file whose operators are custom ones, comes back with ``compiled_from``.

    Raises
    ------
    ModelError
        A damaged file or entry, or an entry of another network than the file's.
    """
    raw = read_metadata(tflite, source).get(ENTRY)
    if raw is None:
        return None
    try:
        identity = json.loads(raw)
        whole = all(isinstance(identity[key], kind) for key, kind in KINDS.items())
        whole = whole and isinstance(identity["input"]["what"], str)
        names = (*identity["labels"], *identity.get("output", {}).get("classes", ()))
        whole = whole and all(isinstance(name, str) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{source}: its identity can't be read; convert it again") from error
    if not whole:
        raise ModelError(f"{source}: its identity can't be read; convert it again")
    said = identity["model_id"]
    graph = read_tflite(tflite, source)
    computed = network_digest(graph)[:16]
    if said != computed and any(op.name == "CUSTOM" for op in graph.operators):
        identity |= {"model_id": computed, "compiled_from": said}
    elif said != computed:
        raise ModelError(
            f"{source}: says it is network {said} and is {computed}: altered after it was "
            f"converted; get it again"
        )
    found: dict[str, Any] = identity
    return found
