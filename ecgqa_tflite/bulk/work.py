# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""One entry -> one result: a pure function, and the worker that keeps what it needs from one to
the next.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

import ecgqa_tflite
from ecgqa_tflite.assess import Assessor
from ecgqa_tflite.bulk.inventory import File, describe
from ecgqa_tflite.bulk.plan import Entry, Options
from ecgqa_tflite.bulk.results import (
    encode,
    read_aside,
    read_result,
    result_name,
    result_of,
    write_aside,
)
from ecgqa_tflite.bulk.storage import filesystem, folder, is_url, persistently
from ecgqa_tflite.decisions import Decision
from ecgqa_tflite.errors import ArgumentError, EcgqaError, RecordingError, StorageError
from ecgqa_tflite.recording import Recording, open_recording, registry
from ecgqa_tflite.segments import Cutter, at_usable_rate

Kind = Literal["done", "kept", "aside", "unread"]
"""A result written; one that was there and verifies; never to be had; not to be had now."""


@dataclass(frozen=True)
class Outcome:
    """What came of an entry.

    Attributes
    ----------
    entry
        Which.
    kind
        See :data:`Kind`.
    reason
        Why it is aside or unread.
    recorded_s
        Seconds of ECG that were assessed now.
    took_s
        Seconds that it took.
    """

    entry: Entry
    kind: Kind
    reason: str = ""
    recorded_s: float = 0.0
    took_s: float = 0.0


@dataclass(frozen=True)
class Job:
    """What workers need to know, the same for all.

    Attributes
    ----------
    options
        Of the plan.
    out
        Path or URL of the output.
    memory_bytes
        What a record may take in a worker's memory beyond what it needs itself; None: no limit.
    """

    options: Options
    out: str
    memory_bytes: int | None = None


@dataclass(frozen=True)
class _Loaded:
    """A lead at the rate that is used, with what is said of the recording."""

    recording: Recording
    signal: NDArray[Any]
    rate: float


class Worker:
    """Assesses entries one after the other; keeps model, interpreters and front ends.

    Raises
    ------
    EcgqaError
        The model can't be opened or is another one; this is another version of the package.
    """

    def __init__(self, job: Job) -> None:
        version = job.options.tool_version
        if version != ecgqa_tflite.__version__:
            raise ArgumentError(
                f"planned by ecgqa-tflite {version}, and this worker has "
                f"{ecgqa_tflite.__version__}: install the same, or plan again with --overwrite"
            )
        self._job = job
        self._out = folder(job.out)
        self._model = job.options.model.open()
        self._tools: dict[float, tuple[Assessor, Cutter]] = {}
        self._last: tuple[tuple[object, ...], _Loaded] | None = None
        registry.readers()  # imported before the memory is limited
        if job.memory_bytes is not None:
            limit_memory(job.memory_bytes)

    def settle(self, entry: Entry) -> Outcome:
        """Assess an entry that has no result yet, and write the result.

        Raises
        ------
        StorageError
            The output can't be written; nothing else is raised for what a record holds.
        """
        form = self._job.options.form
        if read_result(self._out, entry.key, form) is not None:
            return Outcome(entry, "kept")
        reason = read_aside(self._out, entry.key)
        if reason is not None:
            return Outcome(entry, "aside", reason)
        started = time.perf_counter()
        try:
            result = self.assess_one(entry)
        except StorageError as error:
            return Outcome(entry, "unread", _line(error))
        except MemoryError:
            gb = (self._job.memory_bytes or 0) / 1e9
            reason = f"needs more memory than the {gb:g} GB that a record may take"
        except EcgqaError as error:
            reason = _line(error)
        except Exception as error:  # of ours or a reader's: one record of many, and named
            reason = f"unexpected {type(error).__name__}: {_line(error)}"
        else:
            self._out.write(result_name(entry.key, form), encode(result, form))
            last = result["decisions"][-1:]
            recorded_s = last[0]["end_s"] - result["decisions"][0]["start_s"] if last else 0.0
            return Outcome(entry, "done", "", recorded_s, time.perf_counter() - started)
        write_aside(self._out, entry.key, reason)
        return Outcome(entry, "aside", reason, 0.0, time.perf_counter() - started)

    def assess_one(self, entry: Entry) -> dict[str, Any]:
        """The result of an entry: a function of the entry and the options alone.

        Raises
        ------
        StorageError
            The record's files can't be read now, or are not those that were planned.
        RecordingError
            They are no recording that can be assessed.
        """
        loaded = self._load(entry)
        assessor, cutter = self._for_rate(loaded.rate)
        cutter.n_segments(loaded.signal.size)
        begin = entry.first * cutter.hop_len
        end = None
        if entry.stop is not None:
            end = (entry.stop - 1) * cutter.hop_len + cutter.segment_len
        assessor.reset()
        decisions = assessor.push(loaded.signal[begin:end])
        if entry.first:
            decisions = [
                _moved(d, (entry.first + i) * cutter.hop_len / loaded.rate, cutter.segment_s)
                for i, d in enumerate(decisions)
            ]
        return result_of(entry.key, loaded.recording, self._model, decisions)

    def _for_rate(self, fs_hz: float) -> tuple[Assessor, Cutter]:
        if fs_hz not in self._tools:
            if len(self._tools) >= MOST_RATES:
                self._tools.clear()
            hop_s, spec = self._job.options.hop_s, self._model.spec
            self._tools[fs_hz] = (
                Assessor(self._model, fs_hz, hop_s=hop_s),
                Cutter(fs_hz, spec, hop_s),
            )
        return self._tools[fs_hz]

    def _load(self, entry: Entry) -> _Loaded:
        """The entry's lead; that of the last entry is kept where its other spans may follow."""
        which = (entry.path, entry.files, entry.lead)
        if self._last is not None and self._last[0] == which:
            return self._last[1]
        self._last = None
        with local_copy(entry) as path:
            try:
                file = open_recording(path, options=self._job.options.read)
                recording = file.recording(entry.lead)
            except RecordingError as error:  # what is wrong is the same wherever the record lies
                where = f"{Path(path).parent}{os.sep}"
                raise RecordingError(str(error).replace(where, "")) from error
            lead = recording.lead(0)
        signal, rate = at_usable_rate(lead, recording.fs_hz, self._model.spec)
        loaded = _Loaded(recording, signal, rate)
        if (entry.first, entry.stop) != (0, None):
            self._last = (which, loaded)
        return loaded


MOST_RATES = 8
"""Sampling rates whose front ends are kept, some MB each."""


def _moved(decision: Decision, start_s: float, segment_s: float) -> Decision:
    return replace(decision, start_s=start_s, end_s=start_s + segment_s)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def local_copy(entry: Entry) -> Iterator[str]:
    """Path of an entry's record on this machine, its files those that were planned.

    What lies in a store is copied once, file by file, from beginning to end.

    Raises
    ------
    StorageError
        A file can't be read, or is another one by now.
    """
    base = entry.path[: entry.path.rfind("/") + 1]
    for file in entry.files:
        now = describe(base + file.name)
        if (now.size, now.digest) != (file.size, file.digest):
            raise StorageError(
                f"{base + file.name} is not the file that was planned: plan again with --overwrite"
            )
    if not is_url(entry.path):
        yield entry.path
        return
    with tempfile.TemporaryDirectory(prefix="ecgqa-") as temporary:
        for file in entry.files:
            _fetch(base + file.name, Path(temporary, file.name), file)
        yield str(Path(temporary, entry.files[0].name))


def _fetch(url: str, path: Path, file: File) -> None:
    fs, inside = filesystem(url)
    path.parent.mkdir(parents=True, exist_ok=True)

    def copy() -> None:
        fs.get_file(inside, str(path))
        if path.stat().st_size != file.size:
            raise OSError(f"{path.stat().st_size} of {file.size} bytes came")

    persistently(url, copy)


def limit_memory(n_bytes: int) -> None:
    """Let this process's memory grow by so much and no more: what asks for more fails.

    Where the system doesn't say how much it has (Linux does), nothing is limited.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit = pages * resource.getpagesize() + n_bytes
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def memory_share(workers: int) -> int:
    """Bytes that a record may take where so many workers share this machine's memory."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(0.8 * total / workers)
