import os
import sys
from pathlib import Path

import pytest

from ecgqa_tflite.errors import ArgumentError, OutputExistsError
from ecgqa_tflite.output import refuse_unwritable_file, whole_file, whole_folder


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "sub" / "a.json"
    with whole_file(path) as temporary:
        temporary.write_text("x")
        assert not path.exists()
        assert temporary.suffix == ".json"
    assert path.read_text() == "x"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("context", [whole_file, whole_folder])
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


def test_a_folder_is_replaced_whole_or_kept(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").write_text("old")
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
    (path / "old").write_text("old")
    replace, calls = os.replace, []

    def interrupted(a, b):
        replace(a, b)
        calls.append(a)
        if len(calls) == 1 + last:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_folder(path, overwrite=True) as temporary:
        (temporary / "new").write_text("new")
    assert [p.name for p in path.iterdir()] == (["new"] if last else ["old"])
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


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
