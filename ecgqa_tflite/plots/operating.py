# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Operating points: Se over 1 - Sp, with points marked on the curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecgqa_tflite.plots.square import Square, document, legend

Point = tuple[float, float]
"""Se and Sp."""
AXES = Square("1 - Sp: low quality called high", "Se: high quality called high")


def operating_svg(
    curves: Mapping[str, Sequence[Point]], marked: Mapping[str, Sequence[tuple[str, Point]]]
) -> str:
    """Receiver operating characteristics, one per name.

    Parameters
    ----------
    curves
        Se and Sp by name, in the order of the threshold.
    marked
        By the same names: points to mark, each with a title. The first is filled.

    Returns
    -------
    The SVG document.
    """
    lines = [*AXES.frame(), AXES.diagonal()]
    for i, (name, points) in enumerate(curves.items()):
        lines.append(AXES.line([(1 - sp, se) for se, sp in points], i))
        for k, (title, (se, sp)) in enumerate(marked.get(name, ())):
            words = f"{title}: Se {se:.3f}, Sp {sp:.3f}"
            lines.append(AXES.mark(1 - sp, se, i, hollow=k > 0, title=words))
    return document([*lines, *legend(curves)], len(curves))
