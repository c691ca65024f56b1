# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Make another machine's user land in a folder: Debian's packages, the wheels that ours asks for
and this checkout as a wheel whose library is cross-compiled. Nothing is installed on this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecgqa_tflite.boards import aarch64_root
from ecgqa_tflite.errors import EcgqaError, ToolError
from ecgqa_tflite.output import whole_folder

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / ".ci"))
import wheels  # noqa: E402

TOOLS = ("apt-get", "dpkg-deb", "tar", "gcc", "ldd")
SITE = "usr/lib/python3/dist-packages"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BOARD = "Raspberry Pi (a stand-in: QEMU)"

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


@dataclass(frozen=True)
class UserLand:
    """A machine's.

    Attributes
    ----------
    architecture, suite
        Debian's names of it and of the release.
    packages
        Debian's, whose dependencies come with them.
    emulator
        Program of this machine.
    machine
        As ``uname`` calls it.
    python
        Version that the packages hold.
    pip
        What ``pip install`` is told beside the machine; wheels to install with ours.
    """

    architecture: str
    suite: str
    packages: tuple[str, ...]
    emulator: str
    machine: str
    python: str
    pip: tuple[str, ...]

    def missing(self) -> str | None:
        """Why it can't be made here, in a line."""
        absent = [
            n
            for n in (*TOOLS, wheels.CROSS[self.machine], self.emulator)
            if shutil.which(n) is None
        ]
        if absent:
            return f"{', '.join(absent)} not installed: make setup-firmware"
        if mirror() is None:
            return "no Debian: its packages are what a user land is made of"
        return None

    def make(self, folder: Path, overwrite: bool = False) -> None:
        """Download, unpack and cross-compile; under a minute on a quiet machine with a warm cache.

        Raises
        ------
        ToolError
            A tool or the network is missing.
        """
        reason = self.missing()
        if reason is not None:
            raise ToolError(reason)
        with whole_folder(folder, overwrite) as root:
            with tempfile.TemporaryDirectory() as scratch:
                self._debian(root, Path(scratch))
                self._emulator(root)
                self._wheels(root, Path(scratch))
            for name, text in {
                "proc/device-tree/model": BOARD,
                "sys/devices/system/cpu/possible": "0-1",  # LiteRT asks how many there are
                "sys/devices/system/cpu/present": "0-1",
            }.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text + "\n")
            (root / "tmp").mkdir(exist_ok=True)

    def _debian(self, root: Path, scratch: Path) -> None:
        for name in ("bin", "lib", "sbin"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for name in ("lists/partial", "cache/archives/partial"):
            (scratch / name).mkdir(parents=True)
        (scratch / "own.sources").write_text(
            f"Types: deb\nURIs: {mirror()}\nSuites: {self.suite}\nComponents: main\n"
            f"Signed-By: {KEYRING}\n"
        )
        apt = [
            "apt-get", "-qq", f"-oAPT::Architecture={self.architecture}",
            f"-oAPT::Architectures::={self.architecture}",
            f"-oDir::State::Lists={scratch}/lists", f"-oDir::Cache={scratch}/cache",
            "-oDir::State::status=/dev/null", f"-oDir::Etc::sourcelist={scratch}/own.sources",
            "-oDir::Etc::sourceparts=/dev/null", "-oDebug::NoLocking=1",
            f"-oAPT::Sandbox::User={'root' if os.geteuid() == 0 else ''}",
        ]  # fmt: skip
        _run([*apt, "update"])
        download = ("install", "--yes", "--no-install-recommends", "--download-only")
        _run([*apt, *download, *self.packages])
        for package in sorted((scratch / "cache" / "archives").glob("*.deb")):
            with subprocess.Popen(
                ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
            ) as archive:
                _run(
                    ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(root)],
                    stdin=archive.stdout,
                )
        for library in (*root.glob("usr/lib/*/blas/*.so.3"), *root.glob("usr/lib/*/lapack/*.so.3")):
            name = library.parents[1] / library.name  # what update-alternatives would lay
            name.symlink_to(library.relative_to(library.parents[1]))

    def _emulator(self, root: Path) -> None:
        """QEMU with its libraries, and the program that starts Python with it."""
        emulator = root / "emulator"
        emulator.mkdir()
        program = shutil.which(self.emulator)
        assert program is not None
        shutil.copy(program, emulator)
        for path in re.findall(r"/\S+", _run(["ldd", program])):
            name = "ld.so" if Path(path).name.startswith("ld-linux") else Path(path).name
            shutil.copy(path, emulator / name)
        starter = emulator / "starter.c"
        words = (*aarch64_root.EMULATOR[:-1], f"/emulator/{self.emulator}")
        given = "\n".join(f'    given[n++] = "{word}";' for word in words)
        emulated = f"/usr/bin/python{self.python}"
        python = root / aarch64_root.PYTHON.lstrip("/")
        starter.write_text(
            STARTER % {"emulator": given, "python": aarch64_root.PYTHON, "emulated": emulated}
        )
        python.unlink(missing_ok=True)  # Debian's link to the emulated one
        _run(["gcc", "-O2", "-static", str(starter), "-o", str(python)])

    def _wheels(self, root: Path, scratch: Path) -> None:
        """This checkout for the machine, and what it asks for."""
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        tools = {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
        build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(scratch)]
        _run([*build, str(REPO)], environment=wheels.compiler(self.machine) | tools)
        (wheel,) = scratch.glob("ecgqa_tflite-*.whl")
        _run(
            [
                *pip, "install", "--target", str(root / SITE), "--only-binary=:all:",
                f"--platform=linux_{self.machine}", f"--python-version={self.python}",
                "--implementation=cp", *self.pip, str(wheel),
            ]
        )  # fmt: skip
        for script in (root / SITE / "bin").glob("ecgqa*"):
            text = script.read_text().partition("\n")[2]
            (root / "usr/bin" / script.name).write_text(f"#!{aarch64_root.PYTHON}\n{text}")
            (root / "usr/bin" / script.name).chmod(0o755)


def mirror() -> str | None:
    """Where this system gets Debian's packages."""
    for name in ("sources.list.d/debian.sources", "sources.list"):
        path = Path("/etc/apt") / name
        found = path.is_file() and re.search(r"https?://\S+/debian/?(?=\s)", path.read_text())
        if found:
            return found[0]
    return None


def program(make: UserLand) -> None:
    """``python tests/firmware/..._root.py FOLDER``."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} FOLDER")
    try:
        make.make(Path(sys.argv[1]), overwrite=True)
        print(f"Written: {Path(sys.argv[1]).resolve()}")
    except EcgqaError as error:
        sys.exit(str(error))


def _run(
    command: list[str], *, environment: Mapping[str, str] | None = None, stdin: object = None
) -> str:
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, stdin=stdin, text=True,  # type: ignore[arg-type]
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word")[-300:]
        raise ToolError(f"{command[0]} failed: {' '.join(said.split())}")
    return done.stdout
