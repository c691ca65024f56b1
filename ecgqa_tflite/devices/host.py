# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""LiteRT on this machine, and ``assess`` end to end."""

from __future__ import annotations

from ecgqa_tflite.benchmark.job import Bench
from ecgqa_tflite.devices import _litert
from ecgqa_tflite.devices._device import Device

DEVICES = (Device("host", bench=Bench(0, _litert.variants, _litert.measure)),)
