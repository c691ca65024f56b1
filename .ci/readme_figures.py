# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Write the tables of the READMEs and the docs: of models from their metrics.json, of the
benchmark, the archives and the experiments from the JSON that is kept of them. No figure in them is
typed; where no JSON is kept, the section is empty.

python .ci/readme_figures.py           rewrite them
python .ci/readme_figures.py --check   exit 1 where one is not what the models say
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ecgqa_tflite.benchmark import quoted
from ecgqa_tflite.benchmark import tables as bench_tables
from ecgqa_tflite.benchmark.parts import BATTERY_MWH, find_part, read_parts
from ecgqa_tflite.benchmark.results import read_report
from ecgqa_tflite.cli import recommend
from ecgqa_tflite.evaluation.choice import accuracy, choices, shipped_report
from ecgqa_tflite.evaluation.choice import readme as readme_of
from ecgqa_tflite.evaluation.figures import Figure
from ecgqa_tflite.experiment import stress_report, tables
from ecgqa_tflite.model_folder import open_model

REPO = Path(__file__).resolve().parents[1]
EXPERIMENTS = REPO / "models" / "experiments"
BENCH = EXPERIMENTS / "bench.json"
ARCHIVES = EXPERIMENTS / "archives.json"
FIGURES = "<!-- figures: make readme -->", "<!-- end of figures -->"
TABLE2 = "<!-- experiment: make readme -->", "<!-- end of the experiment -->"
ABLATIONS = "<!-- ablations: make readme -->", "<!-- end of the ablations -->"
NOISE = "<!-- noise stress: make readme -->", "<!-- end of the noise stress -->"
CHOICE = "<!-- choice: make readme -->", "<!-- end of the choice -->"
PEERS = "<!-- peers: make readme -->", "<!-- end of the peers -->"
HEADLINES = "<!-- headlines: make readme -->", "<!-- end of the headlines -->"
COSTS = "<!-- bench: make readme -->", "<!-- end of the bench -->"
SIZING = "<!-- archives: make readme -->", "<!-- end of the archives -->"
HEAD = """\
| model | multiply-accumulates | `.tflite`, bytes | tested on, labels | BAcc | AUC | Se | Sp |
|---|---|---|---|---|---|---|---|"""
KEYS = ("bacc", "auc", "se", "sp")
WIDTH = 100
ARCHIVES_TOLD = """\
`make bench-archives` on {cores} cores ({cpu}), starting included: four records of 3 h and a \
hundred of 10 minutes, one lead, 250 Hz; the loop has ten of these. On 64 cores: the processor \
time divided.

- **Read**: {read_tb:.1f} TB a million hours; local records twice, once for the plan's checksums \
and once for the run, those in a store once.
- **Written**: {json_gb:.0f} GB as JSON, {parquet_gb:.1f} GB as Parquet.
- **The plan**: {plan_bytes:.0f} bytes an entry. Some millions of entries are fine; a hundred \
million short records are better packed into longer ones first.
- **Memory**: a worker has {early_mb:.0f} MB early in 1,000 records and {late_mb:.0f} MB at their \
end.

The same bytes, whatever is killed (`.ci/archive_figures.py`: SIGKILL of workers and of the \
driver at random moments, the same command again each time):
"""
NONE = "No model has been trained into `models/` yet."


def rows(folder: Path) -> list[str]:
    """Rows for each external test of a model, its int8 form; one for segments graded by eye."""
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    name = json.loads((folder / "model.json").read_text())["name"]
    training = metrics["training"]
    first = (
        f"| [{name}]({folder.name}/MODEL_CARD.md) | {metrics['device']['macs']:,} "
        f"| {training['tflite_bytes']:,} "
    )
    found = []
    for source, result in metrics["external"].items():
        tests = {"inherited": result} | (
            {"graded by eye": result["graded"]} if "graded" in result else {}
        )
        for labels, table in tests.items():
            cells = " | ".join(f"{Figure.of(table[key]):.3f}" for key in KEYS)
            found.append(f"{first}| {source}, {labels} | {cells} |")
            first = "| | | "
    return found


def models() -> str:
    """The table of models."""
    found = [
        row for path in sorted((REPO / "models").glob("*/model.json")) for row in rows(path.parent)
    ]
    return "\n".join([HEAD, *found]) + "\n" if found else f"{NONE}\n"


def experiment(name: str) -> str:
    """An experiment's section; empty without its JSON."""
    path = EXPERIMENTS / f"{name}.json"
    if not path.exists():
        return ""
    return tables.readme(json.loads(path.read_text(encoding="utf-8")))


def noise_stress() -> str:
    """The noise stress test's section; empty without its JSON."""
    path = EXPERIMENTS / stress_report.FILE
    if not path.exists():
        return ""
    return stress_report.readme(json.loads(path.read_text(encoding="utf-8")))


def bench() -> str:
    """What a segment costs; empty without its JSON."""
    return bench_tables.readme(read_report(BENCH)) if BENCH.exists() else ""


def archives() -> str:
    """What a million recorded hours take, and which engines gave the same bytes; by their JSON."""
    if not ARCHIVES.exists():
        return ""
    kept = json.loads(ARCHIVES.read_text(encoding="utf-8"))
    cost, size = kept["cost"], kept["cost"]["bytes"]
    lines = [
        "| | hours a second | core-hours, a million hours | on 64 cores |",
        "|---|---|---|---|",
    ]
    for name, row in cost.items():
        if "recorded_h" in row:
            core_h = row["cpu_s"] / row["recorded_h"] * 1e6 / 3600
            rate = row["recorded_h"] / row["wall_s"]
            lines.append(f"| {name} | {rate:.2f} | {core_h:,.0f} | {core_h / 64:.1f} h |")
    told = ARCHIVES_TOLD.format(
        **kept["machine"],
        read_tb=size["read"] / 1e6,
        json_gb=size["json"] / 1e3,
        parquet_gb=size["parquet"] / 1e3,
        plan_bytes=size["plan, an entry"],
        early_mb=cost["memory over 1,000 records"]["second_tenth_mb"],
        late_mb=cost["memory over 1,000 records"]["last_tenth_mb"],
    )
    return "\n".join([*lines, "", told, *engines(kept["equal"])]) + "\n"


def engines(rows: dict[str, dict[str, Any]]) -> list[str]:
    """A table of the engines' results, undisturbed and killed."""
    lines = ["| engine | commands | results | set aside | equal |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        counts = f"{row['runs']} | {row['results']:,} | {row['aside']}"
        lines.append(f"| {name} | {counts} | {'yes' if row['equal'] else '**no**'} |")
    return lines


def headlines() -> str:
    """Four figures, each with its interval and what it is of."""
    parts = [_accuracy_headline(), *_stress_headline(), *_device_headline(), *_host_headline()]
    return "\n".join(f"- {part}" for part in parts) + "\n"


def _accuracy_headline() -> str:
    found = []
    for name in recommend.SHIPPED:
        source, figure = accuracy(open_model(name).metrics)
        found.append(f"{name} {figure:.3f}")
    return f"**Accuracy**: BAcc {', '.join(found)}; {source}, 95 % intervals."


def _stress_headline() -> Iterator[str]:
    path = EXPERIMENTS / stress_report.FILE
    if not path.exists():
        return
    told = json.loads(path.read_text(encoding="utf-8"))
    others = [row for row in told["rows"] if not row["ours"] and "lead" in row]
    best = max(others, key=lambda row: row["at_equal_share"])
    yield (
        f"**Under noise**: where {told['equal_share']:.0%} of {told['windows']:,} windows are "
        "kept, beats that two detectors find have F1 "
        f"{told['rows'][0]['at_equal_share']:.3f}; the next index, {best['name']}, has "
        f"{Figure.of(best['lead']):.3f to} less "
        "([how](models/README.md#noise-that-nobody-graded))."
    )


def _device_headline() -> Iterator[str]:
    if not shipped_report().exists():
        return
    rows = {
        row.model: row for row in read_report(shipped_report()).rows if row.target == "cortex-m4"
    }
    told = [
        f"{name} {total.p50 / 1e6:.1f} M ({total.low / 1e6:.1f}-{total.high / 1e6:.1f})"
        f" in {row.ram_bytes:,} bytes of RAM"
        for name in recommend.SHIPPED
        if (row := rows.get(name)) is not None and (total := row.total) and row.ram_bytes
    ]
    yield (
        "**On a Cortex-M4**: instructions for 5 s of ECG, counted under QEMU (range over "
        f"segments): {', '.join(told)}."
    )


def _host_headline() -> Iterator[str]:
    if not BENCH.exists():
        return
    report = read_report(BENCH)
    first = next(iter(report.models))
    for row in report.rows:
        if (row.model, row.variant) == (first, "assess, 1 thread") and (total := row.total):
            seconds = report.models[first]["segment_s"]
            rates = [seconds / ms / 3.6 for ms in (total.p50, total.high, total.low)]
            yield (
                f"**Here**: {first} assesses {Figure(*rates):.2f} hours of ECG a second on one "
                f"thread (loops' range; {report.machine['cpu']})."
            )


def choice() -> str:
    """Which model to take for the part that ``ecgqa recommend`` takes; empty without counts."""
    if not shipped_report().exists():
        return ""
    asked = recommend.HOP_S, BATTERY_MWH
    models = [open_model(name) for name in recommend.SHIPPED]
    part = find_part(recommend.PART, read_parts())
    return readme_of(choices(models, read_report(shipped_report()), part, *asked), *asked)


def peers() -> str:
    """Others' kernels beside ours; empty without counts."""
    return quoted.readme(read_report(shipped_report())) if shipped_report().exists() else ""


def between(text: str, marks: tuple[str, str], content: str) -> str:
    """The text with what stands between two marks replaced."""
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return f"{before}{marks[0]}\n{wrapped(content)}{marks[1]}{after}"


def wrapped(text: str) -> str:
    """Paragraphs, a line each, in lines of the README's width; tables and headings as they are."""
    lines = [
        piece
        for line in text.splitlines()
        for piece in (
            [line]
            if line[:1] in ("|", "#", "")
            else textwrap.wrap(line, WIDTH, subsequent_indent="  " * line.startswith("- "))
        )
    ]
    return "".join(f"{line}\n" for line in lines)


def filled(path: Path, *sections: tuple[tuple[str, str], str]) -> str:
    """A file's text with its tables put in."""
    text = path.read_text(encoding="utf-8")
    for marks, content in sections:
        text = between(text, marks, content)
    return text


def documents() -> dict[Path, str]:
    """Each file and what it should say."""
    front, inside = REPO / "README.md", REPO / "models" / "README.md"
    firmware = REPO / "firmware_bridge" / "README.md"
    studies = (TABLE2, experiment("table2")), (ABLATIONS, experiment("ablations"))
    stress = NOISE, noise_stress()
    guide = REPO / "ecgqa_tflite" / "docs" / "archives.md"
    return {
        guide: filled(guide, (SIZING, archives())),
        front: filled(front, (CHOICE, choice()), (HEADLINES, headlines())),
        firmware: filled(firmware, (PEERS, peers())),
        inside: filled(inside, (FIGURES, models()), (COSTS, bench()), stress, *studies),
    }


if __name__ == "__main__":
    for file, text in documents().items():
        if "--check" not in sys.argv[1:]:
            file.write_text(text, encoding="utf-8")
        elif text != file.read_text(encoding="utf-8"):
            sys.exit(f"{file.relative_to(REPO)}: run make readme")
