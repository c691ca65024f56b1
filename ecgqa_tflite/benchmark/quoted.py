# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Others' kernels beside ours on a Cortex-M: figures counted once, quoted with source and date.

``quoted.json`` holds them; ours come from the counts of today. Theirs can't be counted again here:
their sources are no package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ecgqa_tflite.benchmark.results import Report, Row

QUOTED = Path(__file__).with_name("quoted.json")
LAYERS = ("conv 1", "conv 2", "conv 3", "fully connected")
HEAD = f"| million instructions | {' | '.join(LAYERS)} | network |\n|{'---|' * (len(LAYERS) + 2)}"


def readme(report: Report, quoted: dict[str, Any] | None = None) -> str:
    """The peers' table, ours from a report that counted the same model; Markdown.

    Parameters
    ----------
    quoted
        None: what :data:`QUOTED` holds.
    """
    quoted = quoted or json.loads(QUOTED.read_text(encoding="utf-8"))
    counted = {row.target: row for row in report.rows if row.model == quoted["model"]}
    lines = [HEAD]
    verdicts: list[str] = []
    for target in dict.fromkeys(peer["target"] for peer in quoted["peers"]):
        ours = _ours(counted[target])
        name = target.replace("cortex-m", "Cortex-M")
        before = quoted["ours_before_skipping"][target]
        lines += [
            _line(f"{name}: ours", ours),
            _line("ours of then, skipping nothing", (*before["layers"], before["network"])),
        ]
        for peer in (p for p in quoted["peers"] if p["target"] == target):
            theirs = (*peer["layers"], peer["network"])
            lines.append(_line(peer["name"], theirs))
            verdicts += _verdict(name, peer["name"], theirs, ours, before["network"])
    calls = counted[target].stages["network"].calls
    return "\n".join(
        [
            *lines,
            "",
            f"Of one inference of {quoted['model']} under QEMU: instructions, not cycles. Ours: "
            f"GCC -O2, the network's median over {calls} simulated segments, layers of one. The "
            f"others, and ours of then, are quoted as counted in {quoted['counted']} on one "
            f"segment: {quoted['source']}. Theirs cost the same whatever the segment, ours what is "
            f"in it. {' '.join(verdicts)}",
            "",
        ]
    )


def _ours(row: Row) -> tuple[float, ...]:
    """Millions, by layer and in all."""
    network = row.stages["network"].p50
    layers = [count for name, count in row.layers.items() if name[:1].isdigit()]
    return tuple(count / 1e6 for count in (*layers, network))


def _line(name: str, figures: Sequence[float]) -> str:
    """A row; layers that nobody counted are empty, the last figure is the network's."""
    *layers, network = figures
    empty = [""] * (len(LAYERS) - len(layers))
    return f"| {' | '.join([name, *(f'{x:.4g}' for x in layers), *empty, f'{network:,.4g}'])} |"


def _verdict(
    name: str, peer: str, theirs: Sequence[float], ours: Sequence[float], dense: float
) -> Iterator[str]:
    """Where a peer leads, in a sentence."""
    named = [*LAYERS[: len(theirs) - 1], "all"]
    pairs = zip(named, theirs, (*ours[: len(theirs) - 1], ours[-1]), strict=True)
    ahead = [layer for layer, other, own in pairs if other < own]
    if ahead:
        yield f"On {name}, {peer} leads in {', '.join(ahead)}."
    elif theirs[-1] < dense:
        yield (
            f"On {name}, {peer} leads where nothing can be skipped: {theirs[-1]:.4g} against "
            f"{dense:.4g} of then."
        )
