"""From a float network to the full-int8 ``.tflite``, and what came out of it.

Only the conversion itself imports TensorFlow, when it is called.
"""

from ecgqa_tflite.quantize.census import OperatorCensus, census
from ecgqa_tflite.quantize.ptq import quantise_ptq

__all__ = ["OperatorCensus", "census", "quantise_ptq"]
