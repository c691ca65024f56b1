# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Changed bits in a bundle are seen, and a workspace that was written over does no harm."""

from __future__ import annotations

from pathlib import Path

import damage
import pytest
from targets import usable


@pytest.mark.requirement("ST-2")
def test_every_changed_bit_of_a_bundle_is_seen(tmp_path: Path) -> None:
    found = damage.run("chain", 10 * len(damage.PARTS), tmp_path, usable(damage.BOARD))
    seen = {part: counts.total() for part, counts in found.items()}
    assert seen == dict.fromkeys((part for part, _ in damage.PARTS), 10)
    assert not any(counts[worse] for counts in found.values() for worse in damage.WORSE), found


@pytest.mark.parametrize("network", ["chain", "jet", "odd"])
@pytest.mark.requirement("ST-3")
def test_a_workspace_that_is_written_over_does_no_harm(network: str, tmp_path: Path) -> None:
    board = usable(damage.WORKSPACE_BOARD)
    assert "refused" in damage.run_workspace(network, 400, tmp_path, board)
