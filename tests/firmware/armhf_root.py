# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Make a 32-bit Raspberry Pi's user land: ``python tests/firmware/armhf_root.py FOLDER``.

Everything compiled is Debian 13's for armhf, as on Raspberry Pi OS: NumPy and the others have no
wheels for it, LiteRT has nothing at all.
"""

from __future__ import annotations

from user_land import UserLand, program

VARIABLE = "ECGQA_ARMHF_ROOT"
"""Environment variable that names the folder, once made."""
CPU = "cortex-a7"
"""A Raspberry Pi 2's: 32 bits."""

ARMHF = UserLand(
    architecture="armhf",
    suite="trixie",
    packages=(
        *("python3", "python3-click", "python3-flatbuffers", "python3-jinja2", "python3-numpy"),
        *("python3-pandas", "python3-rich", "python3-scipy"),
        # what wfdb depends on beside these
        *("python3-aiohttp", "python3-fsspec", "python3-matplotlib", "python3-requests"),
        "python3-soundfile",
    ),
    emulator="qemu-arm",
    machine="armv7l",
    python="3.13",
    pip=("--no-deps", "wfdb", "tflite"),
)

if __name__ == "__main__":
    program(ARMHF)
