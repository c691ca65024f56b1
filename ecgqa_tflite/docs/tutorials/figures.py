# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # Figures that can be trusted
#
# A figure without an interval says nothing, and an interval that takes segments for independent
# says too much. This shows both on recordings whose truth is known.

# %%
import numpy as np

import ecgqa_tflite as eq
from ecgqa_tflite.evaluation.figures import Figure, reliability, score_table
from ecgqa_tflite.recording.disturbances import MuscleNoise
from ecgqa_tflite.recording.simulator import Heart, simulate
from ecgqa_tflite.spec import Quality

# %% [markdown]
# Twelve people, a minute each: half of each recording is disturbed, and each wears the strap
# differently, so that one recording's noise is harmless and another's hides every beat.

# %%
assessor = eq.Assessor(eq.open_model("light_cnn_small"), 250)
rng = np.random.default_rng(7)
truth, p_high, person = [], [], []
for number in range(12):
    noise = MuscleNoise(30, 30, float(rng.uniform(0.1, 0.8)))
    heart = Heart(rate_bpm=float(rng.uniform(50, 120)), rr_std_s=0.02)
    recording = simulate(60, 250, heart, seed=number, disturbances=(noise,))
    for decision in assessor.assess(recording):
        truth.append(Quality.LOW if decision.start_s >= 30 else Quality.HIGH)
        p_high.append(decision.score)
        person.append(number)

# %% [markdown]
# The label follows the plan and not the eye: light noise is called low here. Labels like that,
# which segments inherit, cap what any model can score.
#
# The same figures with two intervals: resampling people, and resampling segments as if each came
# of another person.

# %%
by_person = score_table(truth, p_high, 0.5, person)
by_segment = score_table(truth, p_high, 0.5, np.arange(len(truth)))
for name in ("se", "sp", "bacc", "auc"):
    print(f"{name:4}  {Figure.of(by_person[name]):.3f}  not {Figure.of(by_segment[name]):.3f}")


def width(table, name):
    return table[name]["high"] - table[name]["low"]


assert by_person["sp"]["value"] == by_segment["sp"]["value"]
assert width(by_person, "sp") > width(by_segment, "sp")

# %% [markdown]
# The second interval is narrower and wrong: a new person brings new noise, and only the first one
# knows. All intervals of this package are of the first kind.
#
# ## Does 0.9 mean 90 %?
#
# Segments by score, and the share of each bin that was high, both classes weighted alike:

# %%
curve = reliability(truth, p_high, person, n_bins=5)
for part in curve["bins"]:
    n = part["high"] + part["low"]
    print(f"{part['from']:.1f} to {part['to']:.1f}: {n:3} segments, {Figure.of(part['share']):.2f}")
assert sum(part["high"] + part["low"] for part in curve["bins"]) == len(truth)
