"""Pictures: the quality strip on ECG paper, a scalogram, a gallery of errors, a calibration curve.

matplotlib comes with the extra ``train`` and is imported when a picture is drawn. Strip and
scalogram are laid out in millimetres and saved with their resolution, so that they print at true
size.
"""

from ecgqa_tflite.plots.paper import check_picture_suffix, new_figure
from ecgqa_tflite.plots.scalogram import SCALOGRAM_SUFFIXES, save_scalogram
from ecgqa_tflite.plots.strip import STRIP_SUFFIXES, clock, save_strip

__all__ = [
    "SCALOGRAM_SUFFIXES",
    "STRIP_SUFFIXES",
    "check_picture_suffix",
    "clock",
    "new_figure",
    "save_scalogram",
    "save_strip",
]
