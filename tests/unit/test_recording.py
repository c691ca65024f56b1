# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``Recording``: what it refuses and how a lead is named."""

from __future__ import annotations

import numpy as np
import pytest

from ecgqa_tflite.errors import RecordingError
from ecgqa_tflite.recording import Recording


def make(names: tuple[str, ...] = ("I", "II"), fs_hz: float = 250.0, n: int = 10) -> Recording:
    signal = np.arange(n * len(names), dtype=np.float32).reshape(n, len(names))
    return Recording("r", signal, fs_hz, names, ("ABP (mmHg)",))


@pytest.mark.parametrize(
    ("lead", "column"),
    [(None, 0), ("I", 0), ("II", 1), ("ii", 1), (1, 1), ("1", 1), (np.int64(1), 1)],
)
def test_lead_by_name_and_number(lead: str | int | None, column: int) -> None:
    recording = make()
    np.testing.assert_array_equal(recording.lead(lead), recording.signal_mv[:, column])


@pytest.mark.parametrize("lead", ["V9", "", 2, -1, "-1", "99999999999999", "²"])
def test_missing_lead_names_those_there_are(lead: str | int) -> None:
    with pytest.raises(RecordingError, match=r"choose among I, II; no ECG: ABP \(mmHg\)"):
        make().lead(lead)


def test_case_decides_between_leads_that_differ_by_it_alone() -> None:
    recording = make(("aVR", "AVR"))
    assert recording.lead_index("AVR") == 1
    with pytest.raises(RecordingError):
        recording.lead_index("avr")


def test_a_name_that_is_a_number_goes_before_the_number() -> None:
    assert make(("1", "0")).lead_index("0") == 1


def test_duration() -> None:
    assert make(n=500).duration_s == 2.0


@pytest.mark.parametrize("fs_hz", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_rate_that_is_none(fs_hz: float) -> None:
    with pytest.raises(RecordingError, match="sampling rate"):
        make(fs_hz=fs_hz)


def test_refuses_parts_that_do_not_fit() -> None:
    signal = np.zeros((10, 2), np.float32)
    with pytest.raises(RecordingError, match="n_samples, n_leads"):
        Recording("r", signal, 250.0, ("I",))
    with pytest.raises(RecordingError, match="repeat"):
        Recording("r", signal, 250.0, ("I", "I"))
    with pytest.raises(RecordingError, match="no samples"):
        Recording("r", signal[:0], 250.0, ("I", "II"))
