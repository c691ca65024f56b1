# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What a board says of its power, and a soak's first minute against its last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ecgqa_tflite.benchmark import power, protocol, soak

SPAN = soak.Span(0.0, 60.0, 500.0, 2.0, 3.0, 2400.0, 51.5, (), {"ina219 power1_input": 3.25})


def sensors(sys: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (sys / name).parent.mkdir(parents=True, exist_ok=True)
        (sys / name).write_text(text)
    return sys


def test_power_of_sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "vcgencmd", lambda _: None)
    assert power.power_w(tmp_path) == {}
    sys = sensors(tmp_path, {
        "hwmon/hwmon0/name": "ina219\n", "hwmon/hwmon0/power1_input": "3250000\n",
        "hwmon/hwmon1/temp1_input": "48000\n", "hwmon/hwmon2/power1_input": "asleep\n",
        "power_supply/battery/voltage_now": "5000000\n",
        "power_supply/battery/current_now": "-500000\n",
        "power_supply/usb/power_now": "4100000\n", "power_supply/mains/online": "1\n",
    })  # fmt: skip
    assert power.power_w(sys) == pytest.approx(
        {"ina219 power1_input": 3.25, "battery": 2.5, "usb": 4.1}
    )


def test_rails_of_a_pi_s_power_chip() -> None:
    text = (
        " 3V3_SYS_A current(1)=0.10000000A\n VDD_CORE_A current(7)=1.50000000A\n"
        " 3V3_SYS_V volt(9)=3.30000000V\n VDD_CORE_V volt(15)=0.80000000V\n EXT5V_V volt(24)=5.1V\n"
    )
    assert power.rails_w(text) == pytest.approx(0.33 + 1.2)
    assert power.rails_w("Command not registered") is None


def test_a_pi_s_firmware_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vcgencmd"
    program.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50004 || exit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(protocol, "THROTTLED", str(tmp_path / "none"))
    assert protocol.machine_state()["throttled"] == [
        "throttled", "under-voltage since boot", "throttled since boot",
    ]  # fmt: skip
    assert power.vcgencmd("measure_temp") is None
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert protocol.machine_state()["throttled"] is None


def test_a_machine_that_slows_down_says_so() -> None:
    hot = replace(
        SPAN, start_s=540.0, segments_per_s=400.0, clock_mhz=1500.0, temperature_c=84.0,
        throttled=("throttled",), power_w={"ina219 power1_input": 2.5},
    )  # fmt: skip
    found = soak.Soak("light_cnn", 4, "ondemand", (SPAN, *[SPAN] * 8, hot))
    lines = list(soak.table(found))
    text = "\n".join(lines)
    assert "0.800x; the machine slowed down" in text and "throttling: throttled" in text
    assert "10 min; governor ondemand" in text and "84.0" in text and "2,400" in text
    assert "3.25 W first, 2.50 W last" in text
    assert max(map(len, lines)) <= 80
    quiet = replace(SPAN, clock_mhz=None, temperature_c=None, throttled=None, power_w={})
    text = "\n".join(soak.table(soak.Soak("light_cnn", 4, None, (quiet, quiet))))
    assert "1.000x\n" in text and "--" in text and "governor unknown" in text
    assert "firmware says nothing" in text and "no sensor" in text
