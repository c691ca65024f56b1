# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The paper's experiment and its ablations: many trainings, one external test, one table."""
