# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The library drops into CMake, Zephyr, ESP-IDF, PlatformIO and Arduino builds; examples run."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny_device
from conftest import REPO, require_tool
from targets import usable

import ecgqa_tflite
from ecgqa_tflite.boards import boards
from ecgqa_tflite.engine.native import NativeNetwork
from ecgqa_tflite.frontend.colormap import lut, to_int8
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.resources import firmware_bridge_dir
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = pytest.mark.slow

LIBRARY = firmware_bridge_dir()
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def _cmake(source: Path, build: Path, *options: str) -> None:
    require_tool("cmake")
    boards.tool("cmake", "-S", str(source), "-B", str(build), *options)
    boards.tool("cmake", "--build", str(build))


def _project(folder: Path, text: str) -> Path:
    """A CMake project with a main that asks the tiny bundle for its workspace."""
    generated = tiny_device.write(tiny_device.device("chain"), folder / "bundle")
    (folder / "main.c").write_text(
        '#include "ecgqa_bundle.h"\n'
        "int main(void)\n{\n"
        "    return ecgqa_workspace_bytes(&ecgqa_bundle) != ECGQA_WORKSPACE_BYTES;\n}\n"
    )
    names = " ".join(f"bundle/{path.name}" for path in generated)
    (folder / "CMakeLists.txt").write_text(text.replace("@SOURCES@", f"main.c {names}"))
    return folder


def test_the_licence_travels_with_the_library() -> None:
    assert (LIBRARY / "LICENSE").read_bytes() == (REPO / "LICENSE").read_bytes()


def test_sources_cmake_names_every_source() -> None:
    named = re.findall(r"/src/(\w+\.c)", (LIBRARY / "sources.cmake").read_text())
    assert named == [path.name for path in boards.library_sources()]


def test_cmake_subdirectory(tmp_path: Path) -> None:
    usable("host-gcc")
    project = _project(
        tmp_path,
        "cmake_minimum_required(VERSION 3.16)\nproject(app C)\n"
        f"add_subdirectory({LIBRARY} ecgqa)\nadd_executable(app @SOURCES@)\n"
        "target_include_directories(app PRIVATE bundle)\n"
        "target_link_libraries(app PRIVATE ecgqa::ecgqa)\n",
    )
    _cmake(project, tmp_path / "build")
    boards.tool(str(tmp_path / "build" / "app"))


def test_cmake_package(tmp_path: Path) -> None:
    usable("host-gcc")
    installed = tmp_path / "installed"
    _cmake(LIBRARY, tmp_path / "library")
    boards.tool("cmake", "--install", str(tmp_path / "library"), "--prefix", str(installed))
    project = _project(
        tmp_path,
        "cmake_minimum_required(VERSION 3.16)\nproject(app C)\n"
        "find_package(ecgqa 0.1 REQUIRED)\nadd_executable(app @SOURCES@)\n"
        "target_include_directories(app PRIVATE bundle)\n"
        "target_link_libraries(app PRIVATE ecgqa::ecgqa)\n",
    )
    _cmake(project, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed}")
    boards.tool(str(tmp_path / "build" / "app"))


ZEPHYR = """\
cmake_minimum_required(VERSION 3.20)
project(zephyr C)
# What Zephyr's build system gives a module.
set(CONFIG_ECGQA y)
add_library(zephyr_interface INTERFACE)
macro(zephyr_library_named name)
    set(ZEPHYR_CURRENT_LIBRARY ${name})
    add_library(${name} STATIC)
    target_link_libraries(${name} PRIVATE zephyr_interface)
endmacro()
function(zephyr_library_sources)
    target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
function(zephyr_include_directories)
    target_include_directories(zephyr_interface INTERFACE ${ARGN})
endfunction()
add_subdirectory(@LIBRARY@/zephyr module)
add_executable(app @SOURCES@)
target_include_directories(app PRIVATE bundle)
target_link_libraries(app PRIVATE ecgqa zephyr_interface)
"""

ESP_IDF = """\
cmake_minimum_required(VERSION 3.16)
project(idf C)
# What ESP-IDF's build system gives a component.
set(ESP_PLATFORM 1)
function(idf_component_register)
    cmake_parse_arguments(PARSE_ARGV 0 idf "" "" "SRCS;INCLUDE_DIRS")
    add_library(idf_ecgqa STATIC ${idf_SRCS})
    target_include_directories(idf_ecgqa PUBLIC ${idf_INCLUDE_DIRS})
endfunction()
add_subdirectory(@LIBRARY@ component)
add_executable(app @SOURCES@)
target_include_directories(app PRIVATE bundle)
target_link_libraries(app PRIVATE idf_ecgqa)
"""


@pytest.mark.parametrize("text", [ZEPHYR, ESP_IDF], ids=["zephyr", "esp-idf"])
def test_zephyr_module_and_esp_idf_component(text: str, tmp_path: Path) -> None:
    # Against stand-ins for the functions that these build systems call them with.
    usable("host-gcc")
    _cmake(_project(tmp_path, text.replace("@LIBRARY@", str(LIBRARY))), tmp_path / "build")
    boards.tool(str(tmp_path / "build" / "app"))


def test_zephyr_module_file() -> None:
    text = (LIBRARY / "zephyr" / "module.yml").read_text()
    told = dict(line.strip().split(": ") for line in text.splitlines() if ": " in line)
    assert (LIBRARY / told["cmake"] / "CMakeLists.txt").is_file()
    assert (LIBRARY / told["kconfig"]).read_text().count("\nconfig ECGQA\n\tbool ") == 1


@pytest.mark.parametrize("compiler", ["host-gcc", "mps2-an386"])
def test_arduino_layout(compiler: str, tmp_path: Path) -> None:
    """Arduino compiles every .c under src/, with src/ as the only folder of headers."""
    board = usable(compiler)
    for path in sorted((LIBRARY / "src").rglob("*.c")):
        target = str(tmp_path / f"{path.stem}.o")
        command = (*board.flags, "-Os", f"-I{LIBRARY / 'src'}", "-c", str(path), "-o", target)
        boards.tool(board.compiler, *command)
    sketch = tmp_path / "sketch.cpp"
    sketch.write_text("#include <ecgqa/ecgqa.h>\nsize_t f() { return ecgqa_workspace_bytes(0); }\n")
    cxx = board.compiler.replace("gcc", "g++")
    require_tool(cxx)
    boards.tool(
        cxx,
        *(*board.flags, "-Wall", "-Werror", f"-I{LIBRARY / 'src'}"),
        *("-c", str(sketch), "-o", str(tmp_path / "sketch.o")),
    )


def test_arduino_shims_are_complete() -> None:
    shims = {p.name: p.read_text() for p in (LIBRARY / "src" / "ecgqa").glob("*.h")}
    headers = {p.name for p in (LIBRARY / "include" / "ecgqa").glob("*.h")}
    assert shims.keys() == headers
    for name, text in shims.items():
        assert text.endswith(f'#include "../../include/ecgqa/{name}"\n')


def test_one_version_everywhere() -> None:
    version = ecgqa_tflite.__version__
    properties = dict(
        line.split("=", 1) for line in (LIBRARY / "library.properties").read_text().splitlines()
    )
    assert properties["version"] == version
    assert json.loads((LIBRARY / "library.json").read_text())["version"] == version
    assert f'version: "{version}"' in (LIBRARY / "idf_component.yml").read_text()
    assert f"project(ecgqa VERSION {version} " in (LIBRARY / "CMakeLists.txt").read_text()


def test_platformio_manifest() -> None:
    manifest = json.loads((LIBRARY / "library.json").read_text())
    assert (LIBRARY / manifest["build"]["includeDir"] / manifest["headers"]).is_file()
    assert (LIBRARY / manifest["build"]["srcDir"]).is_dir()


@pytest.mark.parametrize("example", ["super_loop", "rtos_thread"])
@pytest.mark.parametrize("collect", [False, True], ids=["held", "collecting"])
def test_examples_decide_as_the_reference(example: str, collect: bool, tmp_path: Path) -> None:
    """And lose no sample: their queues hold what comes in while a segment is classified."""
    board = usable("host-gcc")
    device = tiny_device.device("chain", collect=collect)
    generated = tiny_device.write(device, tmp_path / "bundle")
    spec = device.spec
    segments = [tiny_device.samples(spec, seed) for seed in range(5)]
    (tmp_path / "samples.bin").write_bytes(b"".join(s.astype("<i2").tobytes() for s in segments))
    folder = LIBRARY / "examples" / example
    program = tmp_path / "program"
    sources = [*boards.library_sources(), *generated, folder / "main.c"]
    # 173 slices a segment: 87 of the next one's 100 samples come in meanwhile.
    defined = ["-DSUPER_LOOP", "-DSLICES_A_SAMPLE=2"] if example == "super_loop" else ["-pthread"]
    boards.tool(
        board.compiler,
        *(*STRICT, "-D_POSIX_C_SOURCE=200809L", "-O1", "-fsanitize=address,undefined", *defined),
        *(f"-I{p}" for p in (LIBRARY / "include", tmp_path / "bundle", folder)),
        *(*map(str, sources), str(LIBRARY / "tests" / "app_host.c"), "-o", str(program)),
    )
    done = subprocess.run(
        [program, tmp_path / "samples.bin"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    from ecgqa_tflite.frontend.colormap import image

    network = Int8Network(device.tflite, reference_kernels=True)
    front_end = NativeFrontEnd(spec, tiny_device.FS_HZ)
    expected = []
    for i, segment in enumerate(segments):
        picture = to_int8(image(front_end.index_map(segment), spec.colormap))
        score = int(network.scores(picture[None])[0, 1])
        expected.append(f"decision {i} {score} {int(score >= tiny_device.THRESHOLD)} 0")
    assert done.stdout.splitlines() == expected


def test_the_two_leads_decide_as_each_alone(tmp_path: Path) -> None:
    """And lose no sample, with windows that overlap and samples that come in meanwhile."""
    board = usable("host-gcc")
    device = tiny_device.device("chain", collect=True, hop_s=1.2)
    generated = tiny_device.write(device, tmp_path / "bundle")
    spec, segment_len = device.spec, device.tables.segment_len
    leads = np.stack(
        [np.concatenate([tiny_device.samples(spec, 7 * i + k) for k in range(4)]) for i in range(2)]
    )
    (tmp_path / "frames.bin").write_bytes(leads.T.astype("<i2").tobytes())
    program, folder = tmp_path / "program", LIBRARY / "examples" / "two_leads"
    sources = [*boards.library_sources(), *generated, folder / "main.c"]
    boards.tool(
        board.compiler,
        *(*STRICT, "-O1", "-fsanitize=address,undefined"),
        *(f"-I{p}" for p in (LIBRARY / "include", tmp_path / "bundle", folder)),
        *(*map(str, sources), str(LIBRARY / "tests" / "two_leads_host.c"), "-o", str(program)),
    )
    done = subprocess.run(
        [program, tmp_path / "frames.bin"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    front_end = NativeFrontEnd(spec, tiny_device.FS_HZ)
    network = NativeNetwork(device.tflite, lut(spec.colormap))
    told = sorted(done.stdout.splitlines())
    expected = []
    for number, lead in enumerate(leads):
        starts = range(0, lead.size - segment_len + 1, device.hop_len)
        windows = np.stack([lead[start : start + segment_len] for start in starts])
        reasons, scores = front_end.reasons(windows), network.scores(front_end.index_maps(windows))
        for i, (reason, score) in enumerate(zip(reasons, scores[:, 1], strict=True)):
            asked = reason == 0
            quality = int(asked and score >= tiny_device.THRESHOLD)
            expected.append(f"lead {number} {i} {score if asked else -128} {quality} {reason}")
    assert told == sorted(expected) and len(told) == 2 * 7


@pytest.mark.parametrize(
    ("example", "compiler"),
    [
        ("super_loop", "mps2-an386"),  # newlib without an operating system has no threads
        ("two_leads", "mps2-an386"),
        *(
            (e, c)
            for e in ("super_loop", "two_leads", "rtos_thread")
            for c in ("host-clang", "aarch64", "armhf")
        ),
    ],
)
def test_examples_compile_everywhere(example: str, compiler: str, tmp_path: Path) -> None:
    board = usable(compiler)
    device = tiny_device.device("chain", collect=example == "two_leads")
    generated = tiny_device.write(device, tmp_path / "bundle")
    folder = LIBRARY / "examples" / example
    boards.tool(
        board.compiler,
        *(*board.flags, *STRICT, "-D_POSIX_C_SOURCE=200809L", f"-I{generated[0].parent}"),
        *(f"-I{LIBRARY / 'include'}", f"-I{folder}", "-c", str(folder / "main.c")),
        *("-o", str(tmp_path / "main.o")),
    )
