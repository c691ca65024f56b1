"""What the comparisons of front ends and of peers share as commands: arguments, the file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ecgqa_tflite.model_folder import json_text
from ecgqa_tflite.output import whole_file


def parser(description: str, name: str) -> argparse.ArgumentParser:
    """Arguments of a comparison whose report is ``build/bench/<name>.json``."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--model", default="light_cnn", help="a shipped model's name or a folder")
    made.add_argument("--record", help="a WFDB record to time with; default: simulated")
    made.add_argument("--json", type=Path, default=Path("build/bench") / f"{name}.json")
    made.add_argument("--quick", action="store_true", help="short loops, for a look")
    return made


def write(report: dict[str, Any], table: str, path: Path) -> None:
    """Write the report as JSON, whole or not at all, and print it as a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, overwrite=True) as temporary:
        temporary.write_text(json_text(report), encoding="utf-8")
    print(table, end="")
    print(f"Written: {path}")
