# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The engine's memory plan as a picture: bytes upwards, phases to the right. SVG, by hand."""

from __future__ import annotations

from html import escape

from ecgqa_tflite.engine.planner import IDLE, Plan

COLUMN, LEFT, RIGHT, TOP, BOTTOM = 132, 92, 18, 64, 96
PLOT_HEIGHT = 640
LABEL_HEIGHT, TEXT = 13, 11
STEPS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
MOST_TICKS = 12

COLOURS = {
    "window": "#4477aa",
    "carry": "#66ccee",
    "accumulators": "#ccbb44",
    "patch": "#ee6677",
    "gather": "#aa3377",
    IDLE: "#228833",
}
"""Paul Tol's bright scheme: told apart by people with any colour vision."""
OTHER = "#bbbbbb"
LEGEND = {
    "window": "input rows",
    "carry": "rows started early by pooling",
    "accumulators": "accumulators",
    "patch": "inputs widened for the kernel",
    "gather": "taps gathered",
    IDLE: "front end's scratch",
    "": "state, logits, scores",
}


def memory_map_svg(plan: Plan) -> str:
    """The plan as an SVG document.

    A column is a phase: an index row arrives, then each layer runs. A rectangle is a part of a
    buffer, as high as its bytes, over the phases in which it lives; what is white is free then.
    """
    width = LEFT + COLUMN * len(plan.phases) + RIGHT
    height = TOP + PLOT_HEIGHT + BOTTOM
    body = [*_axis(plan), *_parts(plan), *_columns(plan), *_legend(height)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="{TEXT}">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        f'<text x="{LEFT}" y="26" font-size="17">Network workspace: '
        f"{plan.workspace_bytes:,} bytes</text>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _y(plan: Plan, at: float) -> float:
    """Height of a position: 0 at the bottom."""
    return round(TOP + PLOT_HEIGHT * (1 - at / plan.workspace_bytes), 1)


def _axis(plan: Plan) -> list[str]:
    step = next((s for s in STEPS if plan.workspace_bytes / s <= MOST_TICKS), STEPS[-1])
    right = LEFT + COLUMN * len(plan.phases)
    lines = []
    for at in range(0, plan.workspace_bytes + 1, step):
        y = _y(plan, at)
        lines.append(f'<line x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{at:,}</text>')
    middle = TOP + PLOT_HEIGHT / 2
    lines.append(
        f'<text x="20" y="{middle}" text-anchor="middle" transform="rotate(-90 20 {middle})">'
        f"position, bytes</text>"
    )
    return lines


def _parts(plan: Plan) -> list[str]:
    lines = []
    for at, buffer in plan.placed:
        start = at
        colour = COLOURS.get(buffer.name, COLOURS.get(buffer.name.split(" ")[0], OTHER))
        for part in buffer.parts:
            y, low = _y(plan, start + part.bytes), _y(plan, start)
            first, last = min(part.phases), max(part.phases)
            x = LEFT + COLUMN * first + 1
            width = COLUMN * (last - first + 1) - 2
            what = f"{buffer.name}: {part.what}" if part.what else buffer.name
            title = f"{what}, {part.bytes:,} bytes at {start:,}"
            lines.append(
                f'<rect x="{x}" y="{y}" width="{width}" height="{max(0.6, round(low - y, 1))}" '
                f'fill="{colour}" fill-opacity="0.85" stroke="white" stroke-width="0.6">'
                f"<title>{escape(title)}</title></rect>"
            )
            if low - y >= LABEL_HEIGHT:
                label = f"{what}, {part.bytes:,}" if width > 2 * COLUMN else buffer.name
                lines.append(
                    f'<text x="{x + width / 2}" y="{round((y + low) / 2 + 4, 1)}" '
                    f'text-anchor="middle">{escape(label)}</text>'
                )
            start += part.bytes
    return lines


def _columns(plan: Plan) -> list[str]:
    lines = []
    bottom = TOP + PLOT_HEIGHT
    for phase, name in enumerate(plan.phases):
        x = LEFT + COLUMN * (phase + 0.5)
        kind = name.replace("FULLY_CONNECTED", "DENSE").replace("DEPTHWISE_CONV_2D", "DEPTHWISE")
        lines += [
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{escape(kind)}</text>',
            f'<text x="{x}" y="{bottom + 33}" text-anchor="middle" fill="#555555">'
            f"{plan.live_bytes(phase):,} live</text>",
        ]
    return lines


def _legend(height: int) -> list[str]:
    lines = []
    x, y = LEFT, height - 42
    for i, (key, what) in enumerate(LEGEND.items()):
        if i == len(LEGEND) // 2 + 1:
            x, y = LEFT, y + 20
        colour = COLOURS.get(key, OTHER)
        lines.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{x + 17}" y="{y + 10}">{escape(what)}</text>')
        x += 40 + 6 * len(what)
    return lines
