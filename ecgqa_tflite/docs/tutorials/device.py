# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # The same samples, here and in C
#
# ADC counts of a chest strap are decided on this computer, then by the C code that a
# microcontroller runs, and both decide the same. It needs a C compiler and `make`; no
# board.

# %%
import re
import subprocess
from pathlib import Path

import numpy as np

import ecgqa_tflite as eq
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.disturbances import MuscleNoise
from ecgqa_tflite.recording.simulator import simulate

# %% [markdown]
# Thirty simulated seconds stand in for your sensor: 500 Hz, 400 counts per mV, muscle noise in the
# third segment. In their place put your own counts.

# %%
fs_hz, counts_per_mv = 500, 400
ecg = simulate(30, fs_hz, seed=2, disturbances=(MuscleNoise(10, 5, 3.0),))
counts = (ecg.lead() * counts_per_mv).round().astype("<i2")

# %% [markdown]
# On the computer millivolts go in. The device's kernels give its scores; the fast ones, which
# `eq.assess` takes, may be a few units of 256 apart.

# %%
signal_mv = (counts / counts_per_mv).astype(np.float32)
recording = Recording("strap", signal_mv[:, None], fs_hz, ("chest",))
model = eq.open_model("light_cnn_small")
here = eq.Assessor(model, fs_hz, kernels="device").assess(recording)
for decision in here:
    print(f"{decision.start_s:2.0f} s  {decision.quality.name:4}  P(high) {decision.score:.2f}")

# %% [markdown]
# A bundle for that rate is C99 that needs no library. Its example program takes a file of counts.

# %%
bundle = eq.convert("light_cnn_small", "bundle", fs_hz=fs_hz).bundle
counts.tofile("mine.s16")
command = ["make", "-sC", str(bundle.path), "example", f"SAMPLES={Path('mine.s16').resolve()}"]
printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
print(printed[printed.index("segment 0") :])

# %% [markdown]
# Hold the two against each other: on one run of int16 samples they are equal to the bit, and here
# millivolts were rounded to int16 once more, which may move a score by a unit of 256. A firmware of
# yours is compared in the same way: let it print `score_s8` of each segment.

# %%
in_c = re.findall(r"segment \d+: (\w+), score (-?\d+)", printed)
for decision, (quality, score_s8) in zip(here, in_c, strict=True):
    assert decision.quality.name.lower() == quality
    assert abs(decision.score - (int(score_s8) + 128) / 256) <= 2 / 256
assert [quality for quality, _ in in_c] == ["high", "high", "low", "high", "high", "high"]

# %% [markdown]
# `make -C bundle emulate SAMPLES=mine.s16` runs the same on an emulated Cortex-M4, where
# `arm-none-eabi-gcc` and `qemu-system-arm` are installed.
