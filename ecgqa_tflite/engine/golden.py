# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: what each stage must give, from the C front end and LiteRT's reference kernels.

The segments are simulated, so a bundle holds no patient's data: one recording in which each
disturbance has its turn, a flat segment, one that holds its value for 1.5 s, a pulse wave, and a
square wave at the ends of int16.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.frontend.colormap import image, to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.recording.simulator import simulate_demo
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd
from ecgqa_tflite.tflite.run import Int8Network

STARTS_S: dict[str, float] = {
    "clean": 0.0,
    "baseline_wander": 10.0,
    "electrode_motion": 25.0,
    "muscle_noise": 40.0,
    "powerline": 55.0,
    "lead_off": 65.0,
    "clipping": 75.0,
}
"""Segments of the simulated recording, by what disturbs them, s from its start."""

FNV_START, FNV_PRIME = 2166136261, 16777619


def fnv1a(data: NDArray[np.generic] | bytes) -> int:
    """FNV-1a digest, 32 bits, of the bytes in memory order; as in ``firmware_bridge``.

    Exclusive or and a multiplication a byte, so changing one byte always changes the digest.
    """
    raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
    digest = FNV_START
    for byte in raw:
        digest = ((digest ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return digest


def fnv1a_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """:func:`fnv1a` of each row: uint8 (..., n) to uint32 (...)."""
    digest = np.full(rows.shape[:-1], FNV_START, np.uint64)
    for column in np.moveaxis(rows, -1, 0):
        digest = ((digest ^ column) * np.uint64(FNV_PRIME)) & np.uint64(0xFFFFFFFF)
    return digest.astype(np.uint32)


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs, and what every stage makes of them.

    Attributes
    ----------
    names
        What each segment is.
    samples
        int16, (n, segment_len).
    reasons
        uint8, (n,): ``ecgqa_reason_t``. The other arrays hold what front end and network make of
        every segment, though a device asks them only where this is 0.
    index_maps
        uint8, (n, rows, cols).
    logits, scores
        int8, (n, classes): what goes into the softmax, and what comes out; the same where the
        network has no softmax.
    tensors
        Output of every operator for the first segment, in order, by ``<operator>_<name>``.
    """

    names: tuple[str, ...]
    samples: NDArray[np.int16]
    reasons: NDArray[np.uint8]
    index_maps: NDArray[np.uint8]
    logits: NDArray[np.int8]
    scores: NDArray[np.int8]
    tensors: dict[str, NDArray[np.generic]]

    def to_npz(self, spec: FrontEnd) -> bytes:
        """The ``.npz`` of a bundle: the above, and the first segment's int8 image."""
        arrays: dict[str, Any] = {
            "names": np.array(self.names),
            "samples": self.samples,
            "reasons": self.reasons,
            "index_maps": self.index_maps,
            "image": to_int8(image(self.index_maps[0], spec.colormap)),
            "logits": self.logits,
            "scores": self.scores,
            **{f"tensor_{name}": array for name, array in self.tensors.items()},
        }
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, path: Path) -> Golden:
        """Inverse of :meth:`to_npz`; :class:`ModelError` where the file isn't one."""
        try:
            with np.load(path, allow_pickle=False) as data:
                prefix = "tensor_"
                return cls(
                    names=tuple(str(name) for name in data["names"]),
                    samples=data["samples"],
                    reasons=data["reasons"],
                    index_maps=data["index_maps"],
                    logits=data["logits"],
                    scores=data["scores"],
                    tensors={
                        key.removeprefix(prefix): data[key]
                        for key in data.files
                        if key.startswith(prefix)
                    },
                )
        except Exception as error:  # zipfile, zlib and numpy raise many kinds on a damaged file
            raise ModelError(f"{path}: golden vectors are missing or damaged ({error})") from error


def golden_samples(spec: FrontEnd, fs_hz: float) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """The golden segments' names and samples, int16 (n, segment_len)."""
    recording = simulate_demo(seed=0, fs_hz=fs_hz)
    signal_mv = recording.lead(None)
    segment_len = spec.segment_len(fs_hz)
    samples = []
    for start_s in STARTS_S.values():
        first = round(start_s * fs_hz)
        samples.append(quantise(signal_mv[first : first + segment_len]))
    held = samples[0].copy()
    held[segment_len // 4 :][: round(1.5 * fs_hz)] = held[segment_len // 4]
    hum = samples[0].copy()
    part = hum[segment_len // 4 :][: round(1.5 * fs_hz)]
    tone = np.sin(2 * np.pi * 50 / fs_hz * np.arange(len(part)))
    part[:] = part[0] + np.rint(np.ptp(hum) / 20 * tone).astype(np.int16)
    pulses = quantise(np.sin(np.pi * np.arange(segment_len) / fs_hz) ** 4)
    samples += [held, hum, pulses]
    half_period = max(1, round(0.05 * fs_hz))
    high = (np.arange(segment_len) // half_period) % 2 == 0
    samples.append(np.zeros(segment_len, np.int16))
    samples.append(np.where(high, 32767, -32768).astype(np.int16))
    return (*STARTS_S, "held", "hum", "pulses", "flat", "full_scale_square"), np.stack(samples)


def make_golden(spec: FrontEnd, fs_hz: float, tflite: bytes) -> Golden:
    """Run the golden segments through the C front end and LiteRT's reference kernels."""
    names, samples = golden_samples(spec, fs_hz)
    front_end = NativeFrontEnd(spec, fs_hz)
    reasons = front_end.reasons(samples)
    index_maps = front_end.index_maps(samples, threads=1, two_pass=True)
    images = to_int8(image(index_maps, spec.colormap))
    return Golden(names, samples, reasons, index_maps, *run_network(Int8Network(tflite), images))


def run_network(
    network: Int8Network, images: NDArray[np.int8]
) -> tuple[NDArray[np.int8], NDArray[np.int8], dict[str, NDArray[np.generic]]]:
    """Logits and scores of int8 images, and every operator's output for the first."""
    graph = network.graph
    last = graph.operators[-1]
    logits_index = last.inputs[0] if last.name == "SOFTMAX" else last.outputs[0]
    outputs = network.tensors(images[0])
    tensors = {
        f"{op.index:03d}_{op.name.lower()}": outputs[op.outputs[0]] for op in graph.operators
    }
    logits, scores = [], []
    for i, one in enumerate(images):
        outputs = network.tensors(one) if i else outputs
        logits.append(outputs[logits_index][0])
        scores.append(outputs[graph.outputs[0]][0])
    return np.stack(logits), np.stack(scores), tensors
