# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # What a decision costs, here and on a part of yours
#
# A time is taken as `ecgqa bench` takes it, and instructions that were counted on an emulated core
# become milliseconds and days of a battery on a part of yours. Each figure says of what kind it is.

# %%
import json
from pathlib import Path

import ecgqa_tflite as eq
from ecgqa_tflite.benchmark.parts import estimates, find_part, read_parts
from ecgqa_tflite.benchmark.protocol import QUICK, take_times
from ecgqa_tflite.benchmark.results import read_report
from ecgqa_tflite.evaluation.choice import shipped_report
from ecgqa_tflite.recording.simulator import simulate

# %% [markdown]
# ## Measured: this machine
#
# Warm-up apart, five loops, inputs that differ. `QUICK` is for a look; a report takes ten seconds
# per row.

# %%
model = eq.open_model("light_cnn_small")
assessor = eq.Assessor(model, 250)
recordings = [simulate(60, 250, seed=seed) for seed in range(4)]
timing = take_times([lambda i: assessor.assess(recordings[i])], len(recordings), QUICK)[0]
print(f"a minute of ECG: {timing.p50:.1f} ms, loops {timing.low:.1f} to {timing.high:.1f}")
print("against it:", "; ".join(timing.noise()) or "nothing")
assert timing.low <= timing.p50 <= timing.high

# %% [markdown]
# `ecgqa bench run` does this of every stage and target, and `ecgqa bench compare` holds two reports
# against each other: what the loops' own spread covers is called the same.
#
# ## Counted, then modelled: a part
#
# Instructions of the shipped models were counted under QEMU, exactly. What they come to on a part
# is modelled with bounds: clock, cycles per instruction and power of your own part go into a file.

# %%
part = {
    "target": "cortex-m4",
    "clock_mhz": 80,
    "cycles_per_instruction": [1.1, 1.4, 1.8],
    "power_mw": [9, 12, 16],
    "sources": ["my data sheet; my guess at the rest"],
}
Path("parts.json").write_text(json.dumps({"parts": {"mine": part}}))
mine = find_part("mine", read_parts(Path("parts.json")))
for found in estimates(read_report(shipped_report()), [mine]):
    print(f"{found.model}: {found.instructions / 1e6:.1f} M instructions, counted;")
    print(f"    {found.ms.low:.0f} to {found.ms.high:.0f} ms a decision, modelled")
    assert found.ms.low < found.ms.middle < found.ms.high
