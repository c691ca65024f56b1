# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Quantising a trained model again, on the user's own recordings."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.convert.ends import PLAIN, Ends
from ecgqa_tflite.convert.quantisation import Made
from ecgqa_tflite.errors import ConversionError, DatasetError, EcgqaError
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.quantize.flips import flipped_segments
from ecgqa_tflite.quantize.ptq import quantise_ptq
from ecgqa_tflite.quantize.snr import layer_snr_db
from ecgqa_tflite.recording import read_recording
from ecgqa_tflite.segments import cut
from ecgqa_tflite.spec import SCORE_SCALE, SCORE_ZERO_POINT, FrontEnd
from ecgqa_tflite.tflite.run import Int8Network

CALIBRATION_SEGMENTS = 200
BATCH = 64

_Drawn = tuple[NDArray[np.uint8], NDArray[np.int16], float]
"""Index map, samples and sampling rate, Hz, of a segment."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Images that ranges are measured on.

    Attributes
    ----------
    images
        uint8, (n, rows, cols, channels).
    ids
        ``<record>/<lead>@<start in s>`` of each.
    skipped
        Recordings that gave none, each with its reason.
    samples, fs_hz
        int16 samples and sampling rate, Hz, of each.
    """

    images: NDArray[np.uint8]
    ids: tuple[str, ...]
    samples: tuple[NDArray[np.int16], ...]
    fs_hz: tuple[float, ...]
    skipped: tuple[str, ...]


def calibration_from_folder(
    folder: str | Path, spec: FrontEnd, n: int = CALIBRATION_SEGMENTS, seed: int = 0
) -> Calibration:
    """Draw segments from a folder of WFDB recordings, as equal a share of each as there is.

    Flat segments and segments with gaps are left out: a device calls them low without asking the
    network. The same folder and seed give the same segments.

    Parameters
    ----------
    folder
        Searched for WFDB headers, in subfolders too.
    spec
        The front end.
    n
        Segments to draw; fewer where the recordings hold no more.
    seed
        Of the draw.

    Raises
    ------
    DatasetError
        No folder, no recording in it, or none that gives a segment.
    """
    folder = Path(folder)
    records = sorted(path.with_suffix("") for path in folder.rglob("*.hea"))
    if not records:
        raise DatasetError(f"{folder}: holds no WFDB recordings (*.hea) to calibrate with")
    rng = np.random.default_rng(seed)
    drawn: dict[str, _Drawn] = {}
    skipped: list[str] = []
    # What one recording can't give, the others are asked for in another round.
    todo = [records[i] for i in rng.permutation(len(records))]
    while todo and len(drawn) < n:
        able = []
        for i, record in enumerate(todo):
            share = -(-(n - len(drawn)) // (len(todo) - i))
            if share == 0:
                break
            name = record.relative_to(folder).as_posix()
            try:
                found = _draw(record, name, spec, share, drawn.keys(), rng)
            except EcgqaError as error:
                skipped.append(f"{name}: {error}")
                continue
            if len(found) == share:
                able.append(record)
            drawn |= found
        todo = able
    if not drawn:
        raise DatasetError(f"{folder}: no recording gives a segment; the first: {skipped[0]}")
    ids = sorted(drawn)
    maps, samples, rates = zip(*(drawn[name] for name in ids), strict=True)
    return Calibration(
        image(np.stack(maps), spec.colormap), tuple(ids), samples, rates, tuple(sorted(skipped))
    )


def _draw(
    record: Path,
    name: str,
    spec: FrontEnd,
    share: int,
    taken: Set[str],
    rng: np.random.Generator,
) -> dict[str, _Drawn]:
    """``share`` segments of a recording, any lead, by id; fewer if it has no more."""
    recording = read_recording(record)
    choices = []
    for lead in recording.lead_names:
        segments = cut(recording.lead(lead), recording.fs_hz, spec)
        for i in np.flatnonzero(segments.ok):
            identifier = f"{name}/{lead}@{segments.start_s[i]:.2f}"
            choices.append((identifier, segments.samples[i], segments.fs_hz))
    if not choices:
        raise DatasetError("every segment is flat or has gaps")
    choices = [choice for choice in choices if choice[0] not in taken]
    order = rng.permutation(len(choices))[:share]
    return {
        identifier: (NativeFrontEnd(spec, fs_hz).index_map(samples), samples, fs_hz)
        for identifier, samples, fs_hz in (choices[p] for p in sorted(order))
    }


def int8_threshold(threshold: float) -> int:
    """The int8 softmax score that stands for a probability."""
    return int(np.clip(round(threshold / SCORE_SCALE) + SCORE_ZERO_POINT, -128, 127))


def both_scores(
    probabilities: Callable[..., Any],
    int8: Int8Network,
    images: NDArray[np.uint8],
    ends: Ends = PLAIN,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """P(high) by the float network and its score by the int8 one, (n,) each.

    Of images (n, rows, cols, channels).
    """
    from ecgqa_tflite.networks import preprocess

    p_high, scores = np.empty(len(images)), np.empty(len(images), np.int8)
    for first in range(0, len(images), BATCH):
        batch = images[first : first + BATCH]
        rows = slice(first, first + len(batch))
        floats = probabilities(preprocess(batch, ends.scaled_to), training=False)
        p_high[rows] = np.asarray(floats)[:, ends.high]
        scores[rows] = int8.scores(to_int8(batch))[:, ends.high]
    return p_high, scores


def held_together(
    network: Any,
    tflite: bytes,
    calibration: Calibration,
    threshold: float,
    probabilities: Callable[..., Any] | None = None,
    ends: Ends = PLAIN,
) -> Made:
    """An int8 network with what the calibration segments, which have no labels, tell of it.

    ``probabilities`` are what the float network decides by, where it doesn't itself give them;
    ``ends`` say what both take, and which score is high quality.

    Its ``metrics`` hold ``calibration``: ``segments``, ``flipped`` (decided differently than by the
    float network, which calls high from ``threshold``), which of them (``flipped_segments``:
    :func:`~ecgqa_tflite.quantize.flips.flipped_segments`) and ``layers``
    (:func:`~ecgqa_tflite.quantize.snr.layer_snr_db`; None where the two networks were converted to
    different operators, which can't be held together).
    """
    threshold_int8 = int8_threshold(threshold)
    layers: list[dict[str, Any]] | None
    try:
        layers = layer_snr_db(network, tflite, calibration.images, ends.scaled_to)
    except ConversionError:
        layers = None
    p_high, scores = both_scores(
        probabilities or network, Int8Network(tflite), calibration.images, ends
    )
    measured = {
        "segments": len(calibration.ids),
        "flipped": int(np.sum((p_high >= threshold) != (scores >= threshold_int8))),
        "flipped_segments": flipped_segments(
            calibration.ids,
            calibration.samples,
            calibration.fs_hz,
            p_high,
            scores,
            (threshold, threshold_int8),
        ),
        "layers": layers,
    }
    return Made(tflite, threshold_int8, {"calibration": measured}, calibration.ids)


def requantise(
    model: ModelFolder,
    folder: str | Path,
    out: str | Path,
    n: int = CALIBRATION_SEGMENTS,
    seed: int = 0,
) -> tuple[ModelFolder, Calibration]:
    """Quantise a trained model's float weights on recordings in ``folder``; write a model folder.

    What had been measured with the old int8 network is left out of ``metrics``; how many of the
    calibration segments float and int8 decide differently is noted in its place.

    Raises
    ------
    DatasetError
        See :func:`calibration_from_folder`.
    ModelError
        The model has no float weights.
    ConversionError
        See :func:`quantise_ptq`.
    """
    _ = model.weights_path  # said before any work
    calibration = calibration_from_folder(folder, model.spec, n, seed)
    from ecgqa_tflite.evaluation.card import write_card  # which imports this package
    from ecgqa_tflite.networks import load_model

    network = load_model(model.path)
    tflite = quantise_ptq(network, calibration.images)
    made = held_together(network, tflite, calibration, model.threshold)
    written = model.with_network(
        out, made.tflite, made.threshold_int8, made.metrics, made.calibration_ids
    )
    return write_card(written), calibration
