# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""RISC-V: the portable engine of the ``cortex-m`` bundle, its instructions counted."""

from __future__ import annotations

from ecgqa_tflite.devices import _counted

DEVICES = _counted.cores({"rv32imc": "virt"}, place=5)
