# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""One result: what was decided of an entry, as JSON or Parquet that can be verified.

A result is the decisions of one lead or span of it, with the key of its entry, when the recording
starts, and what was amended or assumed.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any

import ecgqa_tflite
from ecgqa_tflite.bulk.plan import Form
from ecgqa_tflite.bulk.storage import Folder
from ecgqa_tflite.decisions import Decision, probability
from ecgqa_tflite.decisions.json import decision_row
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.spec import Quality

RESULT_FORMAT = 1
"""Format number of a result."""

RESULTS = "results"
ASIDE = "aside"
_SUM = '{"sha256": "%s",\n'
_ROWS = "decisions"


def result_of(
    key: str, recording: Recording, model: ModelFolder, decisions: Sequence[Decision]
) -> dict[str, Any]:
    """What was decided of an entry whose recording, of one lead, is ``recording``."""
    start = recording.start
    return {
        "key": key,
        "start": None if start is None else start.isoformat(),
        "notes": list(recording.notes),
        "format": RESULT_FORMAT,
        "record": recording.name,
        "lead": recording.lead_names[0],
        "fs_hz": recording.fs_hz,
        "duration_s": recording.duration_s,
        "model": model.name,
        "spec_hash": model.spec.hash,
        "threshold": probability(model.threshold_int8),
        "tool_version": ecgqa_tflite.__version__,
        "n_segments": len(decisions),
        "n_high": sum(d.quality == Quality.HIGH for d in decisions),
        "decisions": [decision_row(d, model) for d in decisions],
    }


def result_name(key: str, form: Form) -> str:
    """File of a result, relative to the output; no folder holds millions."""
    return f"{RESULTS}/{key[:2]}/{key}.{form}"


def aside_name(key: str) -> str:
    """File that says why an entry was set aside."""
    return f"{ASIDE}/{key[:2]}/{key}.json"


def encode(result: dict[str, Any], form: Form) -> bytes:
    """A result's file; the same result gives the same bytes."""
    if form == "parquet":
        return _encode_parquet(result)
    rest = (json.dumps(result)[1:] + "\n").encode()
    return (_SUM % hashlib.sha256(rest).hexdigest()).encode() + rest


def decode(content: bytes, form: Form) -> dict[str, Any] | None:
    """The result in a file, None where the file is damaged."""
    if form == "parquet":
        return _decode_parquet(content)
    if not _verifies(content):
        return None
    result: dict[str, Any] = json.loads(content)
    del result["sha256"]
    return result


def read_result(out: Folder, key: str, form: Form) -> dict[str, Any] | None:
    """The result of an entry, None where there is none that verifies."""
    content = out.read(result_name(key, form))
    result = None if content is None else decode(content, form)
    return result if result is not None and result["key"] == key else None


def write_aside(out: Folder, key: str, reason: str) -> None:
    """Say why an entry has no result and is not to be tried again."""
    out.write(aside_name(key), (json.dumps({"key": key, "reason": reason}) + "\n").encode())


def read_aside(out: Folder, key: str) -> str | None:
    """Why an entry was set aside, None where it was not."""
    content = out.read(aside_name(key))
    try:
        return None if content is None else str(json.loads(content)["reason"])
    except (ValueError, KeyError, TypeError):
        return None


def start_of(result: dict[str, Any]) -> datetime.datetime | datetime.time | None:
    """When a result's recording starts, a time of day where it has no date."""
    text = result["start"]
    if text is None:
        return None
    read = datetime.datetime if "T" in text else datetime.time
    return read.fromisoformat(text)


def _verifies(content: bytes) -> bool:
    end = len(_SUM) - 2 + 64
    return content[:end] == (_SUM % hashlib.sha256(content[end:]).hexdigest()).encode()


def _encode_parquet(result: dict[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = result[_ROWS]
    rest = {name: value for name, value in result.items() if name != _ROWS}
    types = {
        "start_s": pa.float64(),
        "end_s": pa.float64(),
        "quality": pa.string(),
        "score": pa.float64(),
        "reason": pa.string(),
    }
    schema = pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in types.items()],
        metadata={"ecgqa": json.dumps(rest), "sha256": _digest(result)},
    )
    file = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema),
        file,
        compression="zstd",
        use_dictionary=["quality", "reason", "score"],
        column_encoding={"start_s": "BYTE_STREAM_SPLIT", "end_s": "BYTE_STREAM_SPLIT"},
    )
    return file.getvalue()


def _decode_parquet(content: bytes) -> dict[str, Any] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        rest = json.loads(table.schema.metadata[b"ecgqa"])
        result = {**rest, _ROWS: table.to_pylist()}
        told = table.schema.metadata[b"sha256"].decode()
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None
    # checksums of Parquet itself leave dictionaries out
    return result if told == _digest(result) else None


def _digest(result: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(result).encode()).hexdigest()
