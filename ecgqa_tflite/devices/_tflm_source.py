# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Generated C++ for TensorFlow Lite Micro: which operators, and how large an arena."""

from __future__ import annotations

from collections.abc import Sequence

from ecgqa_tflite.engine import model_source

_BODY = """\
#ifndef {guard}
#define {guard}

#include <stdint.h>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "{array}_tflite.h"

/* {how} */
#define ECGQA_ARENA_BYTES {arena}u

/* Exactly the network's operators. */
typedef tflite::MicroMutableOpResolver<{count}> ecgqa_resolver_t;

static inline TfLiteStatus ecgqa_add_operators(ecgqa_resolver_t &resolver)
{{
{calls}
    return kTfLiteOk;
}}

#endif
"""


def tflm_header(
    array: str, methods: Sequence[str], arena_bytes: int, how: str, spec_hash: int
) -> str:
    """The header ``<array>_tflm.h``: resolver and arena of the network in ``<array>_tflite``.

    Parameters
    ----------
    methods
        Of ``MicroMutableOpResolver``: :func:`ecgqa_tflite.tflite.tflm.resolver_methods`.
    how
        Where the arena's size comes from, for the comment.
    """
    calls = "\n".join(
        f"    if (resolver.{method}() != kTfLiteOk) {{\n        return kTfLiteError;\n    }}"
        for method in methods
    )
    lines, line = [], ""
    for word in how.split():
        if len(line) + len(word) > 90:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    text = _BODY.format(
        guard=f"{array}_TFLM_H".upper(),
        array=array,
        how="\n * ".join([*lines, line]),
        arena=arena_bytes,
        count=len(methods),
        calls=calls,
    )
    return model_source.stamp("For TensorFlow Lite Micro.", spec_hash) + text
