"""Redoing a bundle from its manifest, and holding two bundles together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecgqa_tflite.bundle.gate import Limits
from ecgqa_tflite.errors import ModelError, SelfTestError
from ecgqa_tflite.model_folder import MANIFEST, read_json, sha256_of


@dataclass(frozen=True)
class Request:
    """What a manifest says a bundle was made of and for; ``folder`` is a model itself."""

    folder: Path
    target: str
    fs_hz: float
    limits: Limits
    collect: bool
    hop_s: float | None


def read_request(manifest: Path) -> Request:
    """Read a bundle's ``manifest.json``.

    Raises
    ------
    ModelError
        It is none, or of a version that did not say.
    """
    said = read_json(manifest)
    try:
        collect, hop_s = False, None
        if said.get("engine", {}).get("collect_while_classifying"):
            collect = True
            hop_s = said["engine"]["hop_len"] / said["segment_len"] * said["spec"]["segment_s"]
        return Request(
            manifest.parent,
            str(said["target"]["name"]),
            float(said["fs_hz"]),
            Limits(**said["gate"]["limits"]),
            collect,
            hop_s,
        )
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{manifest}: does not say how its bundle was made: {error}") from error


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
