# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa convert``, also ``ecgqa-convert``: a model in, a proven firmware bundle out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from ecgqa_tflite.bundle.defaults import FS_HZ, TARGET
from ecgqa_tflite.cli import Command, need
from ecgqa_tflite.convert.quantisation import METHODS
from ecgqa_tflite.errors import ArgumentError

IN_MANIFEST = {"target", "fs_hz", "quantize", "collect", "hop_s"}
"""Options that go without saying where a manifest is redone."""


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option(
    "--target",
    metavar="NAME",
    help=f"Device that the bundle is for; ecgqa targets lists them.  [default: {TARGET}]",
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
    help="With --quantize qat or --prune: folder of challenge-2011, mitdb and nstdb, or a labelled "
    "folder of yours.",
)
@click.option(
    "--prune",
    metavar="dead|SHARE",
    help="Leave out channels. dead: those that no segment of --calibrate, --data (its calibration "
    "and validation) or --validate wakes; on these, scores stay as they are, bit for bit. SHARE, 0 "
    "to 1: so many of each layer, the least woken, and train on with --data what is left.",
)
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="spec.json of the front end that MODEL was trained with, where MODEL is a file of yours; "
    "its `network` may name classes, which is high quality, and the images' range.",
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
    help="With --spec: let MODEL's own code run. A SavedModel is a program, and a file with a "
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
    .tflite, or a .keras or .h5 of Keras 2 or 3, or a SavedModel, that --calibrate quantises. A
    model folder's int8 network, calibrated on training-domain segments, goes in as it is: neither
    TensorFlow nor a recording is needed; --calibrate makes a new one from the float weights, and so
    does --quantize qat by training them on.

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
      ecgqa-convert models/mine -o build/few --prune dead --data data
      ecgqa-convert models/mine -o build/half --prune 0.5 --data data
      ecgqa-convert models/mine -o build/pi --quantize none --target raspberry-pi
      ecgqa-convert models/mine -o build/mine --validate set --gate flipped=0.01
      ecgqa-convert mine.h5 --spec spec.json --calibrate recordings -o build/own
      ecgqa-convert -o build/again --from-manifest build/bundle/manifest.json
    """
    # Here, so that --help waits for none of it.
    from ecgqa_tflite.bundle.gate import Limits
    from ecgqa_tflite.bundle.request import Request
    from ecgqa_tflite.cli.conversion import tell_conversion
    from ecgqa_tflite.cli.progress import progress

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
    if request.quantize != "ptq" or (request.prune and request.data):
        need("tensorflow", "tf_keras", "tensorflow_model_optimization")
    with progress() as tell:
        made = request.run(tell)
    tell_conversion(request, made)
    if from_manifest is not None:
        click.echo(f"The same bytes as {from_manifest.parent}.")
