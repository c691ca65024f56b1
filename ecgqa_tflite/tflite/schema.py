# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The schema of ``.tflite`` files (tensorflow/lite/schema/schema.fbs), as code to read them by.

That of ai-edge-litert; where it has no wheel, that of the ``tflite`` package, which can't write.
"""

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError:
    import tflite as schema

__all__ = ["schema"]
