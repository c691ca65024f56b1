# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings as WFDB records (16-bit, 1 uV or the next power of two that fits)."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.output import refuse_existing
from ecgqa_tflite.recording import Recording

_FINEST_PER_MV = 1000.0
_LARGEST_CODE = 32767
_INVALID_CODE = -32768  # WFDB's mark of a missing sample in 16-bit formats


def write_wfdb(recording: Recording, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``recording`` as WFDB record ``folder/<its name>``; NaN becomes WFDB's invalid sample.

    The header says when it starts, where the recording does, without its time zone.

    Returns
    -------
    Path of the header. The header is put in its place last, so a record that can be read is whole.

    Raises
    ------
    ArgumentError
        The name is not a WFDB record name (letters, digits, ``-`` and ``_``), or a lead's is none.
    OutputExistsError
        The record is there and ``overwrite`` is false.
    """
    name = recording.name
    if not re.fullmatch(r"[-\w]+", name, re.ASCII):
        raise ArgumentError(f"{name!r} is not a WFDB record name: use letters, digits, - and _")
    folder = Path(folder)
    header = folder / f"{name}.hea"
    refuse_existing(header, overwrite)
    folder.mkdir(parents=True, exist_ok=True)

    held = np.isfinite(recording.signal_mv)
    values = np.where(held, recording.signal_mv, 0).astype(np.float64)
    largest_mv = np.abs(values).max(axis=0)
    halvings = np.ceil(np.log2(np.maximum(largest_mv * _FINEST_PER_MV / _LARGEST_CODE, 1)))
    gains = _FINEST_PER_MV / 2.0**halvings
    codes = np.where(held, np.rint(values * gains), _INVALID_CODE).astype(np.int64)
    n_leads = len(recording.lead_names)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as temporary:
        try:
            wfdb.wrsamp(
                name,
                fs=recording.fs_hz,
                units=["mV"] * n_leads,
                sig_name=list(recording.lead_names),
                d_signal=codes,
                fmt=["16"] * n_leads,
                adc_gain=gains.tolist(),
                baseline=[0] * n_leads,
                write_dir=temporary,
                **_start(recording),
            )
        except ValueError as error:  # a lead name that WFDB can't hold
            raise ArgumentError(f"{name} can't be a WFDB record: {error}") from error
        for file in (f"{name}.dat", f"{name}.hea"):
            os.replace(Path(temporary) / file, folder / file)
    return header


def _start(recording: Recording) -> dict[str, Any]:
    """When the recording starts, as ``wfdb.wrsamp`` takes it."""
    if isinstance(recording.start, datetime.datetime):
        return {"base_datetime": recording.start.replace(tzinfo=None)}
    return {"base_time": recording.start}
