# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""C in a README is a program: compiled as it stands, and run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tiny_device
from conftest import REPO, require_tool

from ecgqa_tflite.bundle.render import render
from ecgqa_tflite.resources import firmware_bridge_dir

TEMPLATE = REPO / "ecgqa_tflite/bundle/templates/cortex_m/README.md.jinja"
USE = """
#include <stdio.h>
static unsigned n_decided;
static void decided(const ecgqa_decision_t *d) { n_decided += d->score_s8 != 0 || 1; }
int main(void)
{
    static int16_t samples[3u * ECGQA_SEGMENT_LEN + 5u];
    size_t i;
    for (i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        samples[i] = (int16_t)(i * i * 31u % 2003u);
    }
    /* More than a segment at once: what push did not take must not be dropped. */
    i = sizeof samples / sizeof samples[0];
    if (start() != ECGQA_OK || take(samples, i, decided) != ECGQA_OK) {
        return 1;
    }
    return n_decided == 3u ? 0 : 2;
}
"""


def bundle_readme() -> str:
    made = tiny_device.device("chain")
    rows, cols, channels = made.spec.image_shape
    words: dict[str, Any] = dict.fromkeys(re.findall(r"{{ (\w+) }}", TEMPLATE.read_text()), "1")
    words |= {"rows": rows, "cols": cols, "channels": channels, "engine": True, "accuracy": ""}
    return render("cortex_m/README.md", **words | {"segment_len": made.tables.segment_len})


@pytest.mark.parametrize("which", ["bundle", "library"])
def test_snippets_compile_and_drop_no_sample(tmp_path: Path, which: str) -> None:
    require_tool("gcc")
    text = (
        bundle_readme() if which == "bundle" else (firmware_bridge_dir() / "README.md").read_text()
    )
    snippets = re.findall(r"```c\n(.*?)```", text, re.S)
    assert snippets
    made = tiny_device.write(tiny_device.device("chain"), tmp_path)
    program, source = str(tmp_path / "t"), tmp_path / "t.txt"
    source.write_text("".join(snippets) + USE)
    library = sorted((firmware_bridge_dir() / "src").glob("*.c"))
    flags = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-I", str(tmp_path))
    include = ("-I", str(firmware_bridge_dir() / "include"))
    done = subprocess.run(
        ["gcc", *flags, *include, "-x", "c", *map(str, [source, *made, *library]), "-o", program],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert subprocess.run([program]).returncode == 0


def test_the_rtos_example_ends_when_a_classification_fails(tmp_path: Path) -> None:
    require_tool("gcc")
    made = tiny_device.write(tiny_device.device("chain"), tmp_path)
    fails = tmp_path / "fails.txt"
    fails.write_text(
        '#include "app.h"\n#include <string.h>\n'
        "ecgqa_status_t failing_classify(ecgqa_t *c, ecgqa_decision_t *d);\n"
        "ecgqa_status_t failing_classify(ecgqa_t *c, ecgqa_decision_t *d)"
        "{ (void)c; (void)d; return ECGQA_ERR_NOT_READY; }\n"
        "size_t app_read_samples(int16_t *s, size_t n)"  # a driver that never ends
        "{ memset(s, 7, n * sizeof *s); return n; }\n"
        "void app_decision(const ecgqa_decision_t *d) { (void)d; }\n"
        "int main(void) { return app_main() == ECGQA_ERR_NOT_READY ? 0 : 1; }\n"
    )
    example = firmware_bridge_dir() / "examples" / "rtos_thread"
    library = sorted((firmware_bridge_dir() / "src").glob("*.c"))
    include = [f"-I{p}" for p in (tmp_path, example, firmware_bridge_dir() / "include")]
    flags = ("-std=gnu99", "-Wall", "-Wextra", "-Werror", "-pthread", *include)
    main = tmp_path / "main.o"
    subprocess.run(
        ["gcc", *flags, "-Decgqa_classify=failing_classify", "-c", str(example / "main.c"),
         "-o", str(main)], check=True,
    )  # fmt: skip
    program = str(tmp_path / "t")
    objects = [str(main), *map(str, [*made, *library])]
    subprocess.run(["gcc", *flags, *objects, "-x", "c", str(fails), "-o", program], check=True)
    assert subprocess.run([program], timeout=20).returncode == 0
