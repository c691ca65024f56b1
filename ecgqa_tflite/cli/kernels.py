# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``--kernels`` of every command that runs the int8 network."""

from __future__ import annotations

from typing import get_args

import click

from ecgqa_tflite.assess import Kernels

kernels_option = click.option(
    "--kernels", type=click.Choice(get_args(Kernels)), default="fast", show_default=True,
    help="Who runs the network. fast: LiteRT, or device where it has no wheel; device: the "
    "firmware's own C, its scores to the bit, slower; reference: the same by LiteRT, slower still.",
)  # fmt: skip
