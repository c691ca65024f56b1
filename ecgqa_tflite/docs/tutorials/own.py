# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # A network of your own, from leads to a bundle
#
# Own leads with labels, a small Keras network, int8, and a bundle whose decisions are tested on
# people that it has not seen. It needs `pip install '.[train]'`; half a minute.

# %%
import os

os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}  # before TensorFlow
import numpy as np
import tf_keras as keras

import ecgqa_tflite as eq
from ecgqa_tflite.frontend.colormap import image
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.segments import cut
from ecgqa_tflite.spec import FrontEnd

# %% [markdown]
# Twenty people, ten seconds each: lead I shows beats, lead II is off. Fifteen are for training.

# %%
rng = np.random.default_rng(0)
people = []
for number in range(20):
    beats = simulate(10, 250, seed=number).lead()
    noise = rng.normal(size=beats.size).astype(np.float32)
    people.append(Recording(f"p{number}", np.stack([beats, noise], axis=1), 250, ("I", "II")))
for recording in people[:15]:
    write_wfdb(recording, "calibration")

# %% [markdown]
# The front end is the device's, in C: it makes small grey images. The spec goes with the network
# from here on.

# %%
spec = FrontEnd.preset("wearable", rows=56, cols=56, colormap="grey")
front_end = NativeFrontEnd(spec, 250)


def images(recording, lead):
    """uint8 images of a lead's segments, shape (n, rows, cols, 1)."""
    segments = cut(recording.lead(lead), recording.fs_hz, spec)
    return image(front_end.index_maps(segments.samples), spec.colormap)


x = np.concatenate([images(r, lead) for r in people[:15] for lead in ("I", "II")]) / 255
y = np.tile(np.repeat([1, 0], 2), 15)  # two segments a lead: high, low
print(x.shape, y.mean())

# %%
keras.utils.set_random_seed(1)
network = keras.Sequential(
    [
        keras.layers.Conv2D(8, 5, strides=2, activation="relu", input_shape=spec.image_shape),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(2, activation="softmax"),
    ]
)
network.compile("adam", "sparse_categorical_crossentropy")
network.fit(x, y, epochs=8, batch_size=16, verbose=0)
network.save("own.keras")
with open("spec.json", "w") as file:
    file.write(spec.to_json())

# %% [markdown]
# Calibrated on the recordings that it was trained on, int8, proven, and told what it costs:

# %%
bundle = eq.convert("own.keras", "bundle", spec="spec.json", calibrate="calibration").bundle
print(bundle.path, bundle.manifest["engine"]["workspace_bytes"], "bytes of RAM")

# %% [markdown]
# A bundle is a model too. On the five people that were kept back:

# %%
model = eq.open_model(bundle.path)
high = {
    lead: [d.quality for r in people[15:] for d in eq.assess(r, model, lead=lead)]
    for lead in ("I", "II")
}
print({lead: f"{sum(found)} of {len(found)} high" for lead, found in high.items()})
assert np.mean(high["I"]) > 0.8 and np.mean(high["II"]) < 0.2
