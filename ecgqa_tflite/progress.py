"""How long work tells where it is: callbacks that the CLI draws as bars."""

from __future__ import annotations

from collections.abc import Callable

Count = Callable[[int, int], None]
"""Called with what is done and what there is in all."""
Progress = Callable[[str, int, int], None]
"""As :data:`Count`, with the name of what is counted before."""
