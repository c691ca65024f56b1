# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a board says of its own power and health: Linux's sysfs, a Raspberry Pi's firmware.

Most boards have no sensor; then there is nothing to tell, and nothing is made up.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

SYS = Path("/sys/class")
TIMEOUT_S = 5.0
_UW, _UV_UA = 1e-6, 1e-12


def power_w(sys: Path = SYS) -> dict[str, float]:
    """Power that the board's own sensors tell now, W, by sensor; empty where there is none.

    ``hwmon`` chips with a power channel, supplies with ``power_now`` or voltage and current, and
    the sum of the rails that a Raspberry Pi 5's power chip measures (not what its USB ports and
    5-V pins draw). Sensors may be of the same current: they do not add up.
    """
    found: dict[str, float] = {}
    for chip in sorted(sys.glob("hwmon/hwmon*")):
        for path in sorted(chip.glob("power*_input")) or sorted(chip.glob("power*_average")):
            _keep(found, f"{_text(chip / 'name') or chip.name} {path.name}", _number(path), _UW)
    for supply in sorted(sys.glob("power_supply/*")):
        volts, amperes = _number(supply / "voltage_now"), _number(supply / "current_now")
        power = _number(supply / "power_now")
        if power is not None:
            _keep(found, supply.name, power, _UW)
        elif volts is not None and amperes is not None:
            _keep(found, supply.name, abs(volts * amperes), _UV_UA)
    rails = rails_w(vcgencmd("pmic_read_adc") or "")
    if rails is not None:
        found["Raspberry Pi's rails"] = rails
    return found


def rails_w(text: str) -> float | None:
    """Sum of volts times amperes of the rails in ``vcgencmd pmic_read_adc``, W; None: no rail."""
    read = {
        (rail, kind): float(value)
        for rail, kind, value in re.findall(r"(\w+)_([AV]) \w+\(\d+\)=(-?[\d.]+)[AV]", text)
    }
    watts = [
        amperes * read[rail, "V"]
        for (rail, kind), amperes in read.items()
        if kind == "A" and (rail, "V") in read
    ]
    return sum(watts) if watts else None


def vcgencmd(command: str) -> str | None:
    """What a Raspberry Pi's firmware answers; None where there is no such program or answer."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _keep(found: dict[str, float], name: str, value: float | None, unit: float) -> None:
    if value is not None:
        found[name] = value * unit


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:  # some sensors answer with an error while they sleep
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None
