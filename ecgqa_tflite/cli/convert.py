"""``ecgqa convert``, also ``ecgqa-convert``: a model in, a proven firmware bundle out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ecgqa_tflite.bundle.again import read_request, require_same
from ecgqa_tflite.bundle.export import Bundle, accuracy_lines, export_bundle
from ecgqa_tflite.bundle.gate import MEASURED, Limits
from ecgqa_tflite.bundle.proof import arithmetic
from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.cli.progress import default_cache, progress
from ecgqa_tflite.devices import DEFAULT, TARGETS, require_float
from ecgqa_tflite.model_folder import ModelFolder, open_model
from ecgqa_tflite.output import refuse_existing, refuse_swallowing, refuse_unwritable, whole_folder
from ecgqa_tflite.quantize.snr import worst_layers

FS_HZ = 250.0
"""Sampling rate where none is given, Hz."""
QUANTIZE = ("ptq", "qat", "none")


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
    help="Sampling rate of the device, Hz; the model is the same for all.  [default: 250]",
)
@click.option(
    "--quantize",
    type=click.Choice(QUANTIZE),
    default="ptq",
    show_default=True,
    help="ptq: after training, on --calibrate's recordings; qat: by a training more, on --data; "
    "none: float32, for targets that run it. The latter two need TensorFlow.",
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
@click.option("--overwrite", is_flag=True, help="Replace the output.")
def command(
    model: str | None,
    out: Path,
    target: str | None,
    fs_hz: float | None,
    quantize: str,
    calibrate: Path | None,
    data: Path | None,
    spec: Path | None,
    threshold: float | None,
    validate: Path | None,
    gate: tuple[str, ...],
    ram: int | None,
    flash: int | None,
    collect: bool,
    hop_s: float | None,
    verify: bool,
    from_manifest: Path | None,
    overwrite: bool,
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
    refuse_existing(out, overwrite)
    refuse_unwritable(out)
    given = None if model is None else Path(model)
    refuse_swallowing(out, given, calibrate, data, spec, validate, from_manifest)
    if from_manifest is not None:
        given_too = any(x is not None for x in (target, fs_hz, ram, flash, hop_s))
        if given_too or gate or collect or quantize != "ptq":
            raise click.UsageError("--from-manifest says what network, target and limits were")
        redo = read_request(from_manifest)
        model = model or str(redo.folder)
        target, fs_hz, limits = redo.target, redo.fs_hz, redo.limits
        collect, hop_s = redo.collect, redo.hop_s
    elif model is None:
        raise click.UsageError("name a MODEL, or a bundle's manifest with --from-manifest")
    else:
        limits = Limits.parse(gate, ram, flash)
    if spec is None and threshold is not None:
        raise click.UsageError("--threshold goes with --spec: a model folder says its own")
    if (data is not None) != (quantize == "qat"):
        raise click.UsageError("--quantize qat and --data FOLDER go together")
    if calibrate is not None and quantize != "ptq":
        raise click.UsageError("--calibrate goes with --quantize ptq")
    if quantize != "ptq":
        need("tensorflow", "tf_keras", "tensorflow_model_optimization")
    if quantize == "none":
        require_float(target or DEFAULT)
    if spec is None:
        open_model(model)  # what is wrong with it is said before any work
    console = Console()

    def make(folder: Path, scratch: Path) -> Bundle:
        if spec is not None:
            from ecgqa_tflite.convert.own_model import own_model

            with progress() as tell:
                made = own_model(
                    model,
                    spec,
                    scratch,
                    calibrate,
                    threshold,
                    quantize=quantize,
                    data=data,
                    cache=default_cache(),
                    progress=tell,
                )
        else:
            made = _from_folder(console, open_model(model), scratch, quantize, calibrate, data)
        if validate is not None:
            from ecgqa_tflite.convert.measure import measured

            made = measured(made, validate, MEASURED, own=None if spec is None else model)
        return export_bundle(
            made,
            folder,
            target=target or DEFAULT,
            fs_hz=FS_HZ if fs_hz is None else fs_hz,
            limits=limits,
            collect=collect,
            hop_s=hop_s,
        )

    with tempfile.TemporaryDirectory() as scratch:
        first = make(Path(scratch) / "bundle", Path(scratch) / "first")
        if verify:
            require_same(first.path, make(Path(scratch) / "again", Path(scratch) / "second").path)
        if from_manifest is not None:
            require_same(from_manifest.parent, first.path)
        with whole_folder(out, overwrite) as folder:
            shutil.copytree(first.path, folder, dirs_exist_ok=True)
    bundle = replace(first, path=out)
    console.print(_summary(bundle))
    console.print(_proof(bundle), markup=False, highlight=False, soft_wrap=True)
    if verify:
        console.print("Converted twice: the same bytes in every file.")
    if from_manifest is not None:
        console.print(f"The same bytes as {from_manifest.parent}.", markup=False, highlight=False)


def _from_folder(
    console: Console,
    opened: ModelFolder,
    scratch: Path,
    quantize: str,
    calibrate: Path | None,
    data: Path | None,
) -> ModelFolder:
    """The model as it is, or with a new network made of its float weights."""
    if quantize == "none":
        from ecgqa_tflite.convert.float_export import unquantised

        return unquantised(opened, scratch / opened.name)
    if data is not None:
        from ecgqa_tflite.convert.retrain import requantise_qat

        with progress() as tell:
            return requantise_qat(
                opened, data, scratch / opened.name, default_cache(), progress=tell
            )
    if calibrate is not None:
        return _calibrated(console, opened, calibrate, scratch / opened.name)
    return opened


def _calibrated(
    console: Console, opened: ModelFolder, recordings: Path, folder: Path
) -> ModelFolder:
    """The model quantised again, with a word on what it was calibrated on."""
    from ecgqa_tflite.convert.requantise import requantise

    made, calibration = requantise(opened, recordings, folder)
    differ = made.metrics["calibration"]["flipped"]
    console.print(
        f"Quantised on {len(calibration.ids)} segments of {recordings}; float and int8 "
        f"decide {differ} of them differently",
        highlight=False,
    )
    if calibration.skipped:
        console.print(
            f"{len(calibration.skipped)} recordings skipped; the first: {calibration.skipped[0]}",
            markup=False,
            highlight=False,
        )
    return made


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
        f"{image['name']}, int8, scale 1/255, zero point {image['zero_point']}",
    )
    table.add_row(
        "output",
        f"{scores['name']}, int8, scale {scores['quant_scale']:g}, zero point "
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
