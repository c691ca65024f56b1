# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What the program writes is what the published schemas say, and what they refuse it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO, require_module

from ecgqa_tflite.bundle.export import export_bundle
from ecgqa_tflite.bundle.gate import Limits
from ecgqa_tflite.datasets import arrhythmia, challenge2017
from ecgqa_tflite.errors import DatasetError, SpecError
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.spec import BOUNDS, COLORMAPS, FrontEnd

PACKAGE = REPO / "ecgqa_tflite"
SCHEMAS = {
    schema["$id"]: schema
    for schema in (json.loads(p.read_text()) for p in sorted(PACKAGE.rglob("*.schema.json")))
    if "$id" in schema
}
SPEC, MODEL_FOLDER, MANIFEST, GRADED = (
    f"urn:ecgqa:{name}:1" for name in ("spec", "model-folder", "manifest", "graded")
)
SHIPPED = ("inception_v1", "light_cnn", "light_cnn_pruned", "light_cnn_small")


def errors(schema_id: str, data: Any) -> list[str]:
    """What of ``data`` the schema does not allow."""
    require_module("jsonschema")
    import jsonschema
    from referencing import Registry, Resource

    pairs = [(name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()]
    validator = jsonschema.Draft202012Validator(
        SCHEMAS[schema_id], registry=Registry().with_resources(pairs)
    )
    return [f"{e.json_path}: {e.message[:200]}" for e in validator.iter_errors(data)]


@pytest.mark.parametrize("schema_id", [SPEC, MODEL_FOLDER, MANIFEST, GRADED])
def test_they_are_schemas(schema_id: str) -> None:
    require_module("jsonschema")
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(SCHEMAS[schema_id])


def folder_parts(path: Path) -> dict[str, Any]:
    names = ("model", "spec", "recipe", "metrics", "calibration")
    return {n: json.loads((path / f"{n}.json").read_text()) for n in names}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models(name: str) -> None:
    parts = folder_parts(open_model(name).path)
    assert not errors(MODEL_FOLDER, parts)
    parts["model"]["threshold_int8"] = 128
    assert errors(MODEL_FOLDER, parts)


def test_a_model_folder_and_a_bundle_per_kind_of_target(
    small_model: ModelFolder, tmp_path: Path
) -> None:
    assert not errors(MODEL_FOLDER, folder_parts(small_model.path))
    off = Limits.parse(f"{name}=off" for name in ("bacc-drop", "se-drop"))
    for target, more in {"cortex-m": {"collect": True, "hop_s": 2.5}, "raspberry-pi": {}}.items():
        out = tmp_path / target
        export_bundle(small_model, out, target=target, limits=off, **more)  # type: ignore[arg-type]
        manifest = json.loads((out / "manifest.json").read_text())
        assert not errors(MANIFEST, manifest)
        for key in ("files", "spec", "model_id", "target"):
            assert errors(MANIFEST, {k: v for k, v in manifest.items() if k != key})
        assert errors(MANIFEST, manifest | {"surprise": 1})


def changed_specs() -> list[dict[str, Any]]:
    good = FrontEnd.preset("wearable").to_dict()
    wrong: list[dict[str, Any]] = [
        {"format": 2}, {"rows": 7}, {"cols": 513}, {"rows": 1.5}, {"scaling": "log"},
        {"colormap": "viridis"}, {"labels": ["low"]}, {"labels": ["low", ""]}, {"surprise": 1},
        {"conditioning": "all"}, {"qrs_band_hz": [5.0]}, {"qrs_band_hz": [0, 25]},
    ]  # fmt: skip
    for name, (low, high) in BOUNDS.items():
        wrong += [{name: low * 0.999}, {name: high * 1.001}, {name: "5"}]
    return [good | change for change in wrong]


@pytest.mark.parametrize("spec", changed_specs())
def test_spec_and_schema_refuse_alike(spec: dict[str, Any]) -> None:
    assert errors(SPEC, spec)
    with pytest.raises(SpecError):
        FrontEnd.from_dict(spec)


def test_spec_and_schema_take_alike() -> None:
    for preset in ("seed", "wearable"):
        for colormap in COLORMAPS:
            assert not errors(SPEC, FrontEnd.preset(preset, colormap=colormap).to_dict())
    properties = SCHEMAS[SPEC]["properties"]
    for name, bounds in BOUNDS.items():
        assert (properties[name]["minimum"], properties[name]["maximum"]) == bounds
    assert SCHEMAS[SPEC]["additionalProperties"] is False
    assert set(properties) == set(FrontEnd(conditioning="baseline").to_dict())


TEST_SET = "record,start_s,label_inherited,read_1,read_2\nA00001,5.0,N,A,B\n"
WINDOWS = "set,record,lead,start_s,read_1,read_2,note\nvfdb,418,0,12.5,A,A,clear\n"


def test_graded_tables(tmp_path: Path) -> None:
    path = tmp_path / "graded.csv"
    for text, read in ((TEST_SET, challenge2017.read_graded), (WINDOWS, arrhythmia.read_graded)):
        path.write_text(text)
        read(path)
        rows = list(csv.DictReader(text.splitlines()))
        assert not [e for row in rows for e in errors(GRADED, row)]
        for broken in (row | {"start_s": "five"} for row in rows):
            assert errors(GRADED, broken)
            path.write_text(",".join(broken) + "\n" + ",".join(broken.values()) + "\n")
            with pytest.raises(DatasetError):
                read(path)
