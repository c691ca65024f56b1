# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Decisions as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any


def csv_text(what: dict[str, Any]) -> str:
    """The decisions of a :func:`~ecgqa_tflite.decisions.json.report`, a row each under their names.

    Lines end in a line feed.
    """
    rows = what["decisions"]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
