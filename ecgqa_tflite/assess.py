"""Recording -> decisions: which seconds of an ECG can be trusted. No TensorFlow.

The segments go through the C front end and the int8 network that a firmware runs, so the answer
is the device's, up to LiteRT's optimised kernels (a few units of 256 in a score now and then;
:class:`~ecgqa_tflite.litert.Int8Network` has both kinds).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import ecgqa_tflite
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.litert import high_scores, image_s8
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.segments import Segments, SegmentStatus, cut
from ecgqa_tflite.spec import Quality

REPORT_FORMAT = 1
"""Format number of :func:`report`'s JSON."""

Reason = Literal["ok", "gap", "flat"]
Progress = Callable[[int, int], None]
"""Called with segments done and segments in all."""


@dataclass(frozen=True)
class Decision:
    """What is said of one segment.

    Attributes
    ----------
    start_s, end_s
        The segment, s from the start of the recording.
    quality
        High where the int8 score of class 1 reaches the model's threshold.
    score
        Softmax of class 1 as the int8 network gives it, 0..1 in steps of 1/256; 0 where the
        network was not asked.
    reason
        ``ok``: the network decided. ``gap``: samples are missing. ``flat``: the signal is
        constant. A gap and a flat segment are low quality.
    """

    start_s: float
    end_s: float
    quality: Quality
    score: float
    reason: Reason


@dataclass(frozen=True)
class Span:
    """An interval for which one decision, or several alike, speaks.

    Attributes
    ----------
    start_s, end_s
        s from the start of the recording; spans never overlap.
    quality, reason
        As in :class:`Decision`.
    lowest_score, highest_score
        Over the decisions in it, 0..1.
    """

    start_s: float
    end_s: float
    quality: Quality
    reason: Reason
    lowest_score: float
    highest_score: float


def assess(
    recording: Recording,
    model: ModelFolder,
    *,
    lead: str | int | None = None,
    hop_s: float | None = None,
    threads: int = 1,
    progress: Progress | None = None,
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
    progress: Progress | None = None,
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


def report(
    recording: Recording,
    model: ModelFolder,
    decisions: Sequence[Decision],
    lead: str | int | None = None,
) -> dict[str, Any]:
    """Everything that was decided, as plain types for JSON; the same input gives the same bytes.

    Qualities are the names of the classes in the model's spec. ``threshold`` is on the scale of
    the scores: a segment is high where its score is at least that.
    """
    return {
        "format": REPORT_FORMAT,
        "record": recording.name,
        "lead": recording.lead_names[recording.lead_index(lead)],
        "fs_hz": recording.fs_hz,
        "duration_s": recording.duration_s,
        "model": model.name,
        "spec_hash": model.spec.hash,
        "threshold": probability(model.threshold_int8),
        "tool_version": ecgqa_tflite.__version__,
        "n_segments": len(decisions),
        "n_high": sum(d.quality == Quality.HIGH for d in decisions),
        "decisions": [
            {
                "start_s": d.start_s,
                "end_s": d.end_s,
                "quality": model.labels[d.quality],
                "score": d.score,
                "reason": d.reason,
            }
            for d in decisions
        ],
    }


def probability(score_int8: int) -> float:
    """Real value of a softmax's int8 score: quant_scale 1/256, zero point -128."""
    return (score_int8 + 128) / 256


def spans(decisions: Sequence[Decision]) -> list[Span]:
    """What each decision speaks for: where segments overlap, the one whose centre is nearest.

    Segments that do not overlap speak for themselves; a space between segments is nobody's.
    """
    edges = [
        (before.end_s + after.start_s) / 2 if after.start_s < before.end_s else None
        for before, after in itertools.pairwise(decisions)
    ]
    return [
        Span(
            d.start_s if left is None else left,
            d.end_s if right is None else right,
            d.quality,
            d.reason,
            d.score,
            d.score,
        )
        for d, left, right in zip(decisions, [None, *edges], [*edges, None], strict=True)
    ]


def merged(parts: Sequence[Span]) -> list[Span]:
    """Adjacent spans of equal quality and reason as one."""
    return list(_merge(parts))


def _merge(parts: Sequence[Span]) -> Iterator[Span]:
    current: Span | None = None
    for part in parts:
        if (
            current is not None
            and (current.quality, current.reason) == (part.quality, part.reason)
            and abs(current.end_s - part.start_s) < 1e-6
        ):
            current = Span(
                current.start_s,
                part.end_s,
                part.quality,
                part.reason,
                min(current.lowest_score, part.lowest_score),
                max(current.highest_score, part.highest_score),
            )
        else:
            if current is not None:
                yield current
            current = part
    if current is not None:
        yield current
