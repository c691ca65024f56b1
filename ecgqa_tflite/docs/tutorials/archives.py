# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # An archive, from folders to hours per patient and day
#
# A study's archive is assessed, a broken file set aside, one that comes later added, and the
# answer asked of a table. It needs `pip install '.[bulk]'`.

# %%
import csv
import dataclasses
import datetime
import subprocess
from pathlib import Path

import pandas as pd

from ecgqa_tflite.recording.disturbances import LeadOff
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb


def record(patient: str, day: int, off_s: float) -> None:
    """A minute of one patient's day, the electrode off for some of it."""
    ecg = simulate(60, 250, seed=day, disturbances=(LeadOff(10, off_s),), name=f"day{day}")
    start = datetime.datetime(2026, 3, day, 8)
    write_wfdb(dataclasses.replace(ecg, start=start), Path("archive") / patient)


record("anna", 1, 0)
record("anna", 2, 30)
record("ben", 1, 15)
Path("archive/ben/day9.hea").write_text("day9 1 250 1000\nday9.dat 16 200 16 0 0 0 0 I\n")

# %% [markdown]
# One command; the same again goes on where it was stopped. What can't be read is set aside with
# the reason, and the rest is done.

# %%
command = [
    *("ecgqa", "bulk", "archive/**/*.hea", "-o", "out"),
    *("--form", "parquet", "--model", "light_cnn_small", "--workers", "1"),
]
subprocess.run(command, check=True)
with open("out/aside.csv", newline="") as file:
    aside = list(csv.DictReader(file))
print(aside)
assert len(aside) == 1

# %% [markdown]
# A record that comes later: plan again. Results that still hold are kept.

# %%
before = {path: path.stat().st_mtime_ns for path in Path("out/results").rglob("*.parquet")}
record("ben", 2, 0)
subprocess.run([*command, "--overwrite"], check=True)
after = {path: path.stat().st_mtime_ns for path in Path("out/results").rglob("*.parquet")}
assert len(after) == len(before) + 1 and before.items() <= after.items()

# %% [markdown]
# The merged set has a row per segment. Usable minutes per patient and day:

# %%
subprocess.run(["ecgqa", "bulk", "merge", "out"], check=True)
rows = pd.read_parquet("out/merged")
rows["patient"] = rows["record"].str.split("/").str[-2]
rows["day"] = pd.to_datetime(rows["time"]).dt.date
rows["usable_min"] = (rows["end_s"] - rows["start_s"]) / 60 * (rows["quality"] == "high")
usable = rows.groupby(["patient", "day"])["usable_min"].sum()
print(usable)
assert len(usable) == 4 and usable["anna"].iloc[0] == 1 > usable["anna"].iloc[1]
