# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as Parquet: the columns of the CSV, typed, for pandas, polars, DuckDB and R."""

from __future__ import annotations

import json
from pathlib import Path

import ecgqa_tflite
from ecgqa_tflite.decisions.csv import all_rows
from ecgqa_tflite.decisions.report import Run

METADATA_KEY = b"ecgqa"
"""Of the schema's metadata: JSON of what decided."""


def write_parquet(path: Path, run: Run, *, as_runs: bool = False) -> None:
    """Write the rows of :func:`ecgqa_tflite.decisions.csv.csv_text`; times of day are text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = list(all_rows(run, as_runs=as_runs))
    kinds = {str: pa.string(), float: pa.float64()}
    schema = pa.schema(
        [
            (name, kinds[type(value)] if value is not None else pa.string())
            for name, value in found[0].items()
        ],
        metadata={
            METADATA_KEY: json.dumps(
                {
                    "tool_version": ecgqa_tflite.__version__,
                    "model": run.model.name,
                    "spec_hash": run.model.spec.hash,
                    "hop_s": run.hop_s,
                }
            ).encode()
        },
    )
    pq.write_table(pa.Table.from_pylist(found, schema), path)
