# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Recipe, augmentation, the fit with kill and resume, and a whole training on synthetic sets."""

from __future__ import annotations

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import require_module
from synthetic_leads import write_training_sets

from ecgqa_tflite.datasets.balanced import BalancedSets, Composition
from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet
from ecgqa_tflite.errors import ArgumentError, DatasetError, EcgqaError, OutputExistsError
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training.fit import learning_rate
from ecgqa_tflite.training.images import augmented, index_maps
from ecgqa_tflite.training.recipe import Augmentation, Recipe
from ecgqa_tflite.training.run import THRESHOLD, calibration, match_threshold

SPEC = FrontEnd(rows=77, cols=77, colormap="grey")
TINY = Recipe(alpha=0.0625, epochs=4, batch=16, learning_rate=5e-3, warmup_steps=2, n_calibration=8)
STILL = Augmentation(roll=False, flip=False, shift_rows=0, gain=(1.0, 1.0))


# ---- recipe -------------------------------------------------------------------------------------


def test_recipe_round_trips_through_json() -> None:
    recipe = replace(TINY, initial_weights="light_cnn", composition=Composition(n_train=10))
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_a_recipe_of_before_a_field_existed_has_its_default() -> None:
    plain = TINY.to_dict()
    del plain["precision"], plain["composition"]["held_out"]
    assert Recipe.from_dict(plain) == TINY


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"epochs": 1.5},
        {"epochs": None},
        {"augmentation": {"spin": True}},
        {"composition": []},
    ],
)
def test_broken_recipes_are_refused(change: dict) -> None:
    with pytest.raises(ArgumentError):
        Recipe.from_dict(TINY.to_dict() | change)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"learning_rate": 0}, {"label_smoothing": 1}])
def test_recipes_that_make_no_sense_are_refused(change: dict) -> None:
    with pytest.raises(ArgumentError):
        replace(TINY, **change)


def test_only_trainings_from_given_weights_are_averaged(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="give weights with --from"):
        Recipe(averaged=2)
    four = Recipe(initial_weights="light_cnn", averaged=4, seed=2)
    assert [(m.seed, m.averaged) for m in four.members()] == [(2, 1), (3, 1), (4, 1), (5, 1)]
    assert four.quick().averaged == 1
    (tmp_path / "recipe.json").write_text(json.dumps(four.to_dict()))
    assert Recipe.again(tmp_path / "recipe.json", "body", False).averaged == 4
    assert Recipe.again(tmp_path / "recipe.json", None, True).averaged == 1


def test_teachers_of_a_recipe_are_named_anew(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(replace(TINY, teachers=("inception_v1",)).to_dict()))
    with pytest.raises(ArgumentError, match=r"taught by inception_v1.*--teacher MODEL"):
        Recipe.again(path, None, True)
    assert Recipe.again(path, None, True, ("light_cnn",)).teachers == ("light_cnn",)


def test_learning_rate_warms_up_and_ends_near_zero() -> None:
    recipe = Recipe(warmup_steps=10)
    rates = [learning_rate(step, 100, recipe) for step in range(100)]
    assert np.argmax(rates) in (9, 10) and max(rates) == pytest.approx(recipe.learning_rate)
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[10:]) < 0)
    assert 0 < rates[-1] < 0.01 * recipe.learning_rate


# ---- images -------------------------------------------------------------------------------------


def maps_of(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 77, 77), dtype=np.uint8)


def test_no_augmentation_is_the_image() -> None:
    maps, chosen = maps_of(4), np.array([2, 0])
    out = augmented(maps, chosen, SPEC, STILL, np.random.default_rng(0))
    assert np.array_equal(out, image(maps[chosen], "grey"))
    jet = replace(SPEC, colormap="jet")
    out = augmented(maps, chosen, jet, STILL, np.random.default_rng(0))
    assert np.array_equal(out, image(maps[chosen], "jet"))


def test_a_mask_blanks_one_band_of_rows_in_some_images() -> None:
    maps, mask = np.full((40, 77, 77), 200, np.uint8), replace(STILL, mask_rows=9)
    out = augmented(maps, np.arange(40), SPEC, mask, np.random.default_rng(2))[..., 0]
    blank = out.min(axis=2) == out.min()
    assert {len(np.unique(row)) for row in out.reshape(-1, 77)} == {1}  # whole rows
    heights = blank.sum(axis=1)
    assert 0 < (heights > 0).sum() < 40 and heights.max() <= 9
    assert all(np.ptp(np.flatnonzero(b)) + 1 == b.sum() for b in blank if b.any())
    whole = augmented(
        maps, np.arange(40), SPEC, replace(STILL, mask_rows=500), np.random.default_rng(2)
    )
    assert whole.shape == (40, 77, 77, 1)
    with pytest.raises(ArgumentError, match="mask_rows"):
        Augmentation(mask_rows=-1)


def test_roll_and_flip_only_move_columns() -> None:
    maps = maps_of(8)
    move = replace(STILL, roll=True, flip=True)
    out = augmented(maps, np.arange(8), SPEC, move, np.random.default_rng(1))[..., 0]
    assert not np.array_equal(out, maps)
    for before, after in zip(maps, out, strict=True):
        assert sorted(before.T.tolist()) == sorted(after.T.tolist())


def test_rows_shift_by_no_more_than_asked_and_gain_clips() -> None:
    maps = maps_of(20)
    out = augmented(
        maps, np.arange(20), SPEC, replace(STILL, shift_rows=3), np.random.default_rng(1)
    )[..., 0]
    shifts = set()
    for before, after in zip(maps, out, strict=True):
        found = [
            s for s in range(-3, 4) if np.array_equal(after[3:-3], np.roll(before, -s, 0)[3:-3])
        ]
        assert len(found) == 1
        shifts |= set(found)
    assert len(shifts) > 3
    louder = augmented(
        maps, np.arange(20), SPEC, replace(STILL, gain=(1.5, 1.5)), np.random.default_rng(1)
    )[..., 0]
    assert np.array_equal(louder, np.minimum(np.rint(maps * 1.5), 255))


def test_index_maps_are_cached_and_an_interrupted_making_goes_on(tmp_path: Path) -> None:
    from ecgqa_tflite.frontend.native import NativeFrontEnd

    def part(n: int, fs_hz: float) -> LabelledSegments:
        rng = np.random.default_rng(int(fs_hz))
        samples = rng.integers(-999, 999, (n, round(5 * fs_hz))).astype(np.int16)
        names = np.array([str(i) for i in range(n)])
        return LabelledSegments(samples, fs_hz, np.ones(n, np.uint8), names, names, "s")

    parts = (part(300, 250.0), part(5, 360.0))
    both = LabelledSet(parts)

    class KilledError(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        assert total == 305
        if done == 256:
            raise KilledError

    with pytest.raises(KilledError):
        index_maps(both, SPEC, tmp_path, progress=kill)
    steps: list[int] = []
    maps = index_maps(both, SPEC, tmp_path, progress=lambda what, done, total: steps.append(done))
    assert steps == [300, 305]
    assert np.array_equal(maps[300:], NativeFrontEnd(SPEC, 360.0).index_maps(parts[1].samples))
    assert np.array_equal(maps[:9], NativeFrontEnd(SPEC, 250.0).index_maps(parts[0].samples[:9]))
    files = sorted(path.name for path in (tmp_path / "index_maps").iterdir())
    assert len(files) == 1
    # colours come after the map: another colour map needs no other file
    index_maps(both, replace(SPEC, colormap="jet"), tmp_path)
    assert sorted(path.name for path in (tmp_path / "index_maps").iterdir()) == files


def segments_of(samples: np.ndarray) -> LabelledSet:
    names = np.array([str(i) for i in range(len(samples))])
    low = np.zeros(len(samples), np.uint8)
    return LabelledSet((LabelledSegments(samples, 250.0, low, names, names, "s"),))


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9999, 9999, (n, 1250)).astype(np.int16)


def test_a_full_disk_is_an_error_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of a sparse file that find no room end the process; room is asked for first."""

    def full(fd: int, start: int, n: int) -> None:
        assert n > 4 * 77 * 77
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        index_maps(segments_of(noise(4)), SPEC, tmp_path)
    assert not list(tmp_path.rglob("*.partial"))  # it would keep the disk full


DAMAGES = {
    "cut short": lambda raw: raw[: len(raw) // 2],
    "empty": lambda raw: b"",
    "text": lambda raw: b"not what it was",
    "another array": lambda raw: b"\x93NUMPY\x01\x00v\x00" + raw[10:128].replace(b"77", b"07"),
    "head changed": lambda raw: b"\xff" * 64 + raw[64:],
}
"""Of a file of the cache."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_index_maps_are_made_anew(tmp_path: Path, damage: str) -> None:
    part = segments_of(noise(300))
    before = np.array(index_maps(part, SPEC, tmp_path))
    (path,) = (tmp_path / "index_maps").iterdir()
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert np.array_equal(index_maps(part, SPEC, tmp_path), before)
    assert path.read_bytes() == whole
    path.with_suffix(".partial").write_bytes(DAMAGES[damage](whole))  # of a run that was killed
    path.with_suffix(".done.json").write_text("256")
    path.unlink()
    assert np.array_equal(index_maps(part, SPEC, tmp_path), before)
    assert [p.name for p in (tmp_path / "index_maps").iterdir()] == [path.name]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_reserves_nothing_will_do(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(fd: int, start: int, n: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    assert index_maps(segments_of(noise(4)), SPEC, tmp_path).any()


def test_a_note_that_cant_be_read_means_nothing_is_done(tmp_path: Path) -> None:
    part = segments_of(noise(300))

    class KilledError(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        index_maps(part, SPEC, tmp_path, progress=kill)
    (note,) = tmp_path.rglob("*.done.json")
    note.write_text("")
    steps: list[int] = []
    maps = index_maps(part, SPEC, tmp_path, progress=lambda what, done, n: steps.append(done))
    assert steps == [256, 300] and maps[0].any() and not note.exists()


def test_another_front_end_gets_other_maps_whatever_the_first_segment_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flat segment's map is all zeros by any front end."""
    from ecgqa_tflite.training import images

    samples = noise(3)
    samples[0] = 0
    part = segments_of(samples)
    before = np.array(index_maps(part, SPEC, tmp_path))

    class Other(images.NativeFrontEnd):
        def index_maps(self, samples: np.ndarray, **rest: object) -> np.ndarray:
            maps = super().index_maps(samples, **rest)  # type: ignore[arg-type]
            maps //= 2
            return maps

    monkeypatch.setattr(images, "NativeFrontEnd", Other)
    assert np.array_equal(index_maps(part, SPEC, tmp_path), before // 2)


# ---- thresholds and calibration -----------------------------------------------------------------


def test_two_runs_that_want_the_same_maps_make_them_once(tmp_path: Path) -> None:
    part = segments_of(noise(600))
    made: list[str] = []

    def make() -> None:
        index_maps(part, SPEC, tmp_path, progress=lambda what, *_: made.append(what))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3  # chunks of 256, each once
    assert not list(tmp_path.rglob("*.lock"))


def test_int8_threshold_agrees_best_with_the_float_decisions() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    scores = np.clip(np.rint(256 * p - 128), -128, 127).astype(np.int8)
    assert match_threshold(scores, p >= 0.4) == pytest.approx(256 * 0.4 - 128, abs=1)
    assert match_threshold(np.array([-128, 127], np.int8), np.array([False, True])) in (-1, 0, 1)


def test_calibration_is_stratified_seeded_and_without_repeats() -> None:
    parts = (segments_of(np.zeros((n, 1), np.int16)).parts[0] for n in (1000, 500, 10))
    sized = LabelledSet(tuple(parts))
    chosen = calibration(sized, 151, seed=4)
    assert len(set(chosen)) == 151
    counts = np.histogram(chosen, [0, 1000, 1500, 1510])[0]
    assert list(counts) == [100, 50, 1]
    assert np.array_equal(chosen, calibration(sized, 151, seed=4))
    assert len(calibration(segments_of(noise(3)), 200, seed=0)) == 3


# ---- the fit ------------------------------------------------------------------------------------


def separable(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps whose upper half is bright in class 1."""
    quality = (np.arange(n) % 2).astype(np.uint8)
    maps = maps_of(n) // 2
    maps[quality == 1, :38] += 120
    return maps, quality


def test_a_killed_fit_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.networks.logits import logit_function
    from ecgqa_tflite.training.fit import fit, new_network

    maps, quality = separable(64)
    whole = new_network(TINY, SPEC, "tiny")
    history = fit(whole, maps, quality, SPEC, TINY, tmp_path / "whole")
    assert len(history) == 4 and history[-1]["loss"] < history[0]["loss"]

    class KilledError(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        assert total == 16
        if done == 6:
            raise KilledError

    with pytest.raises(KilledError):
        fit(new_network(TINY, SPEC, "t"), maps, quality, SPEC, TINY, tmp_path / "cut", kill)
    told: list[tuple[str, int]] = []
    resumed = new_network(TINY, SPEC, "t")
    again = fit(
        resumed, maps, quality, SPEC, TINY, tmp_path / "cut", lambda w, d, t: told.append((w, d))
    )
    assert told[0] == ("going on from epoch 2 of 4", 1)
    assert told[1][1] == 5 and len(again) == 4
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(a, b)
    told.clear()  # a finished one, whose model was not written yet: nothing is left to go on with
    fit(
        new_network(TINY, SPEC, "t"), maps, quality, SPEC, TINY, tmp_path / "cut",
        lambda w, d, t: told.append((w, d)),
    )  # fmt: skip
    assert not told
    logits = logit_function(resumed, SPEC)(maps)
    assert ((logits > 0) == quality).mean() > 0.9

    with pytest.raises(DatasetError, match="fewer than a batch"):
        fit(whole, maps[:3], quality[:3], SPEC, TINY, tmp_path / "few")


@pytest.mark.parametrize("damage", ["cut short", "text", "head changed"])
def test_a_damaged_checkpoint_is_none(tmp_path: Path, damage: str) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.training.fit import CHECKPOINT, fit, new_network

    maps, quality = separable(32)
    two = replace(TINY, epochs=2)
    whole = new_network(two, SPEC, "tiny")
    fit(whole, maps, quality, SPEC, two, tmp_path / "work")
    path = tmp_path / "work" / CHECKPOINT
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    again = new_network(two, SPEC, "tiny")
    assert len(fit(again, maps, quality, SPEC, two, tmp_path / "work")) == 2
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_validation_is_noted_after_each_epoch_and_changes_nothing(tmp_path: Path) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.networks.logits import logit_function
    from ecgqa_tflite.training.fit import fit, new_network, validator

    (maps, quality), (held, truth) = separable(64), separable(20)
    weights = []
    for recipe in (TINY, replace(TINY, precision="bfloat16")):
        network = new_network(recipe, SPEC, "tiny")
        judge = validator(network, held, truth, SPEC)
        work = tmp_path / recipe.precision
        history = fit(network, maps, quality, SPEC, recipe, work, judge=judge)
        notes = [epoch["validation"] for epoch in history]
        assert len(notes) == 4 and set(notes[0]) == {"loss", "accuracy", "auc"}
        logits = logit_function(network, SPEC)(held)
        assert notes[-1]["accuracy"] == pytest.approx(((logits >= 0) == truth).mean())
        assert notes[-1] == judge()
        weights.append(network.get_weights())
    plain = new_network(TINY, SPEC, "tiny")
    fit(plain, maps, quality, SPEC, TINY, tmp_path / "plain")
    for a, b in zip(plain.get_weights(), weights[0], strict=True):
        assert np.array_equal(a, b)


def test_a_float_network_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time takes seconds, and from the fifth on TensorFlow complains."""
    require_module("tf_keras")
    from ecgqa_tflite.networks.logits import logit_function
    from ecgqa_tflite.training.fit import new_network

    network = new_network(TINY, SPEC, "tiny")
    layer, traced = network.layers[1], []
    call = layer.call
    monkeypatch.setattr(layer, "call", lambda *a, **k: traced.append(1) or call(*a, **k))
    logits = logit_function(network, SPEC)
    (maps, _) = separable(70)
    assert np.allclose(logits(maps)[:3], logits(maps[:3]), atol=1e-5)
    assert len(traced) == 1


# ---- the whole ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_training_sets(root)
    return root


def test_a_whole_training_leaves_a_model_that_opens(data: Path, tmp_path: Path) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.model_folder import open_model
    from ecgqa_tflite.training.run import train

    composition = Composition(n_train=48, n_validation=16, validation_share=0.3)
    recipe = replace(TINY, composition=composition, epochs=1)
    out, cache = tmp_path / "tiny", tmp_path / "cache"
    said: set[str] = set()
    train(data, out, SPEC, recipe, cache, progress=lambda what, d, t: said.add(what.split(",")[0]))
    model = open_model(out)
    assert {"drawing segments", "making scalograms", "training"} <= said
    assert Recipe.from_dict(model.recipe) == recipe
    assert len(model.calibration_ids) == 8
    assert model.threshold == THRESHOLD == 0.6
    assert model.metrics["validation"]["int8"]["n"] == {"high": 8, "low": 8}
    assert model.metrics["external"] == {}
    card = (out / "MODEL_CARD.md").read_text()
    assert "leads labelled good" in card and "No external test" in card
    assert "## Epochs" in card and len(model.metrics["training"]["epochs"]) == 1
    assert "validation" in model.metrics["training"]["epochs"][0]
    with pytest.raises(OutputExistsError):
        train(data, out, SPEC, recipe, cache)
    # nothing of an unfinished run is left, and what was made is found again
    assert not any((cache / "runs").iterdir())
    again = train(data, tmp_path / "again" / "tiny", SPEC, recipe, cache)
    assert again.tflite_path.read_bytes() == model.tflite_path.read_bytes()


def test_averaged_trainings_are_the_mean_of_each_alone(data: Path, tmp_path: Path) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.model_folder import open_model
    from ecgqa_tflite.networks import load_model
    from ecgqa_tflite.training.run import train

    composition = Composition(n_train=48, n_validation=16, validation_share=0.3)
    first = replace(TINY, composition=composition, epochs=1)
    start, cache = tmp_path / "start", tmp_path / "cache"
    train(data, start, SPEC, first, cache)
    going_on = replace(first, initial_weights=str(start), seed=3, epochs=2)
    told: list[str] = []
    both = train(
        data, tmp_path / "both", SPEC, replace(going_on, averaged=2), cache,
        progress=lambda what, d, t: told.append(what),
    )  # fmt: skip
    alone = [
        load_model(train(data, tmp_path / f"seed{seed}", SPEC, recipe, cache).path).get_weights()
        for seed in (3, 4)
        for recipe in [replace(going_on, seed=seed)]
    ]
    for mean, a, b in zip(load_model(both.path).get_weights(), *alone, strict=True):
        assert np.array_equal(mean, ((a.astype(float) + b) / 2).astype(np.float32))
        assert not np.array_equal(a, b)
    assert {"training 1 of 2", "training 2 of 2"} <= {what.split(":")[0] for what in told}
    assert [e["seed"] for e in both.metrics["training"]["epochs"]] == [3, 3, 4, 4]
    assert "the mean of 2 trainings, seeds 3 to 4" in (both.path / "MODEL_CARD.md").read_text()
    assert "| 2, seed 4 |" in (both.path / "MODEL_CARD.md").read_text()
    assert Recipe.from_dict(open_model(both.path).recipe).averaged == 2
    assert not any((cache / "runs").iterdir())


def test_a_teacher_is_half_of_the_target_where_a_label_may_err(data: Path, tmp_path: Path) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.evaluation.models import int8_scores, probabilities
    from ecgqa_tflite.training.run import train
    from ecgqa_tflite.training.teach import SHARE, taught, teachers_of

    composition = Composition(n_train=48, n_validation=16, validation_share=0.3)
    first, cache = replace(TINY, composition=composition, epochs=1), tmp_path / "cache"
    teacher = train(data, tmp_path / "teacher", SPEC, first, cache)
    pupil = replace(first, teachers=(str(teacher.path),))
    told: list[str] = []
    model = train(
        data, tmp_path / "pupil", SPEC, pupil, cache, progress=lambda what, d, t: told.append(what)
    )
    assert "asking teacher" in told
    assert model.tflite_path.read_bytes() != teacher.tflite_path.read_bytes()
    card = (model.path / "MODEL_CARD.md").read_text()
    assert "where a label may err, half of the target is P(high) of" in card
    assert Recipe.from_dict(model.recipe).teachers == (str(teacher.path),)

    parts = [labelled_part("leads_good", 1), labelled_part("clean", 1), labelled_part("hum", 0)]
    segments = LabelledSet(tuple(parts))
    asked = probabilities(int8_scores(teacher, segments))
    target = taught(segments, teachers_of([str(teacher.path)]), cache)
    by = segments.by_source
    assert np.array_equal(target[by["clean"]], np.ones(4)) and not target[by["hum"]].any()
    mean = (1 - SHARE) + SHARE * asked[by["leads_good"]]
    assert np.array_equal(target[by["leads_good"]], mean)
    assert np.array_equal(taught(segments, [], cache), segments.quality)
    [kept] = [p for p in (cache / "taught").iterdir() if len(np.load(p)) == len(segments)]
    kept.write_bytes(b"damaged")
    assert np.array_equal(taught(segments, teachers_of([str(teacher.path)]), cache), target)


def labelled_part(source: str, quality: int) -> LabelledSegments:
    """Four segments of noise."""
    samples = np.random.default_rng(len(source)).integers(-9999, 9999, (4, 1250))
    names = np.array([f"{source}@{i}" for i in range(4)])
    quality_of = np.full(4, quality, np.uint8)
    return LabelledSegments(samples.astype(np.int16), 250.0, quality_of, names, names, source)


def test_a_teacher_that_cannot_be_asked_is_told_before_any_work(data: Path, tmp_path: Path) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.training.run import train

    recipe = replace(TINY, teachers=("no_such_model",))
    with pytest.raises(EcgqaError, match="no_such_model"):
        train(data, tmp_path / "pupil", SPEC, recipe, tmp_path / "cache")
    assert not (tmp_path / "cache").exists() and not (tmp_path / "pupil").exists()


class StopError(Exception):
    """Raised by what a test cuts a training off with."""


def test_a_checkpoint_is_of_one_start_and_one_set_of_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights under the same path, or the same signals labelled otherwise: another run."""
    require_module("tf_keras")
    from ecgqa_tflite.networks import build
    from ecgqa_tflite.training import pretrain, run

    samples = np.random.default_rng(0).integers(-9999, 9999, (20, 1250)).astype(np.int16)
    names = np.array([str(i) for i in range(20)])

    def work_of(scale: float = 1.0, flipped: bool = False) -> Path:
        quality = ((np.arange(20) + flipped) % 2).astype(np.uint8)
        part = LabelledSet((LabelledSegments(samples, 250.0, quality, names, names, "s"),))
        body = build("light_cnn", **TINY.network_arguments(SPEC), name="body")
        body.set_weights([np.full_like(w, scale) for w in body.get_weights()])
        seen: list[Path] = []

        def stop(network: object, maps: object, quality: object, *rest: object) -> None:
            seen.append(rest[2])  # type: ignore[arg-type]
            raise StopError

        monkeypatch.setattr(run, "build", lambda *_: BalancedSets(part, part))
        monkeypatch.setattr(run, "find_sets", lambda _: None)
        monkeypatch.setattr(run.challenge2011, "whose_leads", lambda _: ("mine", "by lead"))
        monkeypatch.setattr(pretrain, "load_body", lambda _: body)
        monkeypatch.setattr(pretrain, "origin", lambda _: {})
        monkeypatch.setattr(run, "fit", stop)
        recipe = replace(TINY, initial_weights="body")
        with pytest.raises(StopError):
            run.train(tmp_path, tmp_path / "mine", SPEC, recipe, tmp_path / "cache")
        return seen[0]

    assert work_of() == work_of()
    assert len({work_of(), work_of(scale=2.0), work_of(flipped=True)}) == 3


@pytest.mark.parametrize(
    ("out", "change", "spec", "says"),
    [
        ("My-Model", {}, {}, "must match"),
        ("2leads", {}, {}, "must match"),
        ("file/mine", {}, {}, "nothing can be written"),
        ("mine", {"initial_weights": "typo"}, {}, "no such model"),
        ("mine", {"alpha": 0.0}, {}, "alpha"),
        ("mine", {"batch": 32, "composition": Composition(n_train=31)}, {}, "fewer than a batch"),
        ("mine", {"composition": Composition(n_validation=1)}, {}, "1 validation segments"),
        ("mine", {}, {"rows": 60, "cols": 60}, "77 x 77"),
    ],
)
def test_a_bad_argument_is_said_before_the_work(
    out: str, change: dict, spec: dict, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_module("tf_keras")
    from ecgqa_tflite.training import run

    def work(*_: object) -> None:
        raise StopError

    monkeypatch.setattr(run, "build", work)
    monkeypatch.setattr(run, "find_sets", lambda _: None)
    (tmp_path / "file").write_text("")
    recipe, front_end = replace(TINY, **change), replace(SPEC, **spec)
    with pytest.raises(EcgqaError, match=says):
        run.train(tmp_path, tmp_path / out, front_end, recipe, tmp_path / "cache")


def test_an_input_is_not_overwritten(tmp_path: Path) -> None:
    from ecgqa_tflite.training.run import train

    (tmp_path / "data").mkdir()
    with pytest.raises(ArgumentError, match="would go with it"):
        train(tmp_path / "data", tmp_path / "data", SPEC, TINY, tmp_path / "cache", overwrite=True)
    assert (tmp_path / "data").is_dir()


def test_a_set_too_small_says_so(data: Path, tmp_path: Path) -> None:
    from ecgqa_tflite.datasets.balanced import build

    with pytest.raises(DatasetError, match="ask for fewer segments"):
        build(data, SPEC, Composition(high=(("leads_good", 1.0),)), tmp_path)
    with pytest.raises(DatasetError, match="ecgqa data get"):
        build(tmp_path, SPEC, Composition(), tmp_path)
