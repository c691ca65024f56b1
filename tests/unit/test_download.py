# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``ecgqa data``: a PhysioNet of our own on loopback, whole, broken and slow to answer."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecgqa_tflite.cli import main
from ecgqa_tflite.datasets import download
from ecgqa_tflite.errors import DatasetError


@dataclass
class Publisher:
    """Files by path, what went wrong on purpose, and what was asked for."""

    files: dict[str, bytes]
    url: str = ""
    break_after: dict[str, int] = field(default_factory=dict)
    """Path: the connection is cut once after this many bytes of the file."""
    failing: set[str] = field(default_factory=set)
    """Paths that answer 503."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def list_sums(self, folder: str) -> None:
        """Publish ``SHA256SUMS.txt`` of what lies under ``folder``."""
        self.files[folder + "SHA256SUMS.txt"] = "".join(
            f"{hashlib.sha256(content).hexdigest()} {path.removeprefix(folder)}\n"
            for path, content in self.files.items()
            if path.startswith(folder) and not path.endswith("SHA256SUMS.txt")
        ).encode()

    def times_asked(self, end: str) -> int:
        return sum(path.endswith(end) for path, _ in self.asked)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def published() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    noise = {f"nstdb/1.0.0/{n}.{e}": (n + e).encode() * 999 for n in ("bw", "em", "ma")
             for e in ("hea", "dat")}  # fmt: skip
    files |= noise | {"nstdb/1.0.0/118e24.dat": b"not wanted", "nstdb/1.0.0/RECORDS": b"118e24\n"}
    for i in range(100, 112):
        for e in ("hea", "dat", "atr"):
            files[f"mitdb/1.0.0/{i}.{e}"] = f"{i}{e}".encode() * 500
    files |= {"mitdb/1.0.0/RECORDS": b"100\n", "mitdb/1.0.0/mitdbdir/intro.htm": b"not wanted"}
    for name in ("RECORDS", "RECORDS-acceptable", "RECORDS-unacceptable", "1.hea", "1.dat"):
        files[f"challenge-2011/1.0.0/set-a/{name}"] = name.encode()
    files["challenge-2011/1.0.0/set-b/2.dat"] = b"not wanted"
    files["challenge-2017/1.0.0/REFERENCE-v3.csv"] = b"A00001,N\n"
    files["challenge-2017/1.0.0/sample2017.zip"] = b"not wanted"
    files["challenge-2017/1.0.0/training2017.zip"] = zipped({
        "training2017/": b"",
        "training2017/A00001.mat": bytes(range(256)) * 20_000,
        "training2017/A00001.hea": b"A00001 1 300 9000\n",
        "training2017/REFERENCE.csv": b"A00001,~\n",
        "training2017/../../escaped": b"!",
        "/absolute": b"!",
        "elsewhere/A00002.mat": b"!",
    })  # fmt: skip
    return files


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    site = Publisher(published())
    for name in download.SETS:
        site.list_sums(f"{name}/1.0.0/")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16  # header and body in one packet, or each answer waits for an ACK

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            site.asked.append((path, self.headers.get("Range", "")))
            if path in site.failing:
                self.send_error(503)
                return
            if path not in site.files:
                self.send_error(404)
                return
            content = site.files[path]
            first, last, status = 0, len(content) - 1, 200
            if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                first, last = int(match[1]), min(int(match[2] or last), last)
                status = 206 if first <= last else 416
            self.send_response(status)
            if status == 416:
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.send_header("Content-Length", str(last - first + 1))
            self.end_headers()
            cut_at = site.break_after.get(path)
            if cut_at is not None and first <= cut_at <= last:
                del site.break_after[path]
                self.wfile.write(content[first:cut_at])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(content[first : last + 1])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/"
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def get(publisher: Publisher, name: str, dest: Path, **more: object) -> download.Fetched:
    return download.get(name, dest, base_url=publisher.url, pause_s=0.01, **more)  # type: ignore[arg-type]


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_layout_of_each_set(publisher: Publisher, tmp_path: Path) -> None:
    for name in download.SETS:
        get(publisher, name, tmp_path)
    assert tree(tmp_path / "nstdb") == {f"{n}.{e}" for n in ("bw", "em", "ma")
                                        for e in ("hea", "dat")}  # fmt: skip
    assert tree(tmp_path / "mitdb") == {"RECORDS"} | {
        f"{i}.{e}" for i in range(100, 112) for e in ("hea", "dat", "atr")
    }
    assert tree(tmp_path / "challenge-2011") == {
        f"set-a/{n}"
        for n in ("RECORDS", "RECORDS-acceptable", "RECORDS-unacceptable", "1.hea", "1.dat")
    }
    assert tree(tmp_path / "challenge-2017") == {
        f"training2017/{n}"
        for n in ("A00001.mat", "A00001.hea", "REFERENCE.csv", ".archive-sha256")
    }
    labels = tmp_path / "challenge-2017/training2017/REFERENCE.csv"
    assert labels.read_bytes() == b"A00001,N\n"  # version 3, not the one in the archive
    for path in tree(tmp_path / "mitdb"):
        assert (tmp_path / "mitdb" / path).read_bytes() == publisher.files[f"mitdb/1.0.0/{path}"]


def test_what_is_there_and_right_is_not_fetched_again(publisher: Publisher, tmp_path: Path) -> None:
    first = get(publisher, "mitdb", tmp_path)
    assert (first.files_total, first.files_fetched) == (37, 37)
    (tmp_path / "mitdb/100.dat").write_bytes(b"damaged")
    (tmp_path / "mitdb/101.atr").unlink()
    publisher.asked.clear()
    second = get(publisher, "mitdb", tmp_path)
    assert (second.files_total, second.files_fetched) == (37, 2)
    assert {path.rpartition("/")[2] for path, _ in publisher.asked} == {
        "SHA256SUMS.txt", "100.dat", "101.atr",
    }  # fmt: skip


def test_an_archive_that_was_laid_out_is_not_fetched_again(
    publisher: Publisher, tmp_path: Path
) -> None:
    get(publisher, "challenge-2017", tmp_path)
    publisher.asked.clear()
    assert get(publisher, "challenge-2017", tmp_path).files_fetched == 0
    assert len(publisher.asked) == 1


def test_a_folder_of_someone_else_is_left_alone(publisher: Publisher, tmp_path: Path) -> None:
    folder = tmp_path / "challenge-2017/training2017"
    folder.mkdir(parents=True)
    (folder / "mine").touch()
    with pytest.raises(DatasetError, match="move it away"):
        get(publisher, "challenge-2017", tmp_path)
    assert tree(tmp_path) == {"challenge-2017/training2017/mine"}


def test_a_cut_connection_goes_on_where_it_stopped(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_CHUNK_BYTES", 1000)
    path = "nstdb/1.0.0/em.dat"
    publisher.break_after[path] = 2500
    get(publisher, "nstdb", tmp_path)
    assert (tmp_path / "nstdb/em.dat").read_bytes() == publisher.files[path]
    ranges = [r for p, r in publisher.asked if p == path]
    assert ranges.count("bytes=2000-2999") == 2  # the piece that was cut, and no other
    assert ranges.count("bytes=0-999") == 1


def test_a_later_run_resumes_inside_a_file(publisher: Publisher, tmp_path: Path) -> None:
    path = "challenge-2017/1.0.0/training2017.zip"
    part = tmp_path / "challenge-2017/training2017.zip.part"
    part.parent.mkdir()
    part.write_bytes(publisher.files[path][:10_000])
    get(publisher, "challenge-2017", tmp_path)
    assert all(not r.startswith("bytes=0-") for p, r in publisher.asked if p == path)


@pytest.mark.parametrize("left", [b"of another file", b"x" * 10**6])
def test_a_part_of_something_else_is_thrown_away(
    publisher: Publisher, tmp_path: Path, left: bytes
) -> None:
    part = tmp_path / "nstdb/bw.dat.part"
    part.parent.mkdir()
    part.write_bytes(left)
    get(publisher, "nstdb", tmp_path)
    assert (tmp_path / "nstdb/bw.dat").read_bytes() == publisher.files["nstdb/1.0.0/bw.dat"]


def test_killed_in_the_middle(publisher: Publisher, tmp_path: Path) -> None:
    """A network that dies leaves no wrong file, and the next run needs the rest only."""

    def dying(url: str, offset: int) -> Iterator[bytes]:
        if url.endswith(".txt"):
            yield from download.fetch_through_wfdb(url, offset)
            return
        if not offset:
            yield next(download.fetch_through_wfdb(url, offset))[:1200]
        raise ConnectionResetError("line cut")

    with pytest.raises(DatasetError, match=r"can't be fetched: line cut; .*run again"):
        get(publisher, "nstdb", tmp_path, fetch=dying)
    left = tree(tmp_path / "nstdb")
    assert left
    for path in left:
        whole = publisher.files[f"nstdb/1.0.0/{path.removesuffix('.part')}"]
        content = (tmp_path / "nstdb" / path).read_bytes()
        assert whole.startswith(content) if path.endswith(".part") else content == whole
    publisher.asked.clear()
    get(publisher, "nstdb", tmp_path)
    assert not [p for p in tree(tmp_path / "nstdb") if p.endswith(".part")]


def test_a_wrong_checksum(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["nstdb/1.0.0/ma.dat"] += b"!"
    with pytest.raises(DatasetError, match=r"ma.dat does not have the checksum"):
        get(publisher, "nstdb", tmp_path)
    assert not any(p.startswith("ma.dat") for p in tree(tmp_path / "nstdb"))


def test_a_file_that_is_gone(publisher: Publisher, tmp_path: Path) -> None:
    del publisher.files["nstdb/1.0.0/ma.dat"]
    with pytest.raises(DatasetError, match=r"ma.dat is not there: the set has moved"):
        get(publisher, "nstdb", tmp_path)
    assert publisher.times_asked("ma.dat") == 1


def test_a_set_that_is_gone(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files.clear()
    with pytest.raises(DatasetError, match=r"SHA256SUMS.txt is not there"):
        get(publisher, "nstdb", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_server_that_keeps_failing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.failing.add("nstdb/1.0.0/ma.dat")
    with pytest.raises(DatasetError, match=r"ma.dat can't be fetched: 503"):
        get(publisher, "nstdb", tmp_path)
    assert publisher.times_asked("ma.dat") == download.ATTEMPTS


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="can't be fetched") as caught:
        download.get("nstdb", tmp_path, base_url="http://127.0.0.1:9/", pause_s=0.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "listing", [b"", b"<html>", b"\xff" * 1000, f"{'0' * 64} ../../etc/passwd\n".encode()]
)
def test_a_listing_that_is_none(publisher: Publisher, tmp_path: Path, listing: bytes) -> None:
    publisher.files["nstdb/1.0.0/SHA256SUMS.txt"] = listing
    with pytest.raises(DatasetError, match="lists none of the files"):
        get(publisher, "nstdb", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "nstdb").mkdir()
    (tmp_path / "nstdb/bw.dat.part").symlink_to("/dev/full")
    with pytest.raises(DatasetError, match=r"bw.dat.part can't be written: No space left.*make"):
        get(publisher, "nstdb", tmp_path)
    assert not (tmp_path / "nstdb/bw.dat").exists()


def test_a_folder_that_can_not_be_made(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "nstdb").write_text("a file in the way")
    with pytest.raises(DatasetError, match="can't be written"):
        get(publisher, "nstdb", tmp_path)


@pytest.mark.parametrize("content", [b"no zip", zipped({"other/A1.mat": b"1"})])
def test_an_archive_that_is_none(publisher: Publisher, tmp_path: Path, content: bytes) -> None:
    publisher.files["challenge-2017/1.0.0/training2017.zip"] = content
    publisher.list_sums("challenge-2017/1.0.0/")
    with pytest.raises(DatasetError, match=r"training2017\.zip"):
        get(publisher, "challenge-2017", tmp_path)
    assert not (tmp_path / "challenge-2017/training2017").exists()


def test_progress_counts_up_to_the_whole(publisher: Publisher, tmp_path: Path) -> None:
    seen: list[download.Progress] = []
    result = get(publisher, "mitdb", tmp_path, progress=seen.append)
    assert [p.files_done for p in seen] == sorted(p.files_done for p in seen)
    assert seen[-1].files_done == seen[-1].files_total == 37
    assert seen[-1].bytes_fetched == result.bytes_fetched
    # the list of checksums is not counted: it is not a part of the set
    assert result.bytes_fetched == sum(p.stat().st_size for p in (tmp_path / "mitdb").iterdir())


def test_an_unknown_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there are: challenge-2017, challenge-2011, mitdb, ns"):
        download.get("mitbd", tmp_path)


def test_the_command(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "physionet_url", lambda: publisher.url)
    run = CliRunner().invoke
    done = run(main, ["data", "get", "nstdb", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "6 files, 6 fetched now" in done.output
    again = run(main, ["data", "get", "nstdb", str(tmp_path)])
    assert "6 files, 0 fetched now" in again.output
    publisher.files["nstdb/1.0.0/ma.dat"] += b"!"
    (tmp_path / "nstdb/ma.dat").unlink()
    failed = run(main, ["data", "get", "nstdb", str(tmp_path)])
    assert failed.exit_code == 1
    assert "does not have the checksum" in failed.output
    assert run(main, ["data", "get", "nonsense"]).exit_code == 2


def test_the_list() -> None:
    listed = CliRunner().invoke(main, ["data", "list"])
    assert listed.exit_code == 0
    for name, public_set in download.SETS.items():
        assert name in listed.output
        assert public_set.page in listed.output


def test_the_address_is_wfdb_s() -> None:
    assert download.physionet_url() == "https://physionet.org/files/"
