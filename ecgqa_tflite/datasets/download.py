# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Public PhysioNet sets, fetched through ``wfdb`` and held against PhysioNet's own checksums.

Every file is fetched beside its place (``.part``), compared with the ``SHA256SUMS.txt`` that
PhysioNet publishes with the set, and only then renamed: what lies in its place is right. Run again
after an interruption, a download skips files that are there and goes on inside the one it was in.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.output import whole_folder

Fetch = Callable[[str, int], Iterator[bytes]]
"""``fetch(url, offset)`` yields the bytes of ``url`` from ``offset`` on; it raises
FileNotFoundError where there is no such file and OSError where the network fails."""

CONNECTIONS = 2
"""Files fetched at a time: what wfdb allows itself, so as not to overload PhysioNet."""

ATTEMPTS = 4
TIMEOUT_S = 60.0
_CHUNK_BYTES = 2**20
_MAX_LISTING_BYTES = 2**26
_MAX_UNPACKED_BYTES = 2**32
_LISTING = "SHA256SUMS.txt"
_UNPACKED_MARK = ".archive-sha256"


@dataclass(frozen=True)
class Archive:
    """A set that is published as one zip file.

    Attributes
    ----------
    file, folder
        The zip file, and the folder in it that is laid out.
    labels, labels_as
        A file published beside it that replaces one in the folder.
    """

    file: str
    folder: str
    labels: str
    labels_as: str


@dataclass(frozen=True)
class PublicSet:
    """What is fetched of a PhysioNet project.

    Attributes
    ----------
    name, version
        As in ``physionet.org/content/<name>/<version>/``.
    title
        For people.
    wanted
        Which paths of the published listing are fetched; they keep their paths.
    size_mb
        To be fetched, roughly.
    archive
        Where the set comes as one file.
    note
        What a user should know besides.
    """

    name: str
    version: str
    title: str
    wanted: re.Pattern[str]
    size_mb: int
    archive: Archive | None = None
    note: str = ""

    @property
    def page(self) -> str:
        """Where PhysioNet describes the set, its licence and how to cite it."""
        return f"https://physionet.org/content/{self.name}/{self.version}/"


SETS: dict[str, PublicSet] = {
    s.name: s
    for s in (
        PublicSet(
            "challenge-2017",
            "1.0.0",
            "AF Challenge 2017: 8,528 hand-held single-lead recordings, 300 Hz",
            re.compile(r"training2017\.zip|REFERENCE-v3\.csv"),
            95,
            archive=Archive(
                "training2017.zip", "training2017", "REFERENCE-v3.csv", "REFERENCE.csv"
            ),
            note="external test: nothing that ships is trained or tuned on it",
        ),
        PublicSet(
            "challenge-2011",
            "1.0.0",
            "Quality Challenge 2011, set-a: 1,000 twelve-lead recordings of 10 s, 500 Hz",
            re.compile(r"set-a/(RECORDS(-acceptable|-unacceptable)?|\d+\.(hea|dat))"),
            125,
            note="labels by recording; LEADS.csv (labels by lead) is not PhysioNet's: add your own",
        ),
        PublicSet(
            "mitdb",
            "1.0.0",
            "MIT-BIH Arrhythmia Database: 48 two-lead half-hours with beats, 360 Hz",
            re.compile(r"RECORDS|\d+\.(hea|dat|atr)"),
            100,
        ),
        PublicSet(
            "nstdb",
            "1.0.0",
            "MIT-BIH Noise Stress Test Database: baseline wander, electrode motion, muscle noise",
            re.compile(r"(bw|em|ma)\.(hea|dat)"),
            6,
        ),
    )
}
"""The sets that ``ecgqa data get`` knows."""


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Attributes
    ----------
    files_done, files_total
        Files that are in place and right, of those wanted.
    bytes_fetched
        In this run.
    current
        The file that moved last.
    """

    files_done: int
    files_total: int
    bytes_fetched: int
    current: str


@dataclass(frozen=True)
class Fetched:
    """What a download did.

    Attributes
    ----------
    folder
        The set.
    files_total, files_fetched
        Files of the set, and those that this run had to fetch.
    bytes_fetched
        By this run.
    """

    folder: Path
    files_total: int
    files_fetched: int
    bytes_fetched: int


def fetch_through_wfdb(url: str, offset: int) -> Iterator[bytes]:
    """Read ``url`` from ``offset`` on with wfdb's remote files, in range requests of 1 MiB.

    Raises
    ------
    OSError
        The network failed, or no byte came for ``TIMEOUT_S``; FileNotFoundError where there is no
        such file.
    """
    from wfdb.io import _url

    _limit_waiting()
    with _url.openurl(url, "rb", buffering=1) as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


@cache
def _limit_waiting() -> None:
    """Give wfdb's session a time limit: it has none, and a dead connection would hang for ever."""
    from requests.adapters import HTTPAdapter
    from wfdb.io import _url

    class Impatient(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT_S
            return super().send(*args, **kwargs)

    for prefix in ("http://", "https://"):
        _url._get_session().mount(prefix, Impatient(pool_maxsize=CONNECTIONS, pool_block=True))


def physionet_url() -> str:
    """Base address of the published files; ``wfdb.set_db_index_url`` names a mirror."""
    from wfdb.io import download

    return str(download.config.db_index_url)


def get(
    name: str,
    dest: str | Path,
    *,
    fetch: Fetch = fetch_through_wfdb,
    base_url: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    pause_s: float = 2.0,
) -> Fetched:
    """Fetch a public set into ``dest/<name>``, laid out as its publisher does.

    Parameters
    ----------
    name
        One of :data:`SETS`.
    dest
        Folder that will hold the set's folder.
    fetch
        How bytes are fetched.
    base_url
        Where ``<name>/<version>/`` lies; PhysioNet where None.
    progress
        Called as bytes arrive and files are done, from several threads but never from two at once.
    pause_s
        Before the first new attempt after a network failure, s; doubled each time.

    Raises
    ------
    DatasetError
        No such set; a file that is missing or changed at PhysioNet; a network that keeps failing;
        a disk that is full. Running again goes on where it stopped.
    """
    if name not in SETS:
        raise DatasetError(f"no public set {name!r}; there are: {', '.join(SETS)}")
    wanted = SETS[name]
    folder = Path(dest) / name
    base = (base_url or physionet_url()).rstrip("/")
    job = _Job(f"{base}/{name}/{wanted.version}/", folder, fetch, progress, pause_s)
    sums = job.listing(wanted)
    archive = wanted.archive
    if archive is None:
        job.fetch_all(sums)
        return job.outcome(len(sums))

    mark = sums[archive.file] + sums[archive.labels] + "\n"
    unpacked = folder / archive.folder
    if unpacked.exists():
        mark_file = unpacked / _UNPACKED_MARK
        if mark_file.is_file() and mark_file.read_text() == mark:
            return job.outcome(len(sums))
        raise DatasetError(
            f"{unpacked} is there already, and not whole from this command: move it away"
        )
    job.fetch_all(sums)
    _unpack(folder, archive, mark)
    return job.outcome(len(sums))


class _Job:
    """One run: counts what was done, and stops every thread when one fails."""

    def __init__(
        self,
        url: str,
        folder: Path,
        fetch: Fetch,
        progress: Callable[[Progress], None] | None,
        pause_s: float,
    ) -> None:
        self.url, self.folder, self.fetch = url, folder, fetch
        self.progress, self.pause_s = progress, pause_s
        self.total = self.done = self.fetched = self.n_bytes = 0
        self.lock = threading.Lock()
        self.stop = threading.Event()

    def outcome(self, files_total: int) -> Fetched:
        """What this run did, of a set of ``files_total`` files."""
        return Fetched(self.folder, files_total, self.fetched, self.n_bytes)

    def count(self, path: str, *, n_bytes: int = 0, done: int = 0, fetched: int = 0) -> None:
        """Add to the counts and tell."""
        with self.lock:
            self.n_bytes += n_bytes
            self.done += done
            self.fetched += fetched
            if self.progress:
                self.progress(Progress(self.done, self.total, self.n_bytes, path))

    def listing(self, wanted: PublicSet) -> dict[str, str]:
        """SHA-256 by path of the files that are wanted."""
        content = bytearray()

        def keep(chunk: bytes) -> None:
            content.extend(chunk)
            if len(content) > _MAX_LISTING_BYTES:
                raise DatasetError(f"{self.url}{_LISTING} is not a list of checksums")

        self.transfer(_LISTING, lambda: len(content), keep)
        sums = {}
        for line in content.decode("utf-8", "replace").splitlines():
            match = re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(\S+)\s*", line)
            if match and wanted.wanted.fullmatch(match[2]):
                sums[match[2]] = match[1].lower()
        needed = {wanted.archive.file, wanted.archive.labels} if wanted.archive else set()
        if not sums or needed - sums.keys():
            raise DatasetError(
                f"{self.url}{_LISTING} lists none of the files of {wanted.name} that are known: "
                f"get the set by hand from {wanted.page}"
            )
        return sums

    def fetch_all(self, sums: dict[str, str]) -> None:
        """Have every file of ``sums`` in its place."""
        self.total = len(sums)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            futures = [pool.submit(self.fetch_one, *item) for item in sums.items()]
            try:
                finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
            finally:
                self.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def fetch_one(self, path: str, sha256: str) -> None:
        """Have one file in its place, its checksum compared."""
        place = self.folder / path
        part = place.with_name(place.name + ".part")
        try:
            if place.is_file() and _sha256(place) == sha256:
                self.count(path, done=1)
                return
            place.parent.mkdir(parents=True, exist_ok=True)
            resumed = _size(part) > 0
            self.append(path, part)
            if _sha256(part) != sha256 and resumed:
                # what was there before may have been of another file
                part.unlink()
                self.append(path, part)
            if _sha256(part) != sha256:
                part.unlink()
                raise DatasetError(
                    f"{self.url}{path} does not have the checksum that PhysioNet lists and was "
                    "thrown away: run again, and if it stays so the copy there is damaged"
                )
            os.replace(part, place)
        except OSError as error:
            raise DatasetError(
                f"{error.filename or part} can't be written: {error.strerror}; make room (see "
                "`ecgqa data list` for sizes) or choose another folder, and run again to go on"
            ) from error
        self.count(path, done=1, fetched=1)

    def append(self, path: str, part: Path) -> None:
        """Fetch the rest of ``path`` onto ``part``."""
        with part.open("ab") as file:

            def keep(chunk: bytes) -> None:
                file.write(chunk)
                file.flush()  # so that what is counted is on its way to the disk
                self.count(path, n_bytes=len(chunk))

            self.transfer(path, lambda: _size(part), keep)

    def transfer(self, path: str, have: Callable[[], int], keep: Callable[[bytes], None]) -> None:
        """Hand the bytes of ``path`` from ``have()`` on to ``keep``, through network failures."""
        failures = 0
        chunks: Iterator[bytes] | None = None
        while True:
            if self.stop.is_set():
                raise DatasetError("stopped: run again to go on")
            try:
                chunks = chunks or self.fetch(self.url + path, have())
                chunk = next(chunks, b"")
            except FileNotFoundError as error:
                raise DatasetError(f"{self.url}{path} is not there: the set has moved") from error
            except OSError as error:
                failures += 1
                if failures >= ATTEMPTS:
                    raise DatasetError(
                        f"{self.url}{path} can't be fetched: {' '.join(str(error).split())}; "
                        "check the network and run again to go on where it stopped"
                    ) from error
                chunks = None
                self.stop.wait(self.pause_s * 2 ** (failures - 1))
                continue
            if not chunk:
                return
            keep(chunk)
            failures = 0


def _unpack(folder: Path, archive: Archive, mark: str) -> None:
    """Lay out an archive's folder with its labels, whole or not at all; then drop the archive."""
    zipped, labels = folder / archive.file, folder / archive.labels
    member_name = re.compile(re.escape(archive.folder) + r"/([-\w]+(\.\w+)?)")
    try:
        with zipfile.ZipFile(zipped) as file, whole_folder(folder / archive.folder) as out:
            members = {m[1]: i for i in file.infolist() if (m := member_name.fullmatch(i.filename))}
            if not members or sum(i.file_size for i in members.values()) > _MAX_UNPACKED_BYTES:
                raise DatasetError(f"{zipped} does not hold {archive.folder}: delete it, run again")
            for name, member in members.items():
                with file.open(member) as source, (out / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            shutil.copyfile(labels, out / archive.labels_as)
            (out / _UNPACKED_MARK).write_text(mark)
    except zipfile.BadZipFile as error:
        raise DatasetError(f"{zipped} is not a zip file ({error}): delete it; run again") from error
    except OSError as error:
        raise DatasetError(
            f"{error.filename or folder} can't be written: {error.strerror}; make room and run "
            "again: what was fetched is kept"
        ) from error
    zipped.unlink()
    labels.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
