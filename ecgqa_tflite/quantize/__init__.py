"""From a float network to the full-int8 ``.tflite``, and what came out of it.

Only the conversion itself imports TensorFlow, when it is called.
"""

from ecgqa_tflite.quantize.census import OperatorCensus, census
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.quantize.requantise import Calibration, calibration_from_folder, requantise

__all__ = [
    "Calibration",
    "OperatorCensus",
    "calibration_from_folder",
    "census",
    "quantise_ptq",
    "requantise",
]
