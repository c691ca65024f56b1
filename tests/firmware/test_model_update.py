# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""An update of the model alone, as a bundle's SOUP.md has it: taken, and the wrong one refused."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import tiny_device
from conftest import REPO, require_tool

from ecgqa_tflite.resources import firmware_bridge_dir

SOUP = REPO / "ecgqa_tflite/bundle/templates/common/SOUP.md.jinja"
FIRMWARE = """\
#include "ecgqa_bundle.h"
#include "reseal.h" /* another bundle's structs, as its exporter makes them */
#include <stdio.h>
static ecgqa_t ctx;
static uint64_t workspace[65536 / 8]; /* what the firmware keeps; an update must do with it */
static ecgqa_status_t takes(const ecgqa_bundle_t *bundle, size_t bytes)
{
    const ecgqa_status_t status = ecgqa_init(&ctx, bundle, workspace, bytes);
    return status == ECGQA_OK ? ecgqa_selftest(&ctx, NULL) : status;
}
int main(void)
{
    ecgqa_bundle_t bundle = ecgqa_bundle;
    ecgqa_nn_model_t model = *bundle.model;
    int8_t lut[256 * 3];
    size_t i;
    printf("ECGQA_OK %d\\n", takes(&bundle, sizeof workspace));
    printf("ECGQA_ERR_WORKSPACE %d\\n", takes(&bundle, ECGQA_WORKSPACE_BYTES - 8u));
    bundle.format++;
    printf("ECGQA_ERR_FORMAT %d\\n", takes(&bundle, sizeof workspace));
    bundle.format--;
    bundle.model = &model;
    printf("ECGQA_ERR_DAMAGED %d\\n", takes(&bundle, sizeof workspace));
    ecgqa_reseal(ECGQA_SEAL_BUNDLE(&bundle));
    model.spec_hash++;
    printf("ECGQA_ERR_DAMAGED %d\\n", takes(&bundle, sizeof workspace));
    ecgqa_reseal(ECGQA_SEAL_MODEL(&model));
    printf("ECGQA_ERR_SPEC %d\\n", takes(&bundle, sizeof workspace));
    model.spec_hash--;
    for (i = 0; i < 256u * model.channels; i++) {
        lut[i] = model.lut_s8[i];
    }
    model.lut_s8 = lut; /* one byte damaged on the way */
    ecgqa_reseal(ECGQA_SEAL_MODEL(&model));
    lut[7] ^= 1;
    printf("ECGQA_ERR_SELFTEST %d\\n", takes(&bundle, sizeof workspace));
    lut[7] ^= 1;
    printf("ECGQA_OK %d\\n", takes(&bundle, sizeof workspace));
    return 0;
}
"""


def statuses() -> dict[str, int]:
    """Name and value of each, from the header's own list."""
    header = (firmware_bridge_dir() / "include/ecgqa/status.h").read_text()
    found = re.findall(r"X\((\w+), (-?\d+),", header)
    return {f"ECGQA_{name.removeprefix('ECGQA_')}": int(value) for name, value in found}


@pytest.mark.parametrize("network", ["chain", "jet"])
@pytest.mark.requirement("ID-4")
def test_the_right_model_is_taken_and_the_wrong_one_refused(network: str, tmp_path: Path) -> None:
    """The same firmware, compiled with one model's folder, then with another's."""
    require_tool("gcc")
    made = tiny_device.write(tiny_device.device(network), tmp_path)
    main = tmp_path / "main.txt"
    main.write_text(FIRMWARE)
    library = sorted((firmware_bridge_dir() / "src").glob("*.c"))
    program = str(tmp_path / "firmware")
    bridge = firmware_bridge_dir()
    include = [f"-I{p}" for p in (tmp_path, bridge / "include", bridge / "host")]
    subprocess.run(
        ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", *include, "-x", "c",
         *map(str, [main, *made, *library]), "-o", program], check=True,
    )  # fmt: skip
    told = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in told.splitlines()]
    assert len(lines) == 8
    values = statuses()
    for name, value in lines:
        assert int(value) == values[name], name
    assert {name for name, _ in lines} == set(re.findall(r"ECGQA_(?:OK|ERR_\w+)", SOUP.read_text()))
