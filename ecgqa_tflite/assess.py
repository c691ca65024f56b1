# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Recording -> decisions: which seconds of an ECG can be trusted. No TensorFlow.

The segments go through the C front end and the int8 network that a firmware runs, so the answer
is the device's, up to LiteRT's optimised kernels (a few units of 256 in a score now and then;
:class:`~ecgqa_tflite.tflite.run.Int8Network` has both kinds).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgqa_tflite.decisions import Decision, probability
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Count, within
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.segments import Cutter, Segments, SegmentStatus, at_usable_rate, usable_rate
from ecgqa_tflite.spec import Quality
from ecgqa_tflite.tflite.run import Scorer

SEGMENTS_AT_ONCE = 1024
"""Windows, which may overlap, that are in memory: some MB, and seldom a thread that waits."""


class Assessor:
    """Decides on one lead as its samples come in; keeps its front end and interpreters.

    For several recordings of one rate, one after the other: :meth:`assess`, or :meth:`reset`
    between them. For several leads at once: one each.

    Parameters
    ----------
    fs_hz
        Sampling rate of the samples, Hz; one that the integer front end takes
        (:func:`~ecgqa_tflite.segments.usable_rate`).
    hop_s
        From one segment's start to the next one's, s; None means no overlap and no space.
    threads
        Segments are shared among so many; the answer does not depend on it.

    Raises
    ------
    SamplingRateError
        The front end can't take the sampling rate.
    ArgumentError
        The hop is not at least one sample.
    ModelError
        The model can't be run.
    """

    def __init__(
        self, model: ModelFolder, fs_hz: float, *, hop_s: float | None = None, threads: int = 1
    ) -> None:
        self.model = model
        self.fs_hz = fs_hz
        self._cutter = Cutter(fs_hz, model.spec, hop_s)
        self._scorer = Scorer(model.tflite_path, threads=threads)

    def reset(self) -> None:
        """Forget the samples of a segment that isn't whole; the next sample is at 0 s."""
        self._cutter.reset()

    def push(self, samples_mv: ArrayLike) -> list[Decision]:
        """Take samples in and decide on the segments that they complete.

        Parameters
        ----------
        samples_mv
            The next samples, shape (n,), mV; any number. NaN where one is missing: time goes by
            samples, so a gap is as many NaN as it has samples.

        Returns
        -------
        Decisions in order; often none.

        Raises
        ------
        ArgumentError
            Not one lead of real numbers; nothing has been taken in.
        """
        return [
            decision
            for segments in self._cutter.push(samples_mv, batch=SEGMENTS_AT_ONCE)
            for decision in self._decide(segments)
        ]

    def assess(
        self,
        recording: Recording,
        *,
        lead: str | int | None = None,
        progress: Count | None = None,
    ) -> list[Decision]:
        """:func:`assess`; what had been pushed before is forgotten.

        Raises
        ------
        ArgumentError
            The recording's :func:`~ecgqa_tflite.segments.usable_rate` is not this one's.
        """
        signal, rate = at_usable_rate(recording.lead(lead), recording.fs_hz, self.model.spec)
        if rate != self.fs_hz:
            raise ArgumentError(
                f"{recording.name}: {rate:g} Hz, and this Assessor is for {self.fs_hz:g} Hz"
            )
        total = self._cutter.n_segments(signal.size)
        self.reset()
        decisions: list[Decision] = []
        for segments in self._cutter.push(signal, batch=SEGMENTS_AT_ONCE):
            decisions += self._decide(segments, within(progress, len(decisions), total))
        return decisions

    def scores(self, segments: Segments, *, progress: Count | None = None) -> NDArray[np.int8]:
        """Score of class 1 for each segment, int8, shape (n,); -128 where there is no signal.

        Front end and network work a batch at a time in each thread: the calls into C and LiteRT
        let other threads run.
        """
        n = len(segments)
        wanted = np.flatnonzero(segments.ok)

        def images(batch: NDArray[np.intp]) -> NDArray[np.int8]:
            index_maps = self._cutter.front_end.index_maps(segments.samples[batch], threads=1)
            return image_s8(index_maps, self.model.spec.colormap)

        tell = within(progress, n - len(wanted), n)
        if progress is not None and not len(wanted):
            progress(n, n)
        return self._scorer.scores(images, n, wanted, progress=tell)

    def _decide(self, segments: Segments, progress: Count | None = None) -> list[Decision]:
        scores = self.scores(segments, progress=progress)
        decisions = []
        for start_s, status, score in zip(segments.start_s, segments.status, scores, strict=True):
            asked = status == SegmentStatus.OK
            decisions.append(
                Decision(
                    start_s=float(start_s),
                    end_s=float(start_s) + self.model.spec.segment_s,
                    quality=Quality(int(asked and score >= self.model.threshold_int8)),
                    score=probability(int(score)) if asked else 0.0,
                    reason=str(status),  # type: ignore[arg-type]
                )
            )
        return decisions


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
    rate = usable_rate(recording.fs_hz, model.spec)
    assessor = Assessor(model, rate, hop_s=hop_s, threads=threads)
    return assessor.assess(recording, lead=lead, progress=progress)
