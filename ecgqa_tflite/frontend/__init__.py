# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The front end: a segment of ECG becomes an index map, in float64 (reference) and in integers."""
