# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a conversion came to, for the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ecgqa_tflite.bundle.export import Bundle, accuracy_lines
from ecgqa_tflite.bundle.proof import arithmetic
from ecgqa_tflite.bundle.request import Converted, Request
from ecgqa_tflite.devices import TARGETS
from ecgqa_tflite.escape import terminal
from ecgqa_tflite.quantize.snr import worst_layers


def tell_conversion(request: Request, made: Converted) -> None:
    """Print files, figures and what was shown."""
    console = Console(highlight=False)
    for line in (*_changes(made.bundle.manifest), *_calibration(request, made)):
        console.print(line, markup=False, soft_wrap=True)
    for line in _pruning(made.bundle.manifest["metrics"].get("pruning")):
        console.print(line, markup=False, soft_wrap=True)
    console.print(_summary(made.bundle))
    console.print(_proof(made.bundle), markup=False, soft_wrap=True)
    if refused := made.bundle.manifest.get("engine", {}).get("refused"):
        told = "" if "tflm" in refused else "; --target tflm has it"
        line = f"No network code in this bundle: {terminal(str(refused))}{told}"
        console.print(line, markup=False, soft_wrap=True)
    if request.verify:
        console.print("Converted twice: the same bytes in every file.")


def _changes(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What a network of the user's had to be changed in."""
    for change in manifest["metrics"].get("changes", ()):
        yield f"Changed: {terminal(str(change))}"


def _calibration(request: Request, made: Converted) -> Iterator[str]:
    """What a model was quantised on, and what could not be used."""
    if made.calibration is None:
        return
    differ = made.bundle.manifest["metrics"]["calibration"]["flipped"]
    yield (
        f"Quantised on {len(made.calibration.ids)} segments of {request.calibrate}; float and int8 "
        f"decide {differ} of them differently"
    )
    if skipped := made.calibration.skipped:
        yield f"{len(skipped)} recordings skipped; the first: {skipped[0]}"


def _pruning(found: Mapping[str, Any] | None) -> Iterator[str]:
    """What was left out of each layer, and what was looked at for it."""
    if found is None:
        return
    looked = ", ".join(f"{terminal(what)} ({n:,})" for what, n in found["segments"].items())
    if found["method"] == "share":
        data = terminal(str(found["data"]["set"]))
        yield f"Pruned: {found['share']:.0%} of each layer's channels, the rest trained on {data}"
    else:
        yield f"Pruned: channels that no segment of {looked} wakes; each scores as before"
    layers = found["layers"]
    for figure, what in (("macs", "multiply-accumulates"), ("constant_bytes", "constant bytes")):
        before, after = (sum(layer[figure][i] for layer in layers) for i in (0, 1))
        yield f"  {what:<21} {before:>13,} to {after:>12,}"
    for layer in layers:
        (had, has), (macs, left), (size, less) = (
            layer[key] for key in ("channels", "macs", "constant_bytes")
        )
        yield (
            f"  {layer['operator']:<21} channels {had} to {has}, multiply-accumulates {macs:,} to "
            f"{left:,}, constant bytes {size:,} to {less:,}"
        )


def _summary(bundle: Bundle) -> Table:
    """Files and figures."""
    manifest = bundle.manifest
    model, quantisation = manifest["model"], manifest["quantisation"]
    image, scores = quantisation["input"], quantisation["output"]
    table = Table(title=f"{model['name']} in {bundle.path}", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")

    def size(*patterns: str) -> str:
        paths = [p for pattern in patterns for p in bundle.path.glob(pattern) if p.is_file()]
        files = "1 file" if len(paths) == 1 else f"{len(paths)} files"
        return f"{sum(p.stat().st_size for p in paths):,} bytes in {files}"

    table.add_row(model["tflite"], f"{bundle.census.file_bytes:,} bytes, {arithmetic(manifest)}")
    table.add_row("operators", ", ".join(f"{k} x {n}" for k, n in bundle.census.operators.items()))
    table.add_row("multiply-accumulates", f"{bundle.census.macs:,}")
    table.add_row(
        "front end",
        f"{manifest['segment_len']} samples at {manifest['fs_hz']:g} Hz to {image['shape'][1]} x "
        f"{image['shape'][2]} x {image['shape'][3]}; tables {manifest['tables_bytes']:,} bytes",
    )
    table.add_row(*_runtime(manifest))
    table.add_row(
        "input",
        f"{escape(terminal(image['name']))}, int8, scale 1/255, zero point {image['zero_point']}",
    )
    table.add_row(
        "output",
        f"{escape(terminal(scores['name']))}, int8, scale {scores['quant_scale']:g}, zero point "
        f"{scores['zero_point']}; high quality from {model['threshold_int8']}",
    )
    for line in accuracy_lines(manifest["metrics"]):
        table.add_row("accuracy", line)
    for check in bundle.gate.checks:
        table.add_row("gate", str(check))
    if layers := manifest["metrics"].get("calibration", {}).get("layers"):
        worst = ", ".join(f"{x['operator']} {x['snr_db']:.1f} dB" for x in worst_layers(layers))
        table.add_row("most quantisation noise", worst)
    if bundle.gate.measured_on:
        table.add_row("gate, measured on", bundle.gate.measured_on)
    table.add_row("spec", model["spec_hash"][:16])
    table.add_row("calibration", f"{len(manifest['calibration']['ids'])} segments, ids in manifest")
    table.add_row("model/", size("model/*"))
    table.add_row("firmware_bridge/", size("firmware_bridge/**/*"))
    table.add_row("golden/", size("golden/*"))
    return table


def _runtime(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """What runs the network on the device, and in how much memory."""
    target = manifest["target"]
    if engine := manifest.get("engine"):
        if "refused" in engine:
            return "row-streaming engine", str(engine["refused"])
        told = f"workspace {engine['workspace_bytes']:,} bytes, the front end's included"
        if engine["collect_while_classifying"]:
            told += f"; collects meanwhile, a segment every {engine['hop_len']} samples"
        return "row-streaming engine", told
    arena = target.get("arena")
    return TARGETS[target["name"]].summary, f"arena {arena['bytes']:,} bytes" if arena else "LiteRT"


def _proof(bundle: Bundle) -> str:
    """What was shown, in words."""
    proof = bundle.proof
    how = "bit for bit" if arithmetic(bundle.manifest) == "full int8" else "scores within a step"
    lines = [
        f"Proven: {proof.segments} golden segments ({proof.distinct_scores} different scores) come "
        f"out of the C front end and LiteRT's reference kernels, {how}."
    ]
    lines += proof.target_output
    if not TARGETS[bundle.manifest["target"]["name"]].firmware:
        return "\n".join(lines)
    if proof.c_selftest is None:
        lines.append("Its C self-test was not run: no C compiler here (cc, gcc, clang, or set CC).")
    else:
        lines.append(f"Its C self-test, compiled with {proof.c_selftest}, passes:")
        lines += [f"  {line}" for line in proof.c_output]
    return "\n".join(lines)
