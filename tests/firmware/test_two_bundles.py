# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Two models in one firmware: each piece of code runs the one whose header it was compiled with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tiny_device
from conftest import require_tool

from ecgqa_tflite.engine import device_source
from ecgqa_tflite.resources import firmware_bridge_dir

pytestmark = pytest.mark.thorough

USE = """\
#include "ecgqa_bundle.h"
#include <stdio.h>
static ecgqa_t ctx;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];
int USE(void)
{
    ecgqa_decision_t d;
    ecgqa_event_t event;
    size_t taken;
    const int16_t *samples = ecgqa_bundle.golden->samples;
    if (ecgqa_init(&ctx, &ecgqa_bundle, workspace, sizeof workspace) != ECGQA_OK ||
        ecgqa_selftest(&ctx, NULL) != ECGQA_OK || ecgqa_bundle.model->model_id != ECGQA_MODEL_ID ||
        ecgqa_push(&ctx, samples, ECGQA_SEGMENT_LEN, &taken, &event) != ECGQA_OK ||
        ecgqa_classify(&ctx, &d) != ECGQA_OK) {
        return 1;
    }
    printf("%d\\n", d.score_s8);
    return 0;
}
"""
MAIN = "int use_a(void); int use_b(void); int main(void) { return use_a() + use_b(); }\n"


def gcc(*arguments: str, ok: bool = True) -> str:
    done = subprocess.run(["gcc", "-std=c99", *arguments], capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout + done.stderr


def objects(folder: Path, made: device_source.Device, use: str) -> tuple[list[str], str]:
    """(object files of the bundle, of the code that uses it)."""
    sources = tiny_device.write(made, folder)
    include = [f"-I{firmware_bridge_dir() / 'include'}", f"-I{folder}"]
    for source in sources:
        gcc("-c", *include, str(source), "-o", str(source.with_suffix(".o")))
    program = folder / "use.txt"
    program.write_text(USE)
    user = folder / "use_it.o"
    gcc("-x", "c", "-c", *include, f"-DUSE={use}", str(program), "-o", str(user))
    return [str(s.with_suffix(".o")) for s in sources], str(user)


@pytest.mark.parametrize("other", ["another network", "another hop"])
@pytest.mark.requirement("ID-3")
def test_both_decide_rightly(tmp_path: Path, other: str) -> None:
    require_tool("gcc")
    first = tiny_device.device("chain")
    second = tiny_device.device("jet")
    if other == "another hop":
        second = tiny_device.device("chain", collect=True, hop_s=first.spec.segment_s / 2)
    a, use_a = objects(tmp_path / "a", first, "use_a")
    b, use_b = objects(tmp_path / "b", second, "use_b")
    main = tmp_path / "main.c"
    main.write_text(MAIN)
    library = [str(p) for p in sorted((firmware_bridge_dir() / "src").glob("*.c"))]
    include = f"-I{firmware_bridge_dir() / 'include'}"
    program = str(tmp_path / "both")
    archives = []
    for name, made in (("a", a), ("b", b)):
        archives.append(str(tmp_path / f"lib{name}.a"))
        subprocess.run(["ar", "rcs", archives[-1], *made], check=True)
    if other == "another network":  # as objects too: nothing is defined twice
        gcc(str(main), use_a, use_b, *a, *b, include, *library, "-o", program)
    gcc(str(main), use_a, use_b, *archives, include, *library, "-o", program)
    scores = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    # One alone gives the same.
    lone = tmp_path / "lone.c"
    lone.write_text("int use_b(void); int main(void) { return use_b(); }\n")
    gcc(str(lone), use_b, archives[1], include, *library, "-o", program)
    alone = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    assert len(scores) == 2 and scores[1:] == alone
    # Code of one does not link with the other.
    said = gcc(str(lone), use_b, archives[0], include, *library, "-o", program, ok=False)
    assert "ecgqa_bundle" in said
