# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a conversion is for where nothing is said. Imports nothing: a help text waits for it."""

TARGET = "cortex-m"
"""Name of the device."""

FS_HZ = 250.0
"""Sampling rate of the device, Hz."""
