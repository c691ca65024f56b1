# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The plan: a frozen list of what is to be assessed and how, hashed.

A plan is made once and never changed. Every entry has a key: the SHA-256 of everything that its
result depends on (content of the record's files, lead, span, options, model, tool version), and
nothing else, so that a result is good for as long as its key is asked for, wherever the record
lies and whoever computes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import ecgqa_tflite
from ecgqa_tflite.bulk.inventory import File, Found, find
from ecgqa_tflite.bulk.storage import Folder, is_url
from ecgqa_tflite.errors import ArgumentError, EcgqaError, RecordingError
from ecgqa_tflite.model_folder import ModelFolder, open_model, sha256_of
from ecgqa_tflite.progress import Count
from ecgqa_tflite.recording import open_recording
from ecgqa_tflite.recording.file import ReadOptions

PLAN_FORMAT = 1
"""Format number of ``plan.json``."""

PLAN = "plan.json"

Form = Literal["json", "parquet"]
"""Of a result file."""


@dataclass(frozen=True)
class ModelId:
    """A model by its content.

    Attributes
    ----------
    place
        Shipped name or path of its folder, where workers open it.
    name
        The model's.
    spec_hash, tflite_sha256
        64 hex digits each.
    threshold_int8
        High from this int8 score on.
    """

    place: str
    name: str
    spec_hash: str
    tflite_sha256: str
    threshold_int8: int

    @classmethod
    def of(cls, name_or_path: str) -> ModelId:
        """Open a model and tell what it is."""
        model = open_model(name_or_path)
        place = str(Path(name_or_path).absolute()) if Path(name_or_path).is_dir() else name_or_path
        return cls._of(place, model)

    @classmethod
    def _of(cls, place: str, model: ModelFolder) -> ModelId:
        return cls(
            place, model.name, model.spec.hash, sha256_of(model.tflite_path), model.threshold_int8
        )

    def open(self) -> ModelFolder:
        """The model.

        Raises
        ------
        ModelError
            See :func:`~ecgqa_tflite.model_folder.open_model`.
        ArgumentError
            What is at its place is another model by now.
        """
        model = open_model(self.place)
        if self._of(self.place, model) != self:
            raise ArgumentError(f"{self.place} is not the model that was planned with: plan again")
        return model


@dataclass(frozen=True)
class Options:
    """How every record of a plan is assessed.

    Attributes
    ----------
    model
        By which model.
    hop_s
        From one segment's start to the next, s; None: a segment's length.
    read
        What is said of the files.
    form
        Of the result files.
    tool_version
        Of the package that planned.
    """

    model: ModelId
    hop_s: float | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    form: Form = "json"
    tool_version: str = ecgqa_tflite.__version__

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ArgumentError(f"results as {self.form!r}: json or parquet")

    @property
    def identity(self) -> dict[str, Any]:
        """What a result depends on: all but where the model lies."""
        told = asdict(self)
        del told["model"]["place"]
        return told


@dataclass(frozen=True)
class Entry:
    """What is assessed at once: a lead of a record, or a span of it.

    Attributes
    ----------
    path
        Absolute path or URL.
    files
        Of the record, that of the path first.
    lead
        Name or number; None: the likeliest ECG.
    first, stop
        Segments of it, ``stop`` not among them; None: to the record's end.
    key
        64 hex digits: everything that the result depends on.
    """

    path: str
    files: tuple[File, ...]
    lead: str | None
    first: int
    stop: int | None
    key: str

    @property
    def n_bytes(self) -> int:
        """Size of the record's files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Request:
    """What the user asked for: patterns, leads, and the length of spans in hours."""

    patterns: tuple[str, ...]
    leads: tuple[str | None, ...] = (None,)
    span_hours: float | None = None


@dataclass(frozen=True)
class Plan:
    """Entries and the options that they have in common."""

    request: Request
    options: Options
    entries: tuple[Entry, ...]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the plan, 64 hex digits."""
        return _sha256(self._content())

    @property
    def n_records(self) -> int:
        """Leads of records: entries, those of one record's spans as one."""
        return sum(entry.first == 0 for entry in self.entries)

    def part(self, number: int, of: int) -> tuple[Entry, ...]:
        """Entries of part ``number`` (from 1) of ``of``; together the parts are the plan.

        Raises
        ------
        ArgumentError
            There is no such part.
        """
        if not 1 <= number <= of:
            raise ArgumentError(f"part {number}/{of}: give 1/{of} to {of}/{of}")
        return self.entries[number - 1 :: of]  # long records often lie side by side

    def _content(self) -> dict[str, Any]:
        return {
            "format": PLAN_FORMAT,
            "request": asdict(self.request),
            "options": asdict(self.options),
            "entries": [asdict(entry) for entry in self.entries],
        }

    def write(self, out: Folder) -> None:
        """Put ``plan.json`` into ``out``."""
        text = json.dumps({"hash": self.hash} | self._content(), indent=1) + "\n"
        out.write(PLAN, text.encode())

    @classmethod
    def read(cls, out: Folder) -> Plan | None:
        """The plan of ``out``, None where there is none.

        Raises
        ------
        ArgumentError
            It is damaged, or of another version.
        """
        content = out.read(PLAN)
        if content is None:
            return None
        where = f"{out.url}/{PLAN}"
        try:
            told = json.loads(content)
            if told["format"] != PLAN_FORMAT:
                raise ArgumentError(
                    f"{where}: format {told['format']}, this version reads {PLAN_FORMAT}"
                )
            plan = cls(_request(told["request"]), _options(told["options"]), _entries(told))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, EcgqaError):
                raise
            raise ArgumentError(f"{where} is damaged: plan again with --overwrite") from error
        if plan.hash != told["hash"]:
            raise ArgumentError(f"{where} was changed by hand: plan again with --overwrite")
        return plan


def make_plan(request: Request, options: Options, progress: Count | None = None) -> Plan:
    """Find the records, take their checksums, cut them into entries.

    Raises
    ------
    ArgumentError
        A pattern that matches nothing, a span that holds no segment.
    StorageError
        A store does not answer.
    """
    hop_s = options.hop_s or options.model.open().spec.segment_s
    span = None if request.span_hours is None else round(request.span_hours * 3600 / hop_s)
    if span is not None and span < 1:
        raise ArgumentError(f"spans of {request.span_hours} h hold no segment: give longer ones")
    identity = options.identity
    entries = [
        _entry(found, lead, first, stop, identity)
        for found in find(request.patterns, progress)
        for lead in request.leads
        for first, stop in _spans(found, lead, options, hop_s, span)
    ]
    return Plan(request, options, tuple(entries))


def _spans(
    found: Found, lead: str | None, options: Options, hop_s: float, span: int | None
) -> list[tuple[int, int | None]]:
    """First segment and end of each span; what is in a store or unreadable is not cut."""
    n = 1
    if span is not None and not is_url(found.path):
        try:
            file = open_recording(found.path, options=options.read)
            signal = file.leads[file.lead_index(lead)]
            n = int(signal.n_samples / signal.fs_hz / (span * hop_s))
        except RecordingError:  # set aside when its turn comes
            n = 1
    # the last one has no end: it takes what is left, however the rate may have to be changed
    starts = [i * (span or 0) for i in range(max(n, 1))]
    return list(zip(starts, [*starts[1:], None], strict=True))


def _entry(
    found: Found, lead: str | None, first: int, stop: int | None, identity: dict[str, Any]
) -> Entry:
    files = [asdict(file) for file in found.files]
    told = {"files": files, "lead": lead, "segments": [first, stop], "options": identity}
    return Entry(found.path, found.files, lead, first, stop, _sha256(told))


def _sha256(what: dict[str, Any]) -> str:
    text = json.dumps(what, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _request(told: dict[str, Any]) -> Request:
    return Request(tuple(told["patterns"]), tuple(told["leads"]), told["span_hours"])


def _options(told: dict[str, Any]) -> Options:
    read = told["read"] | {"columns": tuple(told["read"]["columns"])}
    return Options(**(told | {"model": ModelId(**told["model"]), "read": ReadOptions(**read)}))


def _entries(told: dict[str, Any]) -> tuple[Entry, ...]:
    return tuple(
        Entry(**(entry | {"files": tuple(File(**file) for file in entry["files"])}))
        for entry in told["entries"]
    )


def part_of(text: str) -> tuple[int, int]:
    """``"3/8"`` as (3, 8).

    Raises
    ------
    ArgumentError
        Anything else.
    """
    match = re.fullmatch(r"(\d{1,7})/(\d{1,7})", text)
    if match is None:
        raise ArgumentError(f"part {text!r}: give a number and how many there are, such as 3/8")
    return int(match[1]), int(match[2])


def entries_of_records(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Entries of one lead of one record together: one, or its spans in order."""
    group: list[Entry] = []
    for entry in entries:
        if entry.first == 0 and group:
            yield tuple(group)
            group = []
        group.append(entry)
    if group:
        yield tuple(group)
