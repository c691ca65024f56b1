# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives in an S3 store: moto's server behind a proxy that puts faults in."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import require_module
from test_bulk import MODEL, options, records, settle

from ecgqa_tflite.bulk import storage
from ecgqa_tflite.bulk.plan import Request, make_plan
from ecgqa_tflite.bulk.results import read_result
from ecgqa_tflite.bulk.storage import LocalFolder, folder
from ecgqa_tflite.cli import main


class Proxy(ThreadingHTTPServer):
    """Hands requests on to ``port``, and does what ``faults`` says with those that match."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = port
        self.faults: list[list[Any]] = []
        self.log: list[tuple[str, str]] = []

    def fault(self, kind: str, pattern: str, times: int = 10**9) -> None:
        """``503``, ``truncated``, ``reset`` or ``slow``, for so many requests of a path."""
        self.faults.append([kind, re.compile(pattern), times])

    def next_fault(self, what: str) -> str | None:
        """The fault of a request."""
        for fault in self.faults:
            if fault[2] > 0 and fault[1].search(what):
                fault[2] -= 1
                return str(fault[0])
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.log.append((self.command, self.path))
        kind = self.server.next_fault(f"{self.command} {self.path}")
        if kind == "503":
            self.send_error(503, "SlowDown")
            return
        if kind == "reset":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if kind == "slow":
            time.sleep(2)
        target = http.client.HTTPConnection("127.0.0.1", self.server.target)
        target.request(self.command, self.path, body, dict(self.headers))
        answer = target.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") or str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if kind == "truncated":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def moto_port() -> Iterator[int]:
    require_module("moto")
    require_module("s3fs")
    require_module("flask")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def store(
    moto_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Proxy, str]]:
    """The proxy, and the URL of a bucket that holds four records under ``ecg``."""
    import s3fs

    proxy = Proxy(moto_port)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(storage, "PAUSES_S", (0.01, 0.01))
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    fs = s3fs.S3FileSystem()
    bucket = re.sub(r"[^a-z0-9]", "-", tmp_path.name)
    fs.mkdir(bucket)
    records(tmp_path / "ecg", 4)
    fs.put(str(tmp_path / "ecg"), f"{bucket}/ecg", recursive=True)
    fs.invalidate_cache()
    proxy.log.clear()
    yield proxy, f"s3://{bucket}"
    proxy.shutdown()
    proxy.server_close()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.usefixtures("one_process")
def test_records_and_results_in_a_store(store: tuple[Proxy, str], tmp_path: Path) -> None:
    proxy, bucket = store
    done = CliRunner().invoke(
        main, ["bulk", f"{bucket}/ecg/*.hea", "-o", f"{bucket}/out", "--model", MODEL,
               "--workers", "1"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "in 4 of 4 records" in done.output
    read = [path for kind, path in proxy.log if kind == "GET" and path.endswith(".dat")]
    assert len(read) == len(set(read)) == 4  # once each
    plan = make_plan(Request((f"{bucket}/ecg/*.hea",)), options())
    local = make_plan(Request((f"{tmp_path}/ecg/*.hea",)), options())
    settle(local, tmp_path / "out")
    here, there = LocalFolder(tmp_path / "out"), folder(f"{bucket}/out")
    for a, b in zip(local.entries, plan.entries, strict=True):
        mine, theirs = read_result(here, a.key, "json"), read_result(there, b.key, "json")
        assert mine and theirs and {**mine, "key": ""} == {**theirs, "key": ""}


@pytest.mark.parametrize("kind", ["503", "truncated", "reset"])
def test_a_fault_that_passes_is_not_seen(
    kind: str, store: tuple[Proxy, str], tmp_path: Path
) -> None:
    proxy, bucket = store
    plan = make_plan(Request((f"{bucket}/ecg/*.hea",)), options())
    proxy.fault(kind, r"GET .*r1\.dat", 2)
    assert [o.kind for o in settle(plan, tmp_path / "out")] == ["done"] * 4
    assert proxy.faults[0][2] == 0


@pytest.mark.parametrize("kind", ["503", "truncated", "reset"])
def test_a_fault_that_stays_is_one_line_and_resumable(
    kind: str, store: tuple[Proxy, str], tmp_path: Path
) -> None:
    proxy, bucket = store
    plan = make_plan(Request((f"{bucket}/ecg/*.hea",)), options())
    proxy.fault(kind, r"GET .*r2\.dat")
    came = settle(plan, tmp_path / "out")
    assert [o.kind for o in came] == ["done", "done", "unread", "done"]
    assert came[2].reason.startswith(f"{bucket}/ecg/r2.dat: ") and "\n" not in came[2].reason
    proxy.faults.clear()
    assert [o.kind for o in settle(plan, tmp_path / "out")] == ["kept", "kept", "done", "kept"]
    assert not list(Path("/tmp").glob("ecgqa-*/r2.dat"))


@pytest.mark.usefixtures("one_process")
def test_an_output_that_fails_stops_the_run(store: tuple[Proxy, str], tmp_path: Path) -> None:
    proxy, bucket = store
    plan = make_plan(Request((f"{tmp_path}/ecg/*.hea",)), options())
    plan.write(folder(f"{bucket}/out"))
    proxy.fault("503", r"PUT .*/results/")
    run = ["bulk", "run", f"{bucket}/out", "--workers", "1"]
    done = CliRunner().invoke(main, run)
    assert done.exit_code == 1
    line = done.output.strip().splitlines()[-1]
    assert line.startswith(f"Error: {bucket}/out/results/") and "the same command goes on" in line
    proxy.faults.clear()
    done = CliRunner().invoke(main, run)
    assert done.exit_code == 0 and "4 done" in done.output
