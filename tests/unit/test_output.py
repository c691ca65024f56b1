# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ecgqa_tflite.errors import ArgumentError, OutputExistsError
from ecgqa_tflite.output import (
    MANIFEST,
    SUMS,
    refuse_existing,
    refuse_unwritable_file,
    whole_file,
    whole_folder,
)


def ours(path, *names):
    """A folder as this package writes it: what it holds is listed."""
    for name in names:
        (path / name).write_text(name)
    (path / SUMS).write_text("".join(f"{'0' * 64}  {name}\n" for name in names))


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "sub" / "a.json"
    with whole_file(path) as temporary:
        temporary.write_text("x")
        assert not path.exists()
        assert temporary.suffix == ".json"
    assert path.read_text() == "x"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("context", [whole_file, whole_folder])
@pytest.mark.requirement("OUT-1")
def test_an_error_leaves_nothing(tmp_path, context):
    with pytest.raises(RuntimeError), context(tmp_path / "a") as temporary:
        if temporary.is_dir():
            (temporary / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("context", [whole_file, whole_folder])
def test_nothing_is_overwritten_without_being_asked(tmp_path, context):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(OutputExistsError, match="--overwrite"), context(path):
        pass
    assert path.read_text() == "old"


@pytest.mark.requirement("OUT-1")
def test_a_folder_is_replaced_whole_or_kept(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    ours(path, "old")
    with pytest.raises(RuntimeError), whole_folder(path, overwrite=True) as temporary:
        raise RuntimeError
    assert (path / "old").read_text() == "old"
    with whole_folder(path, overwrite=True) as temporary:
        (temporary / "new").write_text("new")
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("last", [0, 1])
def test_an_interrupt_between_the_renames_brings_the_old_folder_back(tmp_path, monkeypatch, last):
    path = tmp_path / "a"
    path.mkdir()
    ours(path, "old")
    replace, calls = os.replace, []

    def interrupted(a, b):
        replace(a, b)
        calls.append(a)
        if len(calls) == 1 + last:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_folder(path, overwrite=True) as temporary:
        (temporary / "new").write_text("new")
    assert sorted(p.name for p in path.iterdir()) == (["new"] if last else [SUMS, "old"])
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ecgqa_tflite.output import whole_file, whole_folder
replace, calls = os.replace, []
def once(a, b):
    replace(a, b)
    os.kill(os.getpid(), signal.SIGKILL)
with (whole_folder if sys.argv[1] == "folder" else whole_file)(sys.argv[2], True) as temporary:
    (temporary / "half" if sys.argv[1] == "folder" else temporary).write_text("half")
    if sys.argv[3] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
    os.replace = once
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no locks that end with a process")
@pytest.mark.parametrize("when", ["writing", "renamed once"])
@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.requirement("OUT-1")
def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path, kind: str, when: str) -> None:
    path = tmp_path / "a.out"
    if kind == "folder":
        path.mkdir()
        ours(path, "old")
    else:
        path.write_text("old")
    done = subprocess.run((sys.executable, "-c", KILLED, kind, str(path), when), check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) > (when == "writing" or kind == "folder")
    with (
        pytest.raises(RuntimeError),
        (whole_folder if kind == "folder" else whole_file)(path, overwrite=True),
    ):
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.out"]
    if kind == "folder":
        assert sorted(p.name for p in path.iterdir()) == [SUMS, "old"]
    else:
        assert path.read_text() == ("old" if when == "writing" else "half")


def test_two_writers_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for context in (whole_file, whole_folder):
        path = tmp_path / context.__name__
        with context(path, True) as first, context(path, True) as second:
            assert first != second and first.exists() and second.exists()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("context", [whole_file, whole_folder])
@pytest.mark.requirement("OUT-1")
def test_of_two_runs_the_slower_replaces_nothing(tmp_path: Path, context: Any) -> None:
    """What wasn't there when it began, and is now, is another's."""

    def write(place: Path, text: str) -> None:
        (place if place.is_file() else place / "a").write_text(text)

    path = tmp_path / "out"
    with pytest.raises(OutputExistsError, match="--overwrite"), context(path) as slow:
        with context(path) as fast:
            write(fast, "fast")
        write(slow, "slow")
    assert (path if path.is_file() else path / "a").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="no links without rights")
@pytest.mark.requirement("OUT-1")
def test_an_output_that_is_a_link(tmp_path: Path) -> None:
    """The link goes, and only where it may; what it leads to stays."""
    (tmp_path / "there").mkdir()
    ours(tmp_path / "there", "old")
    (tmp_path / "file").write_text("mine")
    for context, target in ((whole_folder, "there"), (whole_file, "file")):
        link = tmp_path / f"link to {target}"
        link.symlink_to(tmp_path / target)
        with pytest.raises(OutputExistsError), context(link):
            pass
        with context(link, overwrite=True) as temporary:
            (temporary / "new" if temporary.is_dir() else temporary).write_text("new")
        assert not link.is_symlink()
    assert (tmp_path / "there" / "old").read_text() == "old"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="no links without rights")
def test_a_planted_name_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / ".a.ecgqa.txt").symlink_to(precious)
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert precious.read_text() == "mine" and (tmp_path / "a.txt").read_text() == "new"
    (tmp_path / ".b.ecgqa.txt").hardlink_to(precious)
    with whole_file(tmp_path / "b.txt") as temporary:
        temporary.write_text("new")
    assert precious.read_text() == "mine" and (tmp_path / "b.txt").read_text() == "new"


@pytest.mark.parametrize("listed", [None, SUMS, MANIFEST])
@pytest.mark.requirement("OUT-1")
def test_overwrite_spares_a_users_own_files(tmp_path, listed):
    path = tmp_path / "precious"
    (path / "src").mkdir(parents=True)
    (path / "src" / "main.c").write_text("int main(void) { return 0; }")
    if listed == SUMS:
        ours(path, "model.json")
    elif listed == MANIFEST:
        (path / "model.json").write_text("{}")
        (path / MANIFEST).write_text('{"files": {"model.json": "0"}}')
    with pytest.raises(OutputExistsError, match=r"src/main\.c.*another"):
        refuse_existing(path, overwrite=True)
    with pytest.raises(OutputExistsError), whole_folder(path, overwrite=True):
        pass
    assert (path / "src" / "main.c").is_file()
    (path / "src" / "main.c").unlink()
    (path / "src").rmdir()
    with whole_folder(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert [p.name for p in path.iterdir()] == ["new"]


def test_overwrite_takes_what_a_bundles_makefile_made(tmp_path):
    path = tmp_path / "bundle"
    (path / "build").mkdir(parents=True)
    (path / "build" / "selftest").write_text("")
    with pytest.raises(OutputExistsError, match="selftest"):
        refuse_existing(path, overwrite=True)
    (path / MANIFEST).write_text('{"files": {}}')
    refuse_existing(path, overwrite=True)


def test_overwrite_makes_no_folder_of_a_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="file"), whole_folder(path, overwrite=True):
        pass
    assert path.read_text() == "mine"


@pytest.mark.parametrize("text", ["[", "[]", '{"files": 1}', "\udcff", "[" * 100_000])
def test_a_list_that_is_none_lists_nothing(tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text(text, errors="surrogateescape")
    with pytest.raises(OutputExistsError, match=MANIFEST):
        refuse_existing(tmp_path / "out", overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    """A file in the place of the null device would break the whole machine."""
    os.mkfifo(tmp_path / "pipe")
    for refuse in (
        lambda: refuse_unwritable_file(tmp_path / "pipe"),
        lambda: whole_file(tmp_path / "pipe", overwrite=True).__enter__(),
    ):
        with pytest.raises(ArgumentError, match="a device or pipe"):
            refuse()
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1
