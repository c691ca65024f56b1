# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The firmware bundle: everything that a firmware needs of one model, and the proof that it fits.

It sees the bytes of a ``.tflite`` and the spec, never Keras.
"""
