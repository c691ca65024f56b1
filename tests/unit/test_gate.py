# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate: what passes, what does not, and that a refusal leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model

from ecgqa_tflite.bundle.export import export_bundle
from ecgqa_tflite.bundle.gate import MEASURED, WORDS, Gate, Limits, accuracy_figures, pass_gate
from ecgqa_tflite.errors import ArgumentError, ConversionError
from ecgqa_tflite.tflite.flatbuffer import pack, unpack

KINDS = list(WORDS)


def table(bacc: float, se: float, sp: float, ties: float = 0.0) -> dict[str, Any]:
    return {
        "bacc": {"value": bacc}, "se": {"value": se}, "sp": {"value": sp}, "tie_share": ties,
    }  # fmt: skip


def metrics(after: dict[str, Any], share: float = 0.0) -> dict[str, Any]:
    before = table(0.9, 0.92, 0.88)
    return {"validation": {"float": before, "int8": after, "flips": {"share": share}}}


def gate(given: dict[str, Any], limits: Limits | None = None, **changes: Any) -> Gate:
    sizes: dict[str, Any] = {"distinct_golden_scores": 9, "ram_bytes": 100, "flash_bytes": 1000}
    return pass_gate(given, limits or Limits(), **(sizes | changes))


def test_a_good_conversion_passes() -> None:
    passed = gate(metrics(table(0.899, 0.91, 0.888, 0.001), 0.005))
    assert passed.measured_on == "validation"
    figures = passed.to_dict()["figures"]
    assert figures["bacc_drop"] == pytest.approx(0.001)
    assert figures["low_called_high"] == pytest.approx(-0.008)
    assert figures["flipped"] == 0.005 and figures["ram_bytes"] == 100


@pytest.mark.parametrize(
    ("after", "share", "word"),
    [
        (table(0.88, 0.92, 0.88), 0.0, "balanced accuracy lost to int8: 0.0200 (at most 0.01)"),
        (table(0.9, 0.89, 0.88), 0.0, "sensitivity to high quality lost to int8: 0.0300"),
        (table(0.9, 0.92, 0.85), 0.0, "low quality called high, more by int8"),
        (table(0.9, 0.92, 0.88), 0.03, "decisions that differ between float and int8: 0.0300"),
        (table(0.9, 0.92, 0.88, 1.0), 0.0, "score alike: 1.0000 (at most 0.05)"),
    ],
)
@pytest.mark.requirement("GATE-1")
def test_each_limit_is_named(after: dict[str, Any], share: float, word: str) -> None:
    with pytest.raises(ConversionError, match="gate is not passed on validation") as caught:
        gate(metrics(after, share))
    assert word in str(caught.value) and "\n" not in str(caught.value)
    assert gate(metrics(after, share), Limits(*[None] * 5))


def test_every_failure_is_said_at_once() -> None:
    with pytest.raises(ConversionError) as caught:
        gate(metrics(table(0.5, 0.0, 1.0, 1.0), 0.5), distinct_golden_scores=1)
    for word in ("output is dead", "balanced accuracy", "sensitivity", "differ", "score alike"):
        assert word in str(caught.value)


def test_sizes() -> None:
    with pytest.raises(ConversionError, match=r"RAM, bytes: 100 \(at most 99\)"):
        gate({}, Limits(ram_bytes=99))
    with pytest.raises(ConversionError, match=r"flash, bytes.*: 1,000 \(at most 999\)"):
        gate({}, Limits(flash_bytes=999))
    assert gate({}, Limits(ram_bytes=100, flash_bytes=1000))
    with pytest.raises(ArgumentError, match="no RAM figure"):
        gate({}, Limits(ram_bytes=99), ram_bytes=None)


def test_where_figures_come_from() -> None:
    assert accuracy_figures({}) == (dict.fromkeys(KINDS), None)
    figures, where = accuracy_figures({"calibration": {"segments": 50, "flipped": 2}})
    assert figures["flipped"] == 0.04 and figures["bacc_drop"] is None
    assert where == "the calibration segments"
    fresh = {MEASURED: table(0.8, 0.9, 0.7) | {"float": table(0.9, 0.9, 0.9), "set": "mine"}}
    figures, where = accuracy_figures(metrics(table(0.9, 0.92, 0.88)) | fresh)
    assert where == "mine" and figures["bacc_drop"] == pytest.approx(0.1)


def test_limits_as_words() -> None:
    limits = Limits.parse(["bacc-drop=0.5", "ties=off"], ram_bytes=7)
    assert limits == Limits(bacc_drop=0.5, ties=None, ram_bytes=7)
    for word in ("luck=1", "flipped", "flipped=x", "flipped=2", "flipped=-1", "ram-bytes=3"):
        with pytest.raises(ArgumentError, match="--gate"):
            Limits.parse([word])


@pytest.mark.requirement("GATE-1")
def test_a_dead_network_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """Weights of the last layer are zero: every segment gets the same score."""
    model = unpack(tiny_model.tflite())
    dense = next(op for op in model.subgraphs[0].operators if len(op.inputs) == 3 and
                 len(model.subgraphs[0].tensors[op.inputs[1]].shape) == 2)  # fmt: skip
    weights = model.buffers[model.subgraphs[0].tensors[dense.inputs[1]].buffer]
    weights.data = np.zeros_like(weights.data)
    folder = tiny_model.folder(tmp_path, tflite=pack(model))
    with pytest.raises(ConversionError, match="output is dead"):
        export_bundle(folder, tmp_path / "bundle")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_budgets_of_a_bundle(tmp_path: Path) -> None:
    folder = tiny_model.folder(tmp_path)
    for limits in (Limits(ram_bytes=1000), Limits(flash_bytes=1000)):
        with pytest.raises(ConversionError, match="gate is not passed"):
            export_bundle(folder, tmp_path / "bundle", limits=limits)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]
    made = export_bundle(
        folder, tmp_path / "bundle", limits=Limits(ram_bytes=20_000, flash_bytes=40_000)
    )
    figures = made.manifest["gate"]["figures"]
    assert figures["ram_bytes"] == made.manifest["engine"]["workspace_bytes"]
    assert 10_000 < figures["flash_bytes"] < 40_000
