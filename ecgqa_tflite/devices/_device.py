# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a device is: what its bundle holds beside the common part, and its rows in bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ecgqa_tflite.benchmark.job import Bench
from ecgqa_tflite.engine.golden import Golden
from ecgqa_tflite.engine.image_source import image_workspace_bytes
from ecgqa_tflite.frontend.tables import Tables
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.tflite.read import Graph, read_tflite


@dataclass(frozen=True, eq=False)
class Parts:
    """What every bundle is made from.

    Attributes
    ----------
    tflite
        The network as the bundle holds it.
    golden
        Golden segments and what the front end and the network make of them.
    collect, hop_s
        As :func:`ecgqa_tflite.engine.device_source.plan_device` takes them.
    """

    model: ModelFolder
    tflite: bytes
    tables: Tables
    fs_hz: float
    golden: Golden
    collect: bool = False
    hop_s: float | None = None

    def with_arena(self, arena_bytes: int) -> int:
        """RAM of an interpreter's arena and the front end's workspace beside it, bytes."""
        return arena_bytes + image_workspace_bytes(self.tables)

    @cached_property
    def graph(self) -> Graph:
        """The network, read."""
        return read_tflite(self.tflite, str(self.model.tflite_path))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A device's part of a bundle, before anything is written.

    Attributes
    ----------
    files
        Content by path in the bundle.
    manifest
        Entries of ``manifest.json``; ``target`` always among them.
    device_tflite
        Name and bytes of the ``.tflite`` that goes into the firmware as a C array.
    input_shape
        (rows, cols, channels) that ``ecgqa_image`` makes; None where the bundle has no
        ``ecgqa_image`` because the row-streaming engine makes its own rows.
    ram_bytes
        Workspace or arena, with the front end's; None where there is no such figure.
    no_ram
        Why there is none.
    flash_bytes
        Constants of network and front end; code comes on top.
    words
        What its templates say and ask beside the common words.
    memory_map
        SVG of the memory plan for the report, where there is one.
    """

    files: Mapping[str, bytes | str]
    manifest: Mapping[str, Any]
    device_tflite: tuple[str, bytes]
    input_shape: tuple[int, int, int] | None
    ram_bytes: int | None
    flash_bytes: int
    words: Mapping[str, object] = field(default_factory=dict)
    memory_map: str | None = None
    no_ram: str = "this target runs Linux; leave the limit out"


EVERY_BUNDLE = (
    *("NAME.tflite", "README.md", "MODEL_CARD.md", "LICENSE", "report.html", "manifest.json"),
    *("Makefile", "SOUP.md", "sbom.cdx.json", "SHA256SUMS"),
    *("model/ecgqa_cwt_tables.[ch]", "model/ecgqa_identity.h", "golden/NAME_golden.npz"),
    "firmware_bridge/...",
)
"""What lies in every bundle: NAME is the model's, ``...`` all below a folder."""
EVERY_FIRMWARE = (*("CMakeLists.txt", "selftest.c", "model/ecgqa_golden.[ch]", "board/..."),)
"""What else lies in a firmware's."""


@dataclass(frozen=True)
class BundleKind:
    """A device's bundle.

    Attributes
    ----------
    place
        Where listings have it, from 0; those of the same place as their file lists them.
    summary
        What runs the network there.
    bundle
        What its bundle holds beside the network, the front end and the golden vectors.
    proof
        What the bundle's proof shows, on this machine.
    firmware
        Whether the bundle is C to be compiled into a firmware; else it is run by Linux.
    templates
        Folder of its templates.
    prepare
        Makes its part; raises an :class:`~ecgqa_tflite.errors.EcgqaError`.
    files
        What else lies in its bundle, as in :data:`EVERY_BUNDLE`; in round brackets where it depends
        on the model or on what is installed.
    prove
        From a bundle's folder, manifest and golden vectors alone: lines that say what was shown.
    missing
        What would have to be installed here, in words; None where nothing is missing.
    runs_float
        Whether it also takes a network that computes in float32 between int8 ends.
    collects
        Whether samples can come in while a segment is classified, and segments overlap.
    """

    place: int
    summary: str
    bundle: str
    proof: str
    firmware: bool
    templates: str
    prepare: Callable[[Parts], Prepared]
    files: tuple[str, ...]
    prove: Callable[[Path, Mapping[str, Any], Golden], tuple[str, ...]] = lambda *_: ()
    missing: Callable[[], str | None] = lambda: None
    runs_float: bool = False
    collects: bool = False

    @property
    def tree(self) -> tuple[str, ...]:
        """Everything that its bundle holds; folders last."""
        found = [*EVERY_BUNDLE, *(EVERY_FIRMWARE if self.firmware else ()), *self.files]
        return tuple(sorted(found, key=lambda name: ("/" in name, name.strip("()"))))


@dataclass(frozen=True)
class Device:
    """A device by the name that a user types: what can be made for it, what can be told of it."""

    name: str
    bundle: BundleKind | None = None
    bench: Bench | None = None
