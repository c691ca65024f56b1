# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Whose each source is, in its first lines: REUSE's two, put in where they are missing.

python .ci/spdx.py           write them
python .ci/spdx.py --check   exit 1 where a source has none, and name it
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
LINES = "SPDX-FileCopyrightText: ecgqa-tflite contributors", "SPDX-License-Identifier: Apache-2.0"
HASH = f"# {LINES[0]}\n# {LINES[1]}\n"
STAR = f"/* {LINES[0]}\n * {LINES[1]} */\n"
SUFFIXES = {
    **dict.fromkeys((".py", ".mk", ".cmake", ".yml", ".conf", ".toml", ".clang-format"), HASH),
    **dict.fromkeys((".clang-tidy", ".gitignore"), HASH),
    **dict.fromkeys((".c", ".h", ".cc", ".ld", ".css", ".js"), STAR),
}
NAMES = {"Makefile": HASH, "CMakeLists.txt": HASH, "Kconfig": HASH, "run": HASH}
"""Sources that no suffix tells. All other files are in REUSE.toml."""


def head(path: Path) -> str | None:
    """What a file must begin with, a template as what it becomes; None where REUSE.toml says it."""
    name = path.name.removesuffix(".jinja")
    if "uplot" in path.parts:
        return None
    return NAMES.get(name) or SUFFIXES.get(Path(name).suffix or name)


def missing() -> list[Path]:
    """Sources that git tracks, or would, without the lines."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    sources = [REPO / name for name in names if name and head(REPO / name)]
    return [p for p in sources if p.is_file() and LINES[1] not in p.read_text()[:300]]


def put_in(path: Path) -> None:
    """Before everything but what a shell reads of the first line."""
    lines = head(path)
    assert lines is not None
    text = path.read_text()
    first, rest = text.split("\n", 1) if text.startswith("#!") else ("", text)
    path.write_text((f"{first}\n" if first else "") + lines + rest)


if __name__ == "__main__":
    found = missing()
    if "--check" in sys.argv[1:]:
        names = ", ".join(str(p.relative_to(REPO)) for p in found)
        sys.exit(f"no SPDX lines in {names}: python .ci/spdx.py" if found else 0)
    for source in found:
        put_in(source)
