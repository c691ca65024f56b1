# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Arm's Vela: a ``.tflite`` compiled for an Ethos-U, and what Vela estimates of it."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ecgqa_tflite.errors import ConversionError, ToolError

TIMEOUT_S = 1200


@dataclass(frozen=True)
class Accelerator:
    """An Ethos-U and the system that Vela is told it sits in: sections of its ``Arm/vela.ini``."""

    config: str
    system: str
    memory: str


@dataclass(frozen=True)
class Compiled:
    """What came out: the file, and Vela's figures, all of them estimates but the sizes.

    ``layer_cycles`` are by layer of the given network, in order.
    """

    tflite: bytes
    figures: dict[str, Any]
    operators: tuple[str, ...]
    layer_cycles: dict[str, float]


def installed() -> bool:
    """Whether Vela is there."""
    return importlib.util.find_spec("ethosu") is not None


def version() -> str:
    """Of the package ``ethos-u-vela``."""
    return metadata.version("ethos-u-vela")


def compile_for(tflite: bytes, accelerator: Accelerator, name: str) -> Compiled:
    """Run Vela.

    Raises
    ------
    ToolError
        It isn't installed.
    ConversionError
        It refuses the network.
    """
    if not installed():
        raise ToolError("Vela is needed: pip install '.[ethos-u]'")
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{name}.tflite"
        source.write_bytes(tflite)
        start = "import sys; from ethosu.vela.vela import main; sys.exit(main())"
        command = [
            *(sys.executable, "-c", start, str(source), "--output-dir", scratch),
            *("--accelerator-config", accelerator.config, "--config", "Arm/vela.ini"),
            *("--system-config", accelerator.system, "--memory-mode", accelerator.memory),
            "--verbose-performance",  # a line per layer, as CSV
        ]
        try:
            done = subprocess.run(
                command,
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConversionError(f"{name}: Vela did not finish in {TIMEOUT_S} s") from error
        out = Path(scratch) / f"{name}_vela.tflite"
        summaries = list(Path(scratch).glob(f"{name}_summary_*.csv"))
        if done.returncode or not out.is_file() or not summaries:
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            word = said[-1].strip()[:200] if said else f"exit code {done.returncode}"
            raise ConversionError(f"{name}: Vela refuses it ({word})")
        with summaries[0].open(newline="") as file:
            row = list(csv.DictReader(file))[-1]
        compiled = out.read_bytes()
        layers = out.with_name(f"{name}_per-layer.csv")
        cycles: dict[str, float] = {}
        if layers.is_file():
            with layers.open(newline="") as file:
                cycles = _layer_cycles(csv.DictReader(file))
    counts = {
        kind: int(found[1])
        for kind in ("CPU", "NPU")
        if (found := re.search(rf"^{kind} operators = (\d+)", done.stdout, re.MULTILINE))
    }
    return Compiled(compiled, _figures(row, counts), _operators(compiled), cycles)


def _layer_cycles(rows: Iterable[dict[str, str]]) -> dict[str, float]:
    """Cycles of what one operator of the given network became: runs of rows with its kind."""
    found: dict[str, float] = {}
    for row in rows:
        name = row["Name"].split(";")[0].partition("_softmax_")[0]
        key = f"{row['Original Operator']} {name}"
        if row["Original Operator"] == "Softmax":
            key = "Softmax"
        found[key] = found.get(key, 0.0) + float(row["Op Cycles"])
    return found


def _figures(row: dict[str, str], counts: dict[str, int]) -> dict[str, Any]:
    kib = 1024.0
    return {
        "inference_ms_estimated": round(1e3 * float(row["inference_time"]), 3),
        "cycles_estimated": int(float(row["cycles_total"])),
        "clock_mhz": float(row["core_clock"]) / 1e6,
        "sram_bytes": round(kib * float(row["sram_memory_used"])),
        "dram_bytes": round(kib * float(row["dram_memory_used"])),
        "flash_bytes": round(kib * float(row["off_chip_flash_memory_used"])),
        "macs": int(float(row["nn_macs"])),
        "operators": counts,
    }


def _operators(tflite: bytes) -> tuple[str, ...]:
    """Operators of a compiled file; the accelerator's is ``ethos-u``."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite, 0))
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    codes = [
        c.customCode.decode()
        if c.customCode
        else names[max(c.builtinCode, c.deprecatedBuiltinCode)]
        for c in model.operatorCodes
    ]
    return tuple(codes[op.opcodeIndex] for op in model.subgraphs[0].operators)
