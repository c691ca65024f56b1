"""The firmware bundle: everything that a firmware needs of one model, and the proof that it fits.

``export`` sees the bytes of a ``.tflite`` and the spec, never Keras.
"""

from ecgqa_tflite.export.bundle import Bundle, accuracy_lines, export_bundle
from ecgqa_tflite.export.gate import Limits
from ecgqa_tflite.export.proof import Proof, prove

__all__ = ["Bundle", "Limits", "Proof", "accuracy_lines", "export_bundle", "prove"]
