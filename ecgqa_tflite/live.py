# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples that come in -> decisions as soon as a segment is whole: what a device would say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.assess import Assessor
from ecgqa_tflite.decisions import Decision
from ecgqa_tflite.errors import SamplingRateError
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.segments import Resampler, usable_rate
from ecgqa_tflite.spec import Quality

LONGEST_PERIOD = 10_000
"""Samples that a :class:`~ecgqa_tflite.segments.Resampler` may keep and work on at each push."""


class LiveLead:
    """One lead of a stream, at any rate that :func:`ecgqa_tflite.assess.assess` takes.

    Parameters
    ----------
    fs_hz
        Its sampling rate, Hz.
    hop_s
        From one segment's start to the next, s; None means no overlap and no space.

    Raises
    ------
    SamplingRateError
        The rate is too low for the model's front end, or can't be resampled as samples come.
    ArgumentError
        The hop is not at least one sample.
    """

    def __init__(self, model: ModelFolder, fs_hz: float, hop_s: float | None = None) -> None:
        rate = usable_rate(fs_hz, model.spec)
        self._assessor = Assessor(model, rate, hop_s=hop_s)
        self._resampler = None if rate == fs_hz else Resampler(fs_hz)
        if self._resampler is not None and self._resampler.period > LONGEST_PERIOD:
            raise SamplingRateError(
                f"{fs_hz:g} Hz: samples that come in can't be resampled from this rate: give one "
                f"with fewer digits"
            )

    def push(self, samples_mv: NDArray[np.float32]) -> list[Decision]:
        """Decisions that more samples, shape (n,), mV, NaN where missing, make possible."""
        if self._resampler is None:
            return self._assessor.push(samples_mv)
        return self._assessor.push(self._resampler.push(samples_mv))

    def finish(self) -> list[Decision]:
        """Those that the last samples make possible, now that no more come."""
        return [] if self._resampler is None else self._assessor.push(self._resampler.finish())


@dataclass
class Tally:
    """What a lead's decisions came to so far."""

    n: int = 0
    n_high: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        """Count one more."""
        self.n += 1
        self.n_high += decision.quality == Quality.HIGH
        if decision.reason != "ok":
            self.reasons[decision.reason] = self.reasons.get(decision.reason, 0) + 1


def decide(
    blocks: Iterable[NDArray[np.float32]],
    model: ModelFolder,
    fs_hz: float,
    hop_s: float | None = None,
) -> Iterator[tuple[int, Decision]]:
    """Decisions, each with the column of its lead, as soon as the samples are there; by time.

    Parameters
    ----------
    blocks
        Shape (n, leads), mV, NaN where a sample is missing; n may be 0.

    Raises
    ------
    SamplingRateError, ArgumentError, ModelError
        As :class:`LiveLead`.
    """
    leads: list[LiveLead] = []
    for block in blocks:
        while len(leads) < block.shape[1]:
            leads.append(LiveLead(model, fs_hz, hop_s))
        yield from _by_time(lead.push(block[:, i]) for i, lead in enumerate(leads))
    yield from _by_time(lead.finish() for lead in leads)


def _by_time(found: Iterable[list[Decision]]) -> list[tuple[int, Decision]]:
    """Decisions of each lead in one order, whatever pieces the samples came in."""
    pairs = [(column, decision) for column, mine in enumerate(found) for decision in mine]
    return sorted(pairs, key=lambda pair: (pair[1].start_s, pair[0]))
