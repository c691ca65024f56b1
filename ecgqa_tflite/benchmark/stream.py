# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A stream of ECG: two leads for twenty minutes through the whole path, decision by decision.

In the manner of MLPerf Tiny's streaming wake-word: samples come in packets, the device sleeps when
it has nothing to do, and what counts is the duty cycle and the energy over the whole stream, in
which some segments never reach the network. Instructions are counted in an emulator, exactly; what
a part makes of them is modelled (:mod:`ecgqa_tflite.benchmark.parts`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite import __version__
from ecgqa_tflite.benchmark import inputs, parts
from ecgqa_tflite.boards import boards, stream
from ecgqa_tflite.boards.stream import Decided, Stream
from ecgqa_tflite.engine.device_source import plan_device
from ecgqa_tflite.frontend import tables
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording.samples import MISSING_S16
from ecgqa_tflite.segments import BY_REASON, SegmentStatus
from ecgqa_tflite.spec import Quality

FORMAT = 1
FULL_S = 1200.0
QUICK_S = 60.0
COUNTS_PER_MV = 1000
"""Of the converter: 1 uV, +-32 mV."""

NETWORK = SegmentStatus.OK.value


@dataclass(frozen=True)
class Report:
    """A stream on one core.

    Attributes
    ----------
    model, target, core
        The model's name, the core as ``ecgqa bench --target`` names it, and the emulated board's.
    duration_s, hop_s, fs_hz
        Of the stream; between two decisions of a lead; sampling rate.
    signal
        What was streamed.
    stream
        What the board made of it.
    """

    model: str
    target: str
    core: str
    duration_s: float
    hop_s: float
    fs_hz: float
    signal: str
    stream: Stream

    @property
    def groups(self) -> dict[str, NDArray[np.int64]]:
        """Instructions of each decision: all, those of the network, those of each reason."""
        costs = np.array([d.instructions for d in self.stream.decisions])
        reasons = BY_REASON[[d.reason for d in self.stream.decisions]]
        found = {"all": costs}
        return found | {str(r): costs[reasons == r] for r in BY_REASON}

    @property
    def per_decision(self) -> float:
        """Mean instructions of a decision, taking its samples included."""
        spent = sum(d.instructions for d in self.stream.decisions) + self.stream.push_instructions
        return spent / len(self.stream.decisions)

    @property
    def per_sample(self) -> float:
        """Mean instructions of taking a sample of a lead."""
        return self.stream.push_instructions / (self.duration_s * self.fs_hz * stream.LEADS)

    def modelled(
        self, named: Sequence[parts.Part], battery_mwh: float = parts.BATTERY_MWH
    ) -> list[parts.Modelled]:
        """What both leads cost on the parts of this core."""
        between_s = self.duration_s / len(self.stream.decisions)
        return [
            parts.modelled(part, self.model, self.per_decision, between_s, battery_mwh)
            for part in named
            if part.target == self.target
        ]

    def to_dict(self, modelled: Sequence[parts.Modelled]) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "format": FORMAT,
            "version": __version__,
            **{name: value for name, value in asdict(self).items() if name != "stream"},
            "leads": stream.LEADS,
            "disturbances": [
                {"lead": name, "kind": d.kind, **asdict(d)}
                for name, lead in zip(
                    inputs.LEAD_NAMES, inputs.schedules(self.duration_s), strict=True
                )
                for d in lead
            ],
            "instructions": {
                name: _figures(costs) for name, costs in self.groups.items() if len(costs)
            },
            "instructions_per_sample": self.per_sample,
            "instructions_per_decision": self.per_decision,
            "ram_bytes": self.stream.ram_bytes,
            "parts": [asdict(m) for m in modelled],
            "decisions": [_decision(d) for d in self.stream.decisions],
        }


def _figures(costs: NDArray[np.int64]) -> dict[str, float]:
    return {
        "decisions": len(costs),
        "least": int(costs.min()),
        "median": float(np.median(costs)),
        "most": int(costs.max()),
    }


def _decision(decided: Decided) -> dict[str, Any]:
    return asdict(decided) | {"reason": str(BY_REASON[decided.reason])}


def run(model: ModelFolder, target: str, board: boards.Board, duration_s: float = FULL_S) -> Report:
    """Stream simulated ECG through a model on an emulated board.

    Parameters
    ----------
    target
        The core, as ``parts.json`` names it.
    duration_s
        Length of the stream, s: whole segments.

    Raises
    ------
    ConversionError
        The engine can't run the model.
    ToolError, SelfTestError
        As :func:`ecgqa_tflite.boards.stream.run`.
    """
    recording = inputs.two_leads(duration_s)
    device = plan_device(
        model.spec,
        tables.build(model.spec, recording.fs_hz),
        model.tflite_path.read_bytes(),
        model.threshold_int8,
    )
    with tempfile.TemporaryDirectory() as scratch:
        found = stream.run(device, frames(recording.signal_mv), board, Path(scratch))
    return Report(
        model=model.name,
        target=target,
        core=board.core,
        duration_s=duration_s,
        hop_s=device.hop_len / recording.fs_hz,
        fs_hz=recording.fs_hz,
        signal=recording.name,
        stream=found,
    )


def frames(signal_mv: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    """Codes of a converter, int16 of the same shape; ``MISSING_S16`` where a sample is missing."""
    codes = np.clip(np.rint(np.nan_to_num(signal_mv) * COUNTS_PER_MV), -32767, 32767)
    return np.where(np.isnan(signal_mv), MISSING_S16, codes).astype(np.int16)


def table(
    report: Report, modelled: Sequence[parts.Modelled], battery_mwh: float = parts.BATTERY_MWH
) -> str:
    """As text, 80 columns."""
    return "\n".join([*_counted(report), "", *_modelled(report, modelled, battery_mwh)]) + "\n"


def _counted(report: Report) -> Iterator[str]:
    decisions = report.stream.decisions
    high = sum(d.quality == Quality.HIGH for d in decisions)
    yield (
        f"{report.model} on {report.core} (QEMU): {stream.LEADS} leads, "
        f"{report.duration_s / 60:g} min, {report.signal}"
    )
    yield (
        f"a decision every {report.hop_s:g} s and lead: {len(decisions)}, "
        f"{high} high and {len(decisions) - high} low"
    )
    yield ""
    yield (
        f"{'segments':<22} {'number':>7} {'share':>8} | {'least':>11} {'median':>11} {'most':>11}"
    )
    for name, costs in report.groups.items():
        words = {"all": "all", NETWORK: "seen by the network"}.get(name, f"not seen: {name}")
        figures = ""
        if len(costs):
            figures = " ".join(f"{x:>11,.0f}" for x in (costs.min(), np.median(costs), costs.max()))
        share = len(costs) / len(decisions)
        yield f"{words:<22} {len(costs):>7} {share:>7.1%}  | {figures}".rstrip()
    yield "Instructions, counted in an emulator, exact. Shares are those of this schedule"
    yield "of disturbances (benchmark/inputs.py), not of patients."
    yield (
        f"Taking a sample: {report.per_sample:.1f} instructions; a decision with its samples: "
        f"{report.per_decision:,.0f}"
    )
    yield (
        f"RAM: {report.stream.ram_bytes:,} bytes: {stream.LEADS} contexts, their workspaces, "
        f"the stack"
    )


def _modelled(
    report: Report, modelled: Sequence[parts.Modelled], battery_mwh: float
) -> Iterator[str]:
    if not modelled:
        yield f"No part of this core ({report.target}) is known: give a calibration file."
        return
    yield "Both leads on a part: MODELLED, not measured: middle [low .. high]"
    yield (f"{'part':<12} {'duty cycle, %':>22} {'mJ per decision':>22} {'battery days':>20}")
    for m in modelled:
        yield (
            f"{m.part.name[:12]:<12} {parts.words(m.duty_cycle.scaled(100)):>22} "
            f"{parts.words(m.mj):>22} {parts.words(m.battery_days):>20}"
        )
    yield from parts.notes(modelled, battery_mwh)
