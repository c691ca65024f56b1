# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives: a frozen plan, one result per entry, and whatever may fail on the way.

The steps: :mod:`.plan` (what is to be assessed, hashed), :mod:`.work` (one entry, a pure function),
an engine that maps it (:mod:`.processes`, :mod:`.dask_engine`, or parts under :mod:`.slurm`),
:mod:`.run` (what came of it), :mod:`.merge` and :mod:`.summary`.
"""
