# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pre-training on photographs: what is read, what comes out, what a network takes from it."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ecgqa_tflite.cli.pretrain import command
from ecgqa_tflite.datasets.image_folders import hold_out, list_images
from ecgqa_tflite.errors import ArgumentError, DatasetError, ModelError, OutputExistsError
from ecgqa_tflite.model_folder import seal
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.training.pretrain import DESCRIPTION, Pretraining, load_body, origin, pretrain
from ecgqa_tflite.training.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

TINY = Pretraining(size=80, epochs=2, batch=8, warmup_steps=2, validation_share=0.25)
COLOURS = ((220, 40, 40), (40, 220, 40), (40, 40, 220))


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels (rows, cols, 3)."""
    rows, cols, _ = pixels.shape
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return len(body).to_bytes(4, "big") + kind + body + crc.to_bytes(4, "big")

    head = cols.to_bytes(4, "big") + rows.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of sixteen noisy pictures, one colour a class; the last without a suffix."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for number, colour in enumerate(COLOURS):
        (folder / f"n{number}").mkdir()
        for i in range(16):
            pixels = np.clip(rng.normal(colour, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
            name = f"{i:02d}" + ("" if number == 2 else ".png")
            (folder / f"n{number}" / name).write_bytes(png(pixels))
    (folder / "words.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def pretrained(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a pre-training wrote."""
    out = tmp_path_factory.mktemp("pretrained") / "tiny"
    pretrain(photographs, out, TINY, out.parent / "cache")
    return out


def test_every_class_gives_the_same_share_to_validation(photographs: Path) -> None:
    images = list_images(photographs)
    assert images.classes == ("n0", "n1", "n2") and len(images) == 48
    training, validation = hold_out(images, 0.25, seed=1)
    assert np.bincount(validation.target).tolist() == [4, 4, 4]
    assert set(training.paths) | set(validation.paths) == set(images.paths)
    assert not set(training.paths) & set(validation.paths)
    assert hold_out(images, 0.25, seed=1)[1] == validation != hold_out(images, 0.25, seed=2)[1]


def test_it_learns_and_says_how_well(pretrained: Path) -> None:
    made = json.loads((pretrained / DESCRIPTION).read_text())
    assert made["validation"]["n"] == 12
    assert made["validation"]["top1"] > 0.6  # three colours; chance is a third
    assert made["validation"]["top5"] == 1.0
    assert made["images"]["training"] == 36 and len(made["epochs"]) == 2


def test_a_model_that_starts_from_it_knows_what_it_was(pretrained: Path) -> None:
    found = origin(str(pretrained))
    assert found is not None and found["validation"]["n"] == 12
    assert (found["images"], found["classes"], found["size"], found["epochs"]) == (36, 3, 80, 2)
    assert origin("light_cnn") is None  # a trained model, not a pre-training


def test_a_two_class_network_takes_the_body_and_not_the_head(pretrained: Path) -> None:
    from ecgqa_tflite.training.fit import new_network

    spec = FrontEnd.preset("wearable", rows=100, cols=100)
    recipe = Recipe(initial_weights=str(pretrained))
    body = load_body(str(pretrained))
    taken = new_network(recipe, spec, "mine")
    fresh = new_network(replace(recipe, initial_weights=None), spec, "mine")
    for name in ("conv_1", "conv_2", "conv_3"):
        np.testing.assert_array_equal(
            taken.get_layer(name).get_weights()[0], body.get_layer(name).get_weights()[0]
        )
    np.testing.assert_array_equal(
        taken.get_layer("fc").get_weights()[0], fresh.get_layer("fc").get_weights()[0]
    )


def test_a_grey_network_answers_as_the_colours_did(pretrained: Path) -> None:
    from ecgqa_tflite.networks._keras import keras
    from ecgqa_tflite.training.fit import new_network

    spec = FrontEnd.preset("wearable", rows=100, cols=100, colormap="grey")
    grey = new_network(Recipe(initial_weights=str(pretrained)), spec, "grey")
    image = np.random.default_rng(0).random((1, 80, 80, 1), np.float32)
    body = load_body(str(pretrained))
    of_colours = keras.Model(body.input, body.get_layer("conv_1").output)(np.repeat(image, 3, 3))
    np.testing.assert_allclose(grey.get_layer("conv_1")(image), of_colours, atol=1e-5)


def test_a_killed_run_goes_on_to_the_same_weights(photographs: Path, tmp_path: Path) -> None:
    from ecgqa_tflite.training import fit

    whole = tmp_path / "whole"
    pretrain(photographs, whole, TINY, tmp_path / "cache_1")

    class Killed(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if what.startswith("training, epoch 2"):
            raise Killed

    again = tmp_path / "again"
    with pytest.raises(Killed):
        pretrain(photographs, again, TINY, tmp_path / "cache_2", progress=kill)
    assert not again.exists()
    assert list((tmp_path / "cache_2").rglob(fit.CHECKPOINT))
    pretrain(photographs, again, TINY, tmp_path / "cache_2")
    for one, other in zip(
        load_body(str(whole)).get_weights(), load_body(str(again)).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert not list((tmp_path / "cache_2").rglob(fit.CHECKPOINT))


def other_weights(pretrained: Path, folder: Path) -> Path:
    """A copy of a pre-training whose weights differ."""
    copy = folder / pretrained.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(pretrained, copy)
    body = load_body(str(copy))
    body.set_weights([w + 1 for w in body.get_weights()])
    body.save_weights(copy / f"{copy.name}.weights.h5")
    seal(copy)
    return copy


def test_a_checkpoint_is_of_one_start(
    photographs: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another pre-training under the same path: another run."""
    from ecgqa_tflite.training import pretrain as module

    class StopError(Exception):
        pass

    seen: list[Path] = []

    def stop(network: object, batches: object, n: int, recipe: object, work: Path, *_: object):
        seen.append(work)
        raise StopError

    monkeypatch.setattr(module, "fit_batches", stop)
    start = tmp_path / pretrained.name
    shutil.copytree(pretrained, start)
    recipe = replace(TINY, initial_weights=str(start))
    for change in (None, None, other_weights):
        if change is not None:
            change(pretrained, tmp_path)
        with pytest.raises(StopError):
            pretrain(photographs, tmp_path / "out", recipe, tmp_path / "cache")
    assert seen[0] == seen[1] != seen[2]


def test_it_goes_on_from_a_pretraining_only(
    photographs: Path, pretrained: Path, tmp_path: Path
) -> None:
    """A finished model's body has learnt ECG, and its card would say photographs."""
    for start in ("light_cnn", "typo"):
        recipe = replace(TINY, initial_weights=start)
        with pytest.raises(ModelError, match=f"{start}: is not a pre-training"):
            pretrain(photographs, tmp_path / "out", recipe, tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "size", "says"),
    [
        ({}, 130, "conv_1 is 5 x 5 x 3 x 128, not 7 x 7 x 3 x 128"),  # from 127 pixels on
        ({"alpha": 0.5}, 80, "conv_1 is 5 x 5 x 3 x 128, not 5 x 5 x 3 x 64"),
        ({"architecture": "inception_v1"}, 80, "conv_1 is"),
    ],
)
def test_a_body_fits_whole_or_not_at_all(
    change: dict, size: int, says: str, pretrained: Path
) -> None:
    """On a card, pre-trained means all of the body."""
    from ecgqa_tflite.training.fit import new_network

    spec = FrontEnd.preset("wearable", rows=size, cols=size)
    recipe = replace(Recipe(initial_weights=str(pretrained)), **change)
    with pytest.raises(ModelError, match=says) as caught:
        new_network(recipe, spec, "mine")
    assert "tiny" in str(caught.value) and "ecgqa pretrain" in str(caught.value)


def test_photographs_are_not_overwritten(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="would go with it"):
        pretrain(photographs, photographs, TINY, tmp_path / "cache", overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="nothing can be written"):
        pretrain(photographs, tmp_path / "file" / "out", TINY, tmp_path / "cache")


def test_bfloat16_trains_float32_weights(photographs: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, precision="bfloat16")
    made = pretrain(photographs, tmp_path / "half", recipe, tmp_path / "cache")
    assert made["validation"]["top1"] > 0.6
    body = load_body(str(tmp_path / "half"))
    assert {w.dtype.name for w in body.get_weights()} == {"float32"}
    assert body.get_layer("conv_1").compute_dtype == "float32"


def test_what_is_wrong_is_said(photographs: Path, pretrained: Path, tmp_path: Path) -> None:
    (tmp_path / "one" / "n0").mkdir(parents=True)
    (tmp_path / "one" / "n0" / "a.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="two or more class folders"):
        list_images(tmp_path / "one")
    (tmp_path / "one" / "n1").mkdir()
    (tmp_path / "one" / "n1" / "a.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="single image"):
        hold_out(list_images(tmp_path / "one"), 0.1, 0)
    for number in range(2):
        for i in range(8):
            (tmp_path / "one" / f"n{number}" / f"{i}.jpg").write_bytes(b"no image at all")
    with pytest.raises(DatasetError, match=r"n0/0\.jpg: is not an image"):
        pretrain(tmp_path / "one", tmp_path / "out", TINY, tmp_path / "cache")
    with pytest.raises(OutputExistsError):
        pretrain(photographs, pretrained, TINY, tmp_path / "cache")
    with pytest.raises(ArgumentError, match="epochs"):
        Pretraining(epochs=0)


def test_a_damaged_folder_is_refused(pretrained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pretrained, copy)
    (copy / "tiny.weights.h5").write_bytes(b"else")
    with pytest.raises(ModelError, match="SHA-256"):
        load_body(str(copy))
    with pytest.raises(ModelError, match="no such model"):
        load_body("nowhere")


def test_the_command(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "body"
    done = CliRunner().invoke(
        command,
        [str(a) for a in (photographs, "-o", out, "--size", 80, "--epochs", 1)]
        + ["--cache", str(tmp_path / "cache")],
    )
    assert done.exit_code == 0, done.output
    assert "held-out images of 3 classes" in done.output and (out / DESCRIPTION).is_file()
