# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: the quality strip on ECG paper, a scalogram, a gallery of errors, a calibration curve.

matplotlib comes with the extra ``train`` and is imported when a picture is drawn. Strip and
scalogram are laid out in millimetres and saved with their resolution, so that they print at true
size.
"""

from ecgqa_tflite.plots.gallery import GALLERY_SUFFIXES, Picture, save_gallery
from ecgqa_tflite.plots.paper import check_picture_suffix, clock, new_figure
from ecgqa_tflite.plots.scalogram import SCALOGRAM_SUFFIXES, save_scalogram
from ecgqa_tflite.plots.strip import STRIP_SUFFIXES, check_stretch, save_strip

__all__ = [
    "GALLERY_SUFFIXES",
    "SCALOGRAM_SUFFIXES",
    "STRIP_SUFFIXES",
    "Picture",
    "check_picture_suffix",
    "check_stretch",
    "clock",
    "new_figure",
    "save_gallery",
    "save_scalogram",
    "save_strip",
]
