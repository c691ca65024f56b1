# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a vendor must hand over: the bill of materials, the SOUP sheet, sums that can be signed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tiny_model
from conftest import require_module, require_tool

from ecgqa_tflite.bundle import sbom as bill
from ecgqa_tflite.bundle.export import export_bundle
from ecgqa_tflite.model_folder import open_model, sha256_of
from ecgqa_tflite.output import MANIFEST, SUMS

TARGETS = ("cortex-m", "raspberry-pi")
LATER = {bill.NAME, MANIFEST, SUMS, "report.html"}
"""Written after the bill of materials, which can't hold their hashes."""


@pytest.fixture(scope="module", params=TARGETS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_tool("cc")
    model = tiny_model.folder(tmp_path_factory.mktemp("models"), licence='"A" <b> & C')
    out = tmp_path_factory.mktemp("bundles") / "bundle"
    return export_bundle(model, out, target=request.param).path


def valid(text: str) -> None:
    """By CycloneDX's own library, strictly."""
    require_module("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, str(error)[:500]


def files_of(component: dict[str, Any]) -> dict[str, str]:
    return {x["name"]: x["hashes"][0]["content"] for x in component["components"]}


@pytest.mark.requirement("HAND-1")
def test_the_bill_of_materials(bundle: Path) -> None:
    text = (bundle / bill.NAME).read_text()
    valid(text)
    told, manifest = json.loads(text), json.loads((bundle / MANIFEST).read_text())
    network, sources, *data = told["components"]
    assert network["type"] == "machine-learning-model"
    assert network["version"] == manifest["model_id"]
    assert network["hashes"][0]["content"] == sha256_of(bundle / "tiny.tflite")
    assert network["licenses"] == [{"license": {"name": '"A" <b> & C'}}]
    (card,) = network["externalReferences"]
    assert card["hashes"][0]["content"] == sha256_of(bundle / card["url"])
    listed = files_of(sources) | {"tiny.tflite": "", "MODEL_CARD.md": ""}
    found = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert listed.keys() == found - LATER
    assert all(sha256_of(bundle / name) == sha for name, sha in files_of(sources).items())
    assert {x["name"] for x in data} == {"synthetic", "elsewhere"}
    metrics = network["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {"type": "BAcc", "value": "0.7500", "slice": "elsewhere"} in metrics
    assert "timestamp" not in text


@pytest.mark.requirement("HAND-1")
def test_a_shipped_models_sets_are_named(tmp_path: Path) -> None:
    """Without an export: of what its manifest would say."""
    model = open_model("light_cnn_small")
    end = {"shape": [1, 2], "dtype": "int8", "quant_scale": 1 / 256, "zero_point": -128}
    manifest = {
        "model": model.description(),
        "model_id": "0" * 16,
        "target": {"name": "cortex-m"},
        "spec": model.spec.to_dict(),
        "fs_hz": 250.0,
        "tool_version": "1",
        "versions": {},
        "calibration": {"ids": list(model.calibration_ids)},
        "metrics": model.metrics,
        "quantisation": {"input": end, "output": end},
    }
    sums = {name: "0" * 64 for name in (str(model.tflite_name), "MODEL_CARD.md")}
    text = bill.sbom(manifest, sums)
    valid(text)
    assert text == bill.sbom(manifest, sums)
    told = json.loads(text)
    data = {x["name"]: x for x in told["components"] if x["type"] == "data"}
    assert {"challenge-2011", "mitdb", "nstdb", "challenge-2017"} <= data.keys()
    assert data["challenge-2017"]["description"].startswith("test;")
    assert "physionet.org/content/mitdb" in data["mitdb"]["externalReferences"][0]["url"]
    network = told["components"][0]
    assert network["licenses"] == [{"license": {"id": model.licence}}]
    figure = next(
        x
        for x in network["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
        if x["slice"] == "challenge-2017"
    )
    bacc = model.metrics["external"]["challenge-2017"]["bacc"]
    assert figure["confidenceInterval"]["lowerBound"] == f"{bacc['low']:.4f}"


@pytest.mark.requirement("HAND-2")
def test_the_soup_sheet(bundle: Path) -> None:
    text = (bundle / "SOUP.md").read_text()
    manifest = json.loads((bundle / MANIFEST).read_text())
    for clause in ("5.3.3", "5.3.4", "7.1.3", "8.1.2"):
        assert re.search(rf"^## .*\({re.escape(clause)}\)$", text, re.M)
    for word in (manifest["model_id"], manifest["model"]["spec_hash"], "&lt;b&gt;"):
        assert word in text
    assert ("ECGQA_ERR_SPEC" in text) == (manifest["target"]["name"] == "cortex-m")
    assert not re.search(r"\{[{%]|<b>", text)


def run(folder: Path, command: str) -> int:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True).returncode


@pytest.mark.requirement("SEC-3")
def test_a_chain_from_a_signature_to_every_file(bundle: Path, tmp_path: Path) -> None:
    """The SOUP sheet's own commands; whatever is changed is noticed."""
    require_tool("openssl")
    require_tool("sha256sum")
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    text = (folder / "SOUP.md").read_text()
    sign, verify = re.findall(r"^    (openssl .*)$", text, re.M)
    verify = verify.replace("make verify", "sha256sum --quiet -c SHA256SUMS")
    keys = "openssl genrsa -out key.pem 2048 && openssl rsa -in key.pem -pubout -out key.pub.pem"
    assert run(folder, f"{keys} && {sign}") == 0
    assert run(folder, verify) == 0
    for name in ("tiny.tflite", MANIFEST, bill.NAME, "model/ecgqa_cwt_tables.c", SUMS):
        path = folder / name
        good = path.read_bytes()
        path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
        assert run(folder, verify) != 0, name
        path.write_bytes(good)
    assert run(folder, verify) == 0
    listed = {line.split("  ", 1)[1] for line in (bundle / SUMS).read_text().splitlines()}
    assert listed == {p.relative_to(bundle).as_posix() for p in bundle.rglob("*")
                      if p.is_file() and p.name != SUMS}  # fmt: skip


def test_make_verify(bundle: Path) -> None:
    require_tool("make")
    done = subprocess.run(["make", "-C", str(bundle), "verify"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
