# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Every result as one Parquet set: a row per segment, in the order of the plan."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa_tflite.bulk.plan import Plan
from ecgqa_tflite.bulk.results import read_aside, read_result, start_of
from ecgqa_tflite.bulk.run import GO_ON
from ecgqa_tflite.bulk.storage import Folder
from ecgqa_tflite.decisions import probability
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.output import whole_folder
from ecgqa_tflite.progress import Count

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 2**20
GROUPS_PER_FILE = 16
"""A file of 16 million rows, some 100 MB or less."""

COLUMNS = {
    "record": "Path or URL of the record.",
    "lead": "Name of the lead.",
    "time": "When the segment starts, as the recording's clock has it; null where it has no date.",
    "start_s": "Start of the segment, s from the start of the recording.",
    "end_s": "Its end, s.",
    "quality": "Name of the class.",
    "score": "Softmax of class 1, 0..1; 0 where the network was not asked.",
    "reason": "ok: the network decided; gap, flat, held, clipped, smooth: it was not asked.",
}


def merge(
    plan: Plan,
    out: Folder,
    target: Path,
    *,
    partial: bool = False,
    overwrite: bool = False,
    progress: Count | None = None,
) -> int:
    """Write the set as folder ``target``; it appears whole.

    Parameters
    ----------
    partial
        Also where entries are still to be done.

    Returns
    -------
    Rows in it.

    Raises
    ------
    ArgumentError
        Entries are still to be done and ``partial`` is false.
    OutputExistsError
        ``target`` is there and ``overwrite`` is false.
    """
    with whole_folder(target, overwrite) as temporary:
        return _write(plan, _tables(plan, out, partial, progress), temporary)


def _write(plan: Plan, tables: Iterator[pa.Table], folder: Path) -> int:
    import pyarrow.parquet as pq

    schema = _schema(plan)
    groups = _groups(tables, schema)
    n_rows = 0
    for number in itertools.count():
        first = next(groups, None)
        if first is None and number:
            return n_rows
        with pq.ParquetWriter(
            folder / f"part-{number:05d}.parquet",
            schema,
            compression="zstd",
            use_dictionary=["record", "lead", "quality", "score", "reason"],
            column_encoding={
                "start_s": "BYTE_STREAM_SPLIT",
                "end_s": "BYTE_STREAM_SPLIT",
                "time": "DELTA_BINARY_PACKED",
            },
        ) as writer:
            if first is None:  # a set without a row has its schema still
                return n_rows
            for group in itertools.chain([first], itertools.islice(groups, GROUPS_PER_FILE - 1)):
                writer.write_table(group, row_group_size=ROWS_PER_GROUP)
                n_rows += group.num_rows
    raise AssertionError


def _groups(tables: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows anew, ``ROWS_PER_GROUP`` at a time, however they came."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(t.num_rows for t in waiting) >= ROWS_PER_GROUP:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, ROWS_PER_GROUP).combine_chunks()
            waiting = [whole.slice(ROWS_PER_GROUP)]
    rest = pa.concat_tables(waiting) if waiting else pa.Table.from_pylist([], schema)
    if rest.num_rows:
        yield rest.combine_chunks()


def _tables(plan: Plan, out: Folder, partial: bool, progress: Count | None) -> Iterator[pa.Table]:
    schema = _schema(plan)
    for i, entry in enumerate(plan.entries, start=1):
        result = read_result(out, entry.key, plan.options.form)
        if result is not None:
            yield _table(entry.path, result, schema)
        elif not partial and read_aside(out, entry.key) is None:
            raise ArgumentError(
                f"{entry.path} is still to be done, and others may be: {GO_ON}; "
                "--partial merges what is there"
            )
        if progress is not None:
            progress(i, len(plan.entries))


def _table(path: str, result: dict[str, Any], schema: pa.Schema) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    rows = result["decisions"]
    start_s = np.array([row["start_s"] for row in rows], np.float64)
    start = start_of(result)
    time = pa.nulls(len(rows), schema.field("time").type)
    if isinstance(start, datetime.datetime):
        local = np.datetime64(start.replace(tzinfo=None), "ms")
        time = pa.array(local + np.rint(start_s * 1000).astype("timedelta64[ms]"))
    columns = {
        "record": pa.array([path] * len(rows), pa.string()),
        "lead": pa.array([result["lead"]] * len(rows), pa.string()),
        "time": time,
        "start_s": pa.array(start_s),
        **{
            name: pa.array([row[name] for row in rows], schema.field(name).type)
            for name in ("end_s", "quality", "score", "reason")
        },
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _schema(plan: Plan) -> pa.Schema:
    import pyarrow as pa

    model = plan.options.model
    types = {
        "time": pa.timestamp("ms"),
        "start_s": pa.float64(),
        "end_s": pa.float64(),
        "score": pa.float32(),
    }
    return pa.schema(
        [
            pa.field(name, types.get(name, pa.string()), name == "time", {"about": about})
            for name, about in COLUMNS.items()
        ],
        metadata={
            "model": model.name,
            "spec_hash": model.spec_hash,
            "tflite_sha256": model.tflite_sha256,
            "threshold": str(probability(model.threshold_int8)),
            "tool_version": plan.options.tool_version,
        },
    )
