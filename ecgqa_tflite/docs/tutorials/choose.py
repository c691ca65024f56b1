# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # A model, a threshold and a hop for one product
#
# A chest strap with an nRF52840 shall show a heart rate only where beats can be told. Which model
# fits, where does the line go, and how often is it asked?

# %%
import numpy as np

import ecgqa_tflite as eq
from ecgqa_tflite.benchmark.parts import BATTERY_MWH, find_part, read_parts
from ecgqa_tflite.benchmark.results import read_report
from ecgqa_tflite.decisions import merged, spans
from ecgqa_tflite.evaluation.choice import advice, choices, shipped_report
from ecgqa_tflite.evaluation.operating import Rule, choose, operating_points
from ecgqa_tflite.recording.disturbances import MuscleNoise
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.spec import Quality

# %% [markdown]
# ## The model
#
# What `ecgqa recommend` prints, as values: memory counted, time and battery modelled with bounds.

# %%
names = "light_cnn_small", "light_cnn_pruned", "light_cnn"
part = find_part("nRF52840", read_parts())
models = [eq.open_model(name) for name in names]
for choice in choices(models, read_report(shipped_report()), part, 5.0, BATTERY_MWH):
    print(f"{choice.model:17} {choice.ram_bytes:6,} bytes of RAM, BAcc {choice.bacc:.3f}")
print(advice(choices(models, read_report(shipped_report()), part, 5.0, BATTERY_MWH)))
model = models[0]

# %% [markdown]
# ## The threshold
#
# Label some of your own recordings, and let the rule choose: here 40 segments, half of them under
# muscle noise that grows from nothing to worse than the beats. Up to 0.3 mV of it the label says
# readable.

# %%
assessor = eq.Assessor(model, 250)
noise_mv = np.linspace(0, 0.8, 20)
truth, scores = [], []
for seed, rms_mv in enumerate([*np.zeros(20), *noise_mv]):
    recording = simulate(5, 250, seed=seed, disturbances=(MuscleNoise(0, 5, rms_mv),))
    truth.append(Quality.HIGH if rms_mv <= 0.3 else Quality.LOW)
    scores.append(round(assessor.assess(recording)[0].score * 256) - 128)

points = operating_points(truth, np.array(scores, np.int8))
strict = choose(points, Rule("min_sp", 0.95))
print(f"from {strict.threshold_int8}: Se {strict.se:.2f}, Sp {strict.sp:.2f}")
assert strict.sp >= 0.95

# %% [markdown]
# On a device compare `decision.score_s8` with that number, or seal it into a model folder with
# `ecgqa threshold ... --min-sp .95 -o FOLDER`. Forty segments of a simulator are a demonstration:
# take hundreds of your own, of many people, and others for the test.
#
# ## The hop
#
# Where segments stand side by side, a second of noise across the border of two costs ten. With a
# hop of one second it costs some five, wherever it lies, at five times the decisions.

# %%
burst = simulate(30, 250, seed=1, disturbances=(MuscleNoise(14.5, 1, 3.0),))
low_s = {}
for hop_s in (5.0, 1.0):
    parts = merged(spans(eq.assess(burst, model, hop_s=hop_s)))
    low_s[hop_s] = sum(s.end_s - s.start_s for s in parts if s.quality == Quality.LOW)
print(low_s)
assert 1 <= low_s[1.0] < low_s[5.0]
