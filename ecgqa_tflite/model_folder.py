# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The folder of a trained model: one format, written whole, read with every check.

``models/<name>/`` holds ``model.json``, ``spec.json``, ``recipe.json``, ``metrics.json``,
``calibration.json``, ``MODEL_CARD.md``, ``<name>.weights.h5``, ``<name>.tflite`` and
``SHA256SUMS``. An exported bundle is a model too: its ``manifest.json`` holds the same objects and
the sums. :func:`open_model` reads both.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import ecgqa_tflite
from ecgqa_tflite import strict_json
from ecgqa_tflite.errors import EcgqaError, ModelError, SpecError, SpecMismatchError
from ecgqa_tflite.escape import is_printable
from ecgqa_tflite.output import MANIFEST, SUMS, whole_folder
from ecgqa_tflite.resources import models_dir
from ecgqa_tflite.spec import LABEL_CHARS, FrontEnd

MODEL_FORMAT = 1
"""Format number of ``model.json``."""

MOST_CHARS = 200
"""Longest licence, architecture or version."""
CLASS_NAMES = "class_names"
"""Of ``arguments``: names of a network's scores, in order, where a user's spec named them."""
MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a model is, wherever its files lie.

    Attributes
    ----------
    name
        The model's name: lower-case letters, digits and underscores, a letter first.
    architecture, arguments
        What :func:`ecgqa_tflite.networks.build` builds it from; ``input_shape`` is the spec's
        image.
    spec
        The front end that it was trained with.
    threshold
        The float model calls a segment high quality where P(high) is at least this.
    threshold_int8
        The int8 model calls it high where the int8 score of class 1 is at least this.
    licence
        Of the weights.
    recipe, metrics
        The JSON objects that the training wrote.
    calibration_ids
        Ids of the segments that calibrated the int8 model.
    """

    name: str
    architecture: str
    arguments: dict[str, Any]
    spec: FrontEnd
    threshold: float
    threshold_int8: int
    licence: str = "Apache-2.0"
    recipe: dict[str, Any] = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)
    calibration_ids: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class ModelFolder(Trained):
    """A trained model on disk, checked.

    Attributes
    ----------
    path
        The folder.
    tool_version
        Of the package that wrote it.
    weights_name, tflite_name
        Files of it; None where it has none.
    """

    path: Path
    tool_version: str
    weights_name: str | None
    tflite_name: str | None

    @property
    def labels(self) -> tuple[str, str]:
        """Names of class 0 and class 1."""
        return self.spec.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the network's scores, in order; empty: they are :attr:`labels`."""
        return tuple(self.arguments.get(CLASS_NAMES, ()))

    @property
    def weights_path(self) -> Path:
        """The float weights; :class:`ModelError` where the folder has none (a bundle, a wheel)."""
        if self.weights_name is None:
            raise ModelError(f"{self.path}: holds no float weights; name the trained model instead")
        weights = self.path / self.weights_name
        if not weights.exists():
            raise ModelError(
                f"{self.name}: its float weights are too large for the wheel; name the folder "
                f"models/{self.name} of a clone of the repository instead"
            )
        return weights

    @property
    def tflite_path(self) -> Path:
        """The int8 ``.tflite``; :class:`ModelError` where the folder has none."""
        if self.tflite_name is None:
            raise ModelError(
                f"{self.path}: holds no .tflite; run ecgqa-convert {self.name} --calibrate FOLDER"
            )
        return self.path / self.tflite_name

    @property
    def card_text(self) -> str:
        """``MODEL_CARD.md`` for another place: without its pictures, which lie beside it.

        A heading alone where there is no card.
        """
        card = self.path / "MODEL_CARD.md"
        if not card.is_file():
            return f"# {self.name}\n"
        try:
            text = card.read_text(encoding="utf-8")
        except ValueError as error:
            raise ModelError(f"{card}: is not UTF-8 text; get the model again") from error
        return re.sub(r"(?m)^!\[.*\]\(.*\)\n\n", "", text)

    def with_network(
        self,
        out: str | Path,
        tflite: bytes,
        threshold_int8: int,
        measured: Mapping[str, Any],
        calibration_ids: Sequence[str] = (),
    ) -> ModelFolder:
        """Write the same float weights with another ``.tflite`` as a model folder; open it.

        What had been measured with the old one is left out of its metrics; ``measured``, of the
        new one, joins them.

        Raises
        ------
        ModelError
            The model has no float weights.
        """
        weights, validation = self.weights_path, self.metrics.get("validation", {})
        metrics = {
            "training": self.metrics.get("training", {}) | {"tflite_bytes": len(tflite)},
            "validation": {k: validation[k] for k in ("segments", "float") if k in validation},
            "external": {},
            **({"threshold": self.metrics["threshold"]} if "threshold" in self.metrics else {}),
            **measured,
        }
        model = replace(
            self,
            threshold_int8=threshold_int8,
            metrics=metrics,
            calibration_ids=tuple(calibration_ids),
        )
        return write_model(
            out, model, tflite, save_weights=lambda path: shutil.copyfile(weights, path)
        )

    def description(self) -> dict[str, Any]:
        """What ``model.json`` says."""
        return {
            "format": MODEL_FORMAT,
            "name": self.name,
            "architecture": self.architecture,
            "arguments": self.arguments,
            "spec_hash": self.spec.hash,
            "labels": list(self.labels),
            "threshold": self.threshold,
            "threshold_int8": self.threshold_int8,
            "weights": self.weights_name,
            "tflite": self.tflite_name,
            "licence": self.licence,
            "tool_version": self.tool_version,
        }


# ---- reading --------------------------------------------------------------------------------


def open_model(name_or_path: str | Path) -> ModelFolder:
    """Open a model folder or an exported bundle and check all of it.

    Parameters
    ----------
    name_or_path
        A shipped model's name, or a folder.

    Raises
    ------
    ModelError
        No such model; a file is missing, differs from its SHA-256 or is not what it should be.
    SpecMismatchError
        The spec beside the model is not the one that it was trained with.

    Examples
    --------
    >>> import ecgqa_tflite as eq
    >>> model = eq.open_model("light_cnn_small")
    >>> model.spec.image_shape, model.labels
    ((113, 113, 1), ('low', 'high'))
    """
    path = _find(name_or_path)
    if (path / MANIFEST).is_file():
        manifest = read_json(path / MANIFEST)
        sums = _sums_of_manifest(path, manifest)
        _verify(path, sums)
        return _from_parts(path, manifest, sums)
    if not (path / "model.json").is_file():
        raise ModelError(f"{path}: no model here (neither model.json nor {MANIFEST})")
    sums = _read_sums(path)
    _verify(path, sums, may_miss=_left_out_of_wheels(path))
    for name in ("model.json", "spec.json"):
        if name not in sums:
            raise ModelError(f"{path / SUMS}: does not list {name}: the folder is incomplete")
    parts = {
        "model": read_json(path / "model.json"),
        "spec": read_json(path / "spec.json"),
        **{
            stem: read_json(path / f"{stem}.json")
            for stem in ("recipe", "metrics", "calibration")
            if f"{stem}.json" in sums
        },
    }
    return _from_parts(path, parts, sums)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; :class:`ModelError` where it is missing, broken or no object."""
    try:
        data = strict_json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON ({error}); get the model again") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path}: is not a JSON object; get the model again")
    return data


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if path.is_file():
        raise ModelError(
            f"{path} is a file: name the model's folder; ecgqa-convert takes a network of your own "
            f"with --spec"
        )
    shipped: list[str] = []
    if isinstance(name_or_path, str):
        try:
            root = models_dir()
        except FileNotFoundError:
            root = path
        if MODEL_NAME.fullmatch(name_or_path) and (root / name_or_path).is_dir():
            return root / name_or_path
        if root.is_dir():
            shipped = sorted(p.parent.name for p in root.glob("*/model.json"))
    choice = f"shipped models: {', '.join(shipped)}" if shipped else "give a model's folder"
    raise ModelError(f"{name_or_path}: no such model; {choice}")


def verify_sums(path: Path) -> None:
    """Check a folder against its ``SHA256SUMS``; :class:`ModelError` where they differ."""
    _verify(path, _read_sums(path))


def _read_sums(path: Path) -> dict[str, str]:
    try:
        lines = (path / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        raise ModelError(f"{path}: {SUMS} is missing or unreadable; get the model again") from None
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if not match:
            raise ModelError(f"{path / SUMS}: is damaged ({line[:40]!r}); get the model again")
        sums[match[2]] = match[1]
    return sums


def _sums_of_manifest(path: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise ModelError(f"{path / MANIFEST}: lists no files; get the bundle again")
    return files


def _left_out_of_wheels(path: Path) -> str | None:
    """Float weights that a shipped model may lack; ``weights_path`` says so to who wants them."""
    try:
        return f"{path.name}.weights.h5" if path.parent == models_dir() else None
    except FileNotFoundError:
        return None


def _verify(path: Path, sums: Mapping[str, str], may_miss: str | None = None) -> None:
    for name, expected in sums.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"{path}: its list of files names {name!r}, outside the folder")
        try:
            found = sha256_of(path / name) if (path / name).is_file() else None
        except OSError as error:
            raise ModelError(f"{path}: {name[:80]!r} can't be read ({error.strerror})") from error
        if found is None and name == may_miss:
            continue
        if found is None:
            raise ModelError(f"{path / name}: is missing; get the model again")
        if found != expected:
            raise ModelError(
                f"{path / name}: differs from its SHA-256: corrupt or edited; get the model again"
            )


def _from_parts(path: Path, parts: Mapping[str, Any], sums: Mapping[str, str]) -> ModelFolder:
    """Check ``model``, ``spec``, ... (of the files or of the manifest) and put them together."""
    get = partial(_entry, path, _described(path, parts))
    spec = _spec(path, parts, get("spec_hash", str))
    name, arguments = get("name", str), get("arguments", dict)
    if not MODEL_NAME.fullmatch(name):
        raise ModelError(f"{path}: model name {name!r}: must match {MODEL_NAME.pattern}")
    if arguments.get("input_shape") != list(spec.image_shape):
        raise ModelError(
            f"{path}: its network takes {arguments.get('input_shape')}, "
            f"its spec makes images of {list(spec.image_shape)}"
        )
    _check_class_names(path, arguments)
    threshold, threshold_int8 = float(get("threshold", int, float)), get("threshold_int8", int)
    if not (0 <= threshold <= 1 and -128 <= threshold_int8 <= 127):
        raise ModelError(f"{path}: thresholds {threshold}, {threshold_int8} are out of range")
    words = {key: get(key, str) for key in ("architecture", "licence", "tool_version")}
    for key, text in words.items():
        if not is_printable(text, MOST_CHARS):
            raise ModelError(f"{path}: its {key} is not 1 to {MOST_CHARS} printable characters")
    files = {key: get(key, str, type(None)) for key in ("weights", "tflite")}
    for file in files.values():
        if file is not None and file not in sums:
            raise ModelError(f"{path}: names {file!r} but its list of sums doesn't")
    return ModelFolder(
        path=path,
        name=name,
        **words,
        arguments=arguments,
        spec=spec,
        threshold=threshold,
        threshold_int8=threshold_int8,
        recipe=_object(path, parts, "recipe"),
        metrics=_object(path, parts, "metrics"),
        calibration_ids=_calibration_ids(path, parts),
        weights_name=files["weights"],
        tflite_name=files["tflite"],
    )


def _check_class_names(path: Path, arguments: Mapping[str, Any]) -> None:
    names = arguments.get(CLASS_NAMES, [])
    plain = isinstance(names, list) and all(
        isinstance(x, str) and is_printable(x, LABEL_CHARS) for x in names
    )
    if not plain or (CLASS_NAMES in arguments and len(names) != arguments.get("classes")):
        raise ModelError(
            f"{path}: its {CLASS_NAMES} are not a name of 1 to {LABEL_CHARS} printable characters "
            f"for each class; get the model again"
        )


def _described(path: Path, parts: Mapping[str, Any]) -> dict[str, Any]:
    """``model``, of a format that is understood."""
    model = parts.get("model")
    if not isinstance(model, dict):
        raise ModelError(f"{path}: has no description of its model; get the model again")
    if model.get("format") != MODEL_FORMAT:
        raise ModelError(
            f"{path}: model format {model.get('format')!r}, this version reads {MODEL_FORMAT}; "
            f"upgrade ecgqa-tflite or train the model again"
        )
    return model


def _entry(path: Path, model: Mapping[str, Any], key: str, *kinds: type) -> Any:
    value = model.get(key)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ModelError(f"{path}: its description's {key} is {value!r}; get the model again")
    return value


def _spec(path: Path, parts: Mapping[str, Any], trained_with: str) -> FrontEnd:
    try:
        spec = FrontEnd.from_dict(parts.get("spec"))
    except SpecError as error:
        raise ModelError(f"{path}: {error}") from error
    if trained_with != spec.hash:
        raise SpecMismatchError(
            f"{path}: trained with spec {trained_with[:16]}, but the spec beside it is "
            f"{spec.short_hash}; get the model again"
        )
    return spec


def _object(path: Path, parts: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = parts.get(key) or {}
    if not isinstance(value, dict):
        raise ModelError(f"{path}: its {key} is no JSON object; get the model again")
    return value


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn what reading metrics of another shape raises into :class:`ModelError`."""
    try:
        yield
    except EcgqaError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ModelError(
            f"{path}: its metrics are not what a training writes ({error!r}); get the model again"
        ) from error


def _calibration_ids(path: Path, parts: Mapping[str, Any]) -> tuple[str, ...]:
    calibration = parts.get("calibration") or {}
    ids = calibration.get("ids", []) if isinstance(calibration, dict) else None
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise ModelError(f"{path}: its calibration is not a list of ids; get the model again")
    return tuple(ids)


# ---- writing --------------------------------------------------------------------------------


def json_text(data: Any) -> str:
    """Indented JSON ending in a newline.

    Raises
    ------
    ModelError
        A NaN or an infinity, which other readers of JSON don't take.
    """
    try:
        return json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    except ValueError as error:
        raise ModelError(f"a figure is NaN or infinite and can't be written ({error})") from error


def write_model(
    out: str | Path,
    model: Trained,
    tflite: bytes | None,
    *,
    save_weights: Callable[[Path], object] | None = None,
    model_card: str | None = None,
    overwrite: bool = False,
) -> ModelFolder:
    """Write a model folder whole and open it.

    Parameters
    ----------
    out
        The folder to write.
    model
        What it is; where it is a :class:`ModelFolder`, nothing of its files is taken.
    tflite
        The int8 model, or None.
    save_weights
        Called with the path to write: ``model.save_weights``; None for a model without float
        weights.
    model_card
        Text of ``MODEL_CARD.md``; None: a heading alone.

    Raises
    ------
    OutputExistsError
        ``out`` exists and ``overwrite`` is false.
    ModelError
        What was given doesn't make a model.
    """
    name = model.name
    if not MODEL_NAME.fullmatch(name):
        raise ModelError(f"model name {name!r}: must match {MODEL_NAME.pattern}")
    with whole_folder(out, overwrite) as folder:
        described = ModelFolder(
            **{f.name: getattr(model, f.name) for f in fields(Trained)},
            path=folder,
            tool_version=ecgqa_tflite.__version__,
            weights_name=None if save_weights is None else f"{name}.weights.h5",
            tflite_name=None if tflite is None else f"{name}.tflite",
        )
        if save_weights is not None:
            save_weights(folder / f"{name}.weights.h5")
        if tflite is not None:
            described.tflite_path.write_bytes(tflite)
        texts = {
            "model.json": json_text(described.description()),
            "spec.json": model.spec.to_json(),
            "recipe.json": json_text(model.recipe),
            "metrics.json": json_text(model.metrics),
            "calibration.json": json_text({"ids": list(model.calibration_ids)}),
            "MODEL_CARD.md": f"# {name}\n" if model_card is None else model_card,
        }
        for file_name, text in texts.items():
            (folder / file_name).write_text(text, encoding="utf-8")
        seal(folder)
        open_model(folder)
    return open_model(out)


def seal(folder: Path) -> None:
    """Write ``SHA256SUMS`` over everything in ``folder``, as ``sha256sum`` does."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names if name != SUMS]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
