# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Where each buffer of the row-streaming engine lies: rings, lifetimes, overlaps, total bytes.

The plan is computed from the ``.tflite`` alone. Time has phases: in phase 0 an index row arrives
(the front end computes it), in phase i + 1 layer i runs. The engine runs the layer nearest the
output first, so a buffer's life is a set of phases, and buffers that never live at once may share
bytes. See ``firmware_bridge/include/ecgqa/nn.h`` for what each buffer is.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.engine.chain import read_network
from ecgqa_tflite.engine.layers import Layer, Network
from ecgqa_tflite.engine.packing import MAX_CHUNK
from ecgqa_tflite.errors import ArgumentError, ConversionError
from ecgqa_tflite.tflite.read import read_tflite

ALIGN = 8
"""``ECGQA_NN_ALIGN``."""
PROGRESS_BYTES = 12
"""``ECGQA_NN_PROGRESS_BYTES``."""
CHANNEL_BLOCK = 128
"""Output channels of a step: more need larger accumulators, fewer pack each patch more often."""
CHUNK = 256
"""Inputs of a pixel that a kernel call takes, at most, where it has the choice."""
PATCH_BYTES, LEAST_PATCH_BYTES = 1024, 256
"""Where inputs that are not skipped wait for the kernel: more loads and stores accumulators less
often."""
FEW = 34
"""``ECGQA_NN_FEW``."""
BLOCK_BYTES = 20
"""Of four inputs of two pixels, with the place of their weights, at most."""
STEP_MACS = 132_000
"""Multiply-accumulates that a step of the engine does where nothing is skipped, about; one chunk
may be more. Two thousandths of a second of a Cortex-M, and few enough steps that their own cost
does not count."""
TRIES = 400
"""Orders of placement that are tried, all from one seed: the same network, the same plan."""

IDLE = "idle region"


@dataclass(frozen=True)
class Part:
    """A piece of a buffer that lives in ``phases``."""

    what: str
    bytes: int
    phases: frozenset[int]


@dataclass(frozen=True)
class Buffer:
    """Parts that lie one after another."""

    name: str
    align: int
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """Of all parts."""
        return sum(p.bytes for p in self.parts)


@dataclass(frozen=True)
class LayerPlan:
    """A layer with its place in the workspace, as the plan's part of ``ecgqa_nn_layer_t``."""

    layer: Layer
    chunk_len: int
    channel_block: int
    patch_bytes: int
    chunks: int
    chunks_a_step: int
    blocks_a_step: int
    window_rows: int
    carry_rows: int
    window_at: int = 0
    carry_at: int = 0
    accumulators_at: int = 0
    gather_at: int = 0
    patch_at: int = 0


@dataclass(frozen=True)
class Plan:
    """A network's plan.

    Attributes
    ----------
    layers
        In order.
    placed
        Every buffer with its position, bytes.
    workspace_bytes
        All of it.
    idle_at, idle_bytes
        A region that holds nothing while an index row arrives; position 0 where
        ``row_scratch_bytes`` were asked for.
    """

    network: Network
    layers: tuple[LayerPlan, ...]
    placed: tuple[tuple[int, Buffer], ...]
    progress_at: int
    logits_at: int
    scores_at: int
    idle_at: int
    idle_bytes: int
    workspace_bytes: int

    @cached_property
    def phases(self) -> tuple[str, ...]:
        """Name of each phase."""
        names = [f"{i + 1} {layer.kind}" for i, layer in enumerate(self.network.layers)]
        return ("index row", *names)

    def live_bytes(self, phase: int) -> int:
        """Bytes that hold something in a phase: no plan can need less than the largest."""
        return sum(p.bytes for _, b in self.placed for p in b.parts if phase in p.phases)


def plan_tflite(
    tflite: bytes,
    *,
    row_scratch_bytes: int = 0,
    activity: Mapping[int, NDArray[np.int64]] | None = None,
    source: str = "model",
) -> Plan:
    """Plan the engine's memory for a ``.tflite``.

    Parameters
    ----------
    tflite
        The file's bytes.
    row_scratch_bytes
        Scratch that whoever makes the index rows needs while making one; it shares bytes with the
        layers' transient buffers.
    activity
        As :func:`~ecgqa_tflite.engine.chain.read_network` takes it.

    Raises
    ------
    ModelError
        A damaged file.
    ConversionError
        A network that the engine can't run; the message names the operator and what to do.
    """
    return plan_network(read_network(read_tflite(tflite, source), activity), row_scratch_bytes)


def plan_network(network: Network, row_scratch_bytes: int = 0) -> Plan:
    """As :func:`plan_tflite`, of a network that was read."""
    if row_scratch_bytes < 0:
        raise ArgumentError("row_scratch_bytes must be 0 or more")
    plan = _plan(network, row_scratch_bytes)
    roomy = _plan(network, row_scratch_bytes, roomy=True)
    return roomy if roomy.workspace_bytes <= plan.workspace_bytes else plan


def _plan(network: Network, row_scratch_bytes: int, *, roomy: bool = False) -> Plan:
    """A plan; ``roomy``: with scratch that makes a layer of few inputs faster."""
    sized = [_sized(network, i, roomy=roomy) for i in range(len(network.layers))]
    buffers = _buffers(network, sized, row_scratch_bytes)
    at = {b.name: offset for offset, b in _place(buffers)}
    total = max(at[b.name] + b.bytes for b in buffers)
    layers = tuple(
        LayerPlan(
            p.layer,
            p.chunk_len,
            p.channel_block,
            p.patch_bytes,
            p.chunks,
            p.chunks_a_step,
            p.blocks_a_step,
            p.window_rows,
            p.carry_rows,
            *(
                at.get(f"{what} {i + 1}", 0)
                for what in ("window", "carry", "accumulators", "gather", "patch")
            ),
        )
        for i, p in enumerate(sized)
    )
    return Plan(
        network=network,
        layers=layers,
        placed=tuple(sorted(((at[b.name], b) for b in buffers), key=lambda x: (x[0], x[1].name))),
        progress_at=at["progress"],
        logits_at=at["logits"],
        scores_at=at["scores"],
        idle_at=at.get(IDLE, 0),
        idle_bytes=row_scratch_bytes,
        workspace_bytes=_up(total, ALIGN),
    )


def _up(n: int, align: int) -> int:
    return -(-n // align) * align


def _even(n: int) -> int:
    return n + n % 2


# ---- sizes -----------------------------------------------------------------------------------


def _sized(network: Network, i: int, *, roomy: bool) -> LayerPlan:
    layer = network.layers[i]
    kernel = layer.kernel
    carry = 0
    if i > 0:
        pool = network.layers[i - 1].pool
        if pool.rows:
            # Rows that a row of the layer before has started when it completes another.
            carry = -(-pool.rows // pool.stride_rows) - 1
        carry = min(carry, layer.in_.rows - 1)
    chunks, chunks_a_step, blocks_a_step = _steps(layer)
    return LayerPlan(
        layer,
        chunk_len=_chunk_len(layer),
        channel_block=_channel_block(layer),
        patch_bytes=max(_patch_bytes(layer), _few_bytes(layer) if roomy else 0),
        chunks=chunks,
        chunks_a_step=chunks_a_step,
        blocks_a_step=blocks_a_step,
        window_rows=min(kernel.rows, layer.in_.rows),
        carry_rows=carry,
    )


def _chunk_len(layer: Layer) -> int:
    if not layer.kind.packed or layer.kind.accumulates:
        return 0
    if not layer.gather:
        pieces = -(-layer.run_len // CHUNK)
        return _even(-(-layer.run_len // pieces))
    if layer.run_len <= MAX_CHUNK:
        return layer.run_len
    channels = layer.in_.channels
    taps = max(1, CHUNK // channels)
    if taps * channels % 2 and taps > 1:
        taps -= 1
    if taps * channels > MAX_CHUNK or taps * channels % 2:
        raise ConversionError(
            f"operator {layer.operators[0]} ({layer.kind}): {channels} input channels with padding "
            f"are more than the engine gathers at once: export it for TensorFlow Lite Micro"
        )
    return taps * channels


def _patch_bytes(layer: Layer) -> int:
    """For all whole blocks of inputs, as far as there is room."""
    if not layer.kind.packed:
        return 0
    inputs = layer.run_len * (1 if layer.kind.accumulates else layer.runs)
    return min(PATCH_BYTES, max(LEAST_PATCH_BYTES, BLOCK_BYTES * (inputs // 4)))


def _few_bytes(layer: Layer) -> int:
    """What ``nn_few.c`` wants of the patch, where a pixel takes as few inputs as that is for.

    Weights of a pair of channels as int16 with biases, multipliers and shifts, and the inputs of
    two pixels.
    """
    if not (layer.kind.convolves and layer.kind.packed and layer.gather) or layer.run_len > FEW:
        return 0
    inputs = _even(layer.run_len)
    return 4 * (_even(layer.out.channels) // 2) * (inputs + 5) + 2 * inputs


def _channel_block(layer: Layer) -> int:
    channels = _even(layer.out.channels)
    if layer.kind.convolves:
        return min(CHANNEL_BLOCK, channels)
    return channels


def _steps(layer: Layer) -> tuple[int, int, int]:
    """(chunks, chunks_a_step, blocks_a_step): a step of about STEP_MACS."""
    if layer.kind.accumulates:
        return 0, 0, 1
    pixels = layer.kind.pixels
    chunks = layer.runs * -(-layer.run_len // _chunk_len(layer)) if layer.kind.packed else 0
    # Pooling does no multiplications, and as many comparisons or additions.
    taps = layer.taps or layer.kernel.rows * layer.kernel.cols
    block = _channel_block(layer)
    macs = pixels * taps * min(block, layer.out.channels)
    blocks = -(-layer.out.cols // pixels) * -(-layer.out.channels // block)
    return (
        chunks,
        max(1, min(chunks, chunks * STEP_MACS // macs)) if chunks else 0,
        max(1, min(blocks, STEP_MACS // macs)),
    )


def _buffers(network: Network, sized: Sequence[LayerPlan], row_scratch_bytes: int) -> list[Buffer]:
    n = len(sized)
    always = frozenset(range(n + 1))
    out = [Buffer("progress", 4, (Part("", PROGRESS_BYTES * (n + 1), always),))]
    # The logits are written in the last phase and read after it; the scores stay.
    out.append(Buffer("logits", 1, (Part("", network.classes, always),)))
    out.append(Buffer("scores", 1, (Part("", network.classes, always),)))
    if row_scratch_bytes:
        out.append(Buffer(IDLE, ALIGN, (Part("", row_scratch_bytes, frozenset({0})),)))
    for i, plan in enumerate(sized):
        out += _buffers_of(sized, i, always, plan)
    return [b for b in out if b.bytes]


def _buffers_of(
    sized: Sequence[LayerPlan], i: int, always: frozenset[int], plan: LayerPlan
) -> Iterable[Buffer]:
    layer, run = plan.layer, i + 1
    row = layer.in_row_bytes
    yield _window(sized, i, always)
    if plan.carry_rows:
        # Started by the layer before, moved into the window when this layer has done a row.
        lives = frozenset({run - 1, run}) if plan.carry_rows <= layer.kernel.stride_rows else always
        yield Buffer(f"carry {run}", 1, (Part("", plan.carry_rows * row, lives),))
    channels = _even(layer.out.channels)
    running = frozenset({run})
    pixels = layer.kind.pixels
    if layer.kind.accumulates:
        yield Buffer(f"accumulators {run}", 4, (Part("", 4 * channels, always),))
    else:
        yield Buffer(
            f"accumulators {run}", 4, (Part("", 4 * pixels * plan.channel_block, running),)
        )
    if layer.kind.packed:
        yield Buffer(f"patch {run}", 4, (Part("", plan.patch_bytes, running),))
        if layer.gather:
            yield Buffer(f"gather {run}", 1, (Part("", pixels * plan.chunk_len, running),))
    elif layer.gather:
        yield Buffer(f"gather {run}", 1, (Part("", plan.channel_block, running),))


def _window(sized: Sequence[LayerPlan], i: int, always: frozenset[int]) -> Buffer:
    """Input rows. After a row of output the oldest go and the rest moves to the front.

    So the front part holds rows at all times, the middle part until the layer has run, and the
    last row, where it comes whole, only between the layer before and this one.
    """
    plan, run = sized[i], i + 1
    layer = plan.layer
    row, rows = layer.in_row_bytes, plan.window_rows
    stride = layer.kernel.stride_rows
    grows = i > 0 and sized[i - 1].layer.pool.rows > 1
    front = max(0, rows - stride) + min(plan.carry_rows, stride, rows)
    front = min(front, rows)
    last = 0 if grows or front == rows else 1
    middle = rows - front - last
    parts = (
        Part(f"{_rows(front)} kept", front * row, always),
        Part(f"{_rows(middle)} until it runs", middle * row, frozenset(range(run + 1))),
        Part(f"{_rows(last)} as it comes", last * row, frozenset({run - 1, run})),
    )
    return Buffer(f"window {run}", 1, tuple(p for p in parts if p.bytes))


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"


# ---- places ----------------------------------------------------------------------------------


def _place(buffers: Sequence[Buffer]) -> list[tuple[int, Buffer]]:
    """First fit in several orders; the one that needs least."""
    parts = [part for buffer in buffers for part in buffer.parts]
    phases = frozenset[int]().union(*(part.phases for part in parts))
    bound = max(sum(p.bytes for p in parts if phase in p.phases) for phase in phases)
    best: list[tuple[int, Buffer]] = []
    least = 1 << 62
    for order in _orders(buffers):
        placed = _first_fit(order)
        total = max(at + b.bytes for at, b in placed)
        if total < least:
            best, least = placed, total
        if least < bound + ALIGN:
            break
    return best


def _orders(buffers: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """By size, by bytes times phases up and down, then shuffled; the idle region always first."""
    first = [b for b in buffers if b.name == IDLE]
    rest = [b for b in buffers if b.name != IDLE]
    by_size = sorted(rest, key=lambda b: (-b.bytes, b.name))
    by_life = sorted(rest, key=lambda b: (-sum(p.bytes * len(p.phases) for p in b.parts), b.name))
    shuffle = random.Random(0)
    yield first + by_size
    yield first + by_life
    yield first + by_life[::-1]
    for _ in range(TRIES):
        yield first + shuffle.sample(by_size, len(by_size))


def _first_fit(order: Sequence[Buffer]) -> list[tuple[int, Buffer]]:
    taken: list[tuple[int, int, frozenset[int]]] = []
    placed: list[tuple[int, Buffer]] = []
    for buffer in order:
        at = 0
        while (past := _collision(buffer, at, taken)) is not None:
            at = _up(past, buffer.align)
        placed.append((at, buffer))
        start = at
        for part in buffer.parts:
            taken.append((start, start + part.bytes, part.phases))
            start += part.bytes
    return placed


def _collision(
    buffer: Buffer, at: int, taken: Sequence[tuple[int, int, frozenset[int]]]
) -> int | None:
    """The least later position that could be free of the collision found, None where it fits."""
    later: int | None = None
    start = at
    for part in buffer.parts:
        for low, high, phases in taken:
            if start < high and low < start + part.bytes and part.phases & phases:
                move = at + high - start
                later = move if later is None else min(later, move)
        start += part.bytes
    return later


# ---- what a person reads ---------------------------------------------------------------------


def memory_map(plan: Plan) -> str:
    """The plan as text: a line per part, by address, with a column per phase."""
    head = f"workspace {plan.workspace_bytes:,} bytes"
    live = [plan.live_bytes(p) for p in range(len(plan.phases))]
    lines = [
        head,
        "",
        "      from        to     bytes  "
        + " ".join(f"{p:>2}" for p in range(len(plan.phases)))
        + "  what",
    ]
    for at, buffer in plan.placed:
        start = at
        for part in buffer.parts:
            marks = " ".join(" #" if p in part.phases else " ." for p in range(len(plan.phases)))
            what = f"{buffer.name} ({part.what})" if part.what else buffer.name
            lines.append(f"{start:>10,} {start + part.bytes:>9,} {part.bytes:>9,}  {marks}  {what}")
            start += part.bytes
    lines.append("")
    lines += [
        f"phase {p:>2}  {bytes_:>9,} bytes live  {name}"
        for p, (name, bytes_) in enumerate(zip(plan.phases, live, strict=True))
    ]
    return "\n".join(lines) + "\n"
