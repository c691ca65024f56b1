# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A conversion as one value: what is asked for, run, and held against another run of it."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa_tflite.bundle.defaults import FS_HZ, TARGET
from ecgqa_tflite.bundle.export import DEFAULT_LIMITS, Bundle, export_bundle
from ecgqa_tflite.bundle.gate import MEASURED, Limits
from ecgqa_tflite.convert.quantisation import DEAD, Quantisation, share_of
from ecgqa_tflite.devices import find_target, require_float
from ecgqa_tflite.errors import ArgumentError, EcgqaError, ModelError, SelfTestError
from ecgqa_tflite.model_folder import ModelFolder, open_model, read_json, sha256_of
from ecgqa_tflite.output import (
    MANIFEST,
    refuse_existing,
    refuse_swallowing,
    refuse_unwritable,
    whole_folder,
)
from ecgqa_tflite.progress import Progress
from ecgqa_tflite.resources import default_cache

if TYPE_CHECKING:
    from ecgqa_tflite.convert.requantise import Calibration

PATHS = {"calibrate", "data", "like", "spec", "validate"}
"""Choices of a :class:`Request` that are files or folders."""


@dataclass(frozen=True)
class Request:
    """A model in, a proven bundle for a device out: everything that ``ecgqa convert`` can be told.

    Attributes
    ----------
    model
        A shipped model's name or a model folder; with ``spec``, a network of the user's
        (:func:`~ecgqa_tflite.convert.own_model.own_model`).
    out
        Folder to write.
    target, fs_hz, limits, collect, hop_s
        See :func:`~ecgqa_tflite.bundle.export.export_bundle`.
    quantize, calibrate, data
        See :class:`~ecgqa_tflite.convert.quantisation.Quantisation`.
    prune
        ``"dead"``: leave out channels that no segment of ``calibrate``, ``data`` and ``validate``
        wakes; ``data`` is only looked at then, unless ``quantize`` is ``qat``. A number between 0
        and 1, as text: that share of each layer's channels, those woken least, the rest trained on
        with ``data`` (:mod:`~ecgqa_tflite.convert.thin`). None: the network keeps its shape.
    spec
        JSON form of the front end that the user's network was trained with.
    threshold
        With ``spec``: P(high) from which a segment is of high quality; None: 0.5.
    validate
        Labelled recordings on which float and int8 are compared, for the gate and the report.
    verify
        Convert twice and compare every byte.
    like
        Manifest of a bundle that must come out again, byte for byte.
    overwrite
        Replace ``out`` where it exists.
    trust
        Let code run that a Keras model of one's own brings.

    Raises
    ------
    ArgumentError
        There is no such target, or what is asked for doesn't go together.
    """

    model: str | Path
    out: Path
    target: str = TARGET
    fs_hz: float = FS_HZ
    quantize: str = "ptq"
    calibrate: Path | None = None
    data: Path | None = None
    prune: str | None = None
    spec: Path | None = None
    threshold: float | None = None
    validate: Path | None = None
    limits: Limits = DEFAULT_LIMITS
    collect: bool = False
    hop_s: float | None = None
    verify: bool = False
    like: Path | None = None
    overwrite: bool = False
    trust: bool = False

    def __post_init__(self) -> None:
        if self.spec is None and self.threshold is not None:
            raise ArgumentError("--threshold goes with --spec: a model folder says its own")
        find_target(self.target)
        _ = self.quantisation  # which says what doesn't go together
        if self.prune is not None:
            self._check_pruning()

    def _check_pruning(self) -> None:
        if self.quantize == "none":
            raise ArgumentError("--prune is for int8 networks: leave --quantize none out")
        if share_of(self.prune) is not None:
            if self.data is None or self.calibrate is not None:
                raise ArgumentError(
                    "--prune SHARE trains what is left on: give --data, without --calibrate"
                )
            if self.spec is not None:
                raise ArgumentError("--prune SHARE is for model folders: with --spec, prune dead")
        elif self.calibrate is self.data is self.validate is None:
            raise ArgumentError(
                "--prune needs segments that say which channels are in use: give recordings with "
                "--calibrate, --data or --validate"
            )

    @property
    def quantisation(self) -> Quantisation:
        """How the network is quantised; ``data`` that is only looked at has no part in it."""
        trains = self.prune is None or self.quantize == "qat"
        return Quantisation(self.quantize, self.calibrate, self.data if trains else None)

    @classmethod
    def from_manifest(cls, manifest: Path, out: Path, model: str | Path | None = None) -> Request:
        """What a bundle's ``manifest.json`` says that it was made of and for, to be redone.

        Parameters
        ----------
        model
            None: the bundle itself, which is a model too.

        Raises
        ------
        ModelError
            It is not a manifest, or of a version that did not say.
        """
        said = read_json(manifest)
        try:
            return cls(
                manifest.parent if model is None else model,
                out,
                target=str(said["target"]["name"]),
                fs_hz=float(said["fs_hz"]),
                limits=Limits(**said["gate"]["limits"]),
                like=manifest,
                **_collecting(said),
            )
        except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ModelError(
                f"{manifest}: does not say how its bundle was made: {error}"
            ) from error

    def run(self, progress: Progress | None = None) -> Converted:
        """Convert, prove, compare as asked, and only then let the bundle appear.

        Parameters
        ----------
        progress
            Told of a training, which takes minutes.

        Raises
        ------
        OutputExistsError
            ``out`` exists and ``overwrite`` is false.
        ArgumentError
            ``out`` can't be written, or would take an input with it.
        SelfTestError
            Two bundles that must be the same are not.
        EcgqaError
            As :func:`~ecgqa_tflite.bundle.export.export_bundle` and what makes the network.

        In each case nothing is left behind.
        """
        self._check()
        with tempfile.TemporaryDirectory() as scratch:
            first = self._convert(Path(scratch) / "first", progress)
            if self.verify:
                again = self._convert(Path(scratch) / "second", progress)
                require_same(first.bundle.path, again.bundle.path)
            if self.like is not None:
                require_same(self.like.parent, first.bundle.path)
            with whole_folder(self.out, self.overwrite) as folder:
                shutil.copytree(first.bundle.path, folder, dirs_exist_ok=True)
        return replace(first, bundle=replace(first.bundle, path=self.out))

    def _check(self) -> None:
        """Say what is wrong before any work."""
        folders = (self.calibrate, self.data, self.spec, self.validate, self.like)
        if self.overwrite:
            refuse_swallowing(self.out, Path(self.model), *folders)
        refuse_existing(self.out, self.overwrite)
        refuse_unwritable(self.out)
        if self.quantize == "none":
            require_float(self.target)
        if self.spec is None:
            opened = open_model(self.model)
            if self.validate is not None:
                _ = opened.weights_path  # which int8 is held against

    def _convert(self, scratch: Path, progress: Progress | None) -> Converted:
        try:
            return self._made(scratch, progress)
        except EcgqaError as error:  # of a file that was written for this conversion alone
            told = re.sub(
                rf"{re.escape(str(scratch))}[^\s:,;)]*", lambda _: str(self.model), str(error)
            )
            if told == str(error):
                raise
            raise type(error)(told) from error

    def _made(self, scratch: Path, progress: Progress | None) -> Converted:
        made, calibration = self._network(scratch, progress)
        if self.prune == DEAD:
            made = self._pruned(made, scratch / "pruned" / made.name, progress)
        if self.validate is not None:
            made = self._measured(made, self.validate)
        bundle = export_bundle(
            made,
            scratch / "bundle",
            target=self.target,
            fs_hz=self.fs_hz,
            limits=self.limits,
            collect=self.collect,
            hop_s=self.hop_s,
        )
        return Converted(bundle, calibration)

    def _measured(self, made: ModelFolder, folder: Path) -> ModelFolder:
        from ecgqa_tflite.convert.ends import read_own_spec
        from ecgqa_tflite.convert.measure import measured

        if self.spec is None:
            return measured(made, folder, MEASURED)
        _, ends = read_own_spec(self.spec)
        return measured(made, folder, MEASURED, own=self.model, trust=self.trust, ends=ends)

    def _pruned(self, made: ModelFolder, out: Path, progress: Progress | None) -> ModelFolder:
        from ecgqa_tflite.convert.prune import Evidence, pruned

        evidence = Evidence(default_cache(), self.calibrate, self.data, self.validate)
        return pruned(made, out, evidence, progress)

    def _network(
        self, scratch: Path, progress: Progress | None
    ) -> tuple[ModelFolder, Calibration | None]:
        """The model as it is, or with a new network made of its float weights."""
        if self.spec is not None:
            from ecgqa_tflite.convert.own_model import own_model

            return own_model(
                self.model,
                self.spec,
                scratch,
                self.threshold,
                quantisation=self.quantisation,
                progress=progress,
                trust=self.trust,
            )
        opened = open_model(self.model)
        folder = scratch / opened.name
        if self.quantize == "none":
            from ecgqa_tflite.convert.float_export import unquantised

            return unquantised(opened, folder), None
        if (share := share_of(self.prune)) is not None and self.data is not None:
            from ecgqa_tflite.convert.thin import thinned

            cache = default_cache()
            return thinned(opened, folder, share, self.data, self.quantize, cache, progress), None
        if (data := self.quantisation.data) is not None:
            from ecgqa_tflite.convert.retrain import requantise_qat

            cache = default_cache()
            return requantise_qat(opened, data, folder, cache, progress=progress), None
        if self.calibrate is not None:
            from ecgqa_tflite.convert.requantise import requantise

            return requantise(opened, self.calibrate, folder)
        return opened, None


def _collecting(said: Mapping[str, Any]) -> dict[str, Any]:
    """``collect`` and ``hop_s`` as a manifest says them."""
    engine = said.get("engine", {})
    if not engine.get("collect_while_classifying"):
        return {}
    hop_s = engine["hop_len"] / said["segment_len"] * said["spec"]["segment_s"]
    return {"collect": True, "hop_s": hop_s}


@dataclass(frozen=True, eq=False)
class Converted:
    """What came of a :class:`Request`.

    Attributes
    ----------
    calibration
        What a model folder's weights were quantised on; None where they were not.
    """

    bundle: Bundle
    calibration: Calibration | None


def convert(
    model: str | Path, out: str | Path, *, progress: Progress | None = None, **choices: Any
) -> Converted:
    """Make a model's bundle for a device, prove it, and only then let it appear.

    Parameters
    ----------
    model
        A shipped model's name or a model folder; with ``spec``, a network of one's own.
    out
        The folder to write.
    progress
        Told of a training, which takes minutes.
    **choices
        The other attributes of :class:`Request`: ``target``, ``fs_hz``, ``quantize``, ``collect``,
        ``overwrite``, ...; files and folders as paths or text.

    Raises
    ------
    TypeError
        No such choice.
    EcgqaError
        As :class:`Request` and :meth:`Request.run`; nothing is left behind.

    Examples
    --------
    >>> import ecgqa_tflite as eq
    >>> made = eq.convert("light_cnn_small", "vest", fs_hz=500)
    >>> made.bundle.manifest["target"]["name"], made.bundle.manifest["segment_len"]
    ('cortex-m', 2500)
    >>> made.bundle.proof.segments
    12
    """
    for name in PATHS & choices.keys():
        choices[name] = None if choices[name] is None else Path(choices[name])
    return Request(model, Path(out), **choices).run(progress)


def require_same(first: Path, second: Path) -> None:
    """Compare two bundles, byte for byte.

    Raises
    ------
    SelfTestError
        A file differs or is in one of them only; the message names it, and packages whose versions
        differ, as a likely cause.
    """
    one, two = (read_json(folder / MANIFEST) for folder in (first, second))
    different = sorted(
        name
        for name in one["files"].keys() | two["files"].keys()
        if one["files"].get(name) != two["files"].get(name)
    )
    if not different and sha256_of(first / MANIFEST) != sha256_of(second / MANIFEST):
        different = [MANIFEST]
    if different:
        versions = [
            f"{package} {version} and {two['versions'].get(package)}"
            for package, version in one["versions"].items()
            if version != two["versions"].get(package)
        ]
        because = f" (made with {', '.join(versions)})" if versions else ""
        raise SelfTestError(
            f"not the same bytes: {', '.join(different[:3])}"
            f"{' and others' if len(different) > 3 else ''}{because}"
        )
