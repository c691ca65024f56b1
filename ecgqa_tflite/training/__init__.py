# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Training: recipe, images, the fit and what becomes of it. Modules import TensorFlow lazily."""
