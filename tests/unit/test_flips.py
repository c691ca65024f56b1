# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What float and int8 decide differently: which segments, and how a report shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
from conftest import require_tool

from ecgqa_tflite.bundle.export import Bundle, export_bundle
from ecgqa_tflite.bundle.gate import MEASURED, flips_of
from ecgqa_tflite.bundle.report import report_html
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.output import MANIFEST
from ecgqa_tflite.quantize.flips import MOST, flipped_segments, samples_of
from ecgqa_tflite.recording.simulator import simulate

FIGURE = {"value": 0.9}
TABLE = {"bacc": FIGURE, "se": FIGURE, "sp": FIGURE, "n": {"high": 30, "low": 20}}


def segment(seed: int) -> np.ndarray:
    signal = simulate(5, 250.0, seed=seed).lead(None)[:1250]
    return np.asarray(np.round(signal * 1000), np.int16)


def flipped(n: int, quality: list[int] | None = None) -> list[dict[str, Any]]:
    """``n`` that flip, the later the farther apart, after one that doesn't."""
    ids = ["same", *(f"set/{i}/II@0.00" for i in range(n))]
    samples = [segment(i) for i in range(n + 1)]
    p = [0.9, *(0.5 + 0.01 * (i + 1) for i in range(n))]
    scores = [100, *([-10] * n)]
    return flipped_segments(ids, samples, [250.0] * (n + 1), p, scores, (0.5, 0), quality)


def test_only_those_that_flip_and_the_farthest_apart_first() -> None:
    found = flipped(3, [1, 0, 1, 0])
    assert [x["id"] for x in found] == ["set/2/II@0.00", "set/1/II@0.00", "set/0/II@0.00"]
    assert [x["label"] for x in found] == [0, 1, 0]
    assert found[0]["p_high"] == 0.53 and found[0]["score"] == -10
    assert np.array_equal(samples_of(found[0]), segment(3))
    assert flipped(2)[0]["label"] is None
    assert flipped(0) == []
    assert len(flipped(MOST + 1)) == MOST
    assert json.loads(json.dumps(found)) == found


def test_where_they_come_from() -> None:
    kept = flipped(2)
    assert flips_of({}) is None
    calibration = {"segments": 40, "flipped": 2, "flipped_segments": kept}
    found = flips_of({"calibration": calibration})
    assert found is not None and (found.flipped, found.of) == (2, 40)
    assert found.segments == tuple(kept)
    trained = {"float": TABLE, "int8": TABLE, "flips": {"flipped": 3, "share": 0.06}}
    found = flips_of({"validation": trained, "calibration": calibration})
    assert found is not None and (found.flipped, found.of, found.segments) == (3, 50, None)
    measured = TABLE | {"float": TABLE, "flips": {"flipped": 2, "share": 0.04, "segments": kept}}
    found = flips_of({"validation": trained, MEASURED: measured})
    assert found is not None and found.flipped == 2 and found.segments == tuple(kept)
    assert flips_of({MEASURED: TABLE}) is None  # int8 alone


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    require_tool("cc")
    model = tiny_model.folder(tmp_path_factory.mktemp("models"))
    return export_bundle(model, tmp_path_factory.mktemp("bundles") / "bundle")


def report(bundle: Bundle, metrics: dict[str, Any]) -> str:
    manifest = json.loads((bundle.path / MANIFEST).read_text()) | {"metrics": metrics}
    golden = Golden.from_npz(bundle.path / manifest["golden"]["file"])
    text = report_html(manifest, golden, None)
    section = text.partition("<h2>Decisions that int8 changes</h2>")[2].partition("<h2>")[0]
    assert section
    return section


def test_none_of_them(bundle: Bundle) -> None:
    found = report(bundle, {"calibration": {"segments": 1234, "flipped": 0}})
    assert "None of 1,234" in found and "<figure" not in found
    assert "Not measured" in report(bundle, {})


def test_their_number_alone(bundle: Bundle) -> None:
    trained = {"float": TABLE, "int8": TABLE, "flips": {"flipped": 3, "share": 0.06}}
    found = report(bundle, {"validation": trained})
    assert "3 of 50 segments" in found and "--validate" in found and "<figure" not in found


def test_strips_scores_and_labels(bundle: Bundle) -> None:
    kept = flipped(2, [0, 1, 0])
    calibration = {"segments": 40, "flipped": 5, "flipped_segments": kept}
    found = report(bundle, {"calibration": calibration})
    assert "5 of 40 segments" in found and "the 2 that the two see farthest apart" in found
    assert found.count("<figure>") == found.count("<polyline") == 2
    assert found.count("data:image/png;base64,") == 2
    assert "set/1/II@0.00" in found and "0.520 high &rarr; 0.461 low" in found
    assert "label: low" in found and "label: high" in found
    without = report(bundle, {"calibration": calibration | {"flipped_segments": flipped(2)}})
    assert "label:" not in without


def test_an_id_is_text(bundle: Bundle, tmp_path: Path) -> None:
    kept = [flipped(1)[0] | {"id": "<script>alert(1)</script>"}]
    found = report(bundle, {"calibration": {"segments": 4, "flipped": 1, "flipped_segments": kept}})
    assert "<script" not in found and "&lt;script" in found
