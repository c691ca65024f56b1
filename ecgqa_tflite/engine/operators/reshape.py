# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""RESHAPE: nothing to do; a layer after it takes the values in their order."""

from __future__ import annotations

from ecgqa_tflite.engine.layers import Chain, EngineOperator
from ecgqa_tflite.engine.legality import refusal
from ecgqa_tflite.tflite.read import Operator


class Reshape(EngineOperator):
    """The same values in another shape."""

    name = "RESHAPE"

    def add(self, op: Operator, chain: Chain) -> None:
        """Check that all values stay."""
        x, y = chain.graph.tensors[op.inputs[0]], chain.graph.tensors[op.outputs[0]]
        if x.elements != y.elements:
            raise refusal(op, f"reshapes {x.shape} to {y.shape}")


OPERATOR = Reshape()
