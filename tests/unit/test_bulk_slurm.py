# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives under SLURM: a node of one machine, a job array, a task that is killed and requeued."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import require_tool
from test_bulk_engines import in_this_process, plan_of, tree

from ecgqa_tflite.cli import main

pytestmark = pytest.mark.apart

_CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SchedulerParameters=sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which ``sbatch`` finds a cluster of this machine."""
    tools = [require_tool(t) for t in ("munged", "slurmctld", "slurmd", "sbatch", "squeue")]
    if os.geteuid() != 0:
        pytest.skip("slurmd wants to be root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    ports = []
    for _ in range(2):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            ports.append(found.getsockname()[1])
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(_CONF.format(host=host, folder=folder, ports=ports, cpus=os.cpu_count()))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [
        tools[0], "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
        f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log",
        f"--seed-file={folder}/munge.seed",
    ]  # fmt: skip
    daemons = []
    try:
        for command in (munge, [tools[1], "-D"], [tools[2], "-D"]):
            daemons.append(
                subprocess.Popen(
                    command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
            time.sleep(2)
            assert daemons[-1].poll() is None, command
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait()


def test_a_job_array_on_one_node(slurm: dict[str, str], tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "ecg", 80)
    expected = in_this_process(plan, tmp_path / "one")
    out = tmp_path / "out"
    asked = ["bulk", "plan", f"{tmp_path}/ecg/*.npy", "-o", str(out), "--fs", "250",
             "--model", "light_cnn_small", "--slurm", "4"]  # fmt: skip
    printed = CliRunner().invoke(main, asked)
    assert printed.exit_code == 0, printed.output
    script = tmp_path / "job.sh"
    script.write_text(printed.stdout)
    environment = {**slurm, "PATH": f"{Path(sys.executable).parent}:{slurm['PATH']}"}
    job = subprocess.run(
        ["sbatch", "--parsable", str(script)],
        env=environment, cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    end = time.monotonic() + 300
    while len(tree(out)) < 5:
        assert time.monotonic() < end, _queue(slurm)
        time.sleep(0.05)
    # a task is killed and put back: its part goes on where it was
    subprocess.run(["scontrol", "requeue", f"{job}_1"], env=slurm, check=False)
    while job in _queue(slurm):
        assert time.monotonic() < end, _queue(slurm)
        time.sleep(0.5)
    assert tree(out) == expected
    logs = "".join(path.read_text() for path in tmp_path.glob("slurm-*.out"))
    assert logs.count("set aside") >= 4, logs


def _queue(environment: dict[str, str]) -> str:
    return subprocess.run(
        ["squeue", "--noheader", "--array"],
        env=environment, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
