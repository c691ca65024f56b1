# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""One file per format; the folder is the registry: each module's ``READER`` is one way to read."""
