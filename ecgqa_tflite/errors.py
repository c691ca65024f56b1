# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Exception classes, one for one with the C status codes where both exist.

``EcgqaError.status`` is the value of ``ecgqa_status_t`` in ``firmware_bridge``'s X-macro
(``include/ecgqa/status.h``); a test holds the two lists against each other. Errors that can only
happen in Python have ``status = None``. Every message is one line that says what was wrong and
what to do; the CLI prints it and exits with 1.
"""

from __future__ import annotations

from typing import ClassVar


class EcgqaError(Exception):
    """Base of everything this package raises on purpose."""

    status: ClassVar[int | None] = None


class ArgumentError(EcgqaError, ValueError):
    """An argument is null, misaligned or out of range (``ECGQA_ERR_ARGUMENT``)."""

    status = -1


class WorkspaceError(EcgqaError):
    """The workspace is too small (``ECGQA_ERR_WORKSPACE``)."""

    status = -2


class FormatError(EcgqaError):
    """Tables or model were made for another format number (``ECGQA_ERR_FORMAT``)."""

    status = -3


class SpecMismatchError(EcgqaError):
    """Front end and model carry different spec hashes (``ECGQA_ERR_SPEC``)."""

    status = -4


class NotReadyError(EcgqaError):
    """Fewer samples than a segment have been pushed (``ECGQA_ERR_NOT_READY``)."""

    status = -5


class SelfTestError(EcgqaError):
    """A golden vector did not come out (``ECGQA_ERR_SELFTEST``)."""

    status = -6


class DamagedError(EcgqaError):
    """Bundle or workspace are not as they were made or left (``ECGQA_ERR_DAMAGED``)."""

    status = -7


class SpecError(EcgqaError, ValueError):
    """A front-end spec that makes no sense or can't be read."""


class SamplingRateError(SpecError):
    """A sampling rate that the spec or the integer front end can't take."""


class RecordingError(EcgqaError):
    """A recording that is missing, corrupt, too short or lacks the lead asked for."""


class DatasetError(EcgqaError):
    """A dataset folder that is missing, incomplete or not laid out as its publisher does."""


class ModelError(EcgqaError):
    """A model folder or ``.tflite`` that is missing, corrupt or not what it says."""


class ConversionError(EcgqaError):
    """A model that can't become the full-int8 ``.tflite`` that was asked for."""


class OutputExistsError(EcgqaError):
    """The output is there already and overwriting was not asked for."""


class ToolError(EcgqaError):
    """A compiler, emulator or other outside program that is missing or failed."""


class StorageError(EcgqaError):
    """A disk or store that can't be read or written now; what was done is kept."""
