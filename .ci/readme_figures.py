"""Write the README's table of models from their metrics.json: no figure in it is typed.

python .ci/readme_figures.py           rewrite README.md
python .ci/readme_figures.py --check   exit 1 where it is not what the models say
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
START, END = "<!-- figures: make readme -->", "<!-- end of figures -->"
HEAD = """\
| model | weights | int8 file | tested on | BAcc | AUC | Se | Sp |
|---|---|---|---|---|---|---|---|"""
NONE = "No model has been trained into `models/` yet."


def figure(value: dict[str, float]) -> str:
    """Value and 95 % interval."""
    return f"{value['value']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def rows(folder: Path) -> list[str]:
    """A row for each external test of a model, its int8 form."""
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    name = json.loads((folder / "model.json").read_text())["name"]
    training = metrics["training"]
    first = (
        f"| [{name}]({folder.relative_to(REPO)}/MODEL_CARD.md) | {training['parameters']:,} "
        f"| {training['tflite_bytes']:,} bytes "
    )
    cells = [
        (source, [figure(result[key]) for key in ("bacc", "auc", "se", "sp")])
        for source, result in metrics["external"].items()
    ]
    return [first + f"| {source} | " + " | ".join(row) + " |" for source, row in cells]


def readme() -> str:
    """README.md with the table put in."""
    text = (REPO / "README.md").read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    found = [
        row for path in sorted((REPO / "models").glob("*/model.json")) for row in rows(path.parent)
    ]
    table = "\n".join([HEAD, *found]) if found else NONE
    return f"{before}{START}\n{table}\n{END}{after}"


if __name__ == "__main__":
    new = readme()
    if "--check" in sys.argv[1:]:
        sys.exit(new != (REPO / "README.md").read_text() and "README.md: run make readme")
    (REPO / "README.md").write_text(new)
