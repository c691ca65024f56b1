# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa validate``: a bundle proven again, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from ecgqa_tflite.bundle.validation import BOARD, validate_bundle


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--no-emulator", is_flag=True, help="Leave QEMU out, also where it is installed.")
def command(bundle: Path, no_emulator: bool) -> None:
    """Prove BUNDLE again from its folder alone; exit code 0 where all of it holds.

    Every file against its SHA-256; the golden segments through the front end and LiteRT's
    reference kernels; the bundle's own C, compiled and run here; what its target adds; and the same
    C on an emulated Cortex-M4 where arm-none-eabi-gcc and QEMU are installed.

    \b
    Examples:
      ecgqa validate build/bundle
      ecgqa validate build/bundle --no-emulator
    """
    shown = validate_bundle(bundle, emulate=not no_emulator)
    proof = shown.proof
    click.echo(f"{bundle}: for {shown.target}, {shown.files} files as the manifest says")
    click.echo(
        f"LiteRT: {proof.segments} golden segments, {proof.distinct_scores} different scores"
    )
    for line in proof.target_output:
        click.echo(line)
    if proof.c_selftest is not None:
        click.echo(f"its C, compiled with {proof.c_selftest}:")
        for line in proof.c_output:
            click.echo(f"  {line}")
    if shown.board_output is not None:
        click.echo(f"its C on QEMU's {BOARD}:")
        for line in shown.board_output:
            click.echo(f"  {line}")
    elif not no_emulator and proof.c_selftest is not None:
        click.echo("not emulated: arm-none-eabi-gcc or qemu-system-arm is not installed")
