# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Each package manifest by its system's published rules; examples run against stand-ins.

The rules are written down here from the systems' pages, each named at its test; where a system's
own packer is installed (``pip install '.[packaging]'``) it is asked too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import tiny_device
from conftest import REPO, missing, require_module, require_tool
from targets import usable

import ecgqa_tflite
from ecgqa_tflite.boards import boards
from ecgqa_tflite.frontend.colormap import image_s8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.run import Int8Network

LIBRARY = firmware_bridge_dir()
EXAMPLES = LIBRARY / "examples"
SEMVER = re.compile(r"\d+\.\d+\.\d+")
OURS = "https://github.com/ecgqa-tflite/ecgqa-tflite"
NEEDED = {"README.md", "LICENSE"} | {
    p.relative_to(LIBRARY).as_posix()
    for part in ("include", "src")
    for p in (LIBRARY / part).rglob("*.[ch]")
}
"""What every package must hold."""
LINE = re.compile(r"segment (\d+): (high|low), score (-?\d+), (\w+)")


def files() -> set[str]:
    """Everything in the library's folder."""
    return {p.relative_to(LIBRARY).as_posix() for p in LIBRARY.rglob("*") if p.is_file()}


def read_yaml(path: Path) -> Any:
    require_module("yaml")
    import yaml

    return yaml.safe_load(path.read_text())


def packer(name: str) -> str:
    """A system's own tool: on the path, or where ``make setup-packers`` puts it."""
    path = shutil.which(name) or shutil.which(name, path=str(REPO / "build" / "packers" / "bin"))
    if path is None:
        missing(f"{name} is not installed: make setup-packers")
    assert path is not None
    return path


# ---- ESP-IDF: docs.espressif.com/projects/idf-component-manager, idf_component.yml Manifest File

IDF_KEYS = {
    "version", "maintainers", "description", "license", "tags", "files", "url", "repository",
    "documentation", "issues", "discussion", "examples", "dependencies", "targets",
}  # fmt: skip


def idf_files() -> set[str]:
    """What the component's archive holds."""
    excluded = read_yaml(LIBRARY / "idf_component.yml")["files"]["exclude"]
    found = files()
    for pattern in excluded:
        named = {p.relative_to(LIBRARY).as_posix() for p in LIBRARY.glob(pattern) if p.is_file()}
        assert named, f"{pattern} excludes nothing"
        found -= named
    return found


def test_the_idf_component_says_what_the_registry_asks() -> None:
    told = read_yaml(LIBRARY / "idf_component.yml")
    assert set(told) <= IDF_KEYS
    assert told["version"] == ecgqa_tflite.__version__ and SEMVER.fullmatch(told["version"])
    assert told["description"] and told["license"] == "Apache-2.0" and told["url"] == OURS
    assert all(re.fullmatch(r"[a-z0-9_-]{2,32}", tag) for tag in told["tags"])


def test_the_idf_component_holds_the_library_and_its_example_alone() -> None:
    held = idf_files()
    assert held >= NEEDED | {"CMakeLists.txt", "sources.cmake", "idf_component.yml"}
    tops = {name.partition("/")[0] for name in held if "/" in name}
    assert tops == {"include", "src", "examples"}
    assert {name.split("/")[1] for name in held if name.startswith("examples/")} == {"esp_idf"}


def test_the_idf_example_is_a_project_that_takes_this_component() -> None:
    project = (EXAMPLES / "esp_idf" / "CMakeLists.txt").read_text()
    lines = [line for line in project.splitlines() if not line.startswith("#")]
    assert [line.partition("(")[0] for line in lines] == ["cmake_minimum_required", "include", "project"]  # noqa: E501  # fmt: skip
    told = read_yaml(EXAMPLES / "esp_idf" / "main" / "idf_component.yml")["dependencies"]
    component = told["ecgqa-tflite/ecgqa"]
    assert component["version"] == f"^{ecgqa_tflite.__version__}"
    assert (EXAMPLES / "esp_idf" / "main" / component["override_path"]).resolve() == LIBRARY
    assert told["idf"] == read_yaml(LIBRARY / "idf_component.yml")["dependencies"]["idf"]


def test_espressifs_packer_takes_the_component(tmp_path: Path) -> None:
    compote = packer("compote")
    component = Path(shutil.copytree(LIBRARY, tmp_path / "ecgqa"))
    done = subprocess.run(
        [compote, "component", "pack", "--name", "ecgqa", "--dest-dir", str(tmp_path / "out")],
        cwd=component, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = (tmp_path / "out").glob("*.tgz")
    with tarfile.open(archive) as tar:
        held = {m.name.removeprefix("./") for m in tar.getmembers() if m.isfile()}
    assert held - {"CHECKSUMS.json"} == idf_files()


# ---- PlatformIO: docs.platformio.org, library.json

PIO_KEYS = {
    "$schema", "name", "version", "description", "keywords", "homepage", "repository", "authors",
    "license", "frameworks", "platforms", "headers", "examples", "dependencies", "export",
    "scripts", "build",
}  # fmt: skip


def pio_files() -> set[str]:
    """What the package's archive holds: the export list, and manifests in any case."""
    included = json.loads((LIBRARY / "library.json").read_text())["export"]["include"]
    held = {"library.json", "library.properties"}
    for name in included:
        assert (LIBRARY / name).exists(), name
        held |= {f for f in files() if f == name or f.startswith(f"{name}/")}
    return held


def test_platformios_manifest() -> None:
    told = json.loads((LIBRARY / "library.json").read_text())
    assert set(told) <= PIO_KEYS
    assert re.fullmatch(r"[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*", told["name"]) and len(told["name"]) <= 50
    assert SEMVER.fullmatch(told["version"]) and 0 < len(told["description"]) <= 255
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", word) for word in told["keywords"])
    assert told["repository"] == {"type": "git", "url": f"{OURS}.git"}
    assert all(author["name"] for author in told["authors"])
    assert set(told["build"]) == {"srcDir", "includeDir", "flags"}
    for example in told["examples"]:
        assert set(example) == {"name", "base", "files"}
        for name in example["files"]:
            assert f"{example['base']}/{name}" in pio_files()


def test_platformios_package_holds_the_library_and_examples() -> None:
    held = pio_files()
    assert held >= NEEDED
    tops = {name.partition("/")[0] for name in held if "/" in name}
    assert tops == {"include", "src", "examples"}


def test_platformios_project_is_the_sketchs_folder() -> None:
    import configparser

    project = configparser.ConfigParser()
    project.read(EXAMPLES / "golden_segment" / "platformio.ini")
    assert project["platformio"]["src_dir"] == "."
    (env,) = (project[name] for name in project.sections() if name.startswith("env:"))
    assert {"platform", "board", "framework"} <= set(env)
    linked = env["lib_deps"].removeprefix("symlink://")
    assert (EXAMPLES / "golden_segment" / linked).resolve() == LIBRARY


def test_platformios_packer_takes_the_library(tmp_path: Path) -> None:
    pio = packer("pio")
    source = Path(shutil.copytree(LIBRARY, tmp_path / "ecgqa"))
    told = json.loads((source / "library.json").read_text())
    assert told.pop("license") == "Apache-2.0"  # held against a list that pio would download
    (source / "library.json").write_text(json.dumps(told))
    done = subprocess.run(
        [pio, "pkg", "pack", str(source), "-o", str(tmp_path / "ecgqa.tar.gz")],
        capture_output=True, text=True, check=False, env=os.environ | {
            "PLATFORMIO_CORE_DIR": str(tmp_path / "core"),
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(tmp_path / "ecgqa.tar.gz") as tar:
        held = {m.name.removeprefix("./") for m in tar.getmembers() if m.isfile()}
    assert held == pio_files()


# ---- Arduino: arduino.github.io/arduino-cli, Library specification

ARDUINO_REQUIRED = {
    "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
    "architectures",
}  # fmt: skip
ARDUINO_OPTIONAL = {"depends", "dot_a_linkage", "includes", "precompiled", "ldflags", "license"}
ARDUINO_CATEGORIES = {
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
    "Data Storage", "Data Processing", "Other",
}  # fmt: skip


def test_arduinos_properties() -> None:
    lines = (LIBRARY / "library.properties").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines)
    assert len(told) == len(lines)
    assert set(told) >= ARDUINO_REQUIRED and not set(told) - ARDUINO_REQUIRED - ARDUINO_OPTIONAL
    assert all(told.values())
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", told["name"])
    assert not told["name"].lower().startswith("arduino")
    assert SEMVER.fullmatch(told["version"]) and told["category"] in ARDUINO_CATEGORIES
    assert not told["paragraph"].startswith(told["sentence"]) and told["url"] == OURS
    for header in told["includes"].split(","):
        assert (LIBRARY / "src" / header).is_file()


def test_a_sketch_is_called_as_its_folder() -> None:
    sketches = list(EXAMPLES.rglob("*.ino"))
    assert sketches
    for sketch in sketches:
        assert sketch.stem == sketch.parent.name
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", sketch.stem)
    assert not (LIBRARY / "utility").exists() and not list(LIBRARY.rglob(".development"))
    assert not [p for p in LIBRARY.rglob("*") if p.is_symlink()]


# ---- Zephyr: docs.zephyrproject.org, Test Runner (Twister)

SAMPLE_KEYS = {"name", "description"}
SCENARIO_KEYS = {
    "tags", "min_ram", "min_flash", "integration_platforms", "platform_allow", "harness",
    "harness_config", "build_only", "timeout", "filter", "extra_args", "extra_configs",
}  # fmt: skip
"""Those of Twister's schema that a sample of ours may need."""


def test_zephyrs_sample_says_how_twister_knows_it_works() -> None:
    told = read_yaml(EXAMPLES / "zephyr" / "sample.yaml")
    assert set(told) == {"sample", "tests"} and set(told["sample"]) == SAMPLE_KEYS
    for name, scenario in told["tests"].items():
        assert re.fullmatch(r"sample(\.[a-z0-9_]+)+", name)
        assert set(scenario) <= SCENARIO_KEYS
        assert scenario["harness"] == "console"
        config = scenario["harness_config"]
        assert set(config) == {"type", "regex"} and config["type"] in ("one_line", "multi_line")
        for pattern in config["regex"]:  # what the application prints, and nothing that it prints
            assert re.search(pattern, "segment 0: high, score 101, ok")
            assert re.search(pattern, "segment 0: low, score -128, ok")
            assert not re.search(pattern, "segment 0: low, score -128, gap")
    program = (EXAMPLES / "zephyr" / "src" / "main.c").read_text()
    assert 'printk("segment %u: %s, score %d, %s\\n"' in program


# ---- the examples run

IDF_H = """
#pragma once
#include <stddef.h>
#include <stdint.h>
/* What the application uses of ESP-IDF, on this machine: a receive lets the timer tick. */
typedef struct queue *QueueHandle_t;
typedef struct { void (*callback)(void *); void *arg; const char *name; } esp_timer_create_args_t;
typedef int esp_timer_handle_t;
enum { pdFALSE = 0, pdTRUE = 1 };
#define portMAX_DELAY 0xffffffffu
#define ESP_ERROR_CHECK(x) do { if ((x) != 0) { abort_here(#x); } } while (0)
void abort_here(const char *what);
QueueHandle_t xQueueCreate(unsigned len, unsigned bytes);
int xQueueSend(QueueHandle_t q, const void *item, unsigned wait);
int xQueueReceive(QueueHandle_t q, void *item, unsigned wait);
int esp_timer_create(const esp_timer_create_args_t *args, esp_timer_handle_t *out);
int esp_timer_start_periodic(esp_timer_handle_t timer, uint64_t period_us);
"""
IDF_C = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "idf.h"
struct queue { unsigned len, bytes, in, n; char memory[1 << 16]; };
static struct queue queue;
static void (*tick)(void *);
static unsigned ticks;
void app_main(void);
void abort_here(const char *what) { puts(what); exit(1); }
QueueHandle_t xQueueCreate(unsigned len, unsigned bytes)
{
    queue.len = len;
    queue.bytes = bytes;
    return len * bytes <= sizeof queue.memory ? &queue : NULL;
}
int xQueueSend(QueueHandle_t q, const void *item, unsigned wait)
{
    (void)wait;
    if (q->n == q->len) { return pdFALSE; }
    memcpy(q->memory + (q->in + q->n++) % q->len * q->bytes, item, q->bytes);
    return pdTRUE;
}
int xQueueReceive(QueueHandle_t q, void *item, unsigned wait)
{
    /* A segment; then 50 more than the queue holds at once; then to the third's end. */
    unsigned n = ticks == SEGMENT_LEN ? q->len + 50 : 1;
    (void)wait;
    if (q->n == 0) {
        if (ticks >= 3 * SEGMENT_LEN + 50) { return pdFALSE; }
        while (n-- > 0) { tick(NULL); ticks++; }
    }
    memcpy(item, q->memory + q->in * q->bytes, q->bytes);
    q->in = (q->in + 1) % q->len;
    q->n--;
    return pdTRUE;
}
int esp_timer_create(const esp_timer_create_args_t *args, esp_timer_handle_t *out)
{
    tick = args->callback;
    *out = 7;
    return 0;
}
int esp_timer_start_periodic(esp_timer_handle_t timer, uint64_t period_us)
{
    printf("period %u\\n", (unsigned)period_us);
    return timer != 7;
}
int main(void) { app_main(); return 0; }
"""

ARDUINO_H = """
#pragma once
#include <cstdio>
struct Console {
    void begin(unsigned long) {}
    void print(const char *text) { std::fputs(text, stdout); }
    void print(long number) { std::printf("%ld", number); }
    void print(unsigned long number) { std::printf("%lu", number); }
    void print(unsigned number) { std::printf("%u", number); }
    void print(int number) { std::printf("%d", number); }
    void println(const char *text) { std::puts(text); }
    void println(unsigned long number) { std::printf("%lu\\n", number); }
};
static Console Serial;
static unsigned long us;
static unsigned long micros() { return us += 3000; }
static void delay(unsigned long ms) { us += 1000 * ms; }
"""
ARDUINO_MAIN = "int main() { setup(); loop(); loop(); return 0; }\n"


def expected() -> tuple[str, str]:
    """Quality and score of the tiny bundle's golden segment."""
    spec = tiny_device.NETWORKS["chain"]
    front_end = NativeFrontEnd(spec, tiny_device.FS_HZ)
    image = image_s8(front_end.index_map(tiny_device.samples(spec))[None], spec.colormap)
    network = Int8Network(tiny_device.tflite("chain"), reference_kernels=True)
    score = int(network.scores(image)[0, 1])
    return ("high" if score >= tiny_device.THRESHOLD else "low"), str(score)


def test_the_idf_example_runs(tmp_path: Path) -> None:
    """Against a stand-in for its queue and timer: decisions come, lost samples are missing ones."""
    board = usable("host-gcc")
    device = tiny_device.device("chain")
    bundle = tmp_path / "bundle"
    generated = tiny_device.write(device, bundle / "model")
    listed = (EXAMPLES / "esp_idf" / "main" / "CMakeLists.txt").read_text()
    named = re.findall(r"\$\{bundle\}/model/(\w+\.c)", listed)
    assert sorted(named) == [path.name for path in generated]
    for name in ("freertos/FreeRTOS.h", "freertos/queue.h", "esp_timer.h"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('#include "idf.h"\n')
    (tmp_path / "idf.h").write_text(IDF_H)
    (tmp_path / "idf.c").write_text(IDF_C)
    program = tmp_path / "app"
    boards.tool(
        board.compiler,
        *("-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1"),
        f"-DSEGMENT_LEN={device.tables.segment_len}",
        *(f"-I{p}" for p in (tmp_path, bundle / "model", LIBRARY / "include")),
        *map(str, [EXAMPLES / "esp_idf" / "main" / "main.c", tmp_path / "idf.c"]),
        *map(str, [*generated, *boards.library_sources()]),
        *("-o", str(program)),
    )
    told = boards.tool(str(program))
    assert "period 8000\n" in told  # 125 Hz
    rows = LINE.findall(told)
    assert rows[0] == ("0", *expected(), "ok")
    assert [row[3] for row in rows] == ["ok", "ok", "gap"]


def test_the_sketch_runs(tmp_path: Path) -> None:
    """As C++, with the bundle's files beside it, as Arduino and PlatformIO compile it."""
    board = usable("host-gcc")
    cxx = require_tool("g++")
    generated = tiny_device.write(tiny_device.device("chain"), tmp_path)
    objects = []
    for source in [*generated, *boards.library_sources()]:
        objects.append(str(tmp_path / f"{source.stem}.o"))
        boards.tool(board.compiler, "-std=gnu99", f"-I{LIBRARY / 'src'}", "-c", str(source), "-o", objects[-1])  # noqa: E501  # fmt: skip
    sketch = EXAMPLES / "golden_segment" / "golden_segment.ino"
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    (tmp_path / "sketch.cpp").write_text(
        f'#include "Arduino.h"\n#include "{sketch}"\n{ARDUINO_MAIN}'
    )
    boards.tool(
        cxx,
        *("-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", f"-I{LIBRARY / 'src'}"),
        *(str(tmp_path / "sketch.cpp"), *objects, "-o", str(tmp_path / "app")),
    )
    told = boards.tool(str(tmp_path / "app"))
    assert LINE.findall(told) == [("0", *expected(), "ok"), ("1", *expected(), "ok")]
    assert told.count("ms: 3\n") == 2
