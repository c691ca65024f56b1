# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Changed bits in a bundle and in its workspace: ``python tests/firmware/damage.py --flips 2000``.

Each of the bundle's is changed in a program of its own, as flash memory would have it, which starts
as a device does: ``ecgqa_init``, ``ecgqa_selftest``, a decision. The bits are spread evenly over
the bundle's parts. A table tells what saw them; the command fails where one passed unseen or ended
in a fault. As many are changed in the workspace between steps (``workspace_program.c``).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiny_device

from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine import device_source
from ecgqa_tflite.engine.golden import golden_samples
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.resources import firmware_bridge_dir

BOARD = "armhf"
"""Pointers of 32 bits, as on a microcontroller, and no address that is put in when it starts."""

FS_HZ = 250.0
LIMIT_S = 60
WORKSPACE_LIMIT_S = 7200

SANITIZER = ("-O1", "-fsanitize=address", "-fno-sanitize-recover=all")
WORKSPACE_BOARD = "host-gcc"

OUTCOMES = ("refused by init", "named by self-test", "unseen", "fault", "endless")
WORSE = OUTCOMES[2:]

PARTS = (
    ("bundle", r"ecgqa_bundle_\w+"),
    ("golden: struct", "golden"),
    ("golden: samples", "golden_samples"),
    ("golden: digests", "golden_digests"),
    ("tables: struct", r"ecgqa_cwt_tables_[0-9a-f]+"),
    ("tables: rows", r"ecgqa_cwt_tables_[0-9a-f]+_row"),
    ("tables: arrays", r"ecgqa_cwt_tables_[0-9a-f]+_\w+"),
    ("network: struct", r"ecgqa_model_[0-9a-f]+"),
    ("network: softmax", r"ecgqa_model_\w+_softmax"),
    ("network: layers", r"ecgqa_model_\w+_layers"),
    ("network: colours", r"ecgqa_model_\w+_lut_s8"),
    ("network: weights", r"ecgqa_model_\w+_weights"),
    ("network: scales", r"ecgqa_model_\w+_(bias|multiplier_q31|shift)"),
)
"""Part of a bundle, and its symbols: the first that matches."""


@dataclass(frozen=True)
class Program:
    """An executable and where in it the bundle's parts lie: (offset, bytes) of each symbol."""

    board: boards.Board
    elf: bytes
    parts: dict[str, list[tuple[int, int]]]


def device(name: str) -> tuple[device_source.Device, np.ndarray]:
    """A tiny network, or a model by name, and a golden segment."""
    if name in tiny_device.NETWORKS:
        made = tiny_device.device(name)
        return made, tiny_device.samples(made.spec)
    model = open_model(name)
    made = device_source.plan_device(
        model.spec,
        tables.build(model.spec, FS_HZ),
        model.tflite_path.read_bytes(),
        model.threshold_int8,
    )
    return made, golden_samples(model.spec, FS_HZ)[1][0]


def image_of(
    name: str, program: str, out: Path, board: boards.Board, flags: tuple[str, ...]
) -> tuple[boards.Image, list[Path]]:
    """Compile a program of ``firmware_bridge/tests`` with a model; the model's sources too."""
    made, samples = device(name)
    texts = device_source.device_sources(made, device_source.golden(made, samples))
    generated = out / "generated"
    generated.mkdir(parents=True)
    for file, text in texts.items():
        (generated / file).write_text(text)
    own = sorted(generated.glob("*.c"))
    main = firmware_bridge_dir() / "tests" / program
    sources = [main, *boards.library_sources(), *own]
    return boards.build(board, sources, out, include=[generated], flags=flags), own


def build(name: str, out: Path, board: boards.Board) -> Program:
    """A model with ``damage_program.c``, and where its parts lie."""
    image, own = image_of(name, "damage_program.c", out, board, boards.OPTIMISE)
    names = {s.name for c in own for s in boards.read_symbols(board, image.objects[c]) if s.size}
    elf = image.elf.read_bytes()
    parts: dict[str, list[tuple[int, int]]] = {part: [] for part, _ in PARTS}
    for symbol in boards.read_symbols(board, image.elf):
        if symbol.name in names and symbol.size:
            part = next(p for p, pattern in PARTS if re.fullmatch(pattern, symbol.name))
            parts[part].append((_offset(elf, symbol.address), symbol.size))
    assert all(parts.values()), parts
    return Program(board, elf, parts)


def _offset(elf: bytes, address: int) -> int:
    """Where an address lies in a 32-bit executable."""
    assert elf[:5] == b"\x7fELF\x01", "not a 32-bit ELF file"
    at, (each, count) = int.from_bytes(elf[28:32], "little"), np.frombuffer(elf, "<u2", 2, 42)
    for header in np.frombuffer(elf, "<u4", 8 * int(count), at).reshape(count, each // 4):
        kind, offset, start, _, size = header[:5].tolist()
        if kind == 1 and start <= address < start + size:
            return int(offset + address - start)
    raise AssertionError(f"{address:#x} is not loaded")


def outcome(program: Program, elf: Path, at: int, bit: int) -> str:
    """What comes of one changed bit of the executable's byte ``at``."""
    damaged = bytearray(program.elf)
    damaged[at] ^= 1 << bit
    return started(program, elf, bytes(damaged))


def started(program: Program, elf: Path, content: bytes) -> str:
    """What comes of an executable with these bytes."""
    elf.write_bytes(content)
    elf.chmod(0o755)
    try:
        done = subprocess.run(
            [*program.board.emulator, str(elf)], capture_output=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "endless"
    told = {0: "unseen", 1: "refused by init", 2: "named by self-test"}
    return told.get(done.returncode, "fault")


def run(
    name: str, flips: int, work: Path, board: boards.Board, seed: int = 1
) -> dict[str, Counter[str]]:
    """Change ``flips`` bits in all, evenly by part; how often each outcome came, by part."""
    program = build(name, work / "build", board)
    elf = work / "damaged.elf"
    assert started(program, elf, program.elf) == "unseen", "it fails without damage"
    rng = np.random.default_rng(seed)
    found: dict[str, Counter[str]] = {}
    for number, (part, places) in enumerate(program.parts.items()):
        share = flips // len(PARTS) + (number < flips % len(PARTS))
        bytes_ = np.concatenate([np.arange(at, at + size) for at, size in places])
        found[part] = Counter(
            outcome(program, elf, int(rng.choice(bytes_)), int(rng.integers(8)))
            for _ in range(share)
        )
    return found


def table(found: dict[str, Counter[str]]) -> str:
    """The outcomes as Markdown, the sum last."""
    rows = [*found.items(), ("all", sum(found.values(), Counter()))]
    lines = [f"| part | flips | {' | '.join(OUTCOMES)} |", "|---" * (len(OUTCOMES) + 2) + "|"]
    for part, counts in rows:
        cells = [part, str(counts.total()), *(str(counts[o]) for o in OUTCOMES)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def run_workspace(name: str, times: int, work: Path, board: boards.Board, seed: int = 1) -> str:
    """Write to the workspace between steps; what became of the segments.

    Raises
    ------
    ToolError
        Something was read or written outside, the steps did not end or the next segment suffered.
    """
    image, _ = image_of(name, "workspace_program.c", work / "workspace", board, SANITIZER)
    return boards.tool(str(image.elf), str(times), str(seed), timeout_s=WORKSPACE_LIMIT_S).strip()


def main() -> int:
    """1 where a changed bit was seen by nobody or did harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--model", default="light_cnn_small", help="or a tiny one: chain, jet, odd")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ecgqa-damage-") as folder:
        work, known = Path(folder), boards.boards()
        found = run(options.model, options.flips, work, known[BOARD])
        print(table(found), flush=True)
        became = run_workspace(options.model, options.flips, work, known[WORKSPACE_BOARD])
        print(f"\nworkspace, {options.flips} times between steps: {became}")
    return int(any(counts[worse] for counts in found.values() for worse in WORSE))


if __name__ == "__main__":
    sys.exit(main())
