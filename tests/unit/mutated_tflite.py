# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``.tflite`` files with one to three things of their structure changed: run, or refused.

Alone, for as many as one likes (default 700), with the most memory that it took:

    python tests/unit/mutated_tflite.py 700
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from ecgqa_tflite.cli import main
from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.adapt import adapt
from ecgqa_tflite.tflite.flatbuffer import pack, unpack
from ecgqa_tflite.tflite.run import Int8Network

SEEDS = ("chain", "jet", "odd")
"""Networks of the C library's tests that are changed."""
NUMBERS = (-(1 << 31), -1000, -2, -1, 0, 1, 2, 3, 7, 255, 4097, 65536, (1 << 31) - 1)
REALS = (-1.0, 0.0, 1e-38, 1e-9, 1 / 255, 1.0, 1e9, 3e38, float("inf"), float("nan"))


def mutate(tflite: bytes, rng: random.Random) -> bytes | None:
    """The file changed; None where the change can't be written."""
    model = unpack(tflite)
    for _ in range(rng.randint(1, 3)):
        rng.choice(CHANGES)(model, model.subgraphs[0], rng)
    try:
        return pack(model)
    except Exception:  # flatbuffers raises many kinds on what has no form
        return None


def _tensor(model: Any, graph: Any, rng: random.Random) -> None:
    t = rng.choice(graph.tensors)
    shape = [] if t.shape is None else [int(n) for n in t.shape]
    kind = rng.randrange(5)
    if kind == 0 and shape:
        shape[rng.randrange(len(shape))] = rng.choice(NUMBERS)
        t.shape = shape
    elif kind == 1:
        t.shape = rng.choice([None, [], [1] * 9, [0], shape[::-1], [1, *shape]])
    elif kind == 2:
        t.type = rng.randrange(20)
    elif kind == 3:
        t.shapeSignature = [rng.choice((-1, n)) for n in shape]
    else:
        t.buffer = rng.randrange(len(model.buffers) + 2)


def _quantisation(model: Any, graph: Any, rng: random.Random) -> None:
    q = rng.choice(graph.tensors).quantization
    if q is None or q.scale is None:
        return
    kind, n = rng.randrange(4), len(q.scale)
    if kind == 0:
        q.scale = np.array(q.scale, np.float32)
        q.scale[rng.randrange(n)] = rng.choice(REALS)
    elif kind == 1:
        q.zeroPoint = [rng.choice((-129, -128, -1, 0, 5, 127, 1 << 40))] * n
    elif kind == 2:
        q.scale, q.zeroPoint = list(q.scale)[: n // 2], list(q.zeroPoint)[: n // 2]
    else:
        q.quantizedDimension = rng.choice((-1, 0, 1, 2, 3, 9))


def _wiring(model: Any, graph: Any, rng: random.Random) -> None:
    op = rng.choice(graph.operators)
    n = len(graph.tensors)
    inputs, outputs = list(op.inputs), list(op.outputs)
    kind = rng.randrange(4)
    if kind == 0 and inputs:
        inputs[rng.randrange(len(inputs))] = rng.randrange(-2, n + 1)
    elif kind == 1 and outputs:
        outputs[rng.randrange(len(outputs))] = rng.randrange(-1, n + 1)
    elif kind == 2:
        inputs = inputs[: rng.randrange(len(inputs) + 1)]
    else:
        inputs += [rng.randrange(n)]
    op.inputs, op.outputs = inputs, outputs


def _operator(model: Any, graph: Any, rng: random.Random) -> None:
    kind = rng.randrange(4)
    if kind == 0:
        code = rng.choice(model.operatorCodes)
        code.builtinCode = rng.randrange(210)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    elif kind == 1:
        del graph.operators[rng.randrange(len(graph.operators))]
    elif kind == 2:
        graph.operators.insert(rng.randrange(len(graph.operators)), rng.choice(graph.operators))
    else:
        rng.shuffle(graph.operators)


def _options(model: Any, graph: Any, rng: random.Random) -> None:
    options = rng.choice(graph.operators).builtinOptions
    names = [name for name, x in vars(options or object).items() if isinstance(x, (int, float))]
    if names:
        name = rng.choice(names)
        real = isinstance(getattr(options, name), float)
        setattr(options, name, rng.choice(REALS if real else NUMBERS))


def _ends(model: Any, graph: Any, rng: random.Random) -> None:
    n = rng.randrange(len(graph.tensors))
    kind = rng.randrange(4)
    if kind == 0:
        graph.inputs = rng.choice([[], [n], [*graph.inputs, n]])
    elif kind == 1:
        graph.outputs = rng.choice([[], [n], [*graph.outputs, n]])
    elif kind == 2:
        model.subgraphs.append(graph)
    else:
        model.version = rng.randrange(5)


def _constant(model: Any, graph: Any, rng: random.Random) -> None:
    buffer = rng.choice(model.buffers)
    if buffer.data is None:
        return
    data = np.array(buffer.data, np.uint8)
    kind = rng.randrange(3)
    if kind == 0:
        data[:] = rng.choice((0, 127, 128, 255))
    elif kind == 1:
        data = data[: rng.randrange(len(data) + 1)]
    else:
        data = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, len(data), np.uint8)
    buffer.data = data


CHANGES = (_tensor, _tensor, _quantisation, _quantisation, _wiring, _operator, _options, _ends,
           _constant)  # fmt: skip


def _scored(tflite: bytes) -> str:
    """One image through the reference kernels, which believe what they are given."""
    try:
        network = Int8Network(adapt(tflite).tflite, reference_kernels=True)
        network.scores(np.zeros((1, *network.input_shape), np.int8))
    except ModelError:
        return "not run after all"
    return "runs"


def run(folder: Path, n: int, seed: int = 0) -> Counter[str]:
    """``ecgqa inspect``, which also asks what runs a file, on ``n`` files; how each ended.

    Raises
    ------
    AssertionError
        A file ended in anything but an answer or one line.
    """
    rng = random.Random(seed)
    content = [(firmware_bridge_dir() / f"tests/tiny/{x}.tflite").read_bytes() for x in SEEDS]
    path, ends = folder / "x.tflite", Counter[str]()
    while ends.total() < n:
        changed = mutate(rng.choice(content), rng)
        if changed is None:
            continue
        path.write_bytes(changed)
        began = time.monotonic()
        done = CliRunner().invoke(main, ["inspect", str(path), "--json"])
        took = time.monotonic() - began
        where = f"file {ends.total()} of seed {seed}"
        assert isinstance(done.exception, (SystemExit, type(None))), f"{where}: {done.exception!r}"
        assert took < 30, f"{where}: {took:.0f} s"
        if done.exit_code:
            lines = done.output.strip().splitlines()
            assert len(lines) == 1, f"{where}: {lines}"
            ends["damaged" if "damaged" in lines[0] else "not read or altered"] += 1
        elif '"litert": "yes' in done.output:
            ends[_scored(changed)] += 1
        else:
            ends["shown, not run"] += 1
    return ends


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(dict(run(Path(scratch), int(sys.argv[1]) if len(sys.argv) > 1 else 700)))
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
