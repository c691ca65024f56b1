# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Recording -> decisions: which seconds of an ECG can be trusted. No TensorFlow.

The segments go through the C front end and the int8 network that a firmware runs, so the answer
is the device's, up to LiteRT's fast kernels (a few units of 256 in a score now and then). Where
LiteRT has no wheel the device's own engine runs the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgqa_tflite.decisions import Decision, probability
from ecgqa_tflite.decisions.report import Assessed, AssessedLead, Failure
from ecgqa_tflite.engine.native import NativeNetwork
from ecgqa_tflite.errors import ArgumentError, RecordingError, SamplingRateError
from ecgqa_tflite.frontend.colormap import image_s8, lut
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.progress import Count, Progress, within
from ecgqa_tflite.recording import Recording, open_recording
from ecgqa_tflite.recording.file import ReadOptions, RecordingFile
from ecgqa_tflite.recording.leads import likelihood
from ecgqa_tflite.recording.plausibility import look
from ecgqa_tflite.segments import Cutter, Segments, at_usable_rate, usable_rate
from ecgqa_tflite.spec import Quality
from ecgqa_tflite.tflite.run import Int8Network, Network, Scorer, has_litert

Kernels = Literal["fast", "reference", "device"]
"""Who runs the int8 network. ``fast``: LiteRT's optimised kernels, or ``device`` where LiteRT is
missing. ``device``: the device's own engine in C, its scores to the bit, slower. ``reference``:
LiteRT's reference kernels, the same scores, slower still.
"""
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
    kernels
        Who runs the network: :data:`Kernels`.

    Raises
    ------
    SamplingRateError
        The front end can't take the sampling rate.
    ArgumentError
        The hop is not at least one sample.
    ModelError
        The model can't be run.

    Examples
    --------
    Samples as a driver hands them over, 100 at a time; each fifth second decides.

    >>> import ecgqa_tflite as eq
    >>> from ecgqa_tflite.recording.simulator import simulate
    >>> samples_mv = simulate(12, 250, seed=1).lead()
    >>> assessor = eq.Assessor(eq.open_model("light_cnn_small"), fs_hz=250)
    >>> for start in range(0, samples_mv.size, 100):
    ...     for decision in assessor.push(samples_mv[start : start + 100]):
    ...         print(f"{decision.start_s:g} s: {decision.quality.name}, {decision.reason}")
    0 s: HIGH, ok
    5 s: HIGH, ok
    """

    def __init__(
        self,
        model: ModelFolder,
        fs_hz: float,
        *,
        hop_s: float | None = None,
        threads: int = 1,
        kernels: Kernels = "fast",
    ) -> None:
        self.model = model
        self.fs_hz = fs_hz
        self._cutter = Cutter(fs_hz, model.spec, hop_s)
        self._scorer = Scorer(_opener(model, kernels), threads=threads)

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

    def assess_lead(
        self,
        file: RecordingFile,
        lead: str | int | None = None,
        *,
        scale: float = 1.0,
        progress: Count | None = None,
    ) -> list[Decision]:
        """Decide on one lead of a file, read in pieces; what had been pushed before is forgotten.

        Parameters
        ----------
        scale
            What its mV are multiplied by (:class:`~ecgqa_tflite.recording.plausibility.Look`).

        Raises
        ------
        RecordingError
            No such lead; shorter than a segment; can't be decoded.
        ArgumentError
            The lead's :func:`~ecgqa_tflite.segments.usable_rate` is not this one's.
        """
        signal = file.leads[file.lead_index(lead)]
        if usable_rate(signal.fs_hz, self.model.spec) != self.fs_hz:
            raise ArgumentError(
                f"{file.name}: {signal.fs_hz:g} Hz, and this Assessor is for {self.fs_hz:g} Hz"
            )
        blocks: Iterable[NDArray[Any]] = file.blocks(lead)
        n_samples = signal.n_samples
        if signal.fs_hz != self.fs_hz:  # resampled as a whole: its filter has no memory
            whole, _ = at_usable_rate(file.lead(lead), signal.fs_hz, self.model.spec)
            blocks, n_samples = [whole], whole.size
        total = self._cutter.n_segments(n_samples)
        self.reset()
        decisions: list[Decision] = []
        for block in blocks:
            scaled = block if scale == 1 else block * np.float32(scale)
            for segments in self._cutter.push(scaled, batch=SEGMENTS_AT_ONCE):
                decisions += self._decide(segments, within(progress, len(decisions), total))
        return decisions

    def scores(self, segments: Segments, *, progress: Count | None = None) -> NDArray[np.int8]:
        """Score of class 1 for each segment, int8, shape (n,); -128 where there is no signal.

        Front end and network work a batch at a time in each thread: the calls into C and LiteRT
        let other threads run.
        """
        n = len(segments)
        wanted = np.flatnonzero(segments.ok)

        def index_maps(batch: NDArray[np.intp]) -> NDArray[np.uint8]:
            return self._cutter.front_end.index_maps(segments.samples[batch], threads=1)

        tell = within(progress, n - len(wanted), n)
        if progress is not None and not len(wanted):
            progress(n, n)
        return self._scorer.scores(index_maps, n, wanted, progress=tell)

    def _decide(self, segments: Segments, progress: Count | None = None) -> list[Decision]:
        scores = self.scores(segments, progress=progress)
        asked = segments.ok
        quality = asked & (scores >= self.model.threshold_int8)
        end_s = segments.start_s + self.model.spec.segment_s
        columns = (segments.start_s, end_s, quality, asked, scores, segments.status)
        # as lists: a NumPy scalar of each number would take longer than a front end's row
        return [
            Decision(
                start_s=start,
                end_s=end,
                quality=Quality.HIGH if high else Quality.LOW,
                score=probability(score) if ask else 0.0,
                reason=status,
            )
            for start, end, high, ask, score, status in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]


@dataclass(frozen=True)
class _Coloured:
    """A network in LiteRT, asked about index maps."""

    network: Int8Network
    colormap: str

    def scores(self, index_maps: NDArray[np.uint8]) -> NDArray[np.int8]:
        return self.network.scores(image_s8(index_maps, self.colormap))


def _opener(model: ModelFolder, kernels: Kernels) -> Callable[[], Network]:
    """What opens a network that takes index maps."""
    path, colormap = model.tflite_path, model.spec.colormap
    if kernels == "device" or (kernels == "fast" and not has_litert()):
        network = NativeNetwork(path.read_bytes(), lut(colormap), source=str(path))
        return lambda: network
    reference = kernels == "reference"
    return lambda: _Coloured(Int8Network(path, reference_kernels=reference), colormap)


def assess(
    recording: Recording,
    model: ModelFolder,
    *,
    lead: str | int | None = None,
    hop_s: float | None = None,
    threads: int = 1,
    kernels: Kernels = "fast",
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
    kernels
        Who runs the network: :data:`Kernels`.

    Raises
    ------
    RecordingError
        No such lead; shorter than a segment.
    SamplingRateError
        The sampling rate is too low for the model's front end.
    ModelError
        The model can't be run.

    Examples
    --------
    >>> import ecgqa_tflite as eq
    >>> from ecgqa_tflite.recording.disturbances import Gap, MuscleNoise
    >>> from ecgqa_tflite.recording.simulator import simulate
    >>> recording = simulate(20, 250, seed=1, disturbances=(MuscleNoise(5, 5, 2.0), Gap(16, 1)))
    >>> for decision in eq.assess(recording, eq.open_model("light_cnn")):
    ...     print(f"{decision.start_s:g} s: {decision.quality.name}, {decision.reason}")
    0 s: HIGH, ok
    5 s: LOW, ok
    10 s: HIGH, ok
    15 s: LOW, gap
    """
    rate = usable_rate(recording.fs_hz, model.spec)
    assessor = Assessor(model, rate, hop_s=hop_s, threads=threads, kernels=kernels)
    return assessor.assess(recording, lead=lead, progress=progress)


ALL_LEADS = "all"
"""Every lead of a file, where a lead is named."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of files, and how they are read.

    Attributes
    ----------
    lead
        Name or number, ``all``, or None for the one that is likeliest an ECG.
    options
        What the user says of the files.
    hop_s, threads, kernels
        As in :func:`assess`.
    """

    lead: str | int | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    hop_s: float | None = None
    threads: int = 1
    kernels: Kernels = "fast"


def assess_files(
    paths: Sequence[str | Path],
    model: ModelFolder,
    wanted: Wanted | None = None,
    *,
    check: Callable[[RecordingFile], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Assessed, RecordingFile] | tuple[Failure, None]]:
    """Assess files one after the other; one that can't be is a :class:`Failure`.

    Parameters
    ----------
    check
        Called with a file before it is assessed; raises what is to end the work.

    Raises
    ------
    ArgumentError
        The hop is not at least one sample.
    ModelError
        The model can't be run.
    """
    wanted = wanted or Wanted()
    told = progress or (lambda what, done, total: None)
    assessors: dict[float, Assessor] = {}
    for number, path in enumerate(paths):
        if len(paths) > 1:
            told("recordings", number, len(paths))
        file: RecordingFile | None = None
        try:
            reading = partial(told, f"reading, {Path(path).name}")
            file = open_recording(path, options=replace(wanted.options, progress=reading))
            if check is not None:
                check(file)
            yield _assessed(path, file, model, wanted, assessors, told), file
        except (RecordingError, SamplingRateError) as error:
            text = " ".join(str(error).split())
            if not re.search(rf"(?<!\w){re.escape(Path(path).name)}(?!\w)", text):
                text = f"{path}{f' ({file.format})' if file is not None else ''}: {text}"
            yield Failure(str(path), text), None
    if len(paths) > 1:
        told("recordings", len(paths), len(paths))


def _assessed(
    path: str | Path,
    file: RecordingFile,
    model: ModelFolder,
    wanted: Wanted,
    assessors: dict[float, Assessor],
    progress: Progress,
) -> Assessed:
    """The leads that are wanted of one file; ``assessors`` has one for each rate met so far."""
    indices = _indices(file, wanted.lead)
    leads: list[AssessedLead] = []
    doubts: list[str] = []
    for index in indices:
        signal = file.leads[index]
        rate = usable_rate(signal.fs_hz, model.spec)
        if rate not in assessors:
            assessors[rate] = Assessor(
                model, rate, hop_s=wanted.hop_s, threads=wanted.threads, kernels=wanted.kernels
            )
        seen = look(file, index)
        doubts += seen.doubts
        decisions = assessors[rate].assess_lead(
            file,
            index,
            scale=seen.scale,
            progress=partial(progress, f"segments, {file.name} {signal.name}"),
        )
        leads.append(AssessedLead(signal.name, signal.fs_hz, decisions, seen.scale))
    return Assessed(
        path=str(path),
        record=file.name,
        duration_s=file.duration_s,
        start=file.start,
        notes=file.notes,
        doubts=tuple(doubts),
        signals=(tuple(s.name for s in file.leads), file.other_signals),
        leads=tuple(leads),
    )


def _indices(file: RecordingFile, lead: str | int | None) -> list[int]:
    """The leads that are meant; ``all`` leaves out what is named as another signal's."""
    if lead != ALL_LEADS or any(signal.name == ALL_LEADS for signal in file.leads):
        return [file.lead_index(lead)]
    ranks = [likelihood(signal.name) for signal in file.leads]
    return [i for i, rank in enumerate(ranks) if rank or not any(ranks)]
