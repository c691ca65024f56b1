# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Make a Raspberry Pi's user land in a folder: ``python tests/firmware/aarch64_root.py FOLDER``.

Debian's Python for arm64, and the base install with its wheels for aarch64.
"""

from __future__ import annotations

from user_land import UserLand, program

AARCH64 = UserLand(
    architecture="arm64",
    suite="bookworm",
    packages=("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6"),
    emulator="qemu-aarch64",
    machine="aarch64",
    python="3.11",
    pip=(  # Debian 12's glibc is 2.36
        *(f"--platform=manylinux_2_{n}_aarch64" for n in range(36, 16, -1)),
        "--platform=manylinux2014_aarch64",
    ),
)

if __name__ == "__main__":
    program(AARCH64)
