# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Balanced sets on folders written here: who is held out, what is left out, what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_leads import pulse_train, write_training_sets

from ecgqa_tflite.datasets import arrhythmia, challenge2011
from ecgqa_tflite.datasets.agreed import beats_agreed
from ecgqa_tflite.datasets.balanced import Composition, build, shares
from ecgqa_tflite.errors import ArgumentError, DatasetError
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training.recipe import Recipe

SPEC = FrontEnd(rows=77, cols=77, colormap="grey")
TINY = Composition(n_train=120, n_validation=40, validation_share=0.3, held_out=("vfdb/2",))
GRADES = "set,record,lead,start_s,read_1,read_2\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    write_training_sets(root)
    return root


@pytest.fixture(scope="module")
def with_arrhythmia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two records of vfdb, each half plain, half broad complexes, 150 a minute."""
    import wfdb

    root = tmp_path_factory.mktemp("more")
    write_training_sets(root)
    folder = root / "arrhythmia" / "vfdb"
    folder.mkdir(parents=True)
    t = np.arange(30 * 250) / 250
    wave = np.exp(-0.5 * ((t % 0.4 - 0.2) / 0.04) ** 2)
    wave += 0.02 * np.random.default_rng(0).standard_normal(len(t))
    signal = np.r_[pulse_train(30).signal_mv, wave]
    for name in ("1", "2"):
        wfdb.wrsamp(
            name, fs=250, units=["mV"], sig_name=["ECG"], p_signal=signal[:, None], fmt=["16"],
            adc_gain=[1000.0], baseline=[0], write_dir=str(folder),
        )  # fmt: skip
        wfdb.wrann(
            name, "atr", np.array([10, 30 * 250]), ["+", "+"], aux_note=["(N", "(VT"],
            write_dir=str(folder),
        )  # fmt: skip
    rows = "vfdb,1,0,10,A,A\nvfdb,2,0,10,A,A\nvfdb,1,0,40,C,C\nvfdb,2,0,12,A,B\n"
    (root / "arrhythmia" / "graded.csv").write_text(GRADES + rows)
    return root


def test_without_arrhythmias_its_sources_are_left_out(data: Path, tmp_path: Path) -> None:
    sets = build(data, SPEC, TINY, tmp_path)
    for found, n in ((sets.train, 120), (sets.validation, 40)):
        assert len(found) == n and found.quality.mean() == 0.5 and found.usable.all()
        assert not any("recorded" in s or "graded" in s for s in found.by_source)
    both = set(sets.train.group) & set(sets.validation.group)
    assert not any(name.startswith(("mitdb/", "challenge-2011/")) for name in both)
    assert arrhythmia.missing(data) == [*arrhythmia.SETS, "arrhythmia/graded.csv"]


def test_the_same_call_reads_what_the_first_made(data: Path, tmp_path: Path) -> None:
    first = build(data, SPEC, TINY, tmp_path)
    said: list[str] = []
    again = build(data, SPEC, TINY, tmp_path, lambda what, done, total: said.append(what))
    assert not said and again.train.digest == first.train.digest
    assert again.train.census() == first.train.census()
    assert list(again.validation.ids) == list(first.validation.ids)
    other = build(data, SPEC, replace(TINY, seed=1), tmp_path)
    assert other.train.digest != first.train.digest
    elsewhere = build(data, SPEC, TINY, tmp_path / "anew")
    assert elsewhere.train.digest == first.train.digest


def test_a_damaged_set_is_made_anew(data: Path, tmp_path: Path) -> None:
    first = build(data, SPEC, TINY, tmp_path)
    (path,) = (tmp_path / "sets").iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (
        whole[:middle], b"", b"not a set",
        whole[:middle] + bytes(255 - b for b in whole[middle : middle + 64]) + whole[middle + 64 :],
    ):  # fmt: skip
        path.write_bytes(damaged)
        assert build(data, SPEC, TINY, tmp_path).train.digest == first.train.digest
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        assert path.read_bytes() != damaged


def test_recorded_arrhythmias_are_split_by_record(with_arrhythmia: Path, tmp_path: Path) -> None:
    sets = build(with_arrhythmia, SPEC, TINY, tmp_path)
    recorded = ("rhythms_recorded", "graded_high", "tachycardia_recorded")
    for found, record, sources in (
        (sets.train, "vfdb/1", recorded),
        (sets.validation, "vfdb/2", recorded[:2]),  # 40 segments have none of the rarest
    ):
        for source in sources:
            assert set(found.group[found.by_source[source]]) == {record}
    graded = sets.validation.ids[sets.validation.by_source["graded_high"]]
    assert list(graded) == ["vfdb/2/0@10.00"], "as it was read; the reading that differs is out"
    assert "graded_low" not in sets.validation.by_source
    assert arrhythmia.missing(with_arrhythmia) == ["cudb", "challenge-2015-vt"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("set,record\n", "first line must name the columns"),
        (GRADES, "holds no window"),
        (GRADES + "vfdb,1,x,0,A,A\n", "line 2"),
        (GRADES + "vfdb,1,7,0,A,A\n", "lead 7"),
    ],
)
def test_grades_that_say_nothing(
    with_arrhythmia: Path, tmp_path: Path, text: str, says: str
) -> None:
    root = tmp_path / "data"
    (root / "arrhythmia").mkdir(parents=True)
    (root / "arrhythmia" / "vfdb").symlink_to(with_arrhythmia / "arrhythmia" / "vfdb")
    (root / "arrhythmia" / "graded.csv").write_text(text)
    with pytest.raises(DatasetError, match=says):
        arrhythmia.graded_segments(root, SPEC, frozenset({"vfdb/1"}), 0, np.random.default_rng(0))


def test_bad_leads_with_plain_beats_are_left_out(tmp_path: Path) -> None:
    write_training_sets(tmp_path)
    labels = tmp_path / "challenge-2011" / "LEADS.csv"
    labels.write_text(labels.read_text().replace("1,I,good", "1,I,bad"))
    recordings = challenge2011.labelled_recordings(tmp_path)
    segments = challenge2011.lead_segments(recordings, SPEC)
    agreed = beats_agreed((recording for recording, _ in recordings), segments, SPEC.segment_s)
    assert set(segments.ids[agreed]) == {str(i) for i in segments.ids if "/I@" in i}
    for source, plain in (("leads_hidden", False), ("leads_bad", True)):
        composition = replace(TINY, low=((source, 1.0), ("noise", 1.0)))
        sets = build(tmp_path, SPEC, composition, tmp_path / "cache")
        parts = (*sets.train.parts, *sets.validation.parts)
        ids = [str(name) for part in parts if part.source == source for name in part.ids]
        assert any(name.startswith("challenge-2011/1/I@") for name in ids) is plain
        assert any(name.startswith("challenge-2011/1/II@") for name in ids)


def test_what_a_recorded_source_lacks_the_others_make_up() -> None:
    weights = (("leads_good", 1.0), ("clean", 1.0), ("pauses", 2.0))
    assert shares(weights, 40, {"leads_good": 99}) == {"leads_good": 10, "clean": 10, "pauses": 20}
    assert shares(weights, 40, {"leads_good": 4}) == {"leads_good": 4, "clean": 12, "pauses": 24}
    with pytest.raises(DatasetError, match="leads_good: 5 segments wanted, 4 there"):
        shares(weights[:1], 5, {"leads_good": 4})


def test_a_source_that_there_is_not(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'clipped' is no source"):
        build(data, SPEC, replace(TINY, low=(("clipped", 1.0),)), tmp_path)


def test_a_recipe_with_a_rule_for_mixtures_keeps_its_split() -> None:
    plain = Recipe(epochs=3).to_dict()
    old = {"n_train": 10, "n_validation": 5, "validation_share": 0.3, "seed": 7, "jump_share": 0.0}
    plain["composition"] = old | {"high": [["clean", 1.0]], "low": [], "mixture": {}}
    recipe = Recipe.from_dict(plain)
    assert recipe.composition == Composition(
        n_train=10, n_validation=5, validation_share=0.3, seed=7
    )
    with pytest.raises(ArgumentError):
        Recipe.from_dict({**plain, "composition": old})
