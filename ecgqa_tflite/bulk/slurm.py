# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A job array for SLURM: each of its tasks runs a part of the plan, and no daemon is needed."""

from __future__ import annotations

import shlex


def job_array(out: str, tasks: int, *, cpus: int = 1, memory_gb: int = 4) -> str:
    """The script for ``sbatch`` that runs the plan in ``out`` in so many tasks.

    The number of parts stands in it: an array of which some tasks are submitted again has other
    counts.
    """
    place = shlex.quote(out)
    record_gb = 0.75 * memory_gb / cpus  # the rest is the workers' own
    return f"""#!/bin/bash
#SBATCH --job-name=ecgqa
#SBATCH --array=1-{tasks}
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory_gb}G
#SBATCH --requeue
# the same script goes on where it was stopped; then: ecgqa bulk merge {place}
exec ecgqa bulk run {place} --part "$SLURM_ARRAY_TASK_ID/{tasks}" --workers {cpus} \\
  --memory {record_gb:g}
"""
