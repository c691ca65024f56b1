"""``ecgqa convert``, also ``ecgqa-convert``: a model in, a proven firmware bundle out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ecgqa_tflite.bundle.export import Bundle, accuracy_lines
from ecgqa_tflite.bundle.gate import Limits
from ecgqa_tflite.bundle.proof import arithmetic
from ecgqa_tflite.bundle.request import FS_HZ, Converted, Request
from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.convert.quantisation import METHODS
from ecgqa_tflite.devices import DEFAULT, TARGETS
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.escape import terminal
from ecgqa_tflite.quantize.snr import worst_layers

IN_MANIFEST = {"target", "fs_hz", "quantize", "collect", "hop_s"}
"""Options that go without saying where a manifest is redone."""


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    metavar="NAME",
    help=f"Device that the bundle is for; ecgqa targets lists them.  [default: {DEFAULT}]",
)
@click.option(
    "--fs-hz",
    type=float,
    help=f"Sampling rate of the device, Hz; the model is the same for all.  [default: {FS_HZ:g}]",
)
@click.option(
    "--quantize",
    type=click.Choice(METHODS),
    help="ptq: after training, on --calibrate's recordings; qat: by a training more, on --data; "
    "none: float32, for targets that run it. The latter two need TensorFlow.  [default: ptq]",
)
@click.option(
    "--calibrate",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Quantise again, on WFDB recordings in this folder (needs TensorFlow).",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --quantize qat: folder of challenge-2011, mitdb and nstdb, or a labelled folder of "
    "yours.",
)
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="spec.json of the front end that MODEL was trained with, where MODEL is a file of yours.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="With --spec: P(high) from which a segment is of high quality.  [default: 0.5]",
)
@click.option(
    "--validate",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Hold int8 against float on these labelled recordings, for the gate and the report: WFDB "
    "records with a LEADS.csv (record,lead,quality; good or bad). Segments where they differ are "
    "drawn in the report, so the bundle holds them. Needs TensorFlow.",
)
@click.option(
    "--gate",
    multiple=True,
    metavar="NAME=LIMIT",
    help="Most that int8 may lose: bacc-drop 0.01, se-drop 0.02, low-called-high 0.02, flipped "
    "0.02, ties 0.05 unless said otherwise; off: no limit. May be repeated.",
)
@click.option("--ram", type=click.IntRange(min=1), help="Most RAM the bundle may need, bytes.")
@click.option(
    "--flash", type=click.IntRange(min=1), help="Most flash, bytes: constants, without code."
)
@click.option(
    "--collect",
    is_flag=True,
    help="For cortex-m: take samples in while a segment is classified, for two bytes of RAM a "
    "sample of a segment at most. Without it the network's memory holds them, and a queue of yours "
    "must hold what comes in until the decision.",
)
@click.option(
    "--hop",
    "hop_s",
    type=float,
    metavar="SECONDS",
    help="With --collect: time between the starts of two segments, which then overlap; each is "
    "classified in that time.  [default: a segment]",
)
@click.option("--verify", is_flag=True, help="Convert twice and compare every byte.")
@click.option(
    "--from-manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Redo a bundle as its manifest.json says, and compare; MODEL: the bundle itself.",
)
@click.option(
    "--trust",
    is_flag=True,
    help="With --spec: let MODEL's own code run. A SavedModel is a program, and an .h5 with a "
    "Lambda layer holds some: without this they are refused, unread.",
)
@click.option("--overwrite", is_flag=True, help="Replace the output.")
def command(
    model: str | None,
    out: Path,
    gate: tuple[str, ...],
    ram: int | None,
    flash: int | None,
    from_manifest: Path | None,
    **options: Any,
) -> None:
    """Make MODEL's bundle for a device: a full-int8 .tflite, the front end as C, and the proof.

    MODEL is a shipped model's name or a model folder; or, with --spec, a model of yours: an int8
    .tflite, or a Keras .h5 or SavedModel that --calibrate quantises. A model folder's int8
    network, calibrated on training-domain segments, goes in as it is: neither TensorFlow nor a
    recording is needed; --calibrate makes a new one from the float weights, and so does --quantize
    qat by training them on.

    The bundle appears only when its golden vectors come out of LiteRT's reference kernels and,
    where there is a C compiler, of its own compiled C, and when it passes the gate: what int8
    loses against float, on the model's own validation set or on --validate's. Otherwise: one line,
    exit code 1, nothing written.

    \b
    Examples:
      ecgqa-convert light_cnn -o build/bundle
      ecgqa-convert light_cnn -o build/vest --fs-hz 500 --ram 32768
      ecgqa-convert light_cnn -o build/each_second --collect --hop 1
      ecgqa-convert light_cnn -o build/npu --target ethos-u55-128
      ecgqa-convert models/mine -o build/mine --calibrate recordings --overwrite
      ecgqa-convert models/mine -o build/mine --quantize qat --data data
      ecgqa-convert models/mine -o build/pi --quantize none --target raspberry-pi
      ecgqa-convert models/mine -o build/mine --validate set --gate flipped=0.01
      ecgqa-convert mine.h5 --spec spec.json --calibrate recordings -o build/own
      ecgqa-convert -o build/again --from-manifest build/bundle/manifest.json
    """
    given = {name: x for name, x in options.items() if x is not None and x is not False}
    if from_manifest is not None:
        if given.keys() & IN_MANIFEST or gate or ram or flash:
            raise click.UsageError("--from-manifest says what network, target and limits were")
        ask = partial(replace, Request.from_manifest(from_manifest, out, model))
    elif model is None:
        raise click.UsageError("name a MODEL, or a bundle's manifest with --from-manifest")
    else:
        ask = partial(Request, model, out, limits=Limits.parse(gate, ram, flash))
    try:
        request: Request = ask(**given)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    if request.quantize != "ptq":
        need("tensorflow", "tf_keras", "tensorflow_model_optimization")
    with progress() as tell:
        made = request.run(tell)
    console = Console(highlight=False)
    for line in _calibration(request, made):
        console.print(line, markup=False, soft_wrap=True)
    console.print(_summary(made.bundle))
    console.print(_proof(made.bundle), markup=False, soft_wrap=True)
    if request.verify:
        console.print("Converted twice: the same bytes in every file.")
    if from_manifest is not None:
        console.print(f"The same bytes as {from_manifest.parent}.", markup=False)


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
