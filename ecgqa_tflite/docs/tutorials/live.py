# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # Live, beside a beat detector
#
# Samples come over a radio in packets of 100 ms. Decisions are made as they come, and a beat
# detector is told which of its beats to leave out.

# %%
import numpy as np
from scipy.signal import find_peaks

import ecgqa_tflite as eq
from ecgqa_tflite.decisions import spans
from ecgqa_tflite.recording.disturbances import Gap, MuscleNoise
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.spec import Quality

recording = simulate(
    60, 250, seed=5, disturbances=(MuscleNoise(20, 10, 2.0), Gap(41.3, 0.4)), name="radio"
)
samples_mv = recording.lead()
model = eq.open_model("light_cnn")

# %% [markdown]
# Lost packets arrive as NaN, so that time goes on. A hop of one second: each decision speaks for
# the second in the middle of its five.

# %%
assessor = eq.Assessor(model, 250, hop_s=1)
decisions = []
for start in range(0, samples_mv.size, 25):
    for decision in assessor.push(samples_mv[start : start + 25]):
        if not decisions or decision.quality != decisions[-1].quality:
            print(f"at {(start + 25) / 250:4.1f} s: {decision.quality.name}, {decision.reason}")
        decisions.append(decision)

# %% [markdown]
# What came live is what the whole recording says afterwards.

# %%
assert decisions == eq.assess(recording, model, hop_s=1)

# %% [markdown]
# Any beat detector will do; here, peaks above half a millivolt. The simulator knows the true
# beats.

# %%
found_s = find_peaks(np.nan_to_num(samples_mv), height=0.5, distance=75)[0] / 250


def trusted(times_s):
    high = [s for s in spans(decisions) if s.quality == Quality.HIGH]
    return np.array([any(s.start_s <= t < s.end_s for s in high) for t in times_s])


def true_share(times_s):
    nearest = np.abs(times_s[:, None] - recording.r_peaks_s[None]).min(axis=1)
    return float(np.mean(nearest < 0.05))


kept = found_s[trusted(found_s)]
print(f"all {found_s.size} beats: {true_share(found_s):.0%} are beats")
print(f"{kept.size} where quality is high: {true_share(kept):.0%} are beats")
assert true_share(kept) > true_share(found_s)
assert kept.size > 0.6 * recording.r_peaks_s.size
