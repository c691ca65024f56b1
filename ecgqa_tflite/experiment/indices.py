# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Quality indices that are held against one another: our models, and peers that are installed.

Every one gets the same windows of 5 s, as millivolts, and answers with a number per window that is
higher for better ones. What an index calls good by a rule of its own is told too, where it has one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecgqa_tflite.assess import Assessor
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.experiment.baselines import NeuroKit, NeuroKitMethod
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Tick
from ecgqa_tflite.segments import cut, quantise

Score = Callable[[NDArray[np.float64], float, Tick], NDArray[np.float64]]
"""From windows, mV, (n, window_len), their rate, Hz, and a tick per window to scores, (n,)."""
ECG_QUALITY_HZ = 250.0


@dataclass(frozen=True)
class Index:
    """A quality index.

    Attributes
    ----------
    name
        For tables, with the version of a peer.
    score
        See :data:`Score`.
    keeps_from
        Kept by its own rule from this score on; None: it has no rule for a window.
    ours
        Whether it is a model of this package.
    """

    name: str
    score: Score
    keeps_from: float | None = None
    ours: bool = False


def of_model(model: ModelFolder) -> Index:
    """The decisions of a model, as on a device: windows without a signal score lowest."""

    def score(windows: NDArray[np.float64], fs_hz: float, tick: Tick) -> NDArray[np.float64]:
        segments = cut(windows.ravel(), fs_hz, model.spec)  # they lie side by side
        assessor = Assessor(model, segments.fs_hz)
        scores = assessor.scores(segments).astype(np.float64)
        return np.where(segments.ok, scores, -129.0)

    return Index(model.name, score, float(model.threshold_int8), ours=True)


def peers() -> tuple[list[Index], dict[str, str]]:
    """Peers that are installed, and why the others aren't there, by name."""
    found: list[Index] = []
    missing: dict[str, str] = {}
    for package, module, make in (
        ("neurokit2", "neurokit2", _neurokit),
        ("ecg-quality", "ecg_quality.utils", _ecg_quality),
        ("biosqi", "biosqi.analysis", _biosqi),
    ):
        try:
            # its own version: a folder of peers may stand behind another copy
            version = importlib.metadata.version(package)
            importlib.import_module(module)
            found += make(version)
        except Exception as error:  # a peer may fail in any way: say how, go on
            reason = " ".join(str(error).split())[:120]
            missing[package] = f"{type(error).__name__}: {reason}"
    return found, missing


def _neurokit(version: str) -> list[Index]:
    return [
        Index(
            f"NeuroKit2 {version} {method}",
            partial(_by_neurokit, method),
            1.0 if method == "zhao2018" else None,  # at least "Barely acceptable"
        )
        for method in get_args(NeuroKitMethod)
    ]


def _by_neurokit(
    method: NeuroKitMethod, windows: NDArray[np.float64], fs_hz: float, tick: Tick
) -> NDArray[np.float64]:
    judge, out = NeuroKit(method), np.empty(len(windows))
    for i, samples in enumerate(quantise(windows)):
        out[i] = judge(samples[None], fs_hz)[0]
        tick(len(windows))
    return out


def _biosqi(version: str) -> list[Index]:
    types, analysis = (importlib.import_module(f"biosqi.{m}") for m in ("types", "analysis"))

    def score(windows: NDArray[np.float64], fs_hz: float, tick: Tick) -> NDArray[np.float64]:
        out, length_s = np.empty(len(windows)), windows.shape[1] / fs_hz
        for i, window in enumerate(windows):
            recording = types.Recording(window, fs_hz, signal_type=types.SignalType.ECG)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = analysis.analyze(recording, window_seconds=length_s, step_seconds=length_s)
            out[i] = result.scores[0]
            tick(len(windows))
        return out

    return [Index(f"biosqi {version}", score, 0.5)]  # its default threshold


def _ecg_quality(version: str) -> list[Index]:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # its models are of Keras 2
    return [
        Index(f"ecg-quality {version} {model}", partial(_by_ecg_quality, model), keeps)
        for model, keeps in _ecg_quality_rules()
    ]


def _ecg_quality_rules() -> list[tuple[str, float]]:
    """Its default model and that of 5 s; from minus its own line between QRS and none."""
    utils = importlib.import_module("ecg_quality.utils")
    return [
        (model, -float(utils.get_default_thresholds(model, "binary_qrs")))
        for model in ("cnn2s", "cnn5s")
    ]


def _by_ecg_quality(
    model: str, windows: NDArray[np.float64], fs_hz: float, tick: Tick
) -> NDArray[np.float64]:
    """Minus the mean of its scores, which are 0 for the best."""
    ratio = Fraction(ECG_QUALITY_HZ / fs_hz).limit_denominator(1000)
    checker = _checker(model)
    out = np.empty(len(windows))
    for i, window in enumerate(windows):
        at_rate = resample_poly(window, ratio.numerator, ratio.denominator)
        known = np.asarray(checker.process_signal(at_rate), float)
        known = known[np.isfinite(known)]
        out[i] = -known.mean() if known.size else -1.0
        tick(len(windows))
    return out


def _checker(model: str) -> Any:
    try:
        checkers = importlib.import_module("ecg_quality.ECGQualityChecker")
        checker = checkers.ECGQualityChecker(model=model, return_mode="score")
        network = checker.model.model
    except Exception as error:  # whatever its Keras does with the file
        reason = " ".join(str(error).split())[:120]
        raise ToolError(f"ecg-quality's {model} can't be loaded: {reason}") from error
    # the same function of the same window, without what predict() sets up for each
    checker.model.process_ecg = lambda signal: np.asarray(network(signal[None], training=False))
    return checker
