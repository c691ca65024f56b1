# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which network this is, as a C header.

:mod:`ecgqa_tflite.tflite.identity` says the same inside the ``.tflite``.
"""

from __future__ import annotations

from typing import Any

from ecgqa_tflite.engine import model_source
from ecgqa_tflite.escape import c_string


def identity_header(identity: dict[str, Any], spec_hash: int) -> dict[str, str]:
    """The same for C: ``ecgqa_identity.h``, macros only."""
    text = {
        "MODEL_NAME": identity["name"],
        "LABEL_0": identity["labels"][0],
        "LABEL_1": identity["labels"][1],
        "LICENCE": identity["licence"],
        **{f"CLASS_{i}": name for i, name in enumerate(identity["output"].get("classes", ()))},
    }
    numbers = {
        "MODEL_ID": f"UINT64_C(0x{identity['model_id']})",
        "SPEC_HASH": f"UINT64_C(0x{spec_hash:016x})",
        "THRESHOLD_S8": f"({identity['threshold_int8']})",
        "INPUT_ZERO_POINT": f"({identity['input']['zero_point']})",
        "OUTPUT_ZERO_POINT": f"({identity['output']['zero_point']})",
    }
    lines = [f"#define ECGQA_{key} {value}" for key, value in numbers.items()]
    lines += [f"#define ECGQA_{key} {c_string(value)}" for key, value in text.items()]
    stem = "ecgqa_identity"
    what = (
        "Which network this is; the .tflite says the same of itself.\n"
        " * Real values are scale * (q - zero point): of the input's scale, 1 / 255, and of the\n"
        f" * output's, {identity['output']['quant_scale']:g}. High quality: score of class 1 >= "
        "threshold."
    )
    body = "\n".join(lines) + "\n"
    return {f"{stem}.h": model_source.header(stem, spec_hash, what, "#include <stdint.h>\n", body)}
