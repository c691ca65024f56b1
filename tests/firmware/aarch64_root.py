# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Make a Raspberry Pi's user land in a folder: ``python tests/firmware/aarch64_root.py FOLDER``.

Debian's Python for arm64 (packages of this system's own Debian sources), the wheels of the base
install for aarch64, this checkout's (`make wheels`) among them. Nothing is installed here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from ecgqa_tflite.boards import aarch64_root
from ecgqa_tflite.errors import EcgqaError, ToolError
from ecgqa_tflite.output import whole_folder

REPO = Path(__file__).resolve().parents[2]
TOOLS = ("apt-get", "dpkg-deb", "tar", "gcc", "aarch64-linux-gnu-gcc", "qemu-aarch64", "ldd")
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
PYTHON = ("3.11", "cp")
PLATFORMS = [f"manylinux_2_{n}_aarch64" for n in range(36, 16, -1)]  # Debian 12's glibc is 2.36
SITE = "usr/lib/python3/dist-packages"
BOARD = "Raspberry Pi 5 (a stand-in: QEMU)"

# Starts the emulated Python: no binfmt_misc is needed, and sys.executable can be run again.
STARTER = """
#include <unistd.h>
int main(int argc, char **argv)
{
    char *given[argc + 8];
    int n = 0;

%(emulator)s
    given[n++] = "-0"; given[n++] = "%(python)s"; given[n++] = "%(emulated)s";
    for (int i = 1; i < argc; i++) {
        given[n++] = argv[i];
    }
    given[n] = 0;
    execv(given[0], given);
    return 127;
}
"""


def sources() -> Path | None:
    """Debian's own list of this system."""
    for name in ("sources.list.d/debian.sources", "sources.list"):
        path = Path("/etc/apt") / name
        if path.is_file() and "bookworm" in path.read_text():
            return path
    return None


def missing() -> str | None:
    """Why it can't be made here, in a line."""
    absent = [name for name in TOOLS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed: make setup-firmware"
    if sources() is None:
        return "no Debian 12: its arm64 Python has the version that the wheels are taken for"
    return None


def make(folder: Path, overwrite: bool = False) -> aarch64_root.Root:
    """Download, unpack and cross-compile; under a minute on a quiet machine with a warm cache.

    Raises
    ------
    ToolError
        A tool or the network is missing.
    """
    reason = missing()
    if reason is not None:
        raise ToolError(reason)
    with whole_folder(folder, overwrite) as root:
        with tempfile.TemporaryDirectory() as scratch:
            _debian(root, Path(scratch))
            _emulator(root)
            _wheels(root, Path(scratch))
        for name, text in {
            "proc/device-tree/model": BOARD,
            "sys/devices/system/cpu/possible": "0-1",  # LiteRT asks how many there are
            "sys/devices/system/cpu/present": "0-1",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
        (root / "tmp").mkdir(exist_ok=True)
    return aarch64_root.Root(folder.resolve())


def _debian(root: Path, scratch: Path) -> None:
    for name in ("bin", "lib", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    apt = [
        "apt-get", "-qq", "-oAPT::Architecture=arm64", "-oAPT::Architectures::=arm64",
        f"-oDir::State::Lists={scratch}/lists", f"-oDir::Cache={scratch}/cache",
        "-oDir::State::status=/dev/null", f"-oDir::Etc::sourcelist={sources()}",
        "-oDir::Etc::sourceparts=/dev/null", "-oDebug::NoLocking=1",
        f"-oAPT::Sandbox::User={'root' if os.geteuid() == 0 else ''}",
    ]  # fmt: skip
    _run([*apt, "update"])
    _run([*apt, "install", "--yes", "--no-install-recommends", "--download-only", *PACKAGES])
    for package in sorted((scratch / "cache" / "archives").glob("*.deb")):
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
        ) as archive:
            _run(
                ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(root)],
                stdin=archive.stdout,
            )


def _emulator(root: Path) -> None:
    """QEMU with its libraries, and the program that starts Python with it."""
    emulator = root / "emulator"
    emulator.mkdir()
    program = shutil.which("qemu-aarch64")
    assert program is not None
    shutil.copy(program, emulator)
    for path in re.findall(r"/\S+", _run(["ldd", program])):
        name = "ld.so" if Path(path).name.startswith("ld-linux") else Path(path).name
        shutil.copy(path, emulator / name)
    starter = emulator / "starter.c"
    given = "\n".join(f'    given[n++] = "{word}";' for word in aarch64_root.EMULATOR)
    starter.write_text(
        STARTER
        % {
            "emulator": given,
            "python": aarch64_root.PYTHON,
            "emulated": aarch64_root.EMULATED_PYTHON,
        }
    )
    _run(["gcc", "-O2", "-static", str(starter), "-o", f"{root}{aarch64_root.PYTHON}"])


def _wheels(root: Path, scratch: Path) -> None:
    """This checkout for aarch64, with what its base install depends on and nothing else."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run([sys.executable, str(REPO / ".ci" / "wheels.py"), str(scratch), "aarch64"])
    (wheel,) = scratch.glob("ecgqa_tflite-*.whl")
    platforms = [f"--platform={name}" for name in (*PLATFORMS, "manylinux2014_aarch64")]
    version, implementation = PYTHON
    _run(
        [
            *pip, "install", "--target", str(root / SITE), "--only-binary=:all:", *platforms,
            f"--python-version={version}", f"--implementation={implementation}", str(wheel),
        ]
    )  # fmt: skip
    for script in (root / SITE / "bin").glob("ecgqa*"):
        text = script.read_text().partition("\n")[2]
        (root / "usr/bin" / script.name).write_text(f"#!{aarch64_root.PYTHON}\n{text}")
        (root / "usr/bin" / script.name).chmod(0o755)


def _run(command: list[str], *, stdin: IO[bytes] | None = None) -> str:
    done = subprocess.run(command, stdin=stdin, text=True, capture_output=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word")[-300:]
        raise ToolError(f"{command[0]} failed: {' '.join(said.split())}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/firmware/aarch64_root.py FOLDER")
    try:
        print(f"Written: {make(Path(sys.argv[1]), overwrite=True).path}")
    except EcgqaError as error:
        sys.exit(str(error))
