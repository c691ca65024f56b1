# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa inspect``: what a ``.tflite`` is, ours or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ecgqa_tflite.engine.runs import what_runs
from ecgqa_tflite.escape import terminal
from ecgqa_tflite.model_folder import json_text
from ecgqa_tflite.tflite.inspect import inspect_tflite


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path, as_json: bool) -> None:
    """Tell what the .tflite FILE is: identity, ends, operators, scheme, what here runs it.

    Any .tflite of one subgraph will do, this toolkit's or not. A file that says it is another
    network than it is was altered after it was converted, and is refused.

    \b
    Examples:
      ecgqa inspect build/bundle/light_cnn.tflite
      ecgqa inspect model.tflite --json
    """
    found = inspect_tflite(file)
    found["runs"] = what_runs(file.read_bytes())
    if as_json:
        click.echo(json_text(found), nl=False)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    console = Console()
    facts = Table(show_header=False, box=None)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")

    def fact(name: str, text: str) -> None:
        facts.add_row(name, escape(terminal(text)))  # a file's own words are not markup

    fact("file", f"{found['file_bytes']:,} bytes, SHA-256 {found['sha256'][:16]}")
    fact("network", found["model_id"])
    identity = found["identity"]
    if identity is None:
        fact("identity", "none: not converted by this toolkit")
    else:
        written = f"written by ecgqa-tflite {identity['tool_version']}"
        fact("model", f"{identity['name']}, {written}")
        for key in ("compiled_from", "rewritten_from"):
            if key in identity:
                fact(key.replace("_", " "), f"network {identity[key]}")
        fact("spec", identity["spec_hash"])
        fact("labels", ", ".join(f"{i} {x}" for i, x in enumerate(identity["labels"])))
        if classes := identity.get("output", {}).get("classes"):
            fact("classes", ", ".join(f"{i} {x}" for i, x in enumerate(classes)))
        fact("high quality", f"score of class 1 >= {identity['threshold_int8']}")
        fact("takes", identity["input"]["what"])
        fact("licence", identity["licence"])
    for end in ("inputs", "outputs"):
        for t in found[end]:
            fact(end[:-1], json.dumps(t))
    macs = f"{found['macs']:,}"
    if found["macs_not_counted"]:
        left_out = ", ".join(f"{op} x {n}" for op, n in found["macs_not_counted"].items())
        macs += f"; not counted: {left_out}"
    fact("multiply-accumulates", macs)
    fact("constants", f"{found['constant_bytes']:,} bytes")
    fact("scheme", found["scheme"])
    fact("arithmetic", found["arithmetic"])
    if found["keeps_state"]:
        fact("state", "kept from one inference to the next (variable tensors)")
    fact("a bundle of it", found["runs"]["litert"])
    fact("by cortex-m's engine", found["runs"]["engine"])
    if found["metadata"]:
        fact("metadata", ", ".join(found["metadata"]))
    console.print(facts)
    layers = Table("", "operator", "output", "shape", "type", "MACs", "constants", box=None)
    for i, layer in enumerate(found["layers"]):
        shape = " x ".join(map(str, layer["shape"]))
        row = (layer["operator"], layer["output"], shape, layer["dtype"])
        layers.add_row(
            str(i),
            *(escape(terminal(x)) for x in row),
            f"{layer['macs']:,}",
            f"{layer['constant_bytes']:,}",
        )
    console.print(layers)
