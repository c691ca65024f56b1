# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test may use: recordings from outside, tools, a small int8 model."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ecgqa_tflite.boards.boards import boards
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording.simulator import write_demo

REPO = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


NEAR = {"host-gcc", "mps2-an386"}
"""Boards of ``make test``: this machine and a Cortex-M4; ``make test-thorough`` has the others."""


def pytest_configure() -> None:
    """SIGINT as in a terminal: what a shell starts with ``&`` ignores it, and so would children."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Further boards are thorough; slow files first, so that none is alone with one at the end."""
    far = boards().keys() - NEAR
    for item in items:
        values = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if any(isinstance(value, str) and value in far for value in values):
            item.add_marker(pytest.mark.thorough)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def missing(reason: str) -> None:
    """Skip with ``reason``; in CI, where the set-up must bring everything, fail."""
    if IN_CI:
        pytest.fail(f"{reason} (CI never skips what its set-up should bring)", pytrace=False)
    pytest.skip(reason)


def require_tool(name: str) -> str:
    """Path of a program; where it is missing the test skips, in CI it fails."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not installed")
    assert path is not None
    return path


def require_module(name: str) -> None:
    """As :func:`require_tool` for a Python module that an extra brings."""
    if importlib.util.find_spec(name) is None:
        missing(f"{name} is not installed: pip install -e '.[train,dev]'")


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ccache stands before the compilers: what a source compiles to is found once in a run.

    The library is compiled some hundred times with a dozen compilers and flags; nothing is kept for
    the next run.
    """
    ccache = Path(sys.executable).with_name("ccache")
    compilers = {"cc", "c++", "g++", "arm-none-eabi-g++"}
    compilers |= {board.compiler for board in boards().values()}
    folder = _run_folder(tmp_path_factory) / "ccache"
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    for name in filter(shutil.which, compilers if ccache.is_file() else ()):
        with suppress(FileExistsError):  # another worker was first
            (folder / "bin" / name).symlink_to(ccache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder / "bin"), prepend=os.pathsep)
        patch.setenv("CCACHE_DIR", str(folder / "objects"))
        patch.setenv("CCACHE_BASEDIR", str(_run_folder(tmp_path_factory)))
        patch.setenv("CCACHE_NOHASHDIR", "1")  # the folders of tests differ
        yield


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``shared_data("mitdb")``: the folder of a real set, as its publisher lays it out.

    The sets lie packed outside the repository (``ECGQA_SHARED``, default ``../shared``) and are
    unpacked once, into ``ECGQA_TEST_DATA`` where given (kept between runs), else into a temporary
    folder. A checkout without them skips, in CI too: nothing installs them.
    """
    packed = Path(os.environ.get("ECGQA_SHARED", REPO.parent / "shared")) / "data"
    kept = os.environ.get("ECGQA_TEST_DATA")

    def unpacked(name: str) -> Path:
        if not (packed / "unpack.py").is_file():
            pytest.skip(f"no real recordings: {packed} is missing (ECGQA_SHARED names another)")
        # The workers of one parallel run share the parent of their temporary folders.
        folder = Path(kept) if kept else _run_folder(tmp_path_factory) / "recordings"
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f".{name}.lock"):
            subprocess.run(
                [sys.executable, str(packed / "unpack.py"), str(folder), name],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        return folder / name

    return unpacked


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A small int8 model with random weights, as ``ecgqa train`` would leave it."""
    import tiny_model

    return tiny_model.folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def demo_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WFDB record ``demo``: 90 simulated seconds, each disturbance in its turn, 250 Hz."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return folder / "demo"


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives are run in this process: starting others takes seconds, and has its own tests."""
    from ecgqa_tflite.bulk import processes
    from ecgqa_tflite.bulk.work import Worker

    monkeypatch.setattr(
        processes,
        "run_processes",
        lambda entries, job, workers: map(Worker(replace(job, memory_bytes=None)).settle, entries),
    )


def _run_folder(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold ``path`` for this process; others wait."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
