# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa inspect`` on files that somebody made awkward: one line, or the file's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ecgqa_tflite.cli import main
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.flatbuffer import pack, unpack
from ecgqa_tflite.tflite.identity import with_identity
from ecgqa_tflite.tflite.read import network_digest, read_tflite

TFLITE = (firmware_bridge_dir() / "tests/tiny/chain.tflite").read_bytes()
IDENTITY: dict[str, Any] = {
    "name": "chain",
    "model_id": network_digest(read_tflite(TFLITE))[:16],
    "spec_hash": "0" * 64,
    "labels": ["low", "high"],
    "threshold_int8": 0,
    "input": {"what": "a scalogram"},
    "licence": "Apache-2.0",
    "tool_version": "1",
}


def inspect(tmp_path: Path, tflite: bytes, *options: str) -> Result:
    (tmp_path / "x.tflite").write_bytes(tflite)
    return CliRunner().invoke(main, ["inspect", str(tmp_path / "x.tflite"), *options])


def test_names_are_no_markup(tmp_path: Path) -> None:
    model = unpack(TFLITE)
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].name = b"[/abc]"
    graph.tensors[graph.inputs[0]].name = b"[bold]"
    done = inspect(tmp_path, pack(model))
    assert done.exit_code == 0, done.output
    assert "[/abc]" in done.output and "[bold]" in done.output


def test_an_identity_is_no_markup(tmp_path: Path) -> None:
    given = IDENTITY | {"licence": "[/x]", "name": "[red]", "labels": ["[/low]", "high"]}
    done = inspect(tmp_path, with_identity(TFLITE, given))
    assert done.exit_code == 0, done.output
    assert "[/x]" in done.output and "[red]" in done.output and "[/low]" in done.output


@pytest.mark.parametrize("key", IDENTITY)
@pytest.mark.parametrize("instead", [None, 1.5, {}])
def test_an_identity_that_says_too_little(tmp_path: Path, key: str, instead: object) -> None:
    given = IDENTITY | {key: instead}
    if instead is None:
        del given[key]
    for options in ((), ("--json",)):
        done = inspect(tmp_path, with_identity(TFLITE, given), *options)
        assert done.exit_code == 1 and "identity can't be read" in done.output, done.output
        assert len(done.output.strip().splitlines()) == 1


def test_an_identity_that_says_enough(tmp_path: Path) -> None:
    done = inspect(tmp_path, with_identity(TFLITE, IDENTITY), "--json")
    assert done.exit_code == 0 and json.loads(done.output)["identity"] == IDENTITY
