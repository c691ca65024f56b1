# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing a bundle: one folder, whole, with nothing in it that changes from day to day."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ecgqa_tflite import __version__
from ecgqa_tflite.bundle.defaults import FS_HZ, TARGET
from ecgqa_tflite.bundle.gate import Gate, Limits, pass_gate
from ecgqa_tflite.bundle.proof import FLOAT_WEIGHTS, Proof, arithmetic, prove
from ecgqa_tflite.bundle.render import write_folder
from ecgqa_tflite.bundle.report import report_html
from ecgqa_tflite.bundle.sbom import NAME as SBOM
from ecgqa_tflite.bundle.sbom import sbom
from ecgqa_tflite.devices import TARGETS, BundleKind, Parts, Prepared, find_target
from ecgqa_tflite.engine import model_source
from ecgqa_tflite.engine.golden import make_golden
from ecgqa_tflite.engine.identity_source import identity_header
from ecgqa_tflite.engine.image_source import image_name, image_sources
from ecgqa_tflite.errors import ArgumentError, ModelError
from ecgqa_tflite.escape import markdown, without_html
from ecgqa_tflite.evaluation.figures import Figure, by_labels
from ecgqa_tflite.evaluation.operating import taken_before
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.model_folder import (
    CLASS_NAMES,
    ModelFolder,
    json_text,
    seal,
    sha256_of,
    understood,
)
from ecgqa_tflite.output import MANIFEST, refuse_existing, whole_folder
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.segments import BY_REASON
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.census import OperatorCensus, census, computes_in_float
from ecgqa_tflite.tflite.identity import identity_of, with_identity
from ecgqa_tflite.tflite.numbers import check_numbers
from ecgqa_tflite.tflite.read import Graph, read_tflite
from ecgqa_tflite.tflite.run import Int8Network
from ecgqa_tflite.tflite.scheme import per_tensor
from ecgqa_tflite.tflite.space_to_depth import fold_image

DEFAULT_LIMITS = Limits()

BUNDLE_FORMAT = 1
"""Format number of ``manifest.json``."""

BOARD_FILES = (
    *("startup.c", "startup.h", "platform.h", "semihosting.c", "posix.c", "print.c"),
    *("sections.ld", "mps2-an386.ld"),
)
"""Of the C library's ``boards/``, for images, and for the example on this machine."""

LICENCE = "LICENSE"
"""Of the C library and of what this tool writes; a network's own is in its model card."""

CARD_WORDS = {
    "from the JSON files beside it": f"from what {MANIFEST} holds",
    "`calibration.json`": f"`{MANIFEST}`",
}
"""What a model's card says of its folder, and what its bundle's says."""

VERSIONS_OF = ("ai-edge-litert", "numpy", "scipy")
"""Packages whose versions the manifest states: they made the golden vectors."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been written and proven."""

    path: Path
    manifest: dict[str, Any]
    census: OperatorCensus
    proof: Proof
    gate: Gate


def export_bundle(
    model: ModelFolder,
    out: str | Path,
    *,
    target: str = TARGET,
    fs_hz: float = FS_HZ,
    limits: Limits = DEFAULT_LIMITS,
    collect: bool = False,
    hop_s: float | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a model's bundle for a device, prove it, and only then let it appear.

    Parameters
    ----------
    model
        A model with a ``.tflite``; it may be a bundle itself.
    out
        The folder to write.
    target
        Name of the device: one of :data:`ecgqa_tflite.devices.TARGETS`.
    fs_hz
        Sampling rate of the device, Hz; the model is the same for all of them.
    limits
        What the gate lets through.
    collect
        Let samples come in while a segment is classified; at most two bytes of RAM for each sample
        of a segment.
    hop_s
        Time between the starts of two segments, s; None: a segment. Below one, with ``collect``.
    overwrite
        Replace ``out`` where it exists.

    Raises
    ------
    OutputExistsError
        ``out`` exists and ``overwrite`` is false.
    ArgumentError
        No such target; a limit on a figure that the target doesn't have; ``collect`` or a hop that
        it can't take.
    SamplingRateError
        The rate is too low for the spec or the integer front end can't take it.
    ModelError, ConversionError
        The model has no ``.tflite``, or one that is damaged, not full int8 or not for the target.
        The gate is not passed.
    ToolError
        What the target's bundle is made with is not installed.
    SelfTestError
        A golden vector doesn't come out of what was written.

    In each case nothing is left behind.
    """
    out = Path(out)
    refuse_existing(out, overwrite)
    device = find_target(target)
    if (collect or hop_s is not None) and not device.collects:
        able = ", ".join(name for name, other in TARGETS.items() if other.collects)
        raise ArgumentError(f"--collect and --hop are for {able}; leave them out for {target}")
    front_end_tables = tables.build(model.spec, fs_hz)  # a wrong rate is said before any work
    tflite, counted = _checked(model, may_be_float=device.runs_float)
    golden = make_golden(model.spec, fs_hz, tflite)
    parts = Parts(model, tflite, front_end_tables, fs_hz, golden, collect, hop_s)
    prepared = device.prepare(parts)
    with understood(model.path):
        gate = pass_gate(
            model.metrics,
            limits,
            distinct_golden_scores=len({row.tobytes() for row in golden.scores}),
            ram_bytes=prepared.ram_bytes,
            flash_bytes=prepared.flash_bytes,
            no_ram=prepared.no_ram,
        )
        accuracy_lines(model.metrics)  # said before anything is written
    manifest = _manifest(parts, prepared, counted, gate)
    with whole_folder(out, overwrite) as folder:
        _write(folder, parts, prepared, device, manifest)
        _write_templates(folder, manifest, device, prepared)
        with understood(model.path):
            bill = sbom(manifest, _sums(folder))
            (folder / SBOM).write_text(bill, encoding="utf-8")
            manifest["files"] = _sums(folder)
            report = report_html(manifest, golden, prepared.memory_map)
        (folder / "report.html").write_text(report, encoding="utf-8")
        manifest["files"] = _sums(folder)
        (folder / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
        seal(folder)
        proof = prove(folder)
    return Bundle(out, manifest, counted, proof, gate)


def _checked(model: ModelFolder, *, may_be_float: bool) -> tuple[bytes, OperatorCensus]:
    """The network as the bundle holds it, with its identity, and what it is made of."""
    tflite, where = model.tflite_path.read_bytes(), str(model.tflite_path)
    counted = census(tflite, where, may_be_float=may_be_float)
    check_numbers(read_tflite(tflite, where), where)
    network = Int8Network(tflite)
    if network.input_shape != model.spec.image_shape:
        raise ModelError(
            f"{where}: takes images of {network.input_shape}, its spec makes "
            f"{model.spec.image_shape}; train or convert the model again"
        )
    tflite = with_identity(tflite, identity_of(model, network.graph))
    return tflite, replace(counted, file_bytes=len(tflite))


def _manifest(
    parts: Parts, prepared: Prepared, counted: OperatorCensus, gate: Gate
) -> dict[str, Any]:
    """All that ``manifest.json`` says but the files' hashes."""
    model = parts.model
    shipped = replace(model, weights_name=None, tflite_name=f"{model.name}.tflite")
    return {
        "format": BUNDLE_FORMAT,
        "tool_version": __version__,
        **prepared.manifest,
        "model": shipped.description(),
        "model_id": identity_of(model, parts.graph)["model_id"],
        "spec": model.spec.to_dict(),
        "fs_hz": float(parts.fs_hz),
        "segment_len": parts.tables.segment_len,
        "formats": {"cwt_tables": parts.tables.format},
        "tables_bytes": parts.tables.nbytes,
        "gate": gate.to_dict(),
        "quantisation": _quantisation(parts.graph),
        "census": counted.to_dict(),
        "golden": {
            "file": f"golden/{model.name}_golden.npz",
            "segments": list(parts.golden.names),
        },
        "calibration": {"ids": list(model.calibration_ids)},
        "metrics": model.metrics,
        "recipe": model.recipe,
        "versions": {package: metadata.version(package) for package in VERSIONS_OF},
    }


def _write(
    folder: Path, parts: Parts, prepared: Prepared, device: BundleKind, manifest: Mapping[str, Any]
) -> None:
    """All files but those that templates and the manifest make."""
    model = parts.model
    (folder / manifest["model"]["tflite"]).write_bytes(parts.tflite)
    _write_sources(folder, parts, prepared, firmware=device.firmware)
    _copy_runtime(folder / "firmware_bridge")
    if device.firmware:
        _copy_board(folder / "board")
    golden_file = folder / manifest["golden"]["file"]
    golden_file.parent.mkdir()
    golden_file.write_bytes(parts.golden.to_npz(model.spec))
    (folder / "MODEL_CARD.md").write_text(_card(model), encoding="utf-8")
    shutil.copyfile(firmware_bridge_dir() / LICENCE, folder / LICENCE)


def _write_sources(folder: Path, parts: Parts, prepared: Prepared, *, firmware: bool) -> None:
    """The front end's C for every target, the network's and the golden vectors' for a firmware."""
    built = parts.tables
    identity = identity_of(parts.model, parts.graph)
    model_id = int(identity["model_id"], 16)
    sources = model_source.tables_sources(built, model_id) | identity_header(
        identity, built.spec_hash
    )
    shape = prepared.input_shape
    if shape is not None:
        sources |= image_sources(parts.model.spec, built, parts.fs_hz, shape, model_id)
    if firmware:
        array, tflite = prepared.device_tflite
        images = None
        if shape is not None:
            colour = image(parts.golden.index_maps, parts.model.spec.colormap)
            images = fold_image(to_int8(colour), shape)
        sources |= model_source.tflite_sources(array, tflite, built.spec_hash)
        sources |= model_source.golden_sources(
            parts.golden, array, tflite, built.spec_hash, images=images
        )
    files = {f"model/{name}": text for name, text in sources.items()} | dict(prepared.files)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("ascii") if isinstance(content, str) else content)


def _card(model: ModelFolder) -> str:
    """The model's card, pointing to the manifest instead of to files that lie beside the model."""
    text = without_html(model.card_text)
    for there, here in CARD_WORDS.items():
        text = text.replace(there, here)
    return text


def _sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its path in the bundle."""
    paths = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: sha256_of(paths[name]) for name in sorted(paths)}


def _copy_runtime(folder: Path) -> None:
    """The runtime's headers and sources, byte for byte."""
    source = firmware_bridge_dir()
    for part in ("include", "src"):
        for path in sorted((source / part).rglob("*.[ch]")):
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _copy_board(folder: Path) -> None:
    """What makes an image of the self-test for an emulated Cortex-M4."""
    folder.mkdir()
    for name in BOARD_FILES:
        shutil.copyfile(firmware_bridge_dir() / "boards" / name, folder / name)
    console = resources.files("ecgqa_tflite.bundle") / "board_files" / "printf.c"
    (folder / console.name).write_bytes(console.read_bytes())


def _quantisation(graph: Graph) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, index in (("input", graph.inputs[0]), ("output", graph.outputs[0])):
        t = graph.tensors[index]
        out[key] = {
            "name": t.name,
            "shape": list(t.shape),
            "dtype": t.dtype,
            "quant_scale": float(t.quant_scale[0]),
            "zero_point": int(t.zero_point[0]),
        }
    out["image_to_input"] = "int8 = uint8 - 128"
    out["weights"] = FLOAT_WEIGHTS if computes_in_float(graph) else _int8_weights(graph)
    return out


def _int8_weights(graph: Graph) -> str:
    n = len(per_tensor(graph))
    return f"int8, per tensor in {n} convolutions" if n else "int8, per output channel"


def _write_templates(
    folder: Path, manifest: dict[str, Any], device: BundleKind, prepared: Prepared
) -> None:
    """The files that are the same for every model but for names and numbers."""
    model, counted = manifest["model"], manifest["census"]
    spec = FrontEnd.from_dict(manifest["spec"])
    rows, cols, channels = spec.image_shape
    words = {
        "name": model["name"],
        "array": prepared.device_tflite[0],
        "target": manifest["target"]["name"],
        "tool_version": __version__,
        "spec_hash": spec.short_hash,
        "spec_hash_whole": spec.hash,
        "model_id": manifest["model_id"],
        "bundle_format": manifest["format"],
        "tables_format": manifest["formats"]["cwt_tables"],
        "firmware": device.firmware,
        "engine_runs": prepared.words.get("engine", False),
        "ram": _ram(prepared),
        "flash": f"{prepared.flash_bytes:,}",
        "accuracy_lines": accuracy_lines(manifest["metrics"]),
        "fs_hz": f"{manifest['fs_hz']:g}",
        "segment_s": f"{spec.segment_s:g}",
        "segment_len": manifest["segment_len"],
        "rows": rows,
        "cols": cols,
        "channels": channels,
        "colormap": spec.colormap,
        "image_name": image_name(int(manifest["model_id"], 16), manifest["segment_len"]),
        "threshold_s8": model["threshold_int8"],
        "reasons": tuple(BY_REASON.tolist()),
        "low": markdown(spec.labels[0]),
        "high": markdown(spec.labels[1]),
        "classes_told": _classes_told(spec, model["arguments"].get(CLASS_NAMES, ())),
        "licence": markdown(model["licence"]),
        "arithmetic": arithmetic(manifest),
        "tflite_bytes": f"{counted['file_bytes']:,}",
        "tables_bytes": f"{manifest['tables_bytes']:,}",
        "macs": f"{counted['macs']:,}",
        "operators": ", ".join(f"{op} x {n}" for op, n in counted["operators"].items()),
        "golden_segments": ", ".join(manifest["golden"]["segments"]),
        "accuracy": "\n".join(f"- {line}" for line in accuracy_lines(manifest["metrics"])),
        **prepared.words,
    }
    for name in ("common", *(("firmware",) if device.firmware else ()), device.templates):
        write_folder(name, folder, **words)


def _classes_told(spec: FrontEnd, names: Sequence[str]) -> str:
    """What the scores are of, in Markdown."""
    low, high = (f"*{markdown(label)}*" for label in spec.labels)
    if not names:
        return f"class 0 is {low}, class 1 {high} quality"
    told = ", ".join(f"{i} *{markdown(name)}*" for i, name in enumerate(names))
    return f"its scores are of {told}; that of class 1 says {high} quality"


def _ram(prepared: Prepared) -> str:
    if prepared.ram_bytes is None:
        return "LiteRT's, on Linux"
    return f"{prepared.ram_bytes:,} bytes, context and stack on top"


def accuracy_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Balanced accuracy and AUC with 95 % intervals, int8 beside float; none where not measured.

    A line for what each set is judged by: segments graded by eye before labels, validation last.
    """
    validation = metrics.get("validation", {})
    sets = {
        f"{name}, {words}": kinds
        for name, result in metrics.get("external", {}).items()
        for words, kinds in by_labels(result).items()
    }
    sets["validation"] = {"int8": validation.get("int8"), "float": validation.get("float")}
    lines = []
    for name, kinds in sets.items():
        tables_ = {
            kind: t
            for kind, t in kinds.items()
            if t and t["bacc"]["value"] is not None and t["auc"]["value"] is not None
        }
        if not tables_:
            continue
        n = next(iter(tables_.values())).get("n")
        counted = f", {n['high']:,} high, {n['low']:,} low" if n else ""
        figures = "; ".join(
            f"{kind} BAcc {Figure.of(t['bacc']):.3f}, AUC {Figure.of(t['auc']):.3f}"
            for kind, t in tables_.items()
        )
        before = any(taken_before(t, metrics) for t in tables_.values())
        moved = ", BAcc at the threshold before it was moved" if before else ""
        lines.append(f"{name}{counted}: {figures}{moved}")
    return lines
