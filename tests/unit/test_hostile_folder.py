# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Model folders with anything in their JSON: opened, or refused in one line, in a moment."""

from __future__ import annotations

import hashlib
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import tiny_model

from ecgqa_tflite import strict_json
from ecgqa_tflite.bundle.export import _card, accuracy_lines
from ecgqa_tflite.bundle.gate import Limits, flips_of, pass_gate
from ecgqa_tflite.errors import EcgqaError
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import open_model, seal, understood
from ecgqa_tflite.spec import FrontEnd

FOLDERS = 2000
LONGEST_S = 2.0

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 513, 1 << 40, 10**17, 0.5, -0.0, 1e-300, 5e-324, 1e300),
    *("", "x", "\u0000", "\u001b[31m", "\u202e", "a" * 300, "../../etc/passwd", "<script>", "*/"),
    *([], [[]], {}, {"value": "x"}, [1, 2, 3], ["a", "b"], [1e300, 1e308], {"int8": []}),
)
RAW = (
    *("1" + "0" * 400, "-1" + "0" * 4400, "1e400", "NaN", "-Infinity", '"\\ud800"', "[" * 200_000),
    *('{"a":' * 50_000, "1" * 19, "'x'", "\ufeff1", "\x00"),
)
"""Texts that stand where a value stood."""
NAMES = ("model.json", "spec.json", "metrics.json", "recipe.json", "calibration.json")


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value in a JSON value."""
    found = [at]
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*at, key))
    return found


def mutated(rng: random.Random, text: str) -> str:
    """The JSON text with a value or a part of it changed."""
    data = json.loads(text)
    at = rng.choice(places(data))
    raw = rng.random() < 0.2
    value = "@@" if raw else rng.choice(VALUES)
    if not at:
        return rng.choice(RAW) if raw else json.dumps(value)
    parent = data
    for key in at[:-1]:
        parent = parent[key]
    if rng.random() < 0.15:
        del parent[at[-1]]
    elif isinstance(parent, dict) and rng.random() < 0.15:
        parent[rng.choice(("extra", "\ud800", "labels"))] = value
    else:
        parent[at[-1]] = value
    return json.dumps(data).replace('"@@"', rng.choice(RAW))


def use(folder: Path) -> None:
    """What a conversion reads of a folder before it computes."""
    model = open_model(folder)
    _card(model)
    tables.build(model.spec, 250.0)
    with understood(folder):
        limits = Limits(*(None,) * 7)
        pass_gate(model.metrics, limits, distinct_golden_scores=2, ram_bytes=None, flash_bytes=1)
        flips_of(model.metrics)
        accuracy_lines(model.metrics)


def rehashed(folder: Path) -> None:
    """Let a spec that is still one be the one trained with, or every mutation would end there."""
    try:
        spec = FrontEnd.from_json((folder / "spec.json").read_text())
        model = json.loads((folder / "model.json").read_text())
        model["spec_hash"] = spec.hash
        model["arguments"]["input_shape"] = list(spec.image_shape)
        (folder / "model.json").write_text(json.dumps(model))
    except Exception:
        pass


@pytest.mark.requirement("SEC-2")
def test_mutated_folders_get_one_line(tmp_path: Path) -> None:
    folder = tiny_model.folder(tmp_path, tflite=b"not read here").path
    texts = {name: (folder / name).read_text() for name in NAMES}
    rng, opened, refused = random.Random(16), 0, set()
    for i in range(FOLDERS):
        name = rng.choice(NAMES)
        changed = mutated(rng, texts[name])
        (folder / name).write_text(changed, encoding="utf-8", errors="surrogatepass")
        if name == "spec.json":
            rehashed(folder)
        seal(folder)
        started = time.process_time()
        try:
            use(folder)
            opened += 1
        except EcgqaError as error:
            message = " ".join(str(error).split())
            assert message and len(message) < 1000, message[:200]
            refused.add(hashlib.sha256(message.encode("utf-8", "replace")).digest())
        except Exception as error:
            pytest.fail(f"mutation {i} of {name}: {error!r}: {changed[:300]}")
        assert time.process_time() - started < LONGEST_S, changed[:300]
        for other, text in texts.items():
            (folder / other).write_text(text)
    assert opened > FOLDERS / 20 and len(refused) > FOLDERS / 20


def test_a_card_that_is_no_text(tmp_path: Path) -> None:
    folder = tiny_model.folder(tmp_path, tflite=b"not read here").path
    (folder / "MODEL_CARD.md").write_bytes(b"\xff\xfe\x00")
    seal(folder)
    with pytest.raises(EcgqaError, match="UTF-8"):
        _card(open_model(folder))


@pytest.mark.parametrize("text", RAW)
def test_strict_json(text: str) -> None:
    for whole in (text, '{"a": ' + text + "}"):
        with pytest.raises(ValueError):
            strict_json.loads(whole)
    assert strict_json.loads('{"a": [1, 2.5, "\\ud83d\\ude00"]}') == {"a": [1, 2.5, "\U0001f600"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [("segment_s", 1e-300), ("segment_s", 1e300), ("gamma", 1e300), ("gamma", 1e-9),
     ("time_bandwidth", 1e300), ("f_min_hz", 1e-300), ("f_max_hz", 1e300)],
)  # fmt: skip
def test_numbers_of_a_spec_are_bounded(name: str, value: float) -> None:
    data = FrontEnd.preset("wearable").to_dict() | {name: value}
    with pytest.raises(EcgqaError, match=name):
        FrontEnd.from_dict(data)
