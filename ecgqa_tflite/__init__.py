# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""ECG quality assessment for wearables: training and device share one integer front end."""

__version__ = "0.1.0"
"""The tool version: models, manifests and generated C carry it; pyproject.toml reads it here."""
