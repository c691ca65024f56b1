# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # An update over the air, and what is lost on the way
#
# A device's program takes samples, is told what went missing, and gets another network later. What
# is damaged on the way is refused. It needs a C compiler.

# %%
import subprocess
from pathlib import Path

import ecgqa_tflite as eq
from ecgqa_tflite.errors import ModelError
from ecgqa_tflite.recording.simulator import simulate

first = eq.convert("light_cnn_small", "first").bundle
print(first.manifest["model_id"], len(first.manifest["files"]), "files")

# %% [markdown]
# ## A gap
#
# The program below is all that a firmware needs, but for the driver: here a file stands in for it.
# At 12 s the radio loses half a second, and the program says so with `ecgqa_push_missing`.

# %%
program = """
#include <stdio.h>
#include "ecgqa_bundle.h"

static ecgqa_t ctx;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

int main(void)
{
    FILE *file = fopen("counts.s16", "rb");
    ecgqa_decision_t d;
    ecgqa_event_t event;
    int16_t sample;
    size_t n = 0, taken;

    if (file == NULL || ecgqa_init(&ctx, &ecgqa_bundle, workspace, sizeof workspace) != ECGQA_OK) {
        return 1;
    }
    while (fread(&sample, sizeof sample, 1, file) == 1) {
        if (n >= 12u * 250u && n < 12u * 250u + 125u) {
            ecgqa_push_missing(&ctx, 1, &taken, &event);
        } else {
            ecgqa_push(&ctx, &sample, 1, &taken, &event);
        }
        n++;
        if (event == ECGQA_EVENT_SEGMENT && ecgqa_classify(&ctx, &d) == ECGQA_OK) {
            printf("%s %s\\n", d.quality == ECGQA_QUALITY_HIGH ? "high" : "low",
                   ecgqa_reason_str((ecgqa_reason_t)d.reason));
        }
    }
    fclose(file);
    return 0;
}
"""
Path("main.c").write_text(program)
counts = (simulate(20, 250, seed=4).lead() * 400).round().astype("<i2")
counts.tofile("counts.s16")


def build_and_run(bundle: Path) -> list[str]:
    sources = [*bundle.glob("firmware_bridge/src/*.c"), *bundle.glob("model/ecgqa_[cmb]*.c")]
    include = ["-I", str(bundle / "firmware_bridge/include"), "-I", str(bundle / "model")]
    subprocess.run(["cc", "-O0", *include, "main.c", *map(str, sources), "-o", "run"], check=True)
    return subprocess.run("./run", check=True, capture_output=True, text=True).stdout.splitlines()


said = build_and_run(first.path)
print(said)
assert said == ["high ok", "high ok", "low gap", "high ok"]

# %% [markdown]
# ## The update
#
# Another network is another `model/` folder: the program stays as it is, is linked again, and logs
# another identity.

# %%
second = eq.convert("light_cnn_pruned", "second").bundle
assert build_and_run(second.path) == said
print(first.manifest["model_id"], "->", second.manifest["model_id"])
assert first.manifest["model_id"] != second.manifest["model_id"]

# %% [markdown]
# ## Damage
#
# A byte that changed on the way is found before anything runs: each file's SHA-256 is in the
# manifest.

# %%
network = second.path / "light_cnn_pruned.tflite"
whole = network.read_bytes()
network.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
try:
    eq.open_model(second.path)
except ModelError as error:
    print(error)
else:
    raise AssertionError("a damaged network was taken")
