# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Others' kernels beside ours: as quoted, and where they lead it is said."""

from __future__ import annotations

import json

from ecgqa_tflite.benchmark import quoted
from ecgqa_tflite.benchmark.results import read_report
from ecgqa_tflite.evaluation.choice import shipped_report


def test_a_peer_that_leads_is_named() -> None:
    report = read_report(shipped_report())
    told = json.loads(quoted.QUOTED.read_text())
    assert "leads in" not in quoted.readme(report)  # as counted; another count may differ
    (peer,) = (p for p in told["peers"] if p["target"] == "cortex-m55")
    peer["layers"][1] = 0.5
    text = quoted.readme(report, told)
    assert f"On Cortex-M55, {peer['name']} leads in conv 2." in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert all(any(p["name"] in line for line in rows) for p in told["peers"])
