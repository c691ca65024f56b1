"""InceptionV1 with random weights, to compare times with: what a network costs is in its shapes.

Its decisions mean nothing. ``python -m ecgqa_tflite.benchmark.stand_in MODEL OUT`` writes it as a
model folder with the spec of ``MODEL``; TensorFlow is needed for that once, and not to time it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from ecgqa_tflite.benchmark import inputs
from ecgqa_tflite.errors import EcgqaError
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder, open_model, write_model
from ecgqa_tflite.spec import FrontEnd

NAME = "inception_v1_random"
CALIBRATION = 8
"""Images; ranges of activations change no time."""


def missing() -> str | None:
    """Why it can't be made here, in a line."""
    if importlib.util.find_spec("tensorflow") is None or not importlib.util.find_spec("tf_keras"):
        return "InceptionV1's stand-in needs TensorFlow: pip install 'ecgqa-tflite[train]'"
    return None


def write(spec: FrontEnd, out: Path, overwrite: bool = False) -> ModelFolder:
    """Build, quantise and write it; about half a minute."""
    from ecgqa_tflite.networks import build
    from ecgqa_tflite.quantize import quantise_ptq

    arguments = {"classes": 2, "input_shape": list(spec.image_shape)}
    model = build("inception_v1", **arguments)
    segments, fs_hz, _ = inputs.load(None, spec, CALIBRATION)
    images = image(NativeFrontEnd(spec, fs_hz).index_maps(segments), spec.colormap)
    return write_model(
        out,
        name=NAME,
        architecture="inception_v1",
        arguments=arguments,
        spec=spec,
        threshold=0.5,
        threshold_int8=0,
        save_weights=model.save_weights,
        tflite=quantise_ptq(model, images),
        recipe={"random": True},
        metrics={},
        model_card="# InceptionV1 with random weights\n\nFor timing alone: it was never trained.\n",
        overwrite=overwrite,
    )


def is_random(model: ModelFolder) -> bool:
    """Whether its weights were never trained."""
    return model.recipe.get("random") is True


def kept(spec: FrontEnd, folder: Path) -> ModelFolder:
    """The stand-in of a spec, made where ``folder`` does not hold it yet."""
    path = folder / f"{NAME}-{spec.short_hash}"
    if path.is_dir():
        try:
            return open_model(path)
        except EcgqaError:
            return write(spec, path, overwrite=True)
    folder.mkdir(parents=True, exist_ok=True)
    return write(spec, path)


def main(arguments: Sequence[str]) -> int:
    """Write it; the exit status."""
    if len(arguments) != 2:
        print("usage: python -m ecgqa_tflite.benchmark.stand_in MODEL OUT", file=sys.stderr)
        return 2
    try:
        print(f"Written: {write(open_model(arguments[0]).spec, Path(arguments[1])).path}")
    except EcgqaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
