# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Fuzz the functions that take data from outside: ``python tests/firmware/fuzz.py --runs N``.

Each harness of ``firmware_bridge/fuzz`` states its invariants first. They are built with the tiny
bundles (``tiny_device.py``) or the engine alone, libFuzzer and sanitizers; the corpora lie in
``fuzz/corpus``.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tiny_device

from ecgqa_tflite.boards import boards
from ecgqa_tflite.errors import ToolError
from ecgqa_tflite.resources import firmware_bridge_dir

SANITIZERS = {
    "address": "address,undefined",
    "integer": "address,undefined,implicit-conversion",
    "memory": "memory",
}
"""By what ``--sanitizer`` calls them. Digests and requantisation wrap unsigned on purpose."""
COVERAGE = ("-fsanitize=fuzzer-no-link", "-fno-sanitize-coverage=stack-depth")
UNGUIDED = "-fno-sanitize-coverage=trace-cmp"
"""Comparisons guide the fuzzer where arguments are checked; traced in loops over pixels they guide
it nowhere and take three quarters of its time."""
CHECKS_CALLS = ("ecgqa.c",)
CHECKS_BUNDLES = (*CHECKS_CALLS, "nn_check.c")
TIMEOUT_S = 7200
APART = ("sh", "-c", '"$0" "$@"; exit $?')
"""A process's peak memory counts what it was forked from: the limit of 2 GB is the harness's own
only where its parent is small."""


@dataclass(frozen=True)
class Target:
    """A harness with a bundle, or without one the engine alone and test code that it needs.

    ``guided``: sources whose comparisons guide the fuzzer.
    """

    harness: str
    network: str
    max_len: int
    guided: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the program and the corpus."""
        return f"{self.harness}-{self.network}" if self.network else self.harness

    def sources(self, out: Path) -> list[Path]:
        """The library's, and the bundle's, which are written to ``out``."""
        library = boards.library_sources()
        if not self.network:
            engine = [p for p in library if p.name.startswith("nn") or p.name == "seal.c"]
            return [*engine, *(firmware_bridge_dir() / "tests" / name for name in self.helpers)]
        made = tiny_device.device(self.network)
        return [*library, *tiny_device.write(made, out, golden_bytes=False)]

    @property
    def corpus(self) -> Path:
        """Inputs kept in the repository: one file of lengths (uint16) and bytes."""
        return firmware_bridge_dir() / "fuzz" / "corpus" / f"{self.name}.bin"

    def unpack(self, folder: Path) -> Path:
        """The corpus as libFuzzer wants it, a file an input."""
        folder.mkdir(parents=True, exist_ok=True)
        packed = self.corpus.read_bytes() if self.corpus.is_file() else b""
        at = 0
        while at < len(packed):
            length = int.from_bytes(packed[at : at + 2], "little")
            (folder / f"{at:08d}").write_bytes(packed[at + 2 : at + 2 + length])
            at += 2 + length
        return folder

    def pack(self, folder: Path) -> None:
        """Make the corpus of a folder's files, the shortest first."""
        inputs = sorted((p.read_bytes() for p in folder.iterdir()), key=lambda b: (len(b), b))
        self.corpus.parent.mkdir(parents=True, exist_ok=True)
        self.corpus.write_bytes(b"".join(len(b).to_bytes(2, "little") + b for b in inputs))


TARGETS = (
    Target("fuzz_stream", "chain", 128, CHECKS_CALLS),
    Target("fuzz_stream", "odd", 128, CHECKS_CALLS),
    Target("fuzz_bundle", "chain", 64, CHECKS_BUNDLES),
    Target("fuzz_bundle", "jet", 64, CHECKS_BUNDLES),
    Target("fuzz_kernels", "", 16),
    Target("fuzz_networks", "", 4, helpers=("nn_random.c",)),
)


def build(target: Target, out: Path, sanitizer: str = "address") -> Path:
    """Compile a harness; the program."""
    board = boards.boards()["host-clang"]
    flags = ("-O2", "-g", f"-fsanitize={SANITIZERS[sanitizer]}", "-fno-sanitize-recover=all")
    include = [out / "generated"]
    objects: dict[Path, Path] = {}
    for source in target.sources(include[0]):
        guidance = () if source.name in target.guided else (UNGUIDED,)
        objects |= boards.compile_sources(
            board, [source], out, include=include, flags=(*flags, *COVERAGE, *guidance)
        )
    harness = firmware_bridge_dir() / "fuzz" / f"{target.harness}.c"
    folders = [f"-I{p}" for p in (firmware_bridge_dir() / "include", *include)]
    program = out / target.name
    boards.tool(
        board.compiler,
        *("-std=gnu11", "-Wall", "-Wextra", "-Werror", *flags, "-fsanitize=fuzzer", *folders),
        *(() if target.guided else (UNGUIDED,)),
        *(str(harness), *map(str, objects.values()), "-lm", "-o", str(program)),
    )
    return program


def run(target: Target, runs: int, work: Path, sanitizer: str = "address", seed: int = 1) -> str:
    """Run a harness; its last words. A finding raises ToolError with the report.

    New inputs go to ``work``, not to the repository's corpus.
    """
    program = build(target, work / target.name, sanitizer)
    found = work / f"{target.name}-found"
    found.mkdir(exist_ok=True)
    known = target.unpack(work / f"{target.name}-known")
    started = time.monotonic()
    report = boards.tool_report(
        *(*APART, str(program), str(found), str(known), f"-runs={runs}", f"-seed={seed}"),
        *(f"-max_len={target.max_len}", f"-artifact_prefix={work}/", "-print_final_stats=1"),
        timeout_s=TIMEOUT_S,
    )
    executed = re.search(r"stat::number_of_executed_units: (\d+)", report)
    coverage = re.findall(r"cov: (\d+)", report)
    return (
        f"{target.name}, {sanitizer}: {int(executed[1]) if executed else 0:,} runs, "
        f"{coverage[-1] if coverage else '?'} edges, {time.monotonic() - started:.0f} s"
    )


def minimise(target: Target, work: Path) -> None:
    """Put what was found, minimised, into the repository's corpus."""
    merged = work / f"{target.name}-merged"
    merged.mkdir()
    program = work / target.name / target.name
    folders = [str(work / f"{target.name}-{part}") for part in ("merged", "found", "known")]
    boards.tool_report(str(program), "-merge=1", *folders, timeout_s=TIMEOUT_S)
    target.pack(merged)


def main() -> int:
    """Run every harness; 1 where one found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="runs of each harness")
    parser.add_argument("--sanitizer", choices=SANITIZERS, default="address")
    parser.add_argument("--seed", type=int, default=1, help="another one draws other inputs")
    parser.add_argument("--only", help="part of a harness's name")
    parser.add_argument("--keep", action="store_true", help="renew the repository's corpora")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ecgqa-fuzz-") as folder:
        work = Path(folder)
        for target in TARGETS:
            if options.only and options.only not in target.name:
                continue
            try:
                done = run(target, options.runs, work, options.sanitizer, options.seed)
                print(done, flush=True)
            except ToolError as error:
                print(f"{target.name}: {error}", file=sys.stderr)
                return 1
            if options.keep:
                minimise(target, work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
