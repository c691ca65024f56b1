# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa scalogram``: a segment as the network sees it."""

from __future__ import annotations

from pathlib import Path

import click

from ecgqa_tflite import plots
from ecgqa_tflite.cli import Command
from ecgqa_tflite.cli.reading import reading_options
from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.output import refuse_existing, refuse_inputs, refuse_unwritable_file, whole_file
from ecgqa_tflite.recording import open_recording
from ecgqa_tflite.recording.file import ReadOptions
from ecgqa_tflite.segments import SegmentStatus, cut
from ecgqa_tflite.spec import PRESETS, FrontEnd


@click.command(cls=Command)
@click.argument("record")
@click.option(
    "--at", "at_s", type=float, required=True, metavar="S", help="Start of the segment, s."
)
@click.option(
    "-o", "--out", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write: .png, .pdf or .svg.",
)  # fmt: skip
@click.option("--lead", help="Name or number (from 0).  [default: the one likeliest to be an ECG]")
@reading_options
@click.option(
    "--front-end", default="wearable", show_default=True, metavar="NAME",
    help=f"Spec to draw with: {', '.join(PRESETS)}, or a model's (its name or folder).",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the picture.")
def command(
    record: str,
    at_s: float,
    out: Path,
    lead: str | None,
    options: ReadOptions,
    front_end: str,
    overwrite: bool,
) -> None:
    """Draw a segment of RECORD as the network sees it.

    The ECG on top, under it the scalogram: the bytes that the integer front end gives, in the
    spec's colours, over time in s and a logarithmic frequency axis in Hz.

    \b
    Examples:
      ecgqa scalogram data/mitdb/104 --at 12.5 -o out.png
      ecgqa scalogram data/mitdb/104 --at 60 --lead V2 --front-end seed -o v2.png
      ecgqa scalogram A00001 --at 0 --front-end light_cnn -o out.pdf
    """
    refuse_existing(out, overwrite)
    refuse_unwritable_file(out)
    plots.check_picture_suffix(out, plots.SCALOGRAM_SUFFIXES)
    spec = FrontEnd.preset(front_end) if front_end in PRESETS else open_model(front_end).spec
    file = open_recording(record, options=options)
    refuse_inputs([out], file.files)
    recording = file.recording(lead)
    for note in recording.notes:
        click.echo(f"Note: {note}", err=True)
    last_s = recording.duration_s - spec.segment_s
    if not 0 <= at_s <= last_s + 0.5 / recording.fs_hz:
        raise RecordingError(
            f"{recording.name} is {recording.duration_s:g} s long: "
            + (f"--at must be 0 to {last_s:g}" if last_s >= 0 else "too short for a segment")
        )
    n_samples = round(spec.segment_s * recording.fs_hz)
    first = min(round(at_s * recording.fs_hz), len(recording.signal_mv) - n_samples)
    segment_mv = recording.lead(0)[first : first + n_samples]
    segments = cut(segment_mv, recording.fs_hz, spec)
    if segments.status[0] == SegmentStatus.GAP:
        raise RecordingError(
            f"{recording.name} misses samples between {at_s:g} and {at_s + spec.segment_s:g} s: "
            f"there is no scalogram of a gap"
        )
    index_map = NativeFrontEnd(spec, segments.fs_hz).index_map(segments.samples[0])
    start_s = first / recording.fs_hz
    (lead_name,) = recording.lead_names
    flat = "   flat: all zeros" if segments.status[0] == SegmentStatus.FLAT else ""
    with whole_file(out, overwrite) as temporary:
        plots.save_scalogram(
            temporary,
            segment_mv,
            recording.fs_hz,
            index_map,
            spec,
            title=f"{recording.name}   lead {lead_name}{flat}",
            start_s=start_s,
        )
    click.echo(f"Written: {out}")
