# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa targets``: the devices that ``ecgqa convert --target`` makes bundles for."""

from __future__ import annotations

import click

from ecgqa_tflite.bundle.defaults import TARGET
from ecgqa_tflite.devices import TARGETS


@click.command()
@click.option("--long", is_flag=True, help="Also the command for each, and the tree it writes.")
def command(long: bool) -> None:
    """List the devices that a bundle can be made for, and what each needs here.

    \b
    Examples:
      ecgqa targets
      ecgqa targets --long
      ecgqa convert light_cnn -o build/tflm --target tflm
    """
    for name, target in TARGETS.items():
        click.secho(f"{name} (default)" if name == TARGET else name, bold=True)
        for what, text in (
            ("runs in", target.summary),
            ("bundle", target.bundle),
            ("proven", target.proof),
            ("missing", target.missing() or "nothing"),
        ):
            click.echo(f"  {what:<9}{text}")
        if long:
            click.echo(f"  command  ecgqa-convert NAME -o BUNDLE --target {name}")
            for i, path in enumerate(target.tree):
                mark = "  *" if path.startswith("(") else ""
                click.echo(f"  {'writes' if i == 0 else '':<9}BUNDLE/{path.strip('()')}{mark}")
    if long:
        click.echo("\n* depends on the model, or on what is installed; NAME: the model's")
