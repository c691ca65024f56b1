# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Write ecgqa_tflite/docs/REQUIREMENTS.md: which tests show what is promised, read off the tests.

python .ci/requirements.py           rewrite it
python .ci/requirements.py --check   exit 1 where it is not what the tests say
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
TABLE = REPO / "ecgqa_tflite" / "docs" / "REQUIREMENTS.md"
HEAD = """\
# Requirements and the tests that show them

Written by `.ci/requirements.py` from `tests/requirements.toml` and the tests' own marks: `python -m
pytest PATH` runs a row's. What runs on hardware of yours, and what clinicians would have to judge,
is not among them.

| id | requirement | tests |
|---|---|---|
"""


def marks(path: Path) -> list[tuple[str, str]]:
    """(requirement, test) of each ``@pytest.mark.requirement`` in a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        for mark in getattr(node, "decorator_list", ()):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.requirement":
                test = f"{path.relative_to(REPO).as_posix()}::{node.name}"
                found += [(str(ast.literal_eval(arg)), test) for arg in mark.args]
    return found


def table() -> str:
    """The document; exits where a mark names no requirement, or a requirement has no test."""
    promised = tomllib.loads((REPO / "tests" / "requirements.toml").read_text())
    shown: dict[str, list[str]] = {name: [] for name in promised}
    for path in sorted((REPO / "tests").rglob("test_*.py")):
        for name, test in marks(path):
            if name not in shown:
                sys.exit(f"{test}: no requirement {name} in tests/requirements.toml")
            shown[name].append(test)
    if bare := [name for name, tests in shown.items() if not tests]:
        sys.exit(f"no test shows {', '.join(bare)}")
    return HEAD + "".join(
        f"| {name} | {promised[name]} | {'<br>'.join(f'`{t}`' for t in tests)} |\n"
        for name, tests in shown.items()
    )


if __name__ == "__main__":
    text = table()
    if "--check" in sys.argv[1:]:
        same = TABLE.is_file() and TABLE.read_text() == text
        sys.exit(0 if same else f"{TABLE.name} is not what the tests say: .ci/requirements.py")
    TABLE.write_text(text)
