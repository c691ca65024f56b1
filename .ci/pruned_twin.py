# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Make models/light_cnn_pruned of models/light_cnn: its int8 network without the channels that no
calibration and validation segment of its own recipe wakes.

python .ci/pruned_twin.py DATA    DATA as `ecgqa train --data` takes it; some ten minutes

Then `ecgqa evaluate COPY DATA/challenge-2017 --adjudicated GRADES --record` notes the external test
in a copy of the folder, which takes the folder's place.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

from ecgqa_tflite.cli.progress import progress
from ecgqa_tflite.convert.prune import Evidence, pruned
from ecgqa_tflite.evaluation.card import write_card
from ecgqa_tflite.model_folder import Trained, open_model, write_model
from ecgqa_tflite.resources import default_cache, models_dir

OF, NAME = "light_cnn", "light_cnn_pruned"


def main(data: Path) -> None:
    """Write the folder; it has no float weights, which are light_cnn's."""
    with tempfile.TemporaryDirectory() as scratch, progress() as tell:
        evidence = Evidence(default_cache(), data=data)
        made = pruned(open_model(OF), Path(scratch) / OF, evidence, tell)
        described = Trained(**{f.name: getattr(made, f.name) for f in fields(Trained)})
        tflite = made.tflite_path.read_bytes()
    twin = write_model(models_dir() / NAME, replace(described, name=NAME), tflite, overwrite=True)
    write_card(twin)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
