# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Programs in a bundle that decide samples of the user's: example.c, and Zephyr's application."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from conftest import require_tool
from numpy.typing import NDArray

from ecgqa_tflite.bundle.export import Bundle, export_bundle
from ecgqa_tflite.engine.golden import Golden, golden_samples
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.segments import BY_REASON

FS_HZ = 250.0
DECISION = re.compile(r"^segment (\d+): (high|low), (?:score )?(.+)$", re.M)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return tiny_model.folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def bundle(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    for tool in ("cc", "make"):
        require_tool(tool)
    return export_bundle(model, tmp_path_factory.mktemp("bundles") / "bundle", fs_hz=FS_HZ)


@pytest.fixture(scope="module")
def samples() -> NDArray[np.int16]:
    """Every golden segment, the flat ones too, and 3 s that make no segment."""
    _, segments = golden_samples(tiny_model.SPEC, FS_HZ)
    return np.concatenate([segments.reshape(-1), segments[0][:750]])


@pytest.fixture(scope="module")
def recording(samples: NDArray[np.int16], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a file whose name QEMU's options would be parted at."""
    path = tmp_path_factory.mktemp("of users") / "mine, own.s16"
    samples.astype("<i2").tofile(path)
    return path


def make(bundle: Bundle, *words: str) -> str:
    done = subprocess.run(
        ["make", "-C", str(bundle.path), "CC=cc", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr
    return done.stdout + done.stderr


def golden(bundle: Bundle) -> Golden:
    return Golden.from_npz(bundle.path / bundle.manifest["golden"]["file"])


def expected(bundle: Bundle) -> list[tuple[str, str, str]]:
    """What LiteRT says of the golden segments, in the program's words."""
    told = golden(bundle)
    found = []
    for i, (reason, score) in enumerate(zip(told.reasons, told.scores[:, 1], strict=True)):
        word = str(BY_REASON[reason])
        high = word == "ok" and score >= 0
        found.append((str(i), "high" if high else "low", str(score) if word == "ok" else word))
    return found


@pytest.mark.requirement("IN-2")
def test_own_samples_here(bundle: Bundle, recording: Path, samples: NDArray[np.int16]) -> None:
    told = make(bundle, "example", f"SAMPLES={recording}")
    assert DECISION.findall(told) == expected(bundle)
    assert len({reason for _, _, reason in expected(bundle)}) > 5
    assert f"{samples.size} samples, 1250 a segment; workspace " in told


@pytest.mark.requirement("IN-2")
def test_own_samples_under_qemu_and_the_stack(bundle: Bundle, recording: Path) -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        require_tool(tool)
    told = make(bundle, "emulate", f"SAMPLES={recording}")
    assert DECISION.findall(told) == expected(bundle)
    found = re.search(r"workspace (\d+) bytes, context (\d+) bytes, stack (\d+) bytes", told)
    assert found and int(found[1]) == bundle.manifest["engine"]["workspace_bytes"]
    assert 300 < int(found[3]) < 4096  # what the Zephyr application's stack has room for


def test_the_codes_size(bundle: Bundle) -> None:
    require_tool("arm-none-eabi-gcc")
    rows = re.findall(r"^ *(\d+)\t.*/(\w+)\.o$", make(bundle, "size"), re.M)
    sizes = {name: int(size) for size, name in rows}
    assert {"ecgqa", "cwt", "ecgqa_model"} <= sizes.keys()
    library = sum(size for name, size in sizes.items() if not name.startswith(("ecgqa_", "tiny_")))
    assert 10_000 < library < 30_000


def test_without_samples_it_says_what_to_name(bundle: Bundle) -> None:
    done = subprocess.run(
        ["make", "-C", str(bundle.path), "example"], capture_output=True, text=True
    )
    assert done.returncode != 0 and "make example SAMPLES=FILE" in done.stdout


KERNEL = """
#include <stddef.h>
#include <stdint.h>
/* What the application uses of Zephyr, on this machine: k_msgq_get lets the timer tick. */
struct k_timer { void (*tick)(struct k_timer *); };
struct k_msgq { char *memory; size_t bytes, len, in, n; };
#define K_MSGQ_DEFINE(name, size, len, align) \\
    static char name##_memory[(size) * (len)]; \\
    static struct k_msgq name = {name##_memory, size, len, 0, 0}
#define K_TIMER_DEFINE(name, expiry, stop) static struct k_timer name = {expiry}
#define K_NO_WAIT 0
#define K_FOREVER 1
#define K_USEC(us) (us)
#define ARG_UNUSED(x) (void)(x)
int k_msgq_put(struct k_msgq *queue, const void *item, int wait);
int k_msgq_get(struct k_msgq *queue, void *item, int wait);
void k_timer_start(struct k_timer *timer, unsigned first_us, unsigned period_us);
"""
KERNEL_C = """
#include <stdio.h>
#include <string.h>
#include <zephyr/kernel.h>
static struct k_timer *timer;
static unsigned period_us, ticks;
int k_msgq_put(struct k_msgq *q, const void *item, int wait)
{
    (void)wait;
    if (q->n == q->len) { return -1; }
    memcpy(q->memory + (q->in + q->n++) % q->len * q->bytes, item, q->bytes);
    return 0;
}
int k_msgq_get(struct k_msgq *q, void *item, int wait)
{
    /* One segment; then 1,500 ticks at once, more than the queue holds; then to the third's end. */
    int n = ticks == 1250 ? 1500 : 1;
    (void)wait;
    if (q->n == 0) {
        if (ticks >= 3 * 1250 + 250) { return -1; }
        while (n-- > 0) { timer->tick(timer); ticks++; }
    }
    memcpy(item, q->memory + q->in * q->bytes, q->bytes);
    q->in = (q->in + 1) % q->len;
    q->n--;
    return 0;
}
void k_timer_start(struct k_timer *given, unsigned first_us, unsigned period)
{
    timer = given;
    period_us = period;
    printf("period %u %u\\n", first_us, period_us);
}
"""


def test_zephyrs_application(bundle: Bundle, tmp_path: Path) -> None:
    """Against a stand-in for its kernel: decisions come, lost samples are missing ones."""
    (tmp_path / "zephyr/sys").mkdir(parents=True)
    (tmp_path / "zephyr/kernel.h").write_text(KERNEL)
    (tmp_path / "zephyr/sys/printk.h").write_text("#include <stdio.h>\n#define printk printf\n")
    (tmp_path / "kernel.c").write_text(KERNEL_C)
    listed = (bundle.path / "zephyr/CMakeLists.txt").read_text()
    names = re.findall(r"\$\{bundle\}/(model/\w+\.c)", listed)
    assert len(names) == 3
    sources = [*(bundle.path / name for name in names),
               *sorted((bundle.path / "firmware_bridge/src").glob("*.c"))]  # fmt: skip
    program = str(tmp_path / "app")
    include = [f"-I{p}" for p in (tmp_path, bundle.path / "model",
                                  bundle.path / "firmware_bridge/include")]  # fmt: skip
    done = subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", *include,
         str(bundle.path / "zephyr/src/main.c"), str(tmp_path / "kernel.c"), *map(str, sources),
         "-o", program], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert "period 4000 4000" in told
    rows = re.findall(r"segment (\d+): (\w+), score (-?\d+), (\w+)", told)
    first = int(golden(bundle).scores[0, 1])
    assert rows[0] == ("0", "high" if first >= 0 else "low", str(first), "ok")
    assert [row[3] for row in rows] == ["ok", "ok", "gap"]
