"""Recording -> decisions: which seconds of an ECG can be trusted. No TensorFlow.

The segments go through the C front end and the int8 network that a firmware runs, so the answer
is the device's, up to LiteRT's optimised kernels (a few units of 256 in a score now and then;
:class:`~ecgqa_tflite.tflite.run.Int8Network` has both kinds).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.decisions import Decision, probability
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Count
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.segments import Segments, SegmentStatus, cut
from ecgqa_tflite.spec import Quality
from ecgqa_tflite.tflite.run import high_scores


def assess(
    recording: Recording,
    model: ModelFolder,
    *,
    lead: str | int | None = None,
    hop_s: float | None = None,
    threads: int = 1,
    progress: Count | None = None,
) -> list[Decision]:
    """Decide for each segment of a recording whether its quality is high or low.

    Parameters
    ----------
    lead
        Name or index; None takes the first.
    hop_s
        From one segment's start to the next one's, s; None means no overlap and no space. Samples
        after the last whole segment are not assessed.
    threads
        Segments are shared among so many; the answer does not depend on it.

    Raises
    ------
    RecordingError
        No such lead; shorter than a segment.
    SamplingRateError
        The sampling rate is too low for the model's front end.
    ModelError
        The model can't be run.
    """
    signal_mv = recording.lead(lead)
    segments = cut(signal_mv, recording.fs_hz, model.spec, hop_s)
    scores = score_segments(segments, model, threads=threads, progress=progress)
    high = scores >= model.threshold_int8
    decisions = []
    for start_s, status, score, is_high in zip(
        segments.start_s, segments.status, scores, high, strict=True
    ):
        asked = status == SegmentStatus.OK
        decisions.append(
            Decision(
                start_s=float(start_s),
                end_s=float(start_s) + model.spec.segment_s,
                quality=Quality.HIGH if asked and is_high else Quality.LOW,
                score=probability(int(score)) if asked else 0.0,
                reason=str(status),  # type: ignore[arg-type]
            )
        )
    return decisions


def score_segments(
    segments: Segments,
    model: ModelFolder,
    *,
    threads: int = 1,
    progress: Count | None = None,
) -> NDArray[np.int8]:
    """Score of class 1 for each segment, int8, shape (n,); -128 where the network was not asked.

    The front end and an interpreter of its own run in each thread, a batch at a time: the calls
    into C and LiteRT let other threads run.
    """
    front_end = NativeFrontEnd(model.spec, segments.fs_hz)

    def images(batch: NDArray[np.intp]) -> NDArray[np.int8]:
        index_maps = front_end.index_maps(segments.samples[batch], threads=1)
        return image_s8(index_maps, model.spec.colormap)

    n = len(segments.status)
    wanted = np.flatnonzero(segments.status == SegmentStatus.OK)

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(n - total + done, n)

    return high_scores(model.tflite_path, images, n, wanted, threads=threads, progress=tell)
