"""``ecgqa targets``: the devices that ``ecgqa convert --target`` makes bundles for."""

from __future__ import annotations

import click

from ecgqa_tflite.export.targets import DEFAULT, TARGETS


@click.command()
def command() -> None:
    """List the devices that a bundle can be made for, and what each needs here.

    \b
    Examples:
      ecgqa targets
      ecgqa convert light_cnn -o build/tflm --target tflm
    """
    for name, target in TARGETS.items():
        click.secho(f"{name} (default)" if name == DEFAULT else name, bold=True)
        for what, text in (
            ("runs in", target.summary),
            ("bundle", target.bundle),
            ("proven", target.proof),
            ("missing", target.missing() or "nothing"),
        ):
            click.echo(f"  {what:<9}{text}")
