# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""How a time is taken: warm-up apart, enough repeats, inputs that differ, the machine described.

After MLPerf Tiny's closed division: a run lasts at least 10 s (there: 10 s or 10 inferences) and
the median of five runs counts. Noise is not averaged away but said: other programs on the core,
a clock that moves, a Pi that throttles.
"""

from __future__ import annotations

import itertools
import os
import platform
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.benchmark.power import vcgencmd

SPREAD_LIMIT = 0.05
"""Relative spread of the loops' medians from which a figure is called noisy."""

STOLEN_LIMIT = 0.05
"""Share of the wall time in which the process did not run from which a figure is called noisy."""

BOARD = "/proc/device-tree/model"
"""Where a board that Linux knows by device tree says what it is."""

THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
"""A Raspberry Pi's flags; kernels that lack it leave ``vcgencmd`` to ask."""

PI_FLAGS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of a Raspberry Pi's ``get_throttled``: now; 16 higher: since it was switched on."""


@dataclass(frozen=True)
class Protocol:
    """Repeats of a timed call.

    Attributes
    ----------
    loops
        Loops; the figure is the median of their medians.
    loop_s
        Least length of a loop, s.
    warm_up_s
        Untimed calls before the first loop, s; the first call of all is timed apart.
    recording_segments
        Length of the recording that ``assess`` is timed with: 20 minutes of 5-s segments.
    """

    loops: int = 5
    loop_s: float = 2.0
    warm_up_s: float = 0.5
    recording_segments: int = 240


FULL = Protocol()
QUICK = Protocol(loops=5, loop_s=0.1, warm_up_s=0.05, recording_segments=24)
"""For a look, not for a report."""


@dataclass(frozen=True)
class Timing:
    """Times of one call, ms.

    Attributes
    ----------
    first
        The very first call; NaN where it was made elsewhere.
    p50, p90, p99
        Percentiles over all timed calls; ``p50`` is the median of the loops' medians.
    low, high
        Least and greatest of the loops' medians.
    calls
        Timed calls.
    stolen
        Share of the wall time in which the calling thread did not run: others had its core.
    samples
        Up to 200 of the times, evenly spaced in order of size: for a picture of the distribution.
    """

    first: float
    p50: float
    p90: float
    p99: float
    low: float
    high: float
    calls: int
    stolen: float
    samples: tuple[float, ...] = field(repr=False, default=())

    @property
    def spread(self) -> float:
        """(high - low) / p50."""
        return (self.high - self.low) / self.p50 if self.p50 > 0 else 0.0

    def noise(self) -> list[str]:
        """What speaks against the figure, a phrase each; empty for a quiet one."""
        told = []
        if self.spread > SPREAD_LIMIT:
            told.append(f"loops differ by {self.spread:.0%}")
        if self.stolen > STOLEN_LIMIT:
            told.append(f"other programs or waits took {self.stolen:.0%} of the time")
        return told


def take_times(
    calls: Sequence[Callable[[int], object]],
    n_inputs: int,
    protocol: Protocol,
    *,
    one_thread: bool = True,
    peers: bool = False,
) -> list[Timing]:
    """Time calls on each input, in turns, so that noise meets all alike.

    Parameters
    ----------
    calls
        Each is called with 0 .. ``n_inputs`` - 1; the stages of a path, in order.
    n_inputs
        Inputs that differ; a loop goes on where the one before stopped (with ``peers``: through
        all of them, at least once).
    one_thread
        All work is done in the calling thread; only then can stolen time be told from waiting.
    peers
        The calls are rivals, not stages: each goes through all inputs before the next one's turn,
        so that none finds the caches as another left them.

    Returns
    -------
    One :class:`Timing` a call, and last the sum of all calls on one input.
    """
    turn = itertools.cycle(range(n_inputs))
    first = _pass(calls, [next(turn)], peers)[0]
    _until(calls, n_inputs, turn, protocol.warm_up_s, peers)
    loops = []
    wall, cpu = time.perf_counter(), time.thread_time()
    for _ in range(protocol.loops):
        loops.append(_until(calls, n_inputs, turn, protocol.loop_s, peers))
    wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
    stolen = max(0.0, 1 - cpu / wall) if one_thread and wall > 0 else 0.0
    first_ms = np.append(first, first.sum()) * 1e3
    in_ms = [np.column_stack([x, x.sum(axis=1)]) * 1e3 for x in loops]
    return [
        timing([x[:, i] for x in in_ms], first_ms=float(first_ms[i]), stolen=stolen)
        for i in range(len(calls) + 1)
    ]


def timing(
    loops: Sequence[NDArray[np.float64]], *, first_ms: float = float("nan"), stolen: float = 0.0
) -> Timing:
    """A :class:`Timing` of loops of times, ms."""
    medians = np.array([np.median(x) for x in loops])
    every = np.sort(np.concatenate(list(loops)))
    shown = every[np.unique(np.linspace(0, len(every) - 1, 200).round().astype(int))]
    p90, p99 = np.percentile(every, [90, 99])
    return Timing(
        first=first_ms,
        p50=float(np.median(medians)),
        p90=float(p90),
        p99=float(p99),
        low=float(medians.min()),
        high=float(medians.max()),
        calls=len(every),
        stolen=stolen,
        samples=tuple(float(f"{x:.4g}") for x in shown),
    )


def _pass(
    calls: Sequence[Callable[[int], object]], inputs: Sequence[int], peers: bool
) -> NDArray[np.float64]:
    """Seconds of each call on each input, shape (inputs, calls)."""
    now = time.perf_counter
    taken = np.empty((len(inputs), len(calls)))
    rows, columns = range(len(inputs)), range(len(calls))
    order = [(r, c) for c in columns for r in rows] if peers else list(np.ndindex(taken.shape))
    for row, column in order:
        call, i = calls[column], inputs[row]
        started = now()
        call(i)
        taken[row, column] = now() - started
    return taken


def _until(
    calls: Sequence[Callable[[int], object]],
    n_inputs: int,
    turn: Iterator[int],
    least_s: float,
    peers: bool,
) -> NDArray[np.float64]:
    """Seconds of each call, an input per row, until ``least_s`` have gone by."""
    passes: list[NDArray[np.float64]] = []
    started = time.perf_counter()
    while not passes or time.perf_counter() - started < least_s:
        passes.append(_pass(calls, range(n_inputs) if peers else [next(turn)], peers))
    return np.concatenate(passes)


def cpu_ms(call: Callable[[], int], protocol: Protocol) -> float:
    """CPU time of this process per segment, ms: median of loops; what others take does not count.

    On a busy machine it comes near the wall time of a quiet one, caches aside; it is no wall time.

    Parameters
    ----------
    call
        Works on some segments and returns how many.
    """
    loops = []
    for _ in range(protocol.loops):
        started, n = time.process_time(), 0
        while not n or time.process_time() - started < protocol.loop_s / 4:
            n += call()
        loops.append((time.process_time() - started) * 1e3 / n)
    return float(np.median(loops))


@contextmanager
def pinned(cores: int) -> Iterator[tuple[int, ...]]:
    """Keep this process, and the threads that it starts meanwhile, on so many cores.

    Yields the cores' numbers; an empty tuple where the system can't (then nothing is pinned).
    The last ones are taken: the first serve most interrupts.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield ()
        return
    before = os.sched_getaffinity(0)
    chosen = tuple(sorted(before)[-cores:])
    os.sched_setaffinity(0, chosen)
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


# ---- memory ---------------------------------------------------------------------------------


def peak_memory_bytes() -> int:
    """Most memory that this program has had resident since it started, bytes.

    Linux's getrusage would hand a parent's peak down through fork and exec, so the kernel's own
    mark of this program (``VmHWM``) comes first.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def resident_bytes() -> int | None:
    """Memory resident now, bytes; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


# ---- the machine ------------------------------------------------------------------------------


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> dict[str, Any]:
    """What a figure was taken on, as plain types for JSON; None or absent: the system won't say."""
    return {
        "cpu": _cpu_name(),
        "architecture": platform.machine(),
        "cores": cores(),
        "board": _text(BOARD),
        "memory_bytes": _memory_bytes(),
        "virtual": "hypervisor" in (_text("/proc/cpuinfo") or ""),
        "emulated": any("QEMU" in (word or "") for word in (_cpu_name(), _text(BOARD))),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {
            name: version
            for name in ("ai-edge-litert", "ecgqa-tflite", "numpy", "scipy")
            if (version := _version(name))
        },
        "state": machine_state(),
    }


def machine_state() -> dict[str, Any]:
    """What changes while figures are taken: load, governor, clock, temperature, throttling."""
    cpu = "/sys/devices/system/cpu/cpu0/cpufreq/"
    clock, heat = _text(f"{cpu}scaling_cur_freq"), _text("/sys/class/thermal/thermal_zone0/temp")
    return {
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "threads_of_this_process": threading.active_count(),
        "governor": _text(f"{cpu}scaling_governor"),
        "clock_mhz": int(clock) / 1e3 if clock and clock.isdigit() else None,
        "temperature_c": int(heat) / 1e3 if heat and heat.lstrip("-").isdigit() else None,
        "throttled": throttling(_text(THROTTLED) or _answer(vcgencmd("get_throttled"))),
    }


def throttling(flags: str | None) -> list[str] | None:
    """A Raspberry Pi's ``get_throttled`` (hexadecimal) in words; None where there is none."""
    if flags is None:
        return None
    try:
        bits = int(flags, 16)
    except ValueError:
        return None
    now = [word for bit, word in PI_FLAGS.items() if bits >> bit & 1]
    past = [f"{word} since boot" for bit, word in PI_FLAGS.items() if bits >> (bit + 16) & 1]
    return now + past


def _answer(text: str | None) -> str | None:
    """``0x50000`` of ``throttled=0x50000``."""
    return None if text is None else text.rpartition("=")[2]


def noise_of_states(
    before: dict[str, Any], after: dict[str, Any], n_cores: int, *, emulated: bool = False
) -> list[str]:
    """What speaks against all figures taken between two :func:`machine_state`."""
    told = []
    if emulated:
        told.append("an emulated machine: its times are not a board's")
    if before["load"] is not None and before["load"] > 0.5 * n_cores:
        told.append(f"load {before['load']:.1f} on {n_cores} cores before the run began")
    if before["governor"] not in (None, "performance"):
        told.append(f"governor {before['governor']}: the clock may move (set performance)")
    a, b = before["clock_mhz"], after["clock_mhz"]
    if a and b and abs(a - b) > 0.05 * max(a, b):
        told.append(f"the clock went from {a:.0f} to {b:.0f} MHz")
    if after["throttled"]:
        told.append(", ".join(after["throttled"]))
    if after["temperature_c"] is not None and after["temperature_c"] >= 80:
        told.append(f"{after['temperature_c']:.0f} degrees C")
    return told


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _cpu_name() -> str:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
